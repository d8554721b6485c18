//! What checkpoints cost a core: figures that its driver counts.

/// What a core's part of a checkpoint cost its events, in whole nanoseconds. Figures without `own`
/// in their name include gaps, in which the operating system ran something else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct PartCost {
    /// The longest slice.
    pub slice_ns_max: u64,
    /// The same without gaps.
    pub slice_own_ns_max: u64,
    /// Events that had come when a slice ended: they may have waited for it.
    pub events_delayed: u64,
    /// The longest slice after which an event was found.
    pub delay_ns_max: u64,
    /// The same without gaps.
    pub delay_own_ns_max: u64,
}

impl PartCost {
    /// Adds what the parts of other cores, or other checkpoints, cost.
    pub fn add(&mut self, other: &Self) {
        self.slice_ns_max = self.slice_ns_max.max(other.slice_ns_max);
        self.slice_own_ns_max = self.slice_own_ns_max.max(other.slice_own_ns_max);
        self.events_delayed += other.events_delayed;
        self.delay_ns_max = self.delay_ns_max.max(other.delay_ns_max);
        self.delay_own_ns_max = self.delay_own_ns_max.max(other.delay_own_ns_max);
    }
}
