//! Latency counts: log-linear cells, cheap enough to record every single time.
//!
//! Owns the mapping between nanoseconds and cells, and two forms of it: [`LatencyArray`] for one
//! thread, [`SharedLatency`] for one writer and any number of readers. Promises a relative error
//! below 3.2 %, or half of that for the middles of cells, which snapshots use; smallest and
//! largest value are kept exactly. It must never branch on the value or build a report on the
//! recording side.
//!
//! ```text
//! ns      0 .. 63   64 .. 127   128 .. 255   ...   2^39 .. 2^40 - 1 (18 minutes)
//! cells     64          32           32      ...           32
//! width      1           2            4      ...          2^34
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hdrhistogram::Histogram;

/// Largest latency with a bucket of its own, in nanoseconds: about 18 minutes. Larger ones count as
/// it.
pub const LATENCY_NS_MAX: u64 = (1 << RANGE_BITS) - 1;

/// Counts of latencies, written and read by one thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatencyArray {
    cells: Box<[u64; CELLS]>,
    ns_min: u64,
    ns_max: u64,
}

impl LatencyArray {
    /// Nothing recorded. Takes 9 KiB.
    pub fn new() -> Self {
        Self { cells: Box::new([0; CELLS]), ns_min: u64::MAX, ns_max: 0 }
    }

    /// Counts one latency in nanoseconds.
    #[inline]
    pub fn record(&mut self, ns: u64) {
        self.record_n(ns, 1);
    }

    /// Counts the same latency `count` times.
    #[inline]
    pub fn record_n(&mut self, ns: u64, count: u64) {
        let ns = ns.min(LATENCY_NS_MAX);
        self.cells[cell(ns)] += count;
        self.ns_min = self.ns_min.min(ns);
        self.ns_max = self.ns_max.max(ns);
    }

    /// Adds everything that `other` counted.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.cells.iter_mut().zip(other.cells.iter()) {
            *mine += theirs;
        }
        self.ns_min = self.ns_min.min(other.ns_min);
        self.ns_max = self.ns_max.max(other.ns_max);
    }

    /// What is left without the counts of `part`, which are among these. Smallest and largest value
    /// are then known to their cells only.
    #[must_use]
    pub fn without(&self, part: &Self) -> Self {
        let mut left = self.clone();
        for (mine, theirs) in left.cells.iter_mut().zip(part.cells.iter()) {
            // The part may have been read later.
            *mine = mine.saturating_sub(*theirs);
        }
        let used = |count: &u64| *count > 0;
        left.ns_min = left.cells.iter().position(used).map_or(u64::MAX, cell_middle);
        left.ns_max = left.cells.iter().rposition(used).map_or(0, cell_middle);
        left
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.cells.fill(0);
        self.ns_min = u64::MAX;
        self.ns_max = 0;
    }

    /// How many latencies were counted.
    pub fn count(&self) -> u64 {
        self.cells.iter().sum()
    }

    /// The sum of all latencies in nanoseconds, each as the middle of its cell.
    pub fn ns_sum(&self) -> u64 {
        let of_cell = |(cell, count): (usize, &u64)| cell_middle(cell).saturating_mul(*count);
        self.cells.iter().enumerate().map(of_cell).fold(0, u64::saturating_add)
    }

    /// Smallest latency in nanoseconds, exact; `None` if nothing was counted.
    pub fn ns_min(&self) -> Option<u64> {
        (self.ns_min != u64::MAX).then_some(self.ns_min)
    }

    /// Largest latency in nanoseconds, exact up to [`LATENCY_NS_MAX`]; zero if nothing was counted.
    pub fn ns_max(&self) -> u64 {
        self.ns_max
    }

    /// A histogram of three digits over what was counted. Each cell stands at its middle, clamped
    /// to the exact smallest and largest value. Allocates: not for the path of a turn.
    pub fn snapshot(&self) -> Histogram<u64> {
        let mut histogram = Histogram::new_with_bounds(1, LATENCY_NS_MAX, DIGITS)
            .expect("bounds and digits are valid constants");
        let mut cells = self.cells.clone();
        for exact in [self.ns_max, self.ns_min] {
            // One of the counts in that cell is known exactly; a single count is both extremes.
            let count = &mut cells[cell(exact.min(LATENCY_NS_MAX))];
            if *count > 0 {
                *count -= 1;
                snapshot_record(&mut histogram, exact, 1);
            }
        }
        for (index, &count) in cells.iter().enumerate().filter(|(_, count)| **count > 0) {
            let ns = cell_middle(index).clamp(self.ns_min, self.ns_max);
            snapshot_record(&mut histogram, ns, count);
        }
        histogram
    }
}

