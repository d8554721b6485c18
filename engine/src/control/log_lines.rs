//! Lines of the log that others can cause: of each kind some are left out, and counted.

use crate::connect::lines::LineLimiter;

/// Lines of the log that the other side can cause, by kind.
#[derive(Default)]
pub(super) struct LinesByKind {
    pub(super) refused: LineLimiter,
    pub(super) stalled: LineLimiter,
    pub(super) closed: LineLimiter,
    pub(super) letters: LineLimiter,
}

impl LinesByKind {
    /// What was left out since the last line of its kind, if anything was.
    pub(super) fn left_out(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let Self { refused, stalled, closed, letters } = self;
        let kinds = [
            ("clients that were refused", refused),
            ("connections that were closed because they did not read", stalled),
            ("connections and files that were closed", closed),
            ("events that were refused", letters),
        ];
        kinds.map(|(kind, lines)| (kind, lines.left_out())).into_iter().filter(|one| one.1 > 0)
    }
}
