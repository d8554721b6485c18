//! What a node knows of the time in which its lease did not stand.

use std::time::Instant;

/// What a node knows of the time in which its lease did not stand.
#[derive(Default)]
pub(super) struct Suspension {
    /// Since when it does not stand.
    pub(super) since: Option<Instant>,
    /// It did not since the generation began.
    pub(super) was: bool,
    /// No try to go on before.
    pub(super) not_before: Option<Instant>,
    /// Since when another session has a key of this node.
    pub(super) taken: Option<Instant>,
}
