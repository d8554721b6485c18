//! What an earlier version left is taken over, and nothing else.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

use super::*;
use crate::checkpoint::store::{Folder, Memory, StoreReader};
use crate::checkpoint::{Marks, open_output, propose};
use crate::connect::file::Target;

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(folder.join(IN_STATE)).expect("it can be made");
        Self(folder)
    }

    fn target(&self, name: &str) -> Target {
        Target::new("w", self.0.join(name), Arc::new(Memory::new()))
    }

    fn recover(&self, name: &str, committed: &Transaction) -> io::Result<u64> {
        let committed = std::slice::from_ref(committed);
        self.target(name).recover(true, committed, &Marks::default(), false)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.0.join(name), bytes).expect("it can be written");
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.join(name)).expect("it is there")
    }

    fn has(&self, name: &str) -> bool {
        self.0.join(name).exists()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// In the spool at this path.
fn transaction(spool: impl Into<PathBuf>, bytes: &[u8]) -> Transaction {
    Transaction {
        sink: "w".to_owned(),
        epoch: Epoch(1),
        offset: 0,
        bytes: bytes.len() as u64,
        digest: Some(xxh3_128(bytes)),
        object: spool.into().display().to_string(),
        file: Some("w".to_owned()),
    }
}

/// A checkpoint with output of a client in this spool.
fn committed(spool: &str, bytes: &[u8]) -> Manifest {
    Manifest { transactions: vec![transaction(spool, bytes)], ..Manifest::default() }
}

/// HEAD of a state whose ids begin with 5.
fn head() -> Head {
    Head { generation: 4, owner: 7, folder: 5, ..Head::default() }
}

/// Stores `manifest` as the checkpoint of `epoch` after `last`; returns the HEAD that names it.
fn commit(store: &dyn Store, last: &Head, manifest: &mut Manifest, epoch: u32) -> Head {
    manifest.epoch = Epoch(epoch);
    manifest.generation = last.generation;
    manifest.previous = last.manifest.clone();
    propose(store, last, manifest, 1).expect("there is room")
}

#[test]
fn a_spool_has_one_spelling() {
    let is_one = |name| SpoolName::parse(name, SPOOL).is_some();
    for name in
        [".w.3-1.spool", ".w.x.3-1.spool", "..w.3-1.spool", ".a b.18446744073709551615-0.spool"]
    {
        assert!(is_one(name), "{name}");
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
        assert!(!is_one(name), "{name}");
    }
}

#[test]
fn the_spool_of_a_file_is_shown_and_removed_and_others_stay() {
    let scratch = Scratch::new("spools-file");
    scratch.write("w", b"");
    for name in [".w.3-1.spool", ".w.3-2.spool", ".w.x.3-1.spool"] {
        scratch.write(name, b"new");
    }
    let committed = transaction(scratch.0.join(".w.3-1.spool"), b"new");
    assert_eq!(scratch.recover("w", &committed).expect("it can be written"), 3);
    assert_eq!(scratch.read("w"), b"new");
    assert!(!scratch.has(".w.3-1.spool"), "it is visible");
    assert!(scratch.has(".w.3-2.spool"), "the start may still fail");
    scratch.target("w").drop_spools().expect("it can be written");
    assert!(!scratch.has(".w.3-2.spool"), "it was not committed");
    assert!(scratch.has(".w.x.3-1.spool"), "it is that of another sink");
    assert_eq!(scratch.recover("w", &committed).expect("it was visible"), 3);
    scratch.write("w", b"ne");
    scratch.recover("w", &committed).expect_err("what was visible is gone");
}

/// An operator copies what a killed instance has left, and starts it for a look.
#[test]
fn a_copy_takes_nothing_from_the_original() {
    for with_spool in [true, false] {
        let (original, copy) = (Scratch::new("spools-original"), Scratch::new("spools-copy"));
        original.write(".w.1-1.spool", b"new");
        if with_spool {
            copy.write(".w.1-1.spool", b"new");
        }
        let committed = transaction(original.0.join(".w.1-1.spool"), b"new");
        assert_eq!(copy.recover("w", &committed).expect("it can be written"), 3);
        assert_eq!(copy.read("w"), b"new");
        assert!(!copy.has(".w.1-1.spool"), "it is visible");
        // Nor under another name in the same folder.
        assert_eq!(original.recover("copy", &committed).expect("it can be written"), 3);
        assert_eq!(original.read(".w.1-1.spool"), b"new", "the original has not shown it");
        assert_eq!(original.recover("w", &committed).expect("as before"), 3);
        assert!(!original.has(".w.1-1.spool"), "it is visible");
    }
}

/// Manifests are bytes from outside.
#[test]
fn a_manifest_names_spools_only() {
    let (scratch, victim) = (Scratch::new("spools-hostile"), Scratch::new("spools-victim"));
    victim.write("file", b"new");
    victim.write(".w.1-1.spool.txt", b"new");
    symlink(victim.0.join("file"), scratch.0.join(".w.7-1.spool")).expect("it is ours");
    symlink(victim.0.join("file"), victim.0.join(".w.8-1.spool")).expect("it is ours");
    fs::create_dir(scratch.0.join(".w.9-1.spool")).expect("it is ours");
    for spool in [
        victim.0.join("file"),
        victim.0.join(".w.1-1.spool.txt"),
        PathBuf::from("../victim/file"),
        PathBuf::from("file"),
        PathBuf::from("sinks/../file"),
        PathBuf::from(".w.1-1.spool/../file"),
        PathBuf::from(".w.7-1.spool"),
        victim.0.join(".w.8-1.spool"),
        PathBuf::from(".w.9-1.spool"),
    ] {
        scratch.write("w", b"");
        // Refused, or as good as gone.
        let _ = scratch.recover("w", &transaction(&spool, b"new"));
        assert_eq!(scratch.read("w"), b"", "{}", spool.display());
        assert_eq!(victim.read("file"), b"new", "{}", spool.display());
        let (memory, mut manifest) = (Memory::new(), Manifest::default());
        manifest.transactions.push(transaction(&spool, b"new"));
        let _ = adopt(&memory, (Some(&scratch.0), &head()), &mut manifest);
        assert_eq!(memory.list().expect("it is in memory"), [], "{}", spool.display());
    }
}

/// The state folder of a run of the present release, with two spools of a client, of which it has
/// the first.
#[test]
fn spools_of_a_client_become_objects_with_the_same_ids() {
    let scratch = Scratch::new("spools-client");
    let [first, second] = ["sinks/.w.4-7.spool", "sinks/.w.4-8.spool"];
    scratch.write(second, b"second");
    scratch.write("sinks/.w.4-7.taken", b"");
    let memory = Memory::new();
    let of_file = transaction("/out/.w.4-7.spool", b"x");
    let transactions = vec![transaction(first, b"first"), transaction(second, b"second"), of_file];
    let mut before = Manifest { transactions, ..Manifest::default() };
    let head = commit(&memory, &head(), &mut before, 8);
    let adopt = |manifest: &mut Manifest| adopt(&memory, (Some(&scratch.0), &head), manifest);
    // Killed after that, and started again.
    for _ in 0..2 {
        let mut manifest = before.clone();
        adopt(&mut manifest).expect("it can be read");
        let ids: Vec<_> = manifest.transactions.iter().map(|one| one.id(5)).collect();
        let id = |number| Some(first_id(5, 4) | number);
        assert_eq!(ids, [id(7), id(8), None]);
        assert_eq!(manifest.delivered_to("w"), first_id(5, 4) | 7);
        assert_eq!(manifest.transactions[2].file.as_deref(), Some("w"), "it is shown elsewhere");
        let marks = Marks::read(&memory).expect("it is in memory");
        assert_eq!([0, 1].map(|at| marks.has(&manifest.transactions[at])), [true, false]);
        let mut output = Vec::new();
        let from = open_output(&memory, &manifest.transactions[1]);
        from.expect("it is whole").read_to_end(&mut output).expect("it is in memory");
        assert_eq!(output, b"second");
    }
}

/// The client may have it: only delivery can ask.
#[test]
fn a_spool_that_is_missing_or_damaged_is_left_to_delivery() {
    let scratch = Scratch::new("spools-gone");
    let name = "sinks/.w.4-8.spool";
    for damage in [Some(b"sekond"), None] {
        damage.into_iter().for_each(|bytes| scratch.write(name, bytes));
        let memory = Memory::new();
        let mut manifest = committed(name, b"second");
        adopt(&memory, (Some(&scratch.0), &head()), &mut manifest).expect("the start goes on");
        let adopted = &manifest.transactions[0];
        assert_eq!(adopted.id(5), Some(first_id(5, 4) | 8));
        assert_eq!(manifest.delivered_to("w"), 0, "it is asked for");
        assert!(!Marks::read(&memory).expect("it is in memory").has(adopted));
        let refused = open_output(&memory, adopted).map(drop).expect_err("there is none");
        assert!(refused.to_string().contains(&adopted.object), "{refused}");
        let _ = fs::remove_file(scratch.0.join(name));
    }
}

/// A delivered spool was removed, but for the name of the last one.
#[test]
fn a_client_that_has_a_later_one_has_those_before() {
    let scratch = Scratch::new("spools-back");
    scratch.write("sinks/.w.4-9.taken", b"");
    scratch.write("sinks/.w.x.4-10.taken", b"");
    for (number, has) in [(8, true), (9, true), (10, false)] {
        let memory = Memory::new();
        let mut manifest = committed(&format!("sinks/.w.4-{number}.spool"), b"gone");
        let head = commit(&memory, &head(), &mut manifest, 8);
        adopt(&memory, (Some(&scratch.0), &head), &mut manifest).expect("the start goes on");
        let delivered = if has { first_id(5, 4) | number } else { 0 };
        assert_eq!(manifest.delivered_to("w"), delivered, "no later one: the client may go back");
        let marks = Marks::read(&memory).expect("it is in memory");
        assert_eq!(marks.has(&manifest.transactions[0]), has, "{number}");
    }
}

#[test]
fn spools_stay_until_no_retained_checkpoint_names_one() {
    let scratch = Scratch::new("spools-stay");
    let (spool, taken) = ("sinks/.w.4-8.spool", "sinks/.w.4-7.taken");
    scratch.write(spool, b"second");
    scratch.write(taken, b"");
    scratch.write("sinks/notes.txt", b"");
    let memory = Memory::new();
    let start = |head: &Head| {
        let name = head.manifest.as_ref().expect("something was committed");
        let mut manifest = Manifest::load(&memory, name).expect("it is whole");
        adopt(&memory, (Some(&scratch.0), head), &mut manifest).expect("it can be read");
        manifest
    };
    let earlier = commit(&memory, &head(), &mut committed(spool, b"second"), 8);
    let mut adopted = start(&earlier);
    let later = commit(&memory, &earlier, &mut adopted, 9);
    start(&later);
    assert!(scratch.has(spool) && scratch.has(taken), "an operator may go back");
    let back = start(&earlier);
    open_output(&memory, &back.transactions[0]).map(drop).expect("its client may not have it");
    memory.delete(earlier.manifest.as_ref().expect("it has one")).expect("it is in memory");
    start(&later);
    assert!(!scratch.has(spool) && !scratch.has(taken), "nothing names them");
    assert!(scratch.has("sinks/notes.txt"), "it is not ours");
}

#[test]
fn a_folder_adopts_a_spool_without_room_for_a_copy() {
    let scratch = Scratch::new("spools-full");
    let name = "sinks/.w.4-8.spool";
    scratch.write(name, b"second");
    let folder = Folder::open(&scratch.0).expect("it is ours");
    let mut manifest = committed(name, b"second");
    let head = commit(&folder, &head(), &mut manifest, 8);
    adopt(&folder, (Some(&scratch.0), &head), &mut manifest).expect("it can be read");
    let adopted = &manifest.transactions[0];
    let mut output = Vec::new();
    let from = open_output(&folder, adopted).expect("it is whole").read_to_end(&mut output);
    assert_eq!((from.expect("it can be read"), &output[..]), (6, &b"second"[..]));
    let file = |name: &str| fs::metadata(scratch.0.join(name)).map(|facts| facts.ino()).ok();
    assert_eq!(file(&adopted.object), file(name), "it is the same file");
    folder.delete(&adopted.object).expect("it is there");
    assert_eq!(scratch.read(name), b"second");
}
