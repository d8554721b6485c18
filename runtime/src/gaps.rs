//! Gaps: times in which a spinning loop did not turn, because something took its CPU away.
//!
//! Owns how a gap is detected and what a loop publishes of its gaps. A turn that found nothing to
//! do is over in far less than [`GAP_NS`]; if the next one begins later, the operating system or
//! the machine below it had the CPU. A turn that did work may take long by itself and is never
//! taken for a gap. Turns without a gap pay one compare.
//!
//! ```text
//!   turns   · · · · ·                · · · ·      each of them found nothing to do
//!   gap             └──────────────┘              published before the next turn
//! ```

#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::clock::Nanos;

/// Gaps up to this length, in nanoseconds, may be the loop's own.
pub const GAP_NS: u64 = 25_000;

/// Steps between clock reads that lie some hundred nanoseconds apart take up to this length by
/// themselves, in nanoseconds, beside the time for bytes that they copy: a longer one had a gap.
pub const STEP_GAP_NS: u64 = 10_000;

/// A time in which a core did not run: the operating system or hypervisor ran something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// When the last turn before it began.
    pub start: Nanos,
    /// When the first turn after it began.
    pub end: Nanos,
    /// How often the scheduler took the CPU away in it, or between the gap before and it: a gap
    /// without one was an interrupt, or the machine below.
    pub switches: u64,
}

impl Gap {
    /// Nanoseconds from its start to its end.
    pub fn ns(&self) -> u64 {
        self.end - self.start
    }
}

/// Detects the gaps of one spinning loop, on its own thread.
#[derive(Debug)]
pub struct GapDetector {
    /// From when on only a gap takes longer than [`GAP_NS`]; [`Nanos::MAX`] during work.
    idle_since: Nanos,
    /// How often the scheduler had taken the CPU away up to the last gap.
    switches: u64,
}

impl GapDetector {
    /// The detector of a loop on the calling thread, which works. A system call.
    pub fn new() -> Self {
        Self { idle_since: Nanos::MAX, switches: involuntary_switches() }
    }

    /// The loop works from now on, for as long as it likes.
    #[inline]
    pub fn work(&mut self) {
        self.idle_since = Nanos::MAX;
    }

    /// The loop has nothing to do from `now` on: its next look is due within [`GAP_NS`].
    #[inline]
    pub fn idle(&mut self, now: Nanos) {
        self.idle_since = now;
    }

    /// Since when the loop has had nothing to do; [`Nanos::MAX`] during work.
    #[inline]
    pub fn idle_since(&self) -> Nanos {
        self.idle_since
    }

    /// The gap that ended `now`, if the loop had nothing to do and looks late.
    #[inline]
    pub fn look(&mut self, now: Nanos) -> Option<Gap> {
        if now - self.idle_since > GAP_NS { Some(self.gap(now)) } else { None }
    }

    #[cold]
    #[inline(never)]
    fn gap(&mut self, now: Nanos) -> Gap {
        let before = std::mem::replace(&mut self.switches, involuntary_switches());
        Gap { start: self.idle_since, end: now, switches: self.switches.saturating_sub(before) }
    }
}

impl Default for GapDetector {
    fn default() -> Self {
        Self::new()
    }
}

/// The gaps of one loop: written by it alone, read by any thread.
#[derive(Debug)]
#[repr(align(128))]
pub struct SharedGaps {
    // Starts before ends, so that a reader who sees half of a new gap never takes two separate
    // ones for a longer one.
    newest_start: AtomicU64,
    newest_end: AtomicU64,
    count: AtomicU64,
    total_ns: AtomicU64,
    longest_ns: AtomicU64,
    switches: AtomicU64,
    /// Start, end and switches of the last ones, by their number modulo the length.
    recent: Box<[[AtomicU64; 3]]>,
}

/// All gaps of a loop together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GapCounts {
    /// Number of gaps.
    pub count: u64,
    /// Their length together.
    pub total_ns: u64,
    /// Length of the longest one.
    pub longest_ns: u64,
    /// How often the scheduler took the CPU away in them.
    pub switches: u64,
}

impl SharedGaps {
    /// What one takes.
    pub const MEMORY_BYTES: usize = size_of::<Self>() + GAPS_KEPT * size_of::<[AtomicU64; 3]>();

    /// No gaps.
    pub fn new() -> Self {
        let zero = || AtomicU64::new(0);
        let entry = |_| [zero(), zero(), zero()];
        Self {
            newest_start: zero(),
            newest_end: zero(),
            count: zero(),
            total_ns: zero(),
            longest_ns: zero(),
            switches: zero(),
            recent: (0..GAPS_KEPT).map(entry).collect(),
        }
    }

