//! Snapshots against a model, rows that are too long, and what rows own: of the table of an
//! application, whose handler changes and removes rows.

use std::collections::BTreeMap;

use potoroo_sdk::codec::Reason;
use potoroo_sdk::host::{
    Cause, ExchangeId, Feed, Hint, Host, Inflow, Origin, Route, SinkId, SourceId, TableId, Timing,
    UnderWay,
};
use potoroo_sdk::plan::Plan;
use potoroo_sdk::prelude::*;
use potoroo_sdk::table::Record;
use potoroo_sdk::value;

use super::*;
use crate::state::Index;

/// Each line has a key, and the length that the text of its row gets; without one the row goes.
fn plan() -> Plan {
    let app = Application::new("texts");
    let texts = app.table::<u32, String>("texts");
    app.source("lines", LineText::new())
        .map(|line| {
            let mut numbers = line.split(' ').map(|number| number.parse::<u32>().ok());
            (numbers.next().flatten().expect("it begins with a key"), numbers.next().flatten())
        })
        .key_by(|(key, _)| key)
        .update_with(&texts, |text, (_, length), _: &mut Out<String>| match length {
            Some(length) => **text = "x".repeat(length as usize),
            None => text.remove(),
        })
        .sink("nothing", LineText::new());
    app.plan().expect("it is sound")
}

/// The host of one table, in which every event runs in place.
struct OneTable {
    index: Index,
    capture: Capture,
}

impl Host for OneTable {
    fn send(&mut self, _: Route, _: &Cause, _: Option<&Timing>, _: usize) -> &mut [u8] {
        unreachable!("every event runs in place")
    }

    fn in_place(
        &mut self,
        _: ExchangeId,
        _: usize,
        hashes: &[u64],
        _: &[Cause],
        _: &mut [Timing],
        slots: &mut [u32],
    ) -> u64 {
        for (slot, hash) in slots.iter_mut().zip(hashes) {
            *slot = self.index.first(*hash).unwrap_or(potoroo_sdk::host::NO_SLOT);
        }
        u64::MAX >> (64 - hashes.len())
    }

    fn output(&mut self, _: SinkId, _: &Cause, _: &[u8]) {}

    fn batch_max(&mut self) -> usize {
        64
    }

    fn blocked(&self) -> bool {
        false
    }

    fn find(&mut self, _: TableId, hash: u64, previous: Option<u32>) -> Option<u32> {
        match previous {
            None => self.index.first(hash),
            previous => self.index.after(hash, previous),
        }
    }

    fn bind(&mut self, _: TableId, hash: u64, slot: u32) {
        self.index.insert(hash, slot);
    }

    fn unbind(&mut self, _: TableId, hash: u64, slot: u32, row: &dyn AnyRow) {
        self.capture.removing(row);
        self.index.remove(hash, slot);
    }

    fn changing(&mut self, _: TableId, slot: u32, row: Option<&dyn AnyRow>) {
        self.capture.changing(slot, row);
    }

    fn hint(&mut self, _: TableId, _: Hint) {}

    fn watermark(&self, _: TableId, _: Inflow) -> EventTime {
        EventTime::MAX
    }

    fn refuse(&mut self, _: &Cause, _: Reason, _: &[u8]) {
        unreachable!("every line is text")
    }
}

/// Lengths by key.
type Model = BTreeMap<u32, usize>;

/// A table with its host, and what should be in it.
struct Subject {
    plan: Plan,
    host: OneTable,
    model: Model,
}

impl Subject {
    fn new() -> Self {
        let plan = plan();
        let capture = Capture::new(plan.tables[0].rows.clone());
        let mut subject =
            Self { plan, host: OneTable { index: Index::new(), capture }, model: Model::new() };
        subject.host.capture.enable(0, &Spares::default());
        subject
    }

    /// With the rows 0, 1 and so on of these lengths, in the slots of these numbers.
    fn of(lengths: &[usize]) -> Self {
        let mut subject = Self::new();
        lengths.iter().zip(0..).for_each(|(length, key)| subject.set(key, Some(*length)));
        subject
    }