impl Default for LatencyArray {
    fn default() -> Self {
        Self::new()
    }
}

/// Counts of latencies with one writing core, read by others while it writes. Clones share them.
///
/// Recording is load and store without a locked instruction: two writers would lose counts.
#[derive(Clone, Debug)]
pub struct SharedLatency {
    cells: Arc<SharedCells>,
}

#[derive(Debug)]
struct SharedCells {
    counts: Box<[AtomicU64]>,
    ns_min: AtomicU64,
    ns_max: AtomicU64,
}

impl SharedLatency {
    /// Nothing recorded.
    pub fn new() -> Self {
        let counts = (0..CELLS).map(|_| AtomicU64::new(0)).collect();
        let ns_min = AtomicU64::new(u64::MAX);
        let ns_max = AtomicU64::new(0);
        Self { cells: Arc::new(SharedCells { counts, ns_min, ns_max }) }
    }

    /// Counts one latency in nanoseconds. Only the owning thread may call it.
    #[inline]
    pub fn record(&self, ns: u64) {
        self.record_n(ns, 1);
    }

    /// Counts the same latency `count` times. Only the owning thread may call it.
    #[inline]
    pub fn record_n(&self, ns: u64, count: u64) {
        let ns = ns.min(LATENCY_NS_MAX);
        let cells = &*self.cells;
        let counted = &cells.counts[cell(ns)];
        counted.store(counted.load(Ordering::Relaxed) + count, Ordering::Relaxed);
        // Seldom true, so the lines of the extremes are read and not written.
        if ns < cells.ns_min.load(Ordering::Relaxed) {
            cells.ns_min.store(ns, Ordering::Relaxed);
        }
        if ns > cells.ns_max.load(Ordering::Relaxed) {
            cells.ns_max.store(ns, Ordering::Relaxed);
        }
    }

    /// A copy of the counts; what is recorded meanwhile may or may not be in it.
    pub fn read(&self) -> LatencyArray {
        let mut array = LatencyArray::new();
        for (copy, count) in array.cells.iter_mut().zip(self.cells.counts.iter()) {
            *copy = count.load(Ordering::Relaxed);
        }
        if array.cells.iter().any(|&count| count > 0) {
            // A count may be seen before its extremes; then the cells give them.
            let (low, high) = cells_range(&array.cells);
            array.ns_min = self.cells.ns_min.load(Ordering::Relaxed).min(high);
            array.ns_max = self.cells.ns_max.load(Ordering::Relaxed).max(low);
        }
        array
    }

    /// As [`LatencyArray::snapshot`], of a copy.
    pub fn snapshot(&self) -> Histogram<u64> {
        self.read().snapshot()
    }
}

impl Default for SharedLatency {
    fn default() -> Self {
        Self::new()
    }
}

/// The cell of a value up to `LATENCY_NS_MAX`.
#[inline]
fn cell(ns: u64) -> usize {
    let shift = (ns | SUB_CELLS).ilog2() - SUB_CELL_BITS;
    ((u64::from(shift) << SUB_CELL_BITS) + (ns >> shift)) as usize
}

/// Smallest value of a cell and the number of values in it.
fn cell_range(index: usize) -> (u64, u64) {
    let index = index as u64;
    let shift = (index >> SUB_CELL_BITS).saturating_sub(1);
    ((index - (shift << SUB_CELL_BITS)) << shift, 1 << shift)
}

fn cell_middle(index: usize) -> u64 {
    let (low, width) = cell_range(index);
    low + width / 2
}

/// Bounds for the smallest and the largest counted value, from the cells alone.
fn cells_range(cells: &[u64; CELLS]) -> (u64, u64) {
    let used = |count: &u64| *count > 0;
    let first = cells.iter().position(used).unwrap_or(0);
    let last = cells.iter().rposition(used).unwrap_or(0);
    let (low, width) = cell_range(first);
    (cell_range(last).0, low + width - 1)
}

