//! A take: the latencies of one slice, counted by interval, with what fell into gaps apart.
//!
//! [`Tape`] is the hot side: a few compares and one addition per event, everything allocated and
//! touched before the clock starts. [`Take`] is what came of it. An event lies in a gap when a
//! watched loop stood still at some time between its intended departure and its end; it is counted
//! like any other and once more by itself, so that the tail without gaps is a subtraction and the
//! tail as it was stays whole.

use crate::gaps::{CoreGaps, LoopGap, Watch};
use crate::recorder::Recorder;

/// Records one slice.
#[derive(Debug)]
pub struct Tape {
    watch: Watch,
    intervals: Vec<Cells>,
    current: usize,
    interval_ns: u64,
    /// When the current interval is over; the last one never is.
    end_ns: u64,
    begin_ns: u64,
    /// The event before: its gaps are known for certain only now.
    before: (u64, u64),
}

#[derive(Clone, Debug)]
struct Cells {
    all: Recorder,
    inside: Recorder,
}

impl Tape {
    /// A tape for a slice that is to take `slice_ns`, judged by the gaps that `watch` sees.
    pub fn new(slice_ns: u64, watch: &Watch) -> Self {
        let count = (slice_ns / INTERVAL_NS_MIN).clamp(1, INTERVALS_MAX);
        let cells = Cells { all: Recorder::new(), inside: Recorder::new() };
        Self {
            watch: watch.clone(),
            intervals: vec![cells; count as usize],
            current: 0,
            interval_ns: slice_ns.div_ceil(count).max(1),
            end_ns: u64::MAX,
            begin_ns: 0,
            before: (0, 0),
        }
    }

    /// The clock starts: call it right before the loop.
    pub fn begin(&mut self, now_ns: u64) {
        self.begin_ns = now_ns;
        self.end_ns = self.end_of(0);
    }

    /// Counts one event: from its intended departure (open loop) or its departure (closed loop)
    /// to its end. A start after the end counts as no latency.
    #[inline]
    pub fn record(&mut self, start_ns: u64, end_ns: u64) {
        self.settle();
        if end_ns >= self.end_ns {
            self.turn(end_ns);
        }
        self.intervals[self.current].all.record(end_ns.saturating_sub(start_ns));
        self.before = (start_ns, end_ns);
    }

    /// Counts one event of which it is known whether a gap touched it.
    fn record_judged(&mut self, start_ns: u64, end_ns: u64, touched: bool) {
        self.record(start_ns, end_ns);
        self.before = (u64::MAX, 0);
        if touched {
            self.settle_inside(end_ns - start_ns);
        }
    }

    /// Ends the slice.
    pub fn finish(mut self) -> Take {
        self.settle();
        let (begin_ns, interval_ns) = (self.begin_ns, self.interval_ns);
        let interval = |(index, cells): (usize, Cells)| {
            let start_ns = begin_ns + index as u64 * interval_ns;
            (start_ns, interval_ns, cells)
        };
        let mut take = Take::default();
        for (start_ns, interval_ns, cells) in self.intervals.into_iter().enumerate().map(interval) {
            take.push(start_ns, interval_ns, &cells.all, &cells.all.without(&cells.inside));
        }
        take
    }

    /// Looks whether the event before fell into a gap, which its loop has reported by now.
    #[inline]
    fn settle(&mut self) {
        let (start_ns, end_ns) = self.before;
        if self.watch.covers(start_ns, end_ns) {
            self.settle_inside(end_ns.saturating_sub(start_ns));
        }
        self.before = (u64::MAX, 0);
    }

    #[cold]
    fn settle_inside(&mut self, latency_ns: u64) {
        self.intervals[self.current].inside.record(latency_ns);
    }

    #[cold]
    fn turn(&mut self, now_ns: u64) {
        let index = (now_ns - self.begin_ns) / self.interval_ns;
        self.current = usize::try_from(index).map_or(usize::MAX, |index| index);
        self.current = self.current.min(self.intervals.len() - 1);
        self.end_ns = self.end_of(self.current);
    }

    fn end_of(&self, index: usize) -> u64 {
        let last = index + 1 == self.intervals.len();
        if last { u64::MAX } else { self.begin_ns + (index as u64 + 1) * self.interval_ns }
    }
}

/// The latencies of one slice.
#[derive(Clone, Debug, Default)]
pub struct Take {
    /// In the order of time, without a pause between them.
    pub intervals: Vec<TakeInterval>,
    /// One entry per watched loop; empty when no loop was watched.
    pub gaps: Vec<CoreGaps>,
    all: Recorder,
}

/// A part of a slice: values in nanoseconds with their counts, in rising order.
#[derive(Clone, Debug, PartialEq)]
pub struct TakeInterval {
    /// On the clock of `stamp`.
    pub start_ns: u64,
    /// Its length.
    pub length_ns: u64,
    /// All events that ended in it.
    pub all: Vec<(u64, u64)>,
    /// Those that no gap touched.
    pub outside: Vec<(u64, u64)>,
}

