//! Frames under way that a program would refuse or lose, by a checkpoint in memory.

use potoroo_sdk::key::Key;
use potoroo_sdk::prelude::*;
use potoroo_sdk::value;

use super::*;
use crate::checkpoint::store::Memory;
use crate::checkpoint::{Chunk, PartHeader, PartWriter, PartitionSet};

fn program(key: fn(&str) -> u64, copies: bool) -> Plan {
    let app = Application::new("lines");
    let counts = app.table::<u64, u64>("counts");
    let lines = app.source("in", LineText::new()).key_by(key);
    let counted = lines.update(&counts, |count, line| {
        *count += 1;
        line.to_owned()
    });
    counted.sink("out", LineText::new());
    if copies {
        counted.sink("copies", LineText::new());
    }
    app.plan().expect("it is sound")
}

fn length(line: &str) -> u64 {
    line.len() as u64
}

/// A frame as a checkpoint has it: from the first source, to the exchange or sink of this number.
fn frame(flags: u8, edge: u16, hash: u64, body: &[u8]) -> Vec<u8> {
    let mut frame = (40 + body.len() as u32).to_le_bytes().to_vec();
    frame.extend([0, flags]);
    frame.extend(edge.to_le_bytes());
    frame.extend(hash.to_le_bytes());
    frame.extend([0, 1, 0].map(u64::to_le_bytes).concat());
    frame.extend(body);
    frame.resize(frame.len().next_multiple_of(8), 0);
    frame
}

/// An event to the `key_by`, and an output for each sink.
fn stored() -> (Memory, Manifest) {
    let facts = Identity::of(&program(length, true), 1);
    let (memory, generation, epoch) = (Memory::new(), 1, Epoch(1));
    let header = PartHeader {
        facts: facts.clone(),
        generation,
        epoch,
        since: Epoch::NONE,
        core: 0,
        cores: 1,
    };
    let mut writer = PartWriter::new(Vec::new(), &header).expect("memory takes it");
    let event = frame(1, 0, Key::hash(&3_u64), &value::to_vec(&"one".to_owned()));
    let outputs = [frame(3, 0, 0, b"one\n"), frame(3, 1, 0, b"one\n")].concat();
    for (level, bytes) in [(0, event), (1, outputs)] {
        let chunk = Chunk { section: Section::Lanes(level), bytes };
        writer.chunk(&chunk).expect("memory takes it");
    }
    let (bytes, seal) = writer.finish().expect("memory takes it");
    let name = "part-1-1-0-0000000000000001";
    memory.damage(name, &bytes);
    let parts = vec![PartEntry::new(name.to_owned(), &header, PartitionSet::all(1), seal, 0)];
    (memory, Manifest { facts, generation, epoch, parts, ..Manifest::default() })
}

fn look(now: &Plan, looks_at_frames: bool, drop: &[String]) -> Findings {
    let (memory, manifest) = stored();
    let facts = Identity::of(now, 1);
    let (folder, edges, found) = (Path::new(""), None, RefCell::new(None));
    let view = &memory;
    let takeover = Takeover {
        plan: now,
        facts: &facts,
        looks_at_frames,
        drop,
        view,
        folder,
        edges,
        gate: None,
        found,
    };
    takeover.look(&manifest).expect("it is whole")
}

#[test]
fn outputs_for_a_sink_that_is_gone_are_counted() {
    let now = program(length, false);
    let lost = "0 bytes of committed output that wait for it and 1 outputs under way";
    let missing = look(&now, false, &[]).differences;
    assert!(missing[0].contains(&format!("start with `--drop copies` to lose {lost}")));
    let Findings { changes, differences } = look(&now, false, &["copies".to_owned()]);
    assert_eq!(differences, [""; 0]);
    let dropped = changes.list.iter().find(|one| one.is_dropped()).expect("it is dropped");
    assert_eq!(line(dropped), format!("sink `copies`: dropped, with {lost}"));
}

/// A start reads frames anyway, and refuses them then.
#[test]
fn a_check_finds_frames_with_other_keys() {
    let now = program(|line| !length(line), true);
    let other = format!(
        "1 events were under way to `in → key_by`, which has other keys or events now: {DRAIN}"
    );
    assert_eq!(look(&now, true, &[]).differences, [other]);
    assert_eq!(look(&now, false, &[]).differences, [""; 0]);
    assert_eq!(look(&program(length, true), true, &[]).differences, [""; 0]);
}
