//! The last checkpoint of a run: one state machine, which the storage thread owns and the
//! supervisor reads.
//!
//! ```text
//!   NotAsked ─► Asked ─► UnderWay ─► Committed ─► Visible
//!                 ▲          │
//!                 └──────────┘ aborted: tried again until the time to drain is over
//!
//!   any of them ─► Failed: no further checkpoint can be made
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use crate::checkpoint::Epoch;

/// Where the last checkpoint of a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::control) enum LastStage {
    /// Events may still come.
    NotAsked,
    /// It begins after the one that is under way.
    Asked,
    /// It is being made.
    UnderWay,
    /// It is committed, and not all of its output is visible.
    Committed,
    /// It is committed, and its output is visible.
    Visible,
    /// Another process has taken over, or the storage thread cannot go on.
    Failed,
}

impl LastStage {
    const ALL: [Self; 6] =
        [Self::NotAsked, Self::Asked, Self::UnderWay, Self::Committed, Self::Visible, Self::Failed];

    /// Whether an arrow of the picture leads from one to the other.
    fn leads_to(self, next: Self) -> bool {
        match self {
            Self::NotAsked => next == Self::Asked,
            Self::Asked => next == Self::UnderWay,
            Self::UnderWay => [Self::Asked, Self::Committed].contains(&next),
            Self::Committed => next == Self::Visible,
            Self::Visible | Self::Failed => false,
        }
    }
}

/// What others see of the last checkpoint.
#[derive(Default)]
pub(super) struct SharedLast {
    last: AtomicU8,
    steps: AtomicU64,
}

impl SharedLast {
    pub(super) fn last(&self) -> LastStage {
        LastStage::ALL[usize::from(self.last.load(Ordering::Acquire))]
    }

    /// Steps made towards the last checkpoint and towards making its output visible.
    pub(super) fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    /// No further checkpoint can be made.
    pub(super) fn fail(&self) {
        self.show(LastStage::Failed);
    }

    fn show(&self, last: LastStage) {
        self.last.store(last as u8, Ordering::Release);
    }
}

/// The last checkpoint, as the storage thread takes it.
pub(super) struct LastCheckpoint {
    /// Its epoch while it is under way and when it is committed.
    epoch: Option<Epoch>,
    /// It was aborted before: its steps are no longer waited for.
    aborted: bool,
    shown: Arc<SharedLast>,
}

impl LastCheckpoint {
    pub(super) fn new(shown: Arc<SharedLast>) -> Self {
        Self { epoch: None, aborted: false, shown }
    }

    pub(super) fn is_requested(&self) -> bool {
        self.shown.last() == LastStage::Asked
    }

    pub(super) fn is_committed(&self) -> bool {
        [LastStage::Committed, LastStage::Visible].contains(&self.shown.last())
    }

    /// Everything was processed.
    pub(super) fn request(&self) {
        self.enter(LastStage::Asked);
    }

    /// The checkpoint of `epoch` has begun: it is the last one if that was requested.
    pub(super) fn begin(&mut self, epoch: Epoch) {
        if self.is_requested() {
            self.epoch = Some(epoch);
            self.enter(LastStage::UnderWay);
        }
    }

    /// Something was received that belongs to the checkpoint under way.
    pub(super) fn step(&self) {
        if self.epoch.is_some() && !self.aborted {
            self.count_step();
        }
    }

    /// Output of the last checkpoint that comes to its clients is worth waiting for.
    pub(super) fn count_step(&self) {
        self.shown.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// The checkpoint of `epoch` is committed.
    pub(super) fn commit(&self, epoch: Epoch) {
        if self.epoch == Some(epoch) {
            self.enter(LastStage::Committed);
        }
    }

    /// The checkpoint under way was aborted. Returns whether it was the last one.
    pub(super) fn abort(&mut self) -> bool {
        let was_last = self.epoch.take().is_some();
        if was_last {
            self.aborted = true;
            self.enter(LastStage::Asked);
        }
        was_last
    }

    /// All committed output is visible.
    pub(super) fn make_visible(&self) {
        if self.shown.last() == LastStage::Committed {
            self.enter(LastStage::Visible);
        }
    }

    /// No further checkpoint can be made.
    pub(super) fn fail(&self) {
        self.shown.fail();
    }

    /// A checkpoint that has failed stays so, whatever the coordinator aborts after that.
    fn enter(&self, next: LastStage) {
        let last = self.shown.last();
        if last != LastStage::Failed {
            assert!(last.leads_to(next), "{last:?} does not lead to {next:?}");
            self.shown.show(next);
        }
    }
}

/// Has an application end whose storage thread panics: nothing would be committed any more.
pub struct FailedByPanic(pub Arc<SharedLast>);

impl Drop for FailedByPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_last_checkpoint_is_tried_again_until_it_is_visible() {
        let shown = Arc::new(SharedLast::default());
        let mut last = LastCheckpoint::new(shown.clone());
        last.begin(Epoch(6));
        last.step();
        last.commit(Epoch(6));
        assert_eq!(
            (shown.last(), shown.steps()),
            (LastStage::NotAsked, 0),
            "it was an ordinary one"
        );
        last.request();
        last.begin(Epoch(7));
        last.step();
        assert_eq!((shown.last(), shown.steps()), (LastStage::UnderWay, 1));
        assert!(last.abort() && !last.abort());
        last.begin(Epoch(8));
        last.step();
        assert_eq!(
            (shown.last(), shown.steps()),
            (LastStage::UnderWay, 1),
            "steps no longer count"
        );
        last.commit(Epoch(8));
        assert!(last.is_committed());
        last.count_step();
        last.make_visible();
        last.make_visible();
        assert_eq!((shown.last(), shown.steps()), (LastStage::Visible, 2));
    }

    #[test]
    fn what_has_failed_stays_so() {
        let shown = Arc::new(SharedLast::default());
        let mut last = LastCheckpoint::new(shown.clone());
        last.request();
        last.begin(Epoch(3));
        shown.fail();
        assert!(last.abort());
        last.begin(Epoch(4));
        last.make_visible();
        assert_eq!(shown.last(), LastStage::Failed);
    }

    #[test]
    fn each_number_is_that_of_its_state() {
        for (number, last) in LastStage::ALL.into_iter().enumerate() {
            assert_eq!(last as usize, number);
        }
        assert_eq!(SharedLast::default().last(), LastStage::NotAsked);
    }
}