impl Take {
    /// Adds an interval that was counted elsewhere, such as by an engine.
    pub fn push(&mut self, start_ns: u64, length_ns: u64, all: &Recorder, outside: &Recorder) {
        self.all.merge(all);
        let (all, outside) = (all.steps(), outside.steps());
        self.intervals.push(TakeInterval { start_ns, length_ns, all, outside });
    }

    /// A closed loop that ended events at these moments, each of which began the next one. Judged
    /// by gaps that became known after it: some of them were reported by another process.
    pub fn of_moments(moments: &[u64], gaps: Vec<CoreGaps>) -> Self {
        let mut take = Self { gaps, ..Self::default() };
        let [start_ns, .., end_ns] = *moments else { return take };
        let mut listed: Vec<&LoopGap> = take.gaps.iter().flat_map(|core| &core.gaps).collect();
        listed.sort_by_key(|gap| gap.end_ns);
        let watch = Watch::new(0);
        let mut tape = Tape::new(end_ns - start_ns, &watch);
        tape.begin(start_ns);
        for trip in moments.windows(2) {
            let (start_ns, end_ns) = (trip[0], trip[1]);
            // The first one that ends after the start is the only one that can touch the trip.
            let at = listed.partition_point(|gap| gap.end_ns <= start_ns);
            let touched = listed.get(at).is_some_and(|gap| gap.start_ns < end_ns);
            tape.record_judged(start_ns, end_ns, touched);
        }
        take.append(tape.finish());
        take
    }

    fn append(&mut self, other: Self) {
        self.all.merge(&other.all);
        self.intervals.extend(other.intervals);
    }

    /// Adds the gaps of watched loops.
    #[must_use]
    pub fn with_gaps(mut self, gaps: impl IntoIterator<Item = CoreGaps>) -> Self {
        self.gaps.extend(gaps);
        self
    }

    /// All events of the slice.
    pub fn all(&self) -> &Recorder {
        &self.all
    }

    /// Number of events.
    pub fn count(&self) -> u64 {
        self.all.count()
    }

    /// As [`Recorder::quantile`], of all events.
    pub fn quantile(&self, fraction: f64) -> f64 {
        self.all.quantile(fraction)
    }
}

/// Shorter intervals would have too few events for their own percentiles.
const INTERVAL_NS_MIN: u64 = 10_000_000;
/// Most intervals of a slice: what the tape takes of the cache grows with it.
const INTERVALS_MAX: u64 = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use potoroo_runtime::GAP_NS;

    #[test]
    fn events_are_counted_in_the_interval_of_their_end() {
        let mut tape = Tape::new(40_000_000, &Watch::new(0));
        tape.begin(1000);
        tape.record(1000, 1100);
        tape.record(1000, 10_001_000);
        // After the end of the slice: in the last interval.
        tape.record(90_000_000, 90_000_007);
        let take = tape.finish();
        let counts: Vec<_> = take.intervals.iter().map(|interval| interval.all.len()).collect();
        assert_eq!(counts, [1, 1, 0, 1]);
        assert_eq!(take.intervals[0].all, [(100, 1)]);
        assert_eq!(take.intervals[1].start_ns, 10_001_000);
        assert_eq!((take.count(), take.quantile(0.1)), (3, 7.0));
    }

    #[test]
    fn gaps_that_are_known_later_judge_a_closed_loop() {
        let gap = |start_ns, end_ns| LoopGap { start_ns, end_ns, switches: 0 };
        let ours =
            CoreGaps::reported("ask", 0, 1_000_000, [gap(250, 60_250), gap(200_100, 240_100)]);
        let theirs = CoreGaps::reported("answer", 0, 1_000_000, [gap(70_000, 100_000)]);
        let moments = [100, 200, 300, 60_400, 60_500, 70_001, 100_001, 200_100, 200_200];
        let take = Take::of_moments(&moments, vec![ours, theirs]);
        assert_eq!((take.count(), take.gaps.len()), (8, 2));
        let outside =
            |take: &Take| take.intervals.iter().flat_map(|it| it.outside.clone()).collect();
        let outside: Vec<(u64, u64)> = outside(&take);
        // Of 200-300, 300-60400, 60500-70001, 70001-100001 and 200100-200200 a gap took a part.
        assert_eq!(outside.iter().map(|step| step.1).sum::<u64>(), 3);
        assert_eq!(outside[0], (100, 2));
        assert_eq!(Take::of_moments(&[5], Vec::new()).count(), 0);
    }

    #[test]
    fn what_a_gap_touched_is_counted_apart() {
        let watch = Watch::new(1);
        let mut log = watch.log(0, "load");
        let mut tape = Tape::new(10_000_000, &watch);
        tape.begin(0);
        log.begin(0);
        tape.record(0, 100);
        // The log reports the gap after the event was recorded, before the next one is.
        tape.record(200, 200 + 2 * GAP_NS);
        log.see(100 + 2 * GAP_NS);
        tape.record(200 + 2 * GAP_NS, 300 + 2 * GAP_NS);
        let take = tape.finish().with_gaps([log.finish()]);
        assert_eq!(take.intervals[0].all, [(100, 2), (2 * GAP_NS, 1)]);
        assert_eq!(take.intervals[0].outside, [(100, 2)]);
        assert_eq!(take.gaps[0].gaps.len(), 1);
    }
}
