//! What is committed, and when.

use super::*;
use crate::checkpoint::{PartitionSet, PositionUnit, facts};

const CORES: usize = 2;

struct Subject(Coordinator);

impl Subject {
    fn new() -> Self {
        let head = Head { generation: 3, owner: 7, folder: 5, epoch: Epoch(10), ..Head::default() };
        Self(Coordinator::new(facts::example(), head, CORES, vec![true, false, true]))
    }

    #[track_caller]
    fn check(&mut self, input: CoordinatorInput, expected: Option<Action>) {
        assert_eq!(self.0.handle(input, 5), expected);
    }

    #[track_caller]
    fn check_store(&mut self, input: CoordinatorInput) -> Manifest {
        match self.0.handle(input, 5) {
            Some(Action::Store(manifest)) => manifest,
            other => panic!("it should store a manifest, not {other:?}"),
        }
    }

    fn head(&self, epoch: Epoch) -> Head {
        Head { epoch, manifest: Some(format!("m{epoch}")), ..self.0.head().clone() }
    }

    #[track_caller]
    fn commit(&mut self, epoch: Epoch, transactions: &[Transaction]) {
        let (expected, new) = (self.0.head().clone(), self.head(epoch));
        let swap = Action::Swap { expected, new: new.clone() };
        self.check(CoordinatorInput::Stored(Ok(new)), Some(swap));
        let sources = Vec::new();
        self.check(CoordinatorInput::Swapped(Ok(())), Some(Action::Commit { epoch, sources }));
        let mut shown = Vec::new();
        self.0.show(|one| {
            shown.push(one.clone());
            false
        });
        assert_eq!(shown, transactions);
    }
}

fn part(core: u32, epoch: Epoch, since: Epoch) -> CoordinatorInput {
    let name = format!("p{core}-{epoch}");
    let covers = Some((0..512).map(|at| at + 512 * core as u16).collect());
    let whole = PartitionSet::default();
    let (bytes, chunks, digest, rows) = (1, 1, 0, 1);
    let entry = PartEntry { name, core, epoch, since, covers, whole, bytes, chunks, digest, rows };
    CoordinatorInput::Part { entry, sources: Vec::new() }
}

fn transaction(sink: usize, epoch: Epoch) -> Transaction {
    let (sink, object) = (sink.to_string(), format!("s{sink}-{epoch}"));
    Transaction { sink, epoch, offset: 0, bytes: 1, digest: None, object, file: None }
}

fn marked(sink: usize, epoch: Epoch) -> CoordinatorInput {
    CoordinatorInput::Marked { sink, epoch, prepared: vec![transaction(sink, epoch)] }
}

fn names(manifest: &Manifest) -> Vec<&str> {
    manifest.parts.iter().map(|part| part.name.as_str()).collect()
}

#[test]
fn a_commit_needs_all_parts_and_marks() {
    let mut subject = Subject::new();
    subject.check(CoordinatorInput::Begin, Some(Action::Begin { epoch: Epoch(11) }));
    subject.check(CoordinatorInput::Begin, None);
    subject.check(part(0, Epoch(11), Epoch::NONE), None);
    subject.check(marked(2, Epoch(11)), None);
    subject.check(part(1, Epoch(11), Epoch::NONE), None);
    let manifest = subject.check_store(marked(0, Epoch(11)));
    assert_eq!(names(&manifest), ["p0-11", "p1-11"]);
    assert_eq!((manifest.epoch, manifest.generation), (Epoch(11), 3));
    subject.check(CoordinatorInput::Failed { epoch: Epoch(11), reason: "late".into() }, None);
    subject.commit(Epoch(11), &[transaction(2, Epoch(11)), transaction(0, Epoch(11))]);
    assert_eq!(subject.0.running(), None);
}

