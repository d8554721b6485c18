//! What one core publishes to the control plane: counters and latencies with one writer.
//!
//! The core counts in plain numbers and copies them out when it becomes idle, and while it is busy
//! once in some turns.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use potoroo_runtime::{GAP_NS, Gap, LatencyArray, Nanos, SharedGaps, SharedLatency};
use potoroo_sdk::host::SourceId;
use potoroo_sdk::plan::Plan;

use super::counts::{Counts, LateCounts, SinkCounts, SourceCounts};
use super::gauges::Gauges;
use super::time_gauges::TimeGauges;

/// The shared form of [`Counts`]: written by one core, read by any thread.
pub struct SharedCounts {
    cells: Box<[AtomicU64]>,
    shape: (usize, usize, usize),
    /// All sources of the core have ended and nothing waits on it.
    quiet: AtomicBool,
    /// For which hold nothing is under way on the core; 0 for none.
    drained: AtomicU64,
    /// By source: connections closed because they did not take their replies.
    stalled: Box<[AtomicU64]>,
    /// What the core is doing and waits for.
    pub gauges: Arc<Gauges>,
    /// How far time has come.
    pub times: TimeGauges,
    /// Latencies by path, in the order of [`Plan::paths`].
    pub paths: Vec<SharedLatency>,
    /// Those of them during which some core had a gap.
    inside: Vec<SharedLatency>,
    /// Of all cores of this node, and which of them is this core's.
    gaps: Arc<[SharedGaps]>,
    own_gaps: usize,
}

const CORE_CELLS: usize = 6;

impl SharedCounts {
    /// All zero, shaped for `plan`.
    // cold: at start
    pub fn new(plan: &Plan) -> Self {
        let shape = (plan.sources.len(), plan.sinks.len(), plan.tables.len());
        let cells = CORE_CELLS + 4 * shape.0 + 3 * shape.1 + 4 * shape.2;
        Self {
            cells: (0..cells).map(|_| AtomicU64::new(0)).collect(),
            shape,
            quiet: AtomicBool::new(false),
            drained: AtomicU64::new(0),
            gauges: Arc::new(Gauges::new(plan)),
            times: TimeGauges::new(plan),
            stalled: plan.sources.iter().map(|_| AtomicU64::new(0)).collect(),
            paths: plan.paths.iter().map(|_| SharedLatency::new()).collect(),
            inside: plan.paths.iter().map(|_| SharedLatency::new()).collect(),
            gaps: Arc::new([]),
            own_gaps: 0,
        }
    }

    /// The same for the core with this number on its node: it publishes its gaps to its place in
    /// `gaps`, those of all cores of the node.
    #[must_use]
    // cold: at start
    pub fn with_gaps(self, core: usize, gaps: Arc<[SharedGaps]>) -> Self {
        Self { gaps, own_gaps: core, ..self }
    }

    /// For a core that begins: its counts are those of the core before it that counted here, but
    /// for its tables and the frames in its lanes. No other core may count here.
    // cold: at start
    pub(super) fn begin(&self) -> Counts {
        let mut counts = Counts { frames_sent: 0, frames_received: 0, ..self.read() };
        counts.tables.fill((0, 0));
        self.write(&counts);
        self.set_quiet(false);
        self.set_drained(0);
        self.gauges.set_free();
        counts
    }

    pub(crate) fn write(&self, counts: &Counts) {
        let mut cells = self.cells.iter();
        counts.each(|value| {
            let cell = cells.next().expect("counts have the shape of their tally");
            cell.store(value, Ordering::Relaxed);
        });
    }

    /// Counts events that ended `now`.
    #[inline]
    pub(super) fn record(&self, path: u16, ingress_ns: u64, now: Nanos, count: u64) {
        let ns = now.0.saturating_sub(ingress_ns);
        self.paths[usize::from(path)].record_n(ns, count);
        // A shorter one can only have met an edge of a gap: it stays in no tail.
        if ns > GAP_NS {
            self.record_inside(path, ingress_ns, now, count);
        }
    }

