//! What becomes visible, and what is refused.

use std::fs;

use xxhash_rust::xxh3::xxh3_128;

use super::*;
use crate::checkpoint::Epoch;
use crate::checkpoint::store::{Memory, StoreReader, contract};

/// A folder with files, and a store with the output of the sink `w`.
struct Subject {
    folder: PathBuf,
    memory: Memory,
}

const OBJECT: &str = "output-1-1-0-0000000000000001";

impl Subject {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("it can be made");
        let memory = Memory::new();
        contract::put(&memory, OBJECT, b"new");
        Self { folder, memory }
    }

    fn target(&self, file: &str) -> Target {
        Target::new("w", self.folder.join(file), Arc::new(self.memory.clone()))
    }

    fn recover(&self, file: &str, committed: &Transaction) -> io::Result<u64> {
        let marks = Marks::read(&self.memory).expect("it is in memory");
        self.target(file).recover(true, std::slice::from_ref(committed), &marks, false)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.folder.join(name), bytes).expect("it can be written");
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.folder.join(name)).expect("it is there")
    }

    fn is_marked(&self) -> bool {
        self.memory.bytes("shown-1-1-0-0000000000000001").is_some()
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn transaction(offset: u64, bytes: u64) -> Transaction {
    Transaction {
        sink: "w".to_owned(),
        epoch: Epoch(1),
        offset,
        bytes,
        digest: Some(xxh3_128(b"new")),
        object: OBJECT.to_owned(),
        file: Some("w".to_owned()),
    }
}

#[test]
fn what_is_committed_becomes_visible_once_however_often_it_is_tried() {
    // Killed while it was written: the end of the old file, and a part of the new output.
    for there in [&b"old "[..], b"old n", b"old xx", b"old new"] {
        let subject = Subject::new("target-again");
        subject.write("w", there);
        for _ in 0..2 {
            assert_eq!(subject.recover("w", &transaction(4, 3)).expect("it can be written"), 7);
            assert_eq!(subject.read("w"), b"old new");
            assert!(subject.is_marked());
        }
        subject.target("w").show(&transaction(4, 3)).expect("it is visible already");
    }
}

/// Committed, killed before it was visible, and started with another file: it is not lost.
#[test]
fn what_is_committed_goes_to_another_file_if_that_has_what_is_before() {
    let subject = Subject::new("target-moved");
    let refused = subject.recover("moved", &transaction(4, 3)).expect_err("its start is not");
    assert!(refused.to_string().contains("4 were committed"), "{refused}");
    assert!(!subject.is_marked());
    assert_eq!(subject.recover("moved", &transaction(0, 3)).expect("it can be written"), 3);
    assert_eq!(subject.read("moved"), b"new");
}

/// A log that was rotated after it was written goes on in an empty file; one of another name has
/// nothing to do with it.
#[test]
fn what_was_visible_is_not_written_again() {
    let subject = Subject::new("target-visible");
    subject.write("w", b"old ");
    subject.target("w").show(&transaction(4, 3)).expect("it can be written");
    for (there, length) in [(&b"old new"[..], 7), (b"", 0), (b"what followed", 13)] {
        subject.write("w", there);
        let recovered = subject.recover("w", &transaction(4, 3));
        assert_eq!(recovered.expect("it was visible"), length);
        assert_eq!(subject.read("w"), there);
    }
    subject.write("w", b"shor");
    subject.recover("w", &transaction(4, 3)).expect_err("what was visible is gone");
    subject.write("other", b"shor");
    assert_eq!(subject.recover("other", &transaction(4, 3)).expect("it is another file"), 4);
}

/// Nothing says that it was rotated.
#[test]
fn a_file_that_is_gone_before_its_output_was_visible_is_refused() {
    let subject = Subject::new("target-gone");
    let refused = subject.recover("w", &transaction(4, 3)).expect_err("its beginning is gone");
    assert!(refused.to_string().contains("it has 0 bytes"), "{refused}");
}

/// What a reader would see is not what was committed.
#[test]
fn damaged_output_is_refused_by_name_before_anything_is_shown() {
    for (damaged, reason) in [
        (Some(&b"nev"[..]), "its digest does not fit"),
        (Some(b"n\x65\xf7"), "its digest does not fit"),
        (Some(b"ne"), "it has 2 bytes, and 3 were committed"),
        (Some(b""), "it has 0 bytes, and 3 were committed"),
        (None, "is missing"),
    ] {
        for there in [&b"old "[..], b"old n", b"old new and more"] {
            let subject = Subject::new("target-damaged");
            subject.write("w", there);
            match damaged {
                Some(bytes) => subject.memory.damage(OBJECT, bytes),
                None => subject.memory.delete(OBJECT).expect("it is in memory"),
            }
            let refused = subject.recover("w", &transaction(4, 3)).expect_err("it is damaged");
            assert_eq!(refused.kind(), ErrorKind::InvalidData);
            for part in [OBJECT, reason, "--restore EPOCH"] {
                assert!(refused.to_string().contains(part), "`{part}` is not in {refused}");
            }
            assert_eq!(subject.read("w"), there, "it stays as it is");
            assert_eq!(subject.memory.list().expect("memory").len(), damaged.into_iter().count());
        }
    }
}

#[test]
fn a_file_that_another_process_has_changed_is_refused() {
    let subject = Subject::new("target-changed");
    for there in [&b"old"[..], b"old other and more"] {
        subject.write("w", there);
        let refused = subject.target("w").show(&transaction(4, 3)).expect_err("it is another");
        assert!(refused.to_string().contains("another process"), "{refused}");
        assert_eq!(subject.read("w"), there, "it stays as it is");
        assert!(!subject.is_marked());
    }
}

/// Output for a client is none of a file's business, nor is that of another sink.
#[test]
fn only_output_of_the_sink_for_a_file_is_shown() {
    let subject = Subject::new("target-others");
    subject.write("w", b"old ");
    for other in [
        Transaction { file: None, ..transaction(4, 3) },
        Transaction { sink: "x".to_owned(), ..transaction(4, 3) },
    ] {
        assert_eq!(subject.recover("w", &other).expect("it can be written"), 4);
    }
}

/// What a recovery would find is known before, and nothing is changed.
#[test]
fn a_file_is_looked_at_before_its_checkpoint_counts() {
    let subject = Subject::new("target-check");
    let check = |committed: &[Transaction]| {
        let marks = Marks::read(&subject.memory).expect("it is in memory");
        subject.target("w").check(committed, &marks)
    };
    let next = Transaction { object: OBJECT.replace("1-1", "1-2"), ..transaction(7, 3) };
    let two = [transaction(4, 3), next];
    assert!(check(&two).is_err(), "it is not there");
    assert!(!subject.folder.join("w").exists(), "nor is it made");
    for (there, fits) in [
        (&b"old "[..], true),
        (b"old n", true),
        (b"old new and more", true),
        (b"old", false),
        (b"old other and more", false),
    ] {
        subject.write("w", there);
        assert_eq!(check(&two[..1]).is_ok(), fits, "{there:?}");
        assert_eq!(subject.read("w"), there, "it stays as it is");
    }
    subject.write("w", b"old ");
    check(&two).expect("one is written after the other");
    assert!(check(&two[1..]).is_err(), "what is before it is not there");
    subject.target("w").show(&two[0]).expect("it can be written");
    for (there, fits) in [(&b"old new"[..], true), (b"", true), (b"old ne", false)] {
        subject.write("w", there);
        assert_eq!(check(&two[..1]).is_ok(), fits, "{there:?}");
    }
}

/// Readers may have passed what is there: it is not cut off, and nothing follows half a line.
#[test]
fn only_a_transaction_that_is_visible_in_part_is_completed() {
    for (there, after) in [
        (&b"old n"[..], &b"old new"[..]),
        (b"old new", b"old new"),
        (b"old ", b"old "),
        (b"ol", b"ol"),
        (b"old other and more", b"old other and more"),
    ] {
        let subject = Subject::new("target-complete");
        subject.write("w", there);
        let completed = subject.target("w").complete(&[transaction(4, 3)], &Marks::default());
        completed.expect("it is as it was committed");
        assert_eq!(subject.read("w"), after);
    }
    let subject = Subject::new("target-complete");
    let completed = subject.target("w").complete(&[transaction(0, 3)], &Marks::default());
    completed.expect("nothing of it is visible");
    assert!(!subject.folder.join("w").exists());
    subject.memory.damage(OBJECT, b"nev");
    subject.write("w", b"old ne");
    let refused = subject.target("w").complete(&[transaction(4, 3)], &Marks::default());
    let refused = refused.expect_err("its rest is damaged").to_string();
    for part in ["2 of 3 bytes", OBJECT, "cut the file to 4 bytes", "its digest does not fit"] {
        assert!(refused.contains(part), "`{part}` is not in {refused}");
    }
    assert_eq!(subject.read("w"), b"old ne", "it stays as it is");
}
