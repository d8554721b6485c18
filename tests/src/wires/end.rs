//! Ends of wires, as the driver of a core has them.

use std::io::IoSlice;
use std::sync::Arc;

use potoroo::turn::{LinkCounts, LinkPort, Readiness, Watching};
use potoroo_runtime::{ReadOutcome, WriteOutcome};
use potoroo_sdk::random::Random;

use super::kind::WireKind;
use super::tamper::Tamper;
use super::verdict::Verdict;
use super::way::{Condition, Way, WayState};
use crate::workload::piece;

/// Most looks that find nothing on a direction that stands still.
const STALL_LOOKS_MAX: u64 = 2_000;

/// What the system reports of a connection that was reset, and of one that no process reads.
const RESET: i32 = 104;
const NO_READER: i32 = 32;

/// One end of a wire.
pub(super) struct WireEnd {
    to: Way,
    from: Way,
    random: Random,
    kind: WireKind,
    /// What its link has counted.
    counts: Arc<LinkCounts>,
    verdict: Verdict,
    tamper: Option<Tamper>,
}

impl WireEnd {
    /// The end from which bytes go `to`, and to which they come `from` there.
    pub(super) fn new(
        (to, from): (&Way, &Way),
        random: Random,
        kind: WireKind,
        counts: &Arc<LinkCounts>,
        verdict: Verdict,
    ) -> Self {
        let (to, from, counts) = (to.clone(), from.clone(), counts.clone());
        Self { to, from, random, kind, counts, verdict, tamper: kind.sabotage.map(Tamper::new) }
    }

    /// How many bytes come now.
    fn come(&mut self, from: &mut WayState, room: usize) -> usize {
        if from.stalled == 0 && self.random.chance(self.kind.stalls) {
            from.stalled = 1 + self.random.below(STALL_LOOKS_MAX);
        }
        from.stalled = from.stalled.saturating_sub(1);
        let count = piece(&mut self.random).min(from.bytes.len()).min(room);
        if self.random.chance(0.3) || from.stalled > 0 { 0 } else { count }
    }

    /// Looks at bytes that come.
    ///
    /// # Errors
    /// What is wrong with them, or with those before.
    fn look_at(&self, from: &mut WayState, bytes: &[u8]) -> Result<Vec<Vec<u64>>, String> {
        let (own, account) = (self.counts.read().frames_received, &mut from.account);
        if !account.is_closed() && own != account.frames_read() {
            let read = account.frames_read();
            return Err(format!("a link has counted {own} frames, and {read} have come"));
        }
        account.read(bytes)
    }
}

impl LinkPort for WireEnd {
    fn read(&mut self, room: &mut [u8]) -> ReadOutcome {
        if let Some(tamper) = &mut self.tamper {
            let mut to = self.to.lock();
            let short = to.account.is_short();
            tamper.pass(&mut to.bytes, short);
        }
        let way = self.from.clone();
        let mut from = way.lock();
        match from.condition {
            Condition::Broken => return ReadOutcome::Failed(RESET),
            Condition::Ended if from.bytes.is_empty() => return ReadOutcome::Closed,
            _ => {}
        }
        let count = self.come(&mut from, room.len());
        if count == 0 {
            // The rest is still under way.
            from.came = !from.bytes.is_empty() || from.condition != Condition::Whole;
            return ReadOutcome::WouldBlock;
        }
        let bytes: Vec<u8> = from.bytes.drain(..count).collect();
        let credit = self.look_at(&mut from, &bytes);
        drop(from);
        let mut to = self.to.lock();
        let allow = |words: &Vec<u64>| to.account.allow(words);
        self.verdict.note(credit.and_then(|credit| credit.iter().try_for_each(allow)));
        room[..count].copy_from_slice(&bytes);
        ReadOutcome::Bytes(count)
    }

    fn write(&mut self, parts: &[IoSlice<'_>]) -> WriteOutcome {
        let mut to = self.to.lock();
        if to.condition == Condition::Broken {
            return WriteOutcome::Failed(RESET);
        }
        if self.from.lock().condition == Condition::Ended {
            return WriteOutcome::Failed(NO_READER);
        }
        let count = piece(&mut self.random).min(to.room(self.to.bytes_max));
        if count == 0 || self.random.chance(0.3) {
            return WriteOutcome::WouldBlock;
        }
        let written: Vec<u8> = parts.iter().flat_map(|part| &**part).copied().take(count).collect();
        self.verdict.note(to.account.write(&written));
        match &mut self.tamper {
            Some(tamper) => tamper.write(&written),
            None => to.bytes.extend(&written),
        }
        to.came = true;
        WriteOutcome::Bytes(written.len())
    }

    fn watch(&mut self, _: &mut dyn Readiness, token: u64) -> Watching {
        self.from.lock().reader = Some(token);
        if self.kind.announced { Watching::Announced } else { Watching::EachTurn }
    }

    fn watch_room(&mut self, _: &mut dyn Readiness, token: u64) -> Watching {
        self.to.lock().writer = Some(token);
        if self.kind.announced { Watching::Announced } else { Watching::EachTurn }
    }
}

impl Drop for WireEnd {
    /// The other end finds what was written, and then the end.
    fn drop(&mut self) {
        self.to.lock().end();
    }
}
