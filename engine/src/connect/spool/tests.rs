//! What becomes visible, and what is refused.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

use super::*;
use crate::checkpoint::{Epoch, SharedEpoch, Transaction};

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("it can be made");
        Self(folder)
    }

    fn target(&self, name: &str) -> Target {
        Target::new(name, self.0.join(name))
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.0.join(name), bytes).expect("it can be written");
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.join(name)).expect("it is there")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn transaction(sink: &str, offset: u64, bytes: u64) -> Transaction {
    let (spool, digest) = (format!(".{sink}.1-1.spool"), Some(xxh3_128(b"new")));
    Transaction { sink: sink.to_owned(), epoch: Epoch(1), offset, bytes, digest, spool }
}

/// The committed transaction of the sink `w` that was spooled in `folder`.
fn spooled_in(folder: &Scratch) -> Transaction {
    let spool = folder.0.join(".w.1-1.spool").display().to_string();
    Transaction { spool, ..transaction("w", 0, 3) }
}

#[test]
fn what_is_committed_becomes_visible_once_however_often_it_is_tried() {
    let scratch = Scratch::new("spool-again");
    let target = scratch.target("w");
    // Killed while it was written: the end of the old file, and a part of the new output.
    for there in [&b"old "[..], b"old n", b"old xx", b"old new"] {
        scratch.write("w", there);
        scratch.write(".w.1-1.spool", b"new");
        let length = target.recover(true, &[transaction("w", 4, 3)], false);
        assert_eq!(length.expect("it can be written"), 7);
        assert_eq!(scratch.read("w"), b"old new");
        target.show(&transaction("w", 4, 3)).expect("it is visible already");
    }
}

/// Committed, killed before it was visible, and started with another file: it is not lost.
#[test]
fn what_is_committed_is_found_under_another_address_of_the_file() {
    let scratch = Scratch::new("spool-moved");
    scratch.write(".w.1-1.spool", b"new");
    let spool = scratch.0.join(".w.1-1.spool").display().to_string();
    let committed = |offset| Transaction { spool: spool.clone(), ..transaction("w", offset, 3) };
    let moved = Target::new("w", scratch.0.join("moved"));
    let refused = moved.recover(true, &[committed(4)], false).expect_err("its start is not");
    assert!(refused.to_string().contains("4 were committed"), "{refused}");
    assert_eq!(moved.recover(true, &[committed(0)], false).expect("it can be written"), 3);
    assert_eq!(scratch.read("moved"), b"new");
}

#[test]
fn spools_of_another_sink_stay() {
    let scratch = Scratch::new("spool-other");
    scratch.write(".w.3-1.spool", b"ours");
    scratch.write(".w.x.3-1.spool", b"another's");
    scratch.target("w").recover(false, &[], false).expect("it can be written");
    assert_eq!(scratch.read(".w.3-1.spool"), b"ours", "the start may still fail");
    scratch.target("w").drop_spools().expect("it can be written");
    assert_eq!(scratch.read(".w.x.3-1.spool"), b"another's");
    assert!(!scratch.0.join(".w.3-1.spool").exists(), "it was not committed");
}

#[test]
fn ids_rise_over_all_lives() {
    let ids = [".w.1-1.spool", ".w.1-2.spool", ".w.x.2-1.spool"];
    let ids = ids.map(|spool| transaction_id(9, spool));
    assert!(ids.is_sorted() && ids.iter().all(Option::is_some), "{ids:?}");
    let none = [".w.1.spool", "w", ".w.4294967296-1.spool"];
    assert_eq!(none.map(|spool| transaction_id(9, spool)), [None; 3]);
}

#[test]
fn a_spool_has_one_spelling() {
    let names =
        [".w.3-1.spool", ".w.x.3-1.spool", "..w.3-1.spool", ".a b.18446744073709551615-0.spool"];
    for name in names {
        assert_eq!(SpoolName::parse(name).expect("it is one").to_string(), name);
    }
    for name in [
        "",
        ".spool",
        "w.3-1.spool",
        ".3-1.spool",
        "..3-1.spool",
        ".w.+3-1.spool",
        ".w.03-1.spool",
        ".w.3-1.spool ",
        ".w.3-1",
        ".w.3.1.spool",
        ".w.-1.spool",
        ".w/../x.3-1.spool",
        ".w.18446744073709551616-0.spool",
        "/etc/passwd",
    ] {
        assert_eq!(SpoolName::parse(name), None, "{name}");
    }
}

/// An operator copies what a killed instance has left, and starts it for a look.
#[test]
fn a_copy_takes_nothing_from_the_original() {
    for with_spool in [true, false] {
        let (original, copy) = (Scratch::new("spool-original"), Scratch::new("spool-copy"));
        original.write(".w.1-1.spool", b"new");
        if with_spool {
            copy.write(".w.1-1.spool", b"new");
        }
        let committed = [spooled_in(&original)];
        let recovered = copy.target("w").recover(true, &committed, false);
        assert_eq!(recovered.expect("it can be written"), 3);
        assert_eq!(copy.read("w"), b"new");
        assert!(!copy.0.join(".w.1-1.spool").exists(), "it is visible");
        assert_eq!(original.read(".w.1-1.spool"), b"new", "the original has not shown it");
        // Nor under another name in the same folder.
        let beside = Target::new("w", original.0.join("copy"));
        assert_eq!(beside.recover(true, &committed, false).expect("it can be written"), 3);
        assert_eq!(original.read(".w.1-1.spool"), b"new", "the original has not shown it");
        assert_eq!(original.target("w").recover(true, &committed, false).expect("as before"), 3);
        assert!(!original.0.join(".w.1-1.spool").exists(), "it is visible");
    }
}