#[test]
fn what_was_prepared_for_an_aborted_epoch_is_carried_over() {
    let mut subject = Subject::new();
    subject.check(CoordinatorInput::Begin, Some(Action::Begin { epoch: Epoch(11) }));
    subject.check(marked(0, Epoch(11)), None);
    let reason = "no room".to_owned();
    let abort = Action::Abort { epoch: Epoch(11), reason: reason.clone() };
    subject.check(CoordinatorInput::Failed { epoch: Epoch(11), reason }, Some(abort));
    subject.check(CoordinatorInput::Begin, Some(Action::Begin { epoch: Epoch(12) }));
    // Late: of the epoch that was aborted.
    subject.check(part(0, Epoch(11), Epoch::NONE), None);
    subject.check(marked(2, Epoch(11)), None);
    for core in [1, 0] {
        subject.check(part(core, Epoch(12), Epoch::NONE), None);
    }
    // Each marker comes with all that is not committed of its sink.
    let again = |sink, prepared| CoordinatorInput::Marked { sink, epoch: Epoch(12), prepared };
    subject.check(again(2, vec![transaction(2, Epoch(11))]), None);
    let prepared = vec![transaction(0, Epoch(11)), transaction(0, Epoch(12))];
    let manifest = subject.check_store(again(0, prepared));
    let all = [transaction(2, Epoch(11)), transaction(0, Epoch(11)), transaction(0, Epoch(12))];
    assert_eq!(manifest.transactions, all);
    subject.commit(Epoch(12), &all);
}

#[test]
fn what_is_committed_stays_in_manifests_until_it_is_visible() {
    let mut subject = Subject::new();
    let mut carried = Vec::new();
    for epoch in (11..14).map(Epoch) {
        subject.check(CoordinatorInput::Begin, Some(Action::Begin { epoch }));
        for input in [marked(0, epoch), marked(2, epoch), part(0, epoch, Epoch::NONE)] {
            subject.check(input, None);
        }
        let manifest = subject.check_store(part(1, epoch, Epoch::NONE));
        let new = [transaction(0, epoch), transaction(2, epoch)];
        assert_eq!(manifest.transactions, [&carried[..], &new].concat());
        subject.commit(epoch, &[&carried[..], &new].concat());
        subject.0.show(|one| one.sink == "0");
        carried.push(transaction(2, epoch));
    }
}

/// A core that cuts before its file is opened would else let it be read again from the start.
#[test]
fn sources_that_are_not_opened_yet_stay_where_they_stood() {
    let at = |name: &str, position| SourcePosition {
        name: name.into(),
        unit: PositionUnit::Bytes,
        position,
        skipping: false,
        file: None,
        stream: None,
        watermarks: Vec::new(),
    };
    let mut subject = Subject::new();
    subject.0.take_over(&[at("late", 100), at("early", 200)], &[]);
    subject.check(CoordinatorInput::Begin, Some(Action::Begin { epoch: Epoch(11) }));
    for input in [marked(0, Epoch(11)), marked(2, Epoch(11)), part(0, Epoch(11), Epoch::NONE)] {
        subject.check(input, None);
    }
    let CoordinatorInput::Part { entry, .. } = part(1, Epoch(11), Epoch::NONE) else {
        unreachable!("it is a part")
    };
    let opened = CoordinatorInput::Part { entry, sources: vec![at("early", 300)] };
    let manifest = subject.check_store(opened);
    assert_eq!(manifest.sources, [at("early", 300), at("late", 100)]);
}

#[test]
fn increments_follow_the_last_whole_part_of_their_core() {
    let mut subject = Subject::new();
    let mut chain = |epoch, sinces: [u32; CORES]| {
        let sinces = sinces.map(Epoch);
        subject.check(CoordinatorInput::Begin, Some(Action::Begin { epoch }));
        subject.check(CoordinatorInput::Marked { sink: 0, epoch, prepared: Vec::new() }, None);
        subject.check(CoordinatorInput::Marked { sink: 2, epoch, prepared: Vec::new() }, None);
        subject.check(part(0, epoch, sinces[0]), None);
        let manifest = subject.check_store(part(1, epoch, sinces[1]));
        subject.commit(epoch, &[]);
        names(&manifest).join(" ")
    };
    assert_eq!(chain(Epoch(11), [0, 0]), "p0-11 p1-11");
    assert_eq!(chain(Epoch(12), [11, 11]), "p0-11 p1-11 p0-12 p1-12");
    assert_eq!(chain(Epoch(13), [12, 0]), "p0-11 p0-12 p0-13 p1-13");
}