fn snapshot_record(histogram: &mut Histogram<u64>, ns: u64, count: u64) {
    histogram.record_n(ns, count).expect("cells end below the histogram's bound");
}

/// 32 cells per power of two bound the relative error to 1/32.
const SUB_CELL_BITS: u32 = 5;
const SUB_CELLS: u64 = 1 << SUB_CELL_BITS;
const RANGE_BITS: u32 = 40;
const CELLS: usize = ((RANGE_BITS - SUB_CELL_BITS + 1) << SUB_CELL_BITS) as usize;
const DIGITS: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_contiguous_and_narrow() {
        let mut next = 0;
        for index in 0..CELLS {
            let (low, width) = cell_range(index);
            assert_eq!(low, next);
            assert_eq!(cell(low), index);
            assert_eq!(cell(low + width - 1), index);
            assert!((width - 1) * SUB_CELLS <= low.max(1), "wider than 3.2 % at {low}");
            next = low + width;
        }
        assert_eq!(next, LATENCY_NS_MAX + 1);
    }

    #[test]
    fn percentiles_agree_with_a_fine_histogram() {
        let mut array = LatencyArray::new();
        let mut fine = Histogram::<u64>::new_with_bounds(1, LATENCY_NS_MAX, DIGITS).expect("valid");
        let mut seed = 7_u64;
        for _ in 0..100_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let ns = (seed >> 40) >> (seed % 20);
            array.record(ns);
            fine.record(ns).expect("in bounds");
        }
        let coarse = array.snapshot();
        assert_eq!(coarse.len(), fine.len());
        assert_eq!(coarse.min(), fine.min());
        assert_eq!(coarse.max(), fine.max());
        for percent in [1.0, 10.0, 50.0, 90.0, 99.0, 99.9, 99.99] {
            let (coarse, fine) =
                (coarse.value_at_percentile(percent), fine.value_at_percentile(percent));
            assert!(coarse.abs_diff(fine) as f64 <= 0.033 * fine as f64 + 1.0, "{coarse} {fine}");
        }
    }

    #[test]
    fn extremes_are_exact_and_values_beyond_the_range_count_as_its_end() {
        let mut array = LatencyArray::new();
        assert_eq!((array.ns_min(), array.ns_max(), array.count()), (None, 0, 0));
        assert_eq!(array.snapshot().len(), 0);
        array.record(1_000_001);
        assert_eq!(array.snapshot().len(), 1);
        array.record_n(u64::MAX, 2);
        array.record(0);
        assert_eq!((array.ns_min(), array.ns_max()), (Some(0), LATENCY_NS_MAX));
        assert_eq!(array.snapshot().len(), 4);
    }

    #[test]
    fn merging_equals_recording_everything_in_one() {
        let (mut left, mut right, mut both) =
            (LatencyArray::new(), LatencyArray::new(), LatencyArray::new());
        for ns in 0..5000 {
            let half = if ns % 3 == 0 { &mut left } else { &mut right };
            half.record(ns * ns);
            both.record(ns * ns);
        }
        left.merge(&right);
        assert_eq!(left, both);
        both.clear();
        assert_eq!(both, LatencyArray::new());
    }

    #[test]
    fn a_part_can_be_taken_away_again() {
        let (mut all, mut part, mut rest) =
            (LatencyArray::new(), LatencyArray::new(), LatencyArray::new());
        for ns in (1..500_000).step_by(77) {
            all.record(ns);
            let into = if ns % 5 == 0 { &mut part } else { &mut rest };
            into.record(ns);
        }
        let left = all.without(&part);
        assert_eq!(left.cells, rest.cells);
        let range = cell_range(cell(rest.ns_max));
        assert!((range.0..range.0 + range.1).contains(&left.ns_max()));
        assert_eq!(part.without(&part), LatencyArray::new());
        assert_eq!(rest.without(&all).count(), 0);
    }

    #[test]
    fn the_shared_form_counts_the_same() {
        let shared = SharedLatency::new();
        let reader = shared.clone();
        let mut array = LatencyArray::new();
        for ns in (0..1_000_000).step_by(777) {
            shared.record(ns);
            array.record(ns);
        }
        assert_eq!(reader.read(), array);
        assert_eq!(SharedLatency::new().read(), LatencyArray::new());
    }
}