    #[inline(never)]
    fn record_inside(&self, path: u16, ingress_ns: u64, now: Nanos, count: u64) {
        if self.gaps.iter().any(|gaps| gaps.covers(Nanos(ingress_ns), now)) {
            self.inside[usize::from(path)].record_n(now.0.saturating_sub(ingress_ns), count);
        }
    }

    /// The core, which alone may say so, had a gap.
    #[cold]
    pub(super) fn tell_gap(&self, gap: Gap) {
        if let Some(gaps) = self.gaps.get(self.own_gaps) {
            gaps.publish(gap);
        }
    }

    /// Release: a reader that sees the core quiet also sees the counts that made it so.
    pub(super) fn set_quiet(&self, quiet: bool) {
        self.quiet.store(quiet, Ordering::Release);
    }

    /// Whether the core's sources have ended and nothing waits on it. May be stale.
    pub fn quiet(&self) -> bool {
        self.quiet.load(Ordering::Acquire)
    }

    /// Release, as above.
    pub(super) fn set_drained(&self, hold: u64) {
        self.drained.store(hold, Ordering::Release);
    }

    /// For which hold nothing is under way on the core, 0 for none: see [`Core::hold_for_nodes`].
    /// May be stale.
    ///
    /// [`Core::hold_for_nodes`]: super::Core::hold_for_nodes
    pub fn drained(&self) -> u64 {
        self.drained.load(Ordering::Acquire)
    }

    #[cold]
    pub(super) fn count_stalled(&self, source: SourceId) {
        self.stalled[source.0 as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Connections of the source at `index` that were closed because they did not take their
    /// replies.
    pub fn stalled(&self, index: usize) -> u64 {
        self.stalled[index].load(Ordering::Relaxed)
    }

    /// The counters as last written.
    // cold: asked by the control plane
    pub fn read(&self) -> Counts {
        let mut cells = self.cells.iter().map(|cell| cell.load(Ordering::Relaxed));
        let mut next = || cells.next().expect("the tally has the shape that it was made with");
        let (sources, sinks, tables) = self.shape;
        Counts {
            turns_worked: next(),
            turns_blocked: next(),
            frames_sent: next(),
            frames_received: next(),
            frames_local: next(),
            replies_lost: next(),
            sources: (0..sources)
                .map(|_| SourceCounts {
                    events: next(),
                    bytes: next(),
                    refused: next(),
                    overdue: next(),
                })
                .collect(),
            sinks: (0..sinks)
                .map(|_| SinkCounts { events: next(), bytes: next(), waits: next() })
                .collect(),
            tables: (0..tables).map(|_| (next(), next())).collect(),
            late: (0..tables).map(|_| LateCounts { events: next(), by_ns_max: next() }).collect(),
            left: 0,
        }
    }

    /// Latencies of the path at `index`, as last written.
    pub fn path(&self, index: usize) -> LatencyArray {
        self.paths[index].read()
    }

    /// Those of them during which some core had a gap.
    pub fn path_inside(&self, index: usize) -> LatencyArray {
        self.inside[index].read()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use potoroo_sdk::codec::LineText;

    #[test]
    fn an_event_is_inside_when_any_core_had_a_gap_meanwhile() {
        let app = potoroo_sdk::Application::new("none");
        app.source("in", LineText::new()).sink("out", LineText::new());
        let gaps: Arc<[SharedGaps]> = [SharedGaps::new(), SharedGaps::new()].into();
        let tally = SharedCounts::new(&app.plan().expect("it is sound")).with_gaps(1, gaps);
        tally.record(0, 100, Nanos(50_100), 3);
        tally.tell_gap(Gap { start: Nanos(100_000), end: Nanos(140_000), switches: 0 });
        tally.record(0, 110_000, Nanos(150_000), 2);
        tally.record(0, 141_000, Nanos(190_000), 1);
        // Shorter than any gap.
        tally.record(0, 130_000, Nanos(150_000), 1);
        assert_eq!((tally.path(0).count(), tally.path_inside(0).count()), (7, 2));
        assert_eq!(tally.path_inside(0).ns_max(), 40_000);
    }
}