/// Manifests are bytes from outside.
#[test]
fn a_manifest_names_spools_only() {
    let (scratch, victim) = (Scratch::new("spool-hostile"), Scratch::new("spool-victim"));
    victim.write("file", b"new");
    victim.write(".w.1-1.spool.txt", b"new");
    symlink(victim.0.join("file"), scratch.0.join(".w.7-1.spool")).expect("it is ours");
    symlink(victim.0.join("file"), victim.0.join(".w.8-1.spool")).expect("it is ours");
    fs::create_dir(scratch.0.join(".w.9-1.spool")).expect("it is ours");
    let absolute = |name: &str| victim.0.join(name).display().to_string();
    for spool in [
        absolute("file"),
        absolute(".w.1-1.spool.txt"),
        format!("../{}/file", victim.0.file_name().and_then(|name| name.to_str()).expect("text")),
        "file".to_owned(),
        "sinks/../file".to_owned(),
        ".w.1-1.spool/../file".to_owned(),
        ".w.7-1.spool".to_owned(),
        absolute(".w.8-1.spool"),
        ".w.9-1.spool".to_owned(),
    ] {
        scratch.write("w", b"");
        let hostile = Transaction { spool: spool.clone(), ..transaction("w", 0, 3) };
        let refused = scratch.target("w").show(&hostile).expect_err(&spool);
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData, "{spool}: {refused}");
        assert_eq!(scratch.read("w"), b"", "{spool}");
        assert_eq!(victim.read("file"), b"new", "{spool}");
        let client = Target::in_state(&scratch.0, "w");
        assert!(client.beside(&hostile).is_err() || spool.contains("-1.spool"), "{spool}");
    }
}

/// What a reader would see is not what was committed.
#[test]
fn a_damaged_spool_is_refused_by_name_before_anything_is_shown() {
    let scratch = Scratch::new("spool-damaged");
    let target = scratch.target("w");
    for (damaged, reason) in [
        (&b"nev"[..], "its digest does not fit"),
        (b"n\x65\xf7", "its digest does not fit"),
        (b"ne", "it has 2 bytes, and 3 were committed"),
        (b"", "it has 0 bytes, and 3 were committed"),
    ] {
        for there in [&b"old "[..], b"old n", b"old new and more"] {
            scratch.write("w", there);
            scratch.write(".w.1-1.spool", damaged);
            let refused = target.recover(true, &[transaction("w", 4, 3)], false);
            let refused = refused.expect_err("it is damaged");
            assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
            for part in [".w.1-1.spool", reason, "--restore EPOCH"] {
                assert!(refused.to_string().contains(part), "`{part}` is not in {refused}");
            }
            assert_eq!(scratch.read("w"), there, "it stays as it is");
            assert_eq!(scratch.read(".w.1-1.spool"), damaged, "it stays as it is");
        }
    }
}

#[test]
fn a_file_that_another_process_has_changed_is_refused() {
    let scratch = Scratch::new("spool-changed");
    let target = scratch.target("w");
    scratch.write(".w.1-1.spool", b"new");
    for there in [&b"old"[..], b"old other and more"] {
        scratch.write("w", there);
        let refused = target.show(&transaction("w", 4, 3)).expect_err("it is another file");
        assert!(refused.to_string().contains("another process"), "{refused}");
        assert_eq!(scratch.read("w"), there, "it stays as it is");
    }
    fs::remove_file(scratch.0.join(".w.1-1.spool")).expect("it is there");
    scratch.write("w", b"shor");
    assert!(target.show(&transaction("w", 4, 3)).is_err(), "what was visible is gone");
    scratch.write("w", b"");
    target.show(&transaction("w", 4, 3)).expect("it was rotated");
}

/// Neither spools nor transactions become many while no checkpoint can be stored.
#[test]
fn output_of_epochs_that_are_aborted_is_gathered_in_one_spool() {
    let scratch = Scratch::new("spool-gathered");
    let target = scratch.target("w");
    let committed = Arc::new(SharedEpoch::default());
    let mut spooler = Spooler::new(target.clone(), 1, 4, committed.clone());
    let mut prepare = |epoch: u32, text: &str| {
        spooler.write(text.as_bytes()).expect("there is room");
        let prepared = spooler.prepare(Epoch(epoch)).expect("something was written");
        prepared.make_durable().expect("there is room")
    };
    let mut all = String::new();
    let mut last = prepare(1, "0;");
    for epoch in 2..100 {
        let text = format!("{epoch};");
        all += &text;
        last = prepare(epoch, &text);
    }
    assert_eq!((last.offset, last.bytes, last.epoch), (4, 2 + all.len() as u64, Epoch(99)));
    assert_eq!(target.spools().expect("it can be read").len(), 1);
    // Another one after a commit, and one that is too long for both.
    committed.store(Epoch(99));
    let next = prepare(100, "next;");
    assert_eq!((next.offset, next.bytes), (last.offset + last.bytes, 5));
    let long = prepare(101, &"long".repeat(4 << 20));
    assert_eq!((long.offset, long.bytes), (next.offset + next.bytes, 16 << 20));
    assert_eq!(target.spools().expect("it can be read").len(), 3);
    scratch.write("w", b"old ");
    for transaction in [&last, &next, &long] {
        target.show(transaction).expect("it can be shown");
    }
    assert!(scratch.read("w").starts_with(format!("old 0;{all}next;long").as_bytes()));
}
