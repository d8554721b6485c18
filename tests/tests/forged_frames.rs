//! Parts whose digests fit and whose contents are forged: frames and rows are refused with a reason
//! or are valid ones, which the application then processes.

use potoroo::checkpoint::{Chunk, Epoch, Renumbering, Section};
use potoroo_runtime::Nanos;
use potoroo_sdk::host::{SinkId, SourceId};
use potoroo_sdk::prelude::*;
use potoroo_sdk::random::Random;
use potoroo_tests::alone::{first_part, only_core};
use potoroo_tests::forgery::forge;
use potoroo_tests::seeds::each_seed;

#[event]
struct Word {
    letters: u64,
    text: String,
    codes: Vec<u32>,
}

#[event]
struct Size {
    letters: u64,
    words: u32,
}

#[state]
#[derive(Default)]
struct Seen {
    words: u32,
    last: String,
}

/// Events with and without fixed sizes, states that take memory, two levels, and frames with times.
fn words() -> Application {
    let app = Application::new("words");
    let (seen, sizes) = (app.table::<u64, Seen>("seen"), app.table::<u64, u32>("sizes"));
    let words = app.source("in", LineText::new()).map(|line: &str| Word {
        letters: line.len() as u64,
        text: line.to_owned(),
        codes: line.chars().map(u32::from).collect(),
    });
    let time = |word: WordView<'_>| EventTime::from_nanos(word.letters as i64);
    let timed = words.event_time(time, within(Duration::from_nanos(30)));
    let (on_time, late) = timed.key_by(|word| word.letters).split_late();
    late.update(&seen, |seen, word| seen.last = word.text.to_string());
    let counted = on_time.update(&seen, |seen, word| {
        seen.words = seen.words.wrapping_add(1);
        seen.last = word.text.to_string();
        Size { letters: word.letters, words: seen.words }
    });
    let lines = counted.key_by(|size| !size.letters).update(&sizes, |most, size| {
        *most = size.words.max(*most);
        format!("{} {most}", size.letters)
    });
    lines.sink("out", LineText::new());
    app
}

/// What a core stores whose sink takes nothing: rows, and frames under way.
fn chunks() -> Vec<Chunk> {
    let mut core = only_core(words(), 16);
    core.enable_checkpoints(Epoch::NONE, 1, 1 << 20);
    core.set_open_sources(true);
    let id = core.open_inlet(SourceId(0), false);
    let line = |at: usize| format!("{}\n", "ab".repeat(at % 23));
    let lines: String = (0..2000).map(line).collect();
    let mut rest = lines.as_bytes();
    for now in 1..200 {
        let room = core.inlet_room(id);
        let taken = room.len().min(rest.len());
        room[..taken].copy_from_slice(&rest[..taken]);
        core.inlet_filled(id, taken, Nanos(now));
        rest = &rest[taken..];
        core.turn(Nanos(now), |_| {});
    }
    first_part(&mut core)
}

/// Restores a chunk on a new core, which then processes what it has accepted. Returns whether it
/// has.
fn restore(chunk: &Chunk) -> bool {
    let mut core = only_core(words(), 16);
    let numbers = Renumbering::same(core.plan());
    let accepted = core.restore(chunk, &numbers, Nanos(1)).is_ok();
    if accepted {
        core.restored();
        core.set_open_sources(true);
        for now in 2.. {
            let done = core.turn(Nanos(now), |_| {});
            let out = core.outlet(SinkId(0)).expect("the core owns it");
            let waiting = out.waiting().len();
            out.written(waiting);
            if done == 0 && waiting == 0 {
                break;
            }
        }
    }
    accepted
}

#[test]
fn forged_frames_and_rows_are_refused_or_valid() {
    let chunks = chunks();
    let sections: Vec<Section> = chunks.iter().map(|chunk| chunk.section).collect();
    let has = |part: fn(&Section) -> bool| sections.iter().any(part);
    assert!(has(|one| matches!(one, Section::Rows(_))), "{sections:?}");
    assert!(has(|one| matches!(one, Section::Outboxes(_) | Section::Lanes(_))), "{sections:?}");
    assert!(chunks.iter().all(restore), "what was stored is valid");
    let (mut refused, mut accepted) = (0, 0);
    each_seed("forged_frames forged_frames", 4000, |seed| {
        let mut random = Random::new(seed);
        let mut chunk = chunks[random.below(chunks.len() as u64) as usize].clone();
        for _ in 0..1 + random.below(2) {
            forge(&mut chunk.bytes, &mut random);
        }
        if restore(&chunk) { accepted += 1 } else { refused += 1 }
    });
    println!("{refused} refused, {accepted} accepted");
}
