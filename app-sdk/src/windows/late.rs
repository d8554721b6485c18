//! Late: what becomes of events whose windows may have closed.

/// What becomes of an event that comes when its window may have closed, by the own watermark of its
/// connection: see [`Stream::event_time`](crate::stream::Stream::event_time). Sliding windows: when
/// the first one of those may have that contain it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Late {
    /// It goes to the dead letters, with the reason
    /// [`LATE_FOR_WINDOWS`](crate::stream::LATE_FOR_WINDOWS).
    #[default]
    Drop,
    /// It is shown at once in a window of its own, with [`Firing::Late`](super::Firing::Late) and
    /// the time of the event.
    Fire,
    /// It counts as one of the earliest time whose windows are open.
    Oldest,
}
