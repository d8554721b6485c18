//! What an application did: counts and latencies, as data first, then as text and as JSON.
//!
//! Owns the form of every report, so that the summary, the progress line and the admin port say
//! the same thing in the same words. It never measures anything: its callers fill a
//! [`Snapshot`] in.

mod figures;

mod json;
mod text;

mod progress;

mod host;

#[cfg(test)]
mod agreement;
#[cfg(test)]
mod example;

#[cfg(test)]
pub(super) use example::{example, example_cluster, example_core};
pub(super) use figures::per_second;
pub use figures::{
    CheckpointSummary, CoreStatus, GapSummary, Held, LateSummary, PathSummary, QUANTILES,
    SinkSummary, Snapshot, SourceSummary, StageSummary, Status, StopReason, Summary, TableSummary,
    TimeSummary, WatermarkSummary,
};
pub use host::host_label;
pub use progress::progress_line;
pub(super) use text::thousands;
