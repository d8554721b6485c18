//! What an application finds when it starts on a store, and what stays in the store.

use std::io::{self, Read};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use potoroo::checkpoint::recover::Error;
use potoroo::checkpoint::store::{
    self, Head, Memory, Name, Scratch, ScratchRoom, Store, StoreReader, Upload,
};
use potoroo::checkpoint::{
    Delivered, Epoch, Identity, Manifest, SourcePosition, StreamPosition, TypeFacts, collect,
    history, propose, recover, roll_back,
};
use potoroo_tests::checkpoints::{Coordinator, KEEP, content, facts};

/// A store with checkpoints of epochs 1 to `count`, and the HEAD of its coordinator.
fn filled(count: usize) -> (Memory, Head) {
    let memory = Memory::new();
    let mut coordinator = Coordinator::start(&memory, 1).expect("memory does not fail");
    for index in 0..count {
        coordinator.checkpoint(index % 2 == 0).expect("memory does not fail");
    }
    let head = coordinator.head.clone();
    (memory, head)
}

fn names(memory: &Memory) -> Vec<String> {
    memory.list().expect("memory does not fail").into_iter().map(|(name, _)| name).collect()
}

#[track_caller]
fn refused(memory: &Memory, facts: &Identity, restore: Option<Epoch>, parts: &[&str]) {
    let before = memory.head().expect("memory does not fail");
    let text = recover(memory, facts, 9, restore).expect_err("it is refused").to_string();
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in {text}");
    }
    let after = memory.head().expect("memory does not fail");
    assert_eq!(after, before, "what is refused leaves the coordinator alone: {text}");
}

#[test]
fn the_first_start_finds_nothing_and_the_second_the_last_commit() {
    let memory = Memory::new();
    let first = recover(&memory, &facts(), 5, None).expect("it is empty");
    let rewound = Some(0);
    let new = Head { generation: 1, owner: 5, folder: 5, rewound, ..Head::default() };
    assert_eq!(first.head, new);
    assert_eq!((first.manifest, first.repeats), (None, vec![]));
    let (memory, head) = filled(3);
    let second = recover(&memory, &facts(), 5, None).expect("it is whole");
    let manifest = second.manifest.expect("three were committed");
    assert_eq!((manifest.epoch, manifest.generation), (Epoch(3), 1));
    assert_eq!(second.head, Head { generation: 2, owner: 5, ..head });
    assert_eq!(memory.head().expect("memory does not fail"), Some(second.head));
}

#[test]
fn a_predecessor_that_was_only_paused_commits_and_deletes_nothing() {
    let (memory, head) = filled(2);
    let manifest = Manifest::load(&memory, head.manifest.as_ref().expect("committed"));
    let manifest = manifest.expect("it is whole");
    let late = Manifest { epoch: Epoch(3), previous: head.manifest.clone(), ..manifest };
    // Its parts have to reach the new epoch; frames are of no matter here.
    let late = Manifest { parts: Vec::new(), ..late };
    let proposed = propose(&memory, &head, &late, 1).expect("objects can still be stored");
    let successor = recover(&memory, &facts(), 9, None).expect("it is whole");
    let swapped = memory.swap_head(Some(&head), &proposed);
    assert!(matches!(swapped, Err(store::Error::Overtaken { .. })), "{swapped:?}");
    let before = names(&memory);
    let collected = collect(&memory, &head, 1, None, []);
    assert!(matches!(collected, Err(store::Error::Overtaken { .. })), "{collected:?}");
    assert_eq!(names(&memory), before);
    // The successor takes away what its predecessor stored in vain.
    let collected = collect(&memory, &successor.head, KEEP, None, []).expect("it is whole");
    assert_eq!(collected.objects, 1);
}

/// A rollback throws away what came since: only if all of that is this coordinator's own.
#[test]
fn a_rollback_is_refused_to_a_coordinator_that_was_overtaken_or_is_to_end() {
    let (memory, head) = filled(3);
    recover(&memory, &facts(), 9, None).expect("it is whole");
    let now = memory.head().expect("memory does not fail").expect("it was swapped");
    let back =
        |own: &Head, go_on: bool| roll_back(&memory, &facts(), 5, (own, Epoch(2)), &|| go_on);
    let refused = back(&head, true).expect_err("another one has taken over");
    assert!(matches!(refused, Error::Store(store::Error::Overtaken { .. })), "{refused}");
    let refused = back(&now, false).expect_err("it is to end");
    let text = "the application is about to end: start it again with --restore 2";
    assert_eq!(refused.to_string(), text);
    assert_eq!(memory.head().expect("memory does not fail").as_ref(), Some(&now));
    let back = back(&now, true).expect("it is whole");
    assert_eq!((back.head.generation, back.head.epoch), (now.generation + 1, Epoch(2)));
    assert_eq!(back.manifest.map(|manifest| manifest.epoch), Some(Epoch(2)));
}