    /// Publishes a gap. Only the loop itself may call it.
    #[cold]
    pub fn publish(&self, gap: Gap) {
        let add = |cell: &AtomicU64, value: u64| {
            cell.store(cell.load(Ordering::Relaxed) + value, Ordering::Relaxed);
        };
        let count = self.count.load(Ordering::Relaxed);
        let entry = &self.recent[count as usize % GAPS_KEPT];
        for (cell, value) in entry.iter().zip([gap.start.0, gap.end.0, gap.switches]) {
            cell.store(value, Ordering::Relaxed);
        }
        add(&self.total_ns, gap.ns());
        add(&self.switches, gap.switches);
        self.longest_ns.fetch_max(gap.ns(), Ordering::Relaxed);
        self.newest_start.store(gap.start.0, Ordering::Relaxed);
        self.newest_end.store(gap.end.0, Ordering::Release);
        // Release: a reader that sees the number also sees what it counts.
        self.count.store(count + 1, Ordering::Release);
    }

    /// Whether the newest gap overlaps a time. Older ones are not asked: what is taken for outside
    /// of all gaps although it was not makes a tail longer, never shorter.
    #[inline]
    pub fn covers(&self, start: Nanos, end: Nanos) -> bool {
        let newest_end = self.newest_end.load(Ordering::Acquire);
        start.0 < newest_end && self.newest_start.load(Ordering::Relaxed) < end.0
    }

    /// All of them so far.
    pub fn counts(&self) -> GapCounts {
        GapCounts {
            count: self.count.load(Ordering::Acquire),
            total_ns: self.total_ns.load(Ordering::Relaxed),
            longest_ns: self.longest_ns.load(Ordering::Relaxed),
            switches: self.switches.load(Ordering::Relaxed),
        }
    }

    /// The last thousand or so, in the order of time.
    pub fn recent(&self) -> Vec<Gap> {
        let count = self.count.load(Ordering::Acquire);
        let read = |number: u64| {
            let entry = &self.recent[number as usize % GAPS_KEPT];
            let [start, end, switches] = [0, 1, 2].map(|at| entry[at].load(Ordering::Relaxed));
            (number, Gap { start: Nanos(start), end: Nanos(end), switches })
        };
        let oldest = count.saturating_sub(GAPS_KEPT as u64);
        let read: Vec<_> = (oldest..count).map(read).collect();
        // Leaves out gaps whose place may have been taken meanwhile, also by one under way.
        fence(Ordering::Acquire);
        let newest = self.count.load(Ordering::Relaxed);
        let whole = (newest + 1).saturating_sub(GAPS_KEPT as u64);
        read.into_iter().filter(|(number, _)| *number >= whole).map(|(_, gap)| gap).collect()
    }
}

impl Default for SharedGaps {
    fn default() -> Self {
        Self::new()
    }
}

/// How often the scheduler has taken the CPU from the calling thread, since the thread began.
/// A system call: only for turns with a gap.
#[cold]
fn involuntary_switches() -> u64 {
    // SAFETY: all bytes zero are a valid value of this structure of numbers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live local of the type that the call fills.
    let done = unsafe { libc::getrusage(libc::RUSAGE_THREAD, &mut usage) } == 0;
    if done { u64::try_from(usage.ru_nivcsw).unwrap_or(0) } else { 0 }
}

/// Gaps that are readable one by one: more than there are between two reads.
const GAPS_KEPT: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(start: u64, end: u64) -> Gap {
        Gap { start: Nanos(start), end: Nanos(end), switches: 1 }
    }

    #[test]
    fn what_was_published_is_read() {
        let gaps = SharedGaps::new();
        assert_eq!((gaps.counts(), gaps.recent()), (GapCounts::default(), Vec::new()));
        assert!(!gaps.covers(Nanos::ZERO, Nanos::MAX));
        let gaps_of = [gap(100, 200), gap(300, 600)];
        gaps_of.into_iter().for_each(|gap| gaps.publish(gap));
        let counts = GapCounts { count: 2, total_ns: 400, longest_ns: 300, switches: 2 };
        assert_eq!(gaps.counts(), counts);
        assert_eq!(gaps.recent(), gaps_of);
        assert!(gaps.covers(Nanos(599), Nanos(900)) && gaps.covers(Nanos(0), Nanos(301)));
        assert!(!gaps.covers(Nanos(600), Nanos(900)) && !gaps.covers(Nanos(0), Nanos(300)));
    }

    #[test]
    fn the_oldest_make_room_for_the_newest() {
        let gaps = SharedGaps::new();
        let count = 3 * GAPS_KEPT as u64 + 7;
        (0..count).for_each(|number| gaps.publish(gap(number, number + 1)));
        let recent = gaps.recent();
        assert_eq!((gaps.counts().count, recent.len()), (count, GAPS_KEPT - 1));
        assert_eq!(recent.last(), Some(&gap(count - 1, count)));
        assert!(recent.windows(2).all(|pair| pair[0].start.0 + 1 == pair[1].start.0));
    }

    #[test]
    fn a_reader_never_sees_half_a_gap() {
        let gaps = SharedGaps::new();
        std::thread::scope(|scope| {
            scope.spawn(|| (0..200_000).for_each(|number| gaps.publish(gap(number, 2 * number))));
            while gaps.counts().count < 200_000 {
                assert!(gaps.recent().iter().all(|gap| gap.end.0 == 2 * gap.start.0));
            }
        });
    }
}