    fn set(&mut self, key: u32, length: Option<usize>) {
        let line = match length {
            Some(length) => format!("{key} {length}\n"),
            None => format!("{key}\n"),
        };
        let cause = Cause { ingress: 0, origin: Origin::default(), source: SourceId(0) };
        let feed =
            Feed { cause, ended: true, events_max: 1, frame_bytes_max: 1 << 20, skipping: false };
        let stage = &self.plan.sources[0].stage;
        let done =
            stage.ingest(line.as_bytes(), feed, &mut [], &UnderWay::default(), &mut self.host);
        assert_eq!(done.events, 1);
        match length {
            Some(length) => self.model.insert(key, length),
            None => self.model.remove(&key),
        };
    }

    fn touch(&mut self, random: &mut Random) {
        let (key, length) = (random.below(60) as u32, random.below(1000) as usize);
        self.set(key, (random.below(4) > 0).then_some(length));
    }

    /// All that is left of the snapshot.
    fn written(&mut self) -> Vec<u8> {
        let capture = &mut self.host.capture;
        let (mut out, mut left) = (Vec::new(), true);
        while left {
            let mut slots = [0; 9];
            let found;
            (found, left) = capture.changed(&mut slots);
            let mut done = 0;
            while done < found {
                done += capture.write_rows(&slots[done..found], &mut out);
            }
        }
        while let Some(saved) = capture.saved(true) {
            out.extend(saved);
        }
        out
    }
}

fn each_record(mut bytes: &[u8], mut visit: impl FnMut(Record<'_>)) {
    while let Some((record, after)) = Record::split(bytes) {
        visit(record);
        bytes = after;
    }
    assert!(bytes.is_empty(), "records are whole");
}

fn recovered(parts: &[(Vec<u8>, Vec<u8>)]) -> Model {
    let (plan, mut index) = (plan(), Index::new());
    let rows = &plan.tables[0].rows;
    for (removed, written) in parts {
        each_record(removed, |record| rows.forget(record, &mut index).expect("one of ours"));
        each_record(written, |record| rows.restore(record, &mut index).expect("one of ours"));
    }
    let mut model = Model::new();
    rows.each(&mut |key, text| {
        let key = format!("{key:?}").parse().expect("a number");
        model.insert(key, format!("{text:?}").len() - 2);
    });
    model
}

/// Random changes between and during random snapshots, a third of which is aborted: the chain of
/// the committed ones is the table as it was at the last of them.
#[test]
fn committed_snapshots_are_the_table_as_it_was() {
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let mut subject = Subject::new();
        let (mut parts, mut committed) = (Vec::new(), 0);
        for epoch in 1..12 {
            (0..random.below(80)).for_each(|_| subject.touch(&mut random));
            let whole = random.below(4) == 0;
            let since = if whole { 0 } else { committed };
            subject.host.capture.snapshot(epoch, since);
            let at_snapshot = subject.model.clone();
            let (mut removed, mut written) = (Vec::new(), Vec::new());
            let mut left = true;
            let aborted = random.below(3) == 0;
            while left && !(aborted && random.below(3) == 0) {
                (0..random.below(12)).for_each(|_| subject.touch(&mut random));
                let mut slots = [0; 9];
                let slots = &mut slots[..1 + random.below(9) as usize];
                let found;
                (found, left) = subject.host.capture.changed(slots);
                (0..random.below(3)).for_each(|_| subject.touch(&mut random));
                let done = subject.host.capture.write_rows(&slots[..found], &mut written);
                assert_eq!(done, found);
            }
            while let Some(saved) = subject.host.capture.saved(true) {
                written.extend(saved);
            }
            while subject.host.capture.removed(&mut removed) {}
            subject.host.capture.end_snapshot();
            (0..random.below(12)).for_each(|_| subject.touch(&mut random));
            if aborted {
                continue;
            }
            if since == 0 {
                parts.clear();
            }
            parts.push((removed, written));
            subject.host.capture.commit(epoch);
            committed = epoch;
            assert_eq!(recovered(&parts), at_snapshot, "seed {seed}, epoch {epoch}");
        }
    }
}