/// A message may come twice, and one of an earlier member late.
#[test]
fn a_part_counts_once_and_of_members_only() {
    let mut subject = Subject::new();
    subject.0.set_members([0, 2].into());
    subject.check(CoordinatorInput::Begin, Some(Action::Begin { epoch: Epoch(11) }));
    // For the next one.
    subject.0.set_members([0, 1].into());
    let half = |core| match part(core, Epoch(11), Epoch::NONE) {
        CoordinatorInput::Part { entry, sources } => {
            let covers = Some((0..512).map(|at| at + 512 * u16::from(core == 2)).collect());
            CoordinatorInput::Part { entry: PartEntry { covers, ..entry }, sources }
        }
        _ => unreachable!("it is a part"),
    };
    for input in [marked(0, Epoch(11)), marked(2, Epoch(11)), half(0), half(0), half(1)] {
        subject.check(input, None);
    }
    let manifest = subject.check_store(half(2));
    assert_eq!(names(&manifest), ["p0-11", "p2-11"]);
    subject.check(half(2), None);
    subject.commit(Epoch(11), &[transaction(0, Epoch(11)), transaction(2, Epoch(11))]);
    subject.check(CoordinatorInput::Begin, Some(Action::Begin { epoch: Epoch(12) }));
    for input in [marked(0, Epoch(12)), marked(2, Epoch(12)), part(0, Epoch(12), Epoch::NONE)] {
        subject.check(input, None);
    }
    // Core 2 is gone; what it had last is whole in the part of core 1.
    let manifest = subject.check_store(part(1, Epoch(12), Epoch::NONE));
    assert_eq!(names(&manifest), ["p0-12", "p1-12"]);
}

#[test]
fn what_could_not_be_recovered_from_is_not_committed() {
    let mut subject = Subject::new();
    subject.check(CoordinatorInput::Begin, Some(Action::Begin { epoch: Epoch(11) }));
    for input in [marked(0, Epoch(11)), marked(2, Epoch(11)), part(0, Epoch(11), Epoch::NONE)] {
        subject.check(input, None);
    }
    let reason = "it could not be recovered from: p1-11 does not follow a part of epoch 0";
    let abort = Action::Abort { epoch: Epoch(11), reason: reason.to_owned() };
    subject.check(part(1, Epoch(11), Epoch(10)), Some(abort));
}

#[test]
fn storage_that_fails_gives_the_epoch_up() {
    for swap in [false, true] {
        let mut subject = Subject::new();
        subject.check(CoordinatorInput::Begin, Some(Action::Begin { epoch: Epoch(11) }));
        for input in [marked(0, Epoch(11)), marked(2, Epoch(11)), part(0, Epoch(11), Epoch::NONE)] {
            subject.check(input, None);
        }
        subject.check_store(part(1, Epoch(11), Epoch::NONE));
        let reason = "disk full".to_owned();
        let abort = Some(Action::Abort { epoch: Epoch(11), reason: reason.clone() });
        if swap {
            let new = subject.head(Epoch(11));
            assert!(subject.0.handle(CoordinatorInput::Stored(Ok(new)), 5).is_some());
            subject.check(CoordinatorInput::Swapped(Err(reason)), abort);
        } else {
            subject.check(CoordinatorInput::Stored(Err(reason)), abort);
        }
        assert_eq!(subject.0.head().epoch, Epoch(10));
        subject.check(CoordinatorInput::Begin, Some(Action::Begin { epoch: Epoch(12) }));
    }
}
