//! Gaps: times in which a spinning loop did not spin, because something took its CPU away.
//!
//! Owns the log of each watched core and what others can see of it. A loop that does nothing long
//! shows its log the time at least every few dozen passes; a gap of more than `GAP_NS` between
//! two looks cannot have come from the loop itself, so it is put down to the operating system (an
//! interrupt, another task) or to the machine below it. How often the scheduler took the CPU away
//! meanwhile stands beside it: a gap without a switch was an interrupt or the hypervisor.
//!
//! ```text
//!   loop   · · · · ·                · · · ·        each dot: see(now)
//!   gap             └──────────────┘               published before the loop goes on
//! ```
//!
//! The evidence is independent of what is measured: no event becomes part of a gap because it was
//! slow, only because a loop on one of its cores stood still meanwhile. Must never: call into the
//! system except after a gap.

use std::sync::Arc;

use potoroo_runtime::gaps::GapDetector;
use potoroo_runtime::{Gap, Nanos, SharedGaps};
use serde::{Deserialize, Serialize};

use crate::stamp;

/// The watched cores of one slice: one log for each loop, and a view of the newest gap of all.
#[derive(Clone, Debug)]
pub struct Watch {
    loops: Arc<[SharedGaps]>,
}

impl Watch {
    /// A watch over this number of loops.
    pub fn new(loops: usize) -> Self {
        Self { loops: (0..loops).map(|_| SharedGaps::new()).collect() }
    }

    /// The log for one loop; `index` counts from 0, and each is taken once.
    ///
    /// # Panics
    /// When there is no loop of that number.
    pub fn log(&self, index: usize, name: &'static str) -> GapLog {
        assert!(index < self.loops.len(), "loop {index} of {} is not watched", self.loops.len());
        GapLog {
            name,
            index,
            watch: self.clone(),
            detector: GapDetector::new(),
            begin_ns: None,
            passes: 0,
            gaps: Vec::with_capacity(GAPS_MAX),
            unlisted: 0,
            unlisted_ns: 0,
        }
    }

    /// Whether the newest gap of any loop overlaps a time. Older gaps are not asked: an event that
    /// is counted as outside although it was not makes the tail longer, never shorter.
    #[inline]
    pub fn covers(&self, start_ns: u64, end_ns: u64) -> bool {
        self.loops.iter().any(|gaps| gaps.covers(Nanos(start_ns), Nanos(end_ns)))
    }
}

/// The log of one spinning loop, fed by its own thread.
#[derive(Debug)]
pub struct GapLog {
    name: &'static str,
    index: usize,
    watch: Watch,
    detector: GapDetector,
    begin_ns: Option<u64>,
    passes: u32,
    gaps: Vec<LoopGap>,
    unlisted: u64,
    unlisted_ns: u64,
}

impl GapLog {
    /// Starts watching: call it on the loop's own thread, right before the loop.
    pub fn begin(&mut self, now_ns: u64) {
        self.detector = GapDetector::new();
        self.begin_ns.get_or_insert(now_ns);
        self.detector.idle(Nanos(now_ns));
    }

    /// Takes a look: what lies between two looks is a gap if it is long.
    #[inline]
    pub fn see(&mut self, now_ns: u64) {
        if let Some(gap) = self.detector.look(Nanos(now_ns)) {
            self.note(gap);
        }
        self.detector.idle(Nanos(now_ns));
    }

    /// Counts a pass that found nothing to do, and takes a look every so often: for loops that
    /// wait on memory and would lose time by reading the clock in each pass.
    #[inline]
    pub fn idle(&mut self) {
        self.passes = self.passes.wrapping_add(1);
        if self.passes.is_multiple_of(PASSES_PER_LOOK) {
            self.see(stamp::now());
        }
    }

    /// As [`see`](Self::see), after work that may take long by itself: it is no gap.
    #[inline]
    pub fn skip(&mut self, now_ns: u64) {
        self.detector.idle(Nanos(now_ns));
    }

    #[cold]
    #[inline(never)]
    fn note(&mut self, gap: Gap) {
        self.watch.loops[self.index].publish(gap);
        if self.gaps.len() < GAPS_MAX {
            self.gaps.push(gap.into());
        } else {
            self.unlisted += 1;
            self.unlisted_ns += gap.ns();
        }
    }