/// A store on which the predecessor commits once more just before it is overtaken, and collects
/// just before something is read.
struct Busy<'a> {
    memory: &'a Memory,
    predecessor: Mutex<Coordinator<'a>>,
    commits: AtomicU64,
    collects: AtomicU64,
}

impl StoreReader for Busy<'_> {
    fn open(&self, name: &str) -> Result<Box<dyn Read + Send>, store::Error> {
        if self.collects.load(Ordering::Relaxed) > 0 {
            self.collects.fetch_sub(1, Ordering::Relaxed);
            let mut predecessor = self.predecessor.lock().expect("no thread panics");
            (0..=KEEP).try_for_each(|_| predecessor.checkpoint(true))?;
        }
        self.memory.open(name)
    }

    fn list(&self) -> Result<Vec<(String, u64)>, store::Error> {
        self.memory.list()
    }

    fn head(&self) -> Result<Option<Head>, store::Error> {
        self.memory.head()
    }
}

impl Store for Busy<'_> {
    fn create(&self, name: &str) -> Result<Box<dyn Upload>, store::Error> {
        self.memory.create(name)
    }

    fn scratch(&self) -> io::Result<Box<dyn Scratch>> {
        self.memory.scratch()
    }

    fn room(&self) -> io::Result<Option<ScratchRoom>> {
        self.memory.room()
    }

    fn mark(&self, name: &Name) -> Result<(), store::Error> {
        self.memory.mark(name)
    }

    fn delete(&self, name: &str) -> Result<(), store::Error> {
        self.memory.delete(name)
    }

    fn swap_head(&self, expected: Option<&Head>, new: &Head) -> Result<(), store::Error> {
        if self.commits.load(Ordering::Relaxed) > 0 {
            self.commits.fetch_sub(1, Ordering::Relaxed);
            self.predecessor.lock().expect("no thread panics").checkpoint(false)?;
        }
        self.memory.swap_head(expected, new)
    }
}

#[test]
fn a_predecessor_that_still_commits_is_overtaken_at_what_it_committed_last() {
    let memory = Memory::new();
    let mut predecessor = Coordinator::start(&memory, 1).expect("memory does not fail");
    predecessor.checkpoint(true).expect("memory does not fail");
    let busy = |commits| {
        let predecessor = Coordinator::start(&memory, commits).expect("memory does not fail");
        let (predecessor, commits) = (Mutex::new(predecessor), AtomicU64::new(commits));
        Busy { memory: &memory, predecessor, commits, collects: AtomicU64::new(0) }
    };
    let recovered = recover(&busy(3), &facts(), 9, None).expect("it takes over");
    assert_eq!(
        (recovered.head.epoch, recovered.manifest.expect("it is whole").epoch),
        (Epoch(4), Epoch(4))
    );
    // Who asked for another one has to know all that will repeat.
    let asked = recover(&busy(1), &facts(), 9, Some(Epoch(4)));
    assert!(matches!(asked, Err(Error::Store(store::Error::Overtaken { .. }))), "{asked:?}");
}

#[test]
fn what_a_predecessor_collects_while_it_is_looked_at_is_not_missing() {
    let (memory, _) = filled(1);
    let predecessor = Coordinator::start(&memory, 2).expect("memory does not fail");
    let (predecessor, commits) = (Mutex::new(predecessor), AtomicU64::new(0));
    let busy = Busy { memory: &memory, predecessor, commits, collects: AtomicU64::new(3) };
    let recovered = recover(&busy, &facts(), 9, None).expect("it takes over");
    assert_eq!(recovered.head.epoch, Epoch(1 + 3 * (KEEP as u32 + 1)));
    // What goes on missing is, and HEAD stays as it was.
    memory.delete(recovered.head.manifest.as_ref().expect("committed")).expect("it is there");
    refused(&memory, &facts(), None, &["is missing"]);
}

#[test]
fn what_changed_its_shape_is_refused_by_name_and_the_running_coordinator_goes_on() {
    let (memory, _) = filled(1);
    let mut changed = facts();
    changed.tables[1].state = TypeFacts { name: "Total".into(), shape: 99 };
    refused(&memory, &changed, None, &["table `totals`: its state was `Market`", "is `Total`"]);
    let other = Identity { application: "word-count".into(), ..facts() };
    refused(&memory, &other, None, &["belongs to application `spread`", "`word-count`"]);
    let fewer = Identity { partitions: 8, ..facts() };
    refused(&memory, &fewer, None, &["partitions were 16 and are 8: give --partitions 16"]);
}