#[test]
fn only_what_changed_is_written() {
    let mut subject = Subject::of(&[0; 100]);
    subject.host.capture.snapshot(1, 0);
    let mut rows = 0;
    each_record(&subject.written(), |_| rows += 1);
    assert_eq!(rows, 100);
    subject.host.capture.commit(1);
    subject.set(7, Some(7));
    subject.host.capture.snapshot(2, 1);
    subject.set(7, Some(8));
    subject.set(8, Some(8));
    let mut texts = Vec::new();
    each_record(&subject.written(), |record| {
        texts.push(value::read::<String>(record.state).expect("a text"));
    });
    assert_eq!(texts, ["xxxxxxx"], "as it was at the snapshot, and row 8 changed after it only");
}

#[test]
fn a_row_that_is_too_long_is_named_and_the_next_snapshot_may_be_complete_again() {
    let mut subject = Subject::of(&[0, 101, 0]);
    subject.host.capture.snapshot.archive_bytes_max = 100;
    subject.host.capture.snapshot(1, 0);
    let (slots, mut out) = ([0, 1, 2], Vec::new());
    let capture = &mut subject.host.capture;
    assert_eq!((capture.write_rows(&slots, &mut out), capture.too_long()), (2, Some("1")));
    // Before it changes it is saved, or would be.
    capture.snapshot(2, 0);
    assert_eq!(capture.too_long(), None);
    subject.set(1, Some(0));
    let capture = &mut subject.host.capture;
    assert_eq!(capture.too_long(), Some("1"));
    capture.snapshot(3, 0);
    out.clear();
    assert_eq!((capture.write_rows(&slots, &mut out), capture.too_long()), (3, None));
}

#[test]
fn long_rows_are_written_one_by_one() {
    let mut subject = Subject::of(&[CHUNK_BYTES; 3]);
    subject.host.capture.snapshot(1, 0);
    for left in 0..3 {
        let slots = &[0, 1, 2][left..];
        assert_eq!(subject.host.capture.write_rows(slots, &mut Vec::new()), 1);
    }
}

/// What rows own elsewhere is known from snapshots: exactly as it is stored from full ones, and at
/// least that from deltas.
#[test]
fn what_rows_own_is_counted_by_snapshots() {
    let mut subject = Subject::of(&[0; 3]);
    let mut owned = |lengths: [usize; 3], epoch, since| {
        for (key, length) in (0..).zip(lengths) {
            if subject.model[&key] != length {
                subject.set(key, Some(length));
            }
        }
        let capture = &mut subject.host.capture;
        capture.snapshot(epoch, since);
        capture.write_rows(&[0, 1, 2], &mut Vec::new());
        capture.saved(true);
        capture.commit(epoch);
        capture.snapshot.owned_bytes
    };
    assert_eq!(owned([1000, 500, 0], 1, 0), 1500);
    assert_eq!(owned([1000, 700, 0], 2, 1), 1500, "only one row is seen");
    assert_eq!(owned([1000, 4000, 0], 3, 2), 4000);
    assert_eq!(owned([0, 20, 0], 4, 0), 20);
}

/// A slot that is taken and left again and again in one epoch is listed once.
#[test]
fn keys_that_come_and_go_make_a_snapshot_no_longer() {
    let mut subject = Subject::of(&[1; 100_000]);
    subject.host.capture.snapshot(1, 0);
    subject.written();
    subject.host.capture.commit(1);
    for key in 0..50_000 {
        subject.set(200_000 + key, Some(1));
        subject.set(200_000 + key, None);
    }
    subject.host.capture.snapshot(2, 1);
    assert_eq!(subject.host.capture.changed(&mut [0; 9]), (1, false));
}