    /// Hands out what was found since the last time, and goes on.
    pub fn turn_over(&mut self) -> CoreGaps {
        let last_ns = self.detector.idle_since().0;
        let begin_ns = self.begin_ns.replace(last_ns);
        CoreGaps {
            name: self.name.into(),
            watched_ns: begin_ns.map_or(0, |begin_ns| last_ns.saturating_sub(begin_ns)),
            gaps: std::mem::replace(&mut self.gaps, Vec::with_capacity(GAPS_MAX)),
            unlisted: std::mem::take(&mut self.unlisted),
            unlisted_ns: std::mem::take(&mut self.unlisted_ns),
        }
    }

    /// Ends watching.
    pub fn finish(mut self) -> CoreGaps {
        self.turn_over()
    }
}

/// A time in which a loop did not run: the operating system or hypervisor ran something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoopGap {
    /// The last look before it, on the clock of `stamp`.
    pub start_ns: u64,
    /// The first look after it.
    pub end_ns: u64,
    /// How often the scheduler took the CPU away in it, or between the gap before and it.
    pub switches: u64,
}

impl From<Gap> for LoopGap {
    fn from(gap: Gap) -> Self {
        Self { start_ns: gap.start.0, end_ns: gap.end.0, switches: gap.switches }
    }
}

/// What one loop's log found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CoreGaps {
    /// Name of the loop, such as `load`.
    pub name: String,
    /// For how long it was watched.
    pub watched_ns: u64,
    /// The gaps in the order of time.
    pub gaps: Vec<LoopGap>,
    /// Gaps that were only counted, because the list was full.
    pub unlisted: u64,
    /// Their length together.
    pub unlisted_ns: u64,
}

impl CoreGaps {
    /// Gaps that another process reported of a loop: those that begin from `start_ns` to `end_ns`,
    /// in which it was watched.
    pub fn reported(
        name: &str,
        start_ns: u64,
        end_ns: u64,
        gaps: impl IntoIterator<Item = LoopGap>,
    ) -> Self {
        let within = |gap: &LoopGap| (start_ns..end_ns).contains(&gap.start_ns);
        let gaps = gaps.into_iter().filter(within).collect();
        Self { name: name.into(), watched_ns: end_ns - start_ns, gaps, ..Self::default() }
    }
}

/// Some two microseconds of a loop that pauses in each pass: far below the length of a gap.
const PASSES_PER_LOOK: u32 = 64;
/// A slice with more gaps than this is noise from end to end; further ones are counted only.
const GAPS_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use potoroo_runtime::GAP_NS;

    use super::*;

    #[test]
    fn only_long_holes_are_gaps() {
        let watch = Watch::new(2);
        let mut log = watch.log(1, "load");
        log.begin(1000);
        log.see(1000 + GAP_NS);
        assert!(!watch.covers(0, u64::MAX));
        log.see(1001 + 2 * GAP_NS);
        log.skip(1001 + 9 * GAP_NS);
        log.see(1002 + 9 * GAP_NS);
        let found = log.finish();
        assert_eq!(found.gaps.len(), 1);
        assert_eq!(found.gaps[0].start_ns, 1000 + GAP_NS);
        assert_eq!(found.gaps[0].end_ns, 1001 + 2 * GAP_NS);
        assert_eq!(found.watched_ns, 2 + 9 * GAP_NS);
    }

    #[test]
    fn times_are_compared_with_the_newest_gap_of_each_loop() {
        let watch = Watch::new(2);
        let mut log = watch.log(0, "load");
        log.begin(0);
        log.see(100_000);
        assert!(watch.covers(50_000, 60_000));
        assert!(watch.covers(99_999, 200_000));
        assert!(!watch.covers(100_000, 200_000));
    }

    #[test]
    fn what_was_handed_out_does_not_come_again() {
        let mut log = Watch::new(1).log(0, "load");
        log.begin(0);
        log.see(100_000);
        let first = log.turn_over();
        log.see(100_500);
        log.see(200_000);
        let second = log.finish();
        assert_eq!((first.watched_ns, first.gaps.len()), (100_000, 1));
        assert_eq!((second.watched_ns, second.gaps.len()), (100_000, 1));
        assert_eq!(second.gaps[0].start_ns, 100_500);
    }

    #[test]
    fn gaps_beyond_the_list_are_counted() {
        let mut log = Watch::new(1).log(0, "load");
        log.begin(0);
        (1..=GAPS_MAX as u64 + 3).for_each(|pass| log.see(pass * 30_000));
        let found = log.finish();
        assert_eq!((found.gaps.len(), found.unlisted, found.unlisted_ns), (GAPS_MAX, 3, 90_000));
    }
}