/// Once HEAD named it, those after it could not be chosen any more.
#[test]
fn a_damaged_checkpoint_is_not_gone_back_to() {
    let (memory, _) = filled(3);
    let past = history(&memory, memory.head().expect("memory does not fail").as_ref());
    let past = past.expect("memory does not fail");
    let manifest = past[1].manifest.as_ref().expect("it is whole");
    let part = &manifest.parts[0].name;
    let mut bytes = memory.bytes(part).expect("it is there");
    *bytes.last_mut().expect("it is not empty") ^= 1;
    memory.damage(part, &bytes);
    refused(&memory, &facts(), Some(manifest.epoch), &[part, "does not fit"]);
}

#[test]
fn a_damaged_manifest_is_refused_and_an_older_checkpoint_is_used_on_request_only() {
    let (memory, head) = filled(3);
    let name = head.manifest.expect("it was committed");
    let mut bytes = memory.bytes(&name).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    memory.damage(&name, &bytes);
    refused(&memory, &facts(), None, &[&name, "digest does not fit", "--restore EPOCH"]);
    refused(
        &memory,
        &facts(),
        Some(Epoch(7)),
        &["no checkpoint of epoch 7", "retained are those of epoch 3"],
    );
    let restored = recover(&memory, &facts(), 9, Some(Epoch(2))).expect("it is whole");
    assert_eq!(restored.manifest.expect("it was asked for").epoch, Epoch(2));
    let lines: Vec<String> = restored.repeats.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        ["what sinks have committed in epochs 3 to 3 comes again, and the damaged manifests do \
          not tell how much"]
    );
}

#[test]
fn an_older_checkpoint_says_what_will_repeat_and_becomes_head() {
    let (memory, _) = filled(4);
    let restored = recover(&memory, &facts(), 9, Some(Epoch(3))).expect("it is kept");
    assert_eq!((restored.head.generation, restored.head.epoch), (2, Epoch(3)));
    // A checkpoint is aborted: the positions of clients are still needed at the next start.
    collect(&memory, &restored.head, KEEP, None, []).expect("it is whole");
    assert!(names(&memory).iter().any(|name| name.starts_with("manifest-1-4-")));
    let lines: Vec<String> = restored.repeats.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        ["sink `rejections` has committed 100 bytes in epochs 4 to 4: they come again"]
    );
    let mut next = Coordinator::start(&memory, 2).expect("it is whole");
    assert_eq!((next.head.generation, next.head.epoch), (3, Epoch(3)));
    next.checkpoint(false).expect("memory does not fail");
    let past = history(&memory, Some(&next.head)).expect("memory does not fail");
    let kept: Vec<(Epoch, u64)> = past
        .iter()
        .map(|past| past.manifest.as_ref().expect("it is whole"))
        .map(|manifest| (manifest.epoch, manifest.generation))
        .collect();
    assert_eq!(kept, [(Epoch(4), 3), (Epoch(3), 1)], "the epoch 4 of before is gone");
}

/// Starts that commit nothing, with and without the flag, forget none of what a client was sent.
#[test]
fn a_start_after_a_restore_remembers_the_streams_that_began_after_it() {
    let (memory, head) = filled(4);
    let last = head.manifest.expect("four were committed");
    let mut manifest = Manifest::load(&memory, &last).expect("it is whole");
    let (name, id, into, several, first, ended) = ("late".into(), 9, 0, false, Some(7), false);
    let stream = Some(StreamPosition { name, id, into, several, first, ended });
    manifest.sources.push(SourcePosition { stream, ..manifest.sources[0].clone() });
    memory.damage(&last, &manifest.write());
    for restore in [Some(Epoch(3)), None, None, Some(Epoch(3)), None] {
        let started = recover(&memory, &facts(), 9, restore).expect("it is whole");
        assert_eq!(started.head.epoch, Epoch(3));
        collect(&memory, &started.head, KEEP, None, []).expect("it is whole");
        let mut streams = started.sources.iter().filter_map(|at| at.stream.as_ref());
        let first = streams.next().and_then(|stream| stream.first);
        assert_eq!(first, Some(7), "it began after 7, which cannot come again: {restore:?}");
    }
}

#[test]
fn a_lost_head_is_not_taken_for_a_first_start() {
    let (full, _) = filled(2);
    let memory = Memory::new();
    for name in names(&full) {
        memory.damage(&name, &full.bytes(&name).expect("it is there"));
    }
    refused(&memory, &facts(), None, &["HEAD is missing", "epoch 2, 1", "--restore EPOCH"]);
    let error = recover(&memory, &facts(), 9, None).expect_err("it is refused");
    assert!(matches!(error, Error::NoHead { .. }));
    let last = full.head().expect("memory does not fail").and_then(|head| head.manifest);
    let last = last.expect("two were committed");
    let mut manifest = Manifest::load(&memory, &last).expect("it is whole");
    let (sink, transaction) = ("fills".to_owned(), (77 << 64) | 5);
    manifest.delivered = vec![Delivered { sink, transaction }];
    memory.damage(&last, &manifest.write());
    let restored = recover(&memory, &facts(), 9, Some(Epoch(2))).expect("it is whole");
    assert_eq!(restored.head.generation, 2, "above those of the names that are there");
    assert_eq!(restored.head.folder, 77, "clients know it by what they have");
}

/// A HEAD of the generation after the last one could not be read again.
#[test]
fn an_object_of_the_last_generation_is_refused_by_name() {
    let (memory, head) = filled(2);
    let last = "manifest-4294967294-1-00000000000000ab";
    memory.damage(last, b"no manifest");
    refused(&memory, &facts(), None, &[last, "remove it"]);
    refused(&memory, &facts(), Some(Epoch(1)), &[last, "remove it"]);
    memory.delete(last).expect("it is in memory");
    memory.damage(&last.replace("294-", "293-"), b"no manifest");
    let started = recover(&memory, &facts(), 9, None).expect("there is one more");
    assert_eq!(started.head.generation, Head::GENERATION_MAX);
    assert_eq!(started.head.manifest, head.manifest);
    assert_eq!(Head::parse(&started.head.write()).expect("it can be read"), started.head);
}

#[test]
fn a_part_that_is_missing_or_another_is_named() {
    let (memory, head) = filled(2);
    let manifest = Manifest::load(&memory, head.manifest.as_ref().expect("committed"));
    let manifest = manifest.expect("it is whole");
    let [first, second] = [&manifest.parts[0], &manifest.parts[1]].map(|part| part.name.clone());
    let own = memory.bytes(&first).expect("it is there");
    memory.damage(&first, &memory.bytes(&second).expect("it is there"));
    let text = content(&memory, &manifest).expect_err("it is of another core").to_string();
    assert!(text.starts_with(&first) && text.contains("it is of core 1, epoch 1"), "{text}");
    memory.damage(&first, &own);
    content(&memory, &manifest).expect("it is whole again");
    memory.delete(&second).expect("it is there");
    let text = content(&memory, &manifest).expect_err("it is missing").to_string();
    assert!(text.starts_with(&format!("{second} is missing; put it back")), "{text}");
}

#[test]
fn of_older_parts_of_a_chain_the_tables_count_and_the_frames_do_not() {
    let memory = Memory::new();
    let mut coordinator = Coordinator::start(&memory, 1).expect("memory does not fail");
    for full in [true, false, false] {
        coordinator.checkpoint(full).expect("memory does not fail");
    }
    let name = coordinator.head.manifest.as_ref().expect("it was committed");
    let manifest = Manifest::load(&memory, name).expect("it is whole");
    let found = content(&memory, &manifest).expect("it is whole");
    assert_eq!(found, coordinator.contents[name]);
    // Of each core: three sections in three parts, and the frames of the last.
    assert_eq!(found.len(), 2 * (3 * 3 + 1));
}

#[test]
fn the_last_checkpoints_stay_and_what_they_need_and_what_is_running() {
    let (memory, head) = filled(6);
    // Epoch 6 builds upon the full parts of epoch 5.
    let kept = |prefix: &str| names(&memory).iter().filter(|n| n.starts_with(prefix)).count();
    assert_eq!((kept("manifest-"), kept("part-")), (2, 4));
    let running = "part-1-7-0-0000000000000001";
    let future = "part-2-1-0-0000000000000001";
    for name in [running, future] {
        memory.damage(name, b"x");
    }
    collect(&memory, &head, KEEP, Some(Epoch(7)), []).expect("it is whole");
    assert_eq!((kept(running), kept(future), kept("part-")), (1, 1, 6));
    let collected = collect(&memory, &head, 1, None, []).expect("it is whole");
    assert_eq!((collected.objects, kept(running), kept(future)), (3, 0, 1));
    assert_eq!((kept("manifest-"), kept("part-")), (1, 5), "one is of a later coordinator");
    let length = |(_, bytes): (String, u64)| bytes;
    let bytes: u64 = memory.list().expect("memory does not fail").into_iter().map(length).sum();
    assert_eq!(collected.bytes_kept, bytes);
}

#[test]
fn a_damaged_manifest_stops_the_collection_of_what_it_may_need() {
    let (memory, head) = filled(2);
    memory.damage(head.manifest.as_ref().expect("it was committed"), b"x");
    let before = names(&memory);
    collect(&memory, &head, KEEP, None, []).expect_err("it is unclear what it needs");
    assert_eq!(names(&memory), before);
}
