//! A change of nodes that loses nothing: one state machine, which the supervisor of the lead owns.
//!
//! ```text
//!   Idle ─► Preparing ── a checkpoint is committed ──► Draining ── nothing is under way ──►
//!    ▲          │             while all flows             │        ┌──────────────────────┘
//!    │          │ aborted                    too long     │        ▼
//!    └──────────┴─────────────────────────────────────────┴── Committing ── committed ──► done
//! ```
//!
//! - `Preparing`: sources flow; a checkpoint is taken so that little is left for the next one.
//! - `Draining`: sources are held, or have stopped for good if the lead itself leaves.
//! - `Committing`: everything that sources gave is processed, and is being committed.
//!
//! A change that takes too long ends, and is tried again after a pause that grows: a sink that
//! takes nothing must not hold the sources for ever.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use super::super::cluster::Paused;
use crate::checkpoint::Epoch;

/// How long what is under way may take to be processed. Lanes hold milliseconds of it, so what
/// takes this long is a sink, a node or a handler that stands still.
const DRAIN_MAX: Duration = Duration::from_secs(2);

/// Pauses between two tries.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

const NO_CHECKPOINT: &str = "no checkpoint is committed";

/// The answer of the storage thread.
pub(super) type CheckpointAnswer = oneshot::Receiver<Result<Epoch, String>>;

/// A change of nodes.
#[derive(Debug, Default)]
pub(super) struct NodeChange {
    step: ChangeStep,
    /// Since when it is wished.
    since: Option<Instant>,
    /// No try before.
    not_before: Option<Instant>,
    /// The pause before the next one but one.
    pause: Option<Duration>,
    /// The last hold.
    hold: u64,
    /// Sources have stopped for good: the lead leaves.
    pub(super) stopped: bool,
}

#[derive(Debug, Default)]
enum ChangeStep {
    #[default]
    Idle,
    Preparing {
        since: Instant,
        answer: CheckpointAnswer,
        logged: bool,
    },
    Draining {
        since: Instant,
    },
    Committing {
        since: Instant,
        drained: Instant,
        answer: CheckpointAnswer,
    },
}

/// What the supervisor has to do.
#[derive(Debug)]
pub(super) enum ChangeOrder {
    /// Have a checkpoint taken, and [`note_requested`](NodeChange::note_requested) it.
    Checkpoint,
    /// Hold the sources for the hold of this number, or stop them.
    Hold(u64),
    /// Look whether nothing is under way for this hold, and
    /// [`note_drained`](NodeChange::note_drained) it.
    LookForQuiet(u64),
    /// Log what takes long.
    Complain(&'static str),
    /// Let sources go on: what took too long.
    GiveUp(&'static str),
    /// Nothing is under way or uncommitted since this pause began.
    Go(Paused),
}

impl NodeChange {
    /// Whether sources are held, or have stopped: that nothing is under way is not the end then.
    pub(super) fn holds(&self) -> bool {
        let is_held =
            matches!(self.step, ChangeStep::Draining { .. } | ChangeStep::Committing { .. });
        is_held || self.stopped
    }

    /// For how long it is wished.
    pub(super) fn wished_for(&mut self, now: Instant) -> Duration {
        now - *self.since.get_or_insert(now)
    }

    /// What follows. The commit may take `commit_max`.
    pub(super) fn look(&mut self, now: Instant, commit_max: Duration) -> Option<ChangeOrder> {
        match &mut self.step {
            ChangeStep::Idle if self.not_before.is_some_and(|from| now < from) => None,
            ChangeStep::Idle if self.stopped => Some(self.begin_hold(now)),
            ChangeStep::Idle => Some(ChangeOrder::Checkpoint),
            ChangeStep::Preparing { since, answer, logged } => match answer.try_recv() {
                Ok(Ok(_)) => Some(self.begin_hold(now)),
                Err(TryRecvError::Empty) => {
                    let late = now - *since > DRAIN_MAX && !std::mem::replace(logged, true);
                    late.then_some(ChangeOrder::Complain(NO_CHECKPOINT))
                }
                // It was aborted, which was logged.
                Ok(Err(_)) | Err(TryRecvError::Closed) => {
                    self.put_off(now);
                    None
                }
            },
            ChangeStep::Draining { since } if now - *since > DRAIN_MAX && !self.stopped => {
                self.put_off(now);
                Some(ChangeOrder::GiveUp("what is under way is not processed"))
            }
            ChangeStep::Draining { .. } => Some(ChangeOrder::LookForQuiet(self.hold)),
            ChangeStep::Committing { since, drained, answer } => match answer.try_recv() {
                Ok(Ok(_)) => {
                    let (since, drained, committed) = (*since, *drained, now);
                    Some(ChangeOrder::Go(Paused { since, drained, committed }))
                }
                Err(TryRecvError::Empty) if now - *drained <= commit_max => None,
                _ => {
                    self.put_off(now);
                    let held = !self.stopped;
                    held.then_some(ChangeOrder::GiveUp(NO_CHECKPOINT))
                }
            },
        }
    }

    /// A checkpoint was requested, as [`ChangeOrder::Checkpoint`] wants.
    pub(super) fn note_requested(&mut self, now: Instant, answer: CheckpointAnswer) {
        self.step = ChangeStep::Preparing { since: now, answer, logged: false };
    }

    /// Nothing is under way: a checkpoint was requested that commits all of it.
    pub(super) fn note_drained(&mut self, now: Instant, answer: CheckpointAnswer) {
        let ChangeStep::Draining { since } = self.step else {
            unreachable!("only what is held is drained")
        };
        self.step = ChangeStep::Committing { since, drained: now, answer };
    }

    /// Sources have stopped for good, and are to be drained anew.
    pub(super) fn note_stopped(&mut self, now: Instant) -> ChangeOrder {
        self.stopped = true;
        self.begin_hold(now)
    }

    fn begin_hold(&mut self, now: Instant) -> ChangeOrder {
        self.hold += 1;
        let since = match self.step {
            ChangeStep::Draining { since } | ChangeStep::Committing { since, .. } => since,
            _ => now,
        };
        self.step = ChangeStep::Draining { since };
        ChangeOrder::Hold(self.hold)
    }

    fn put_off(&mut self, now: Instant) {
        let pause = self.pause.unwrap_or(PAUSES.0);
        self.step = ChangeStep::Idle;
        self.not_before = Some(now + pause);
        self.pause = Some((2 * pause).min(PAUSES.1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A change whose checkpoint is committed, so that sources are to be held.
    fn held(change: &mut NodeChange, now: Instant) {
        assert!(matches!(change.look(now, DRAIN_MAX), Some(ChangeOrder::Checkpoint)));
        let (answer, checkpoint) = oneshot::channel();
        change.note_requested(now, checkpoint);
        assert!(change.look(now, DRAIN_MAX).is_none() && !change.holds());
        answer.send(Ok(Epoch(1))).expect("it is waited for");
        assert!(matches!(change.look(now, DRAIN_MAX), Some(ChangeOrder::Hold(_))));
        assert!(change.holds());
    }

    #[test]
    fn a_change_that_takes_too_long_is_put_off_longer_each_time() {
        let (mut change, mut now) = (NodeChange::default(), Instant::now());
        for pause in [1, 2, 4, 8, 16, 30, 30] {
            held(&mut change, now);
            now += DRAIN_MAX;
            assert!(matches!(change.look(now, DRAIN_MAX), Some(ChangeOrder::LookForQuiet(_))));
            now += Duration::from_millis(1);
            assert!(matches!(change.look(now, DRAIN_MAX), Some(ChangeOrder::GiveUp(_))));
            assert!(!change.holds());
            now += Duration::from_secs(pause) - Duration::from_millis(1);
            assert!(change.look(now, DRAIN_MAX).is_none(), "it waits for {pause} s");
            now += Duration::from_millis(1);
        }
    }

    #[test]
    fn an_aborted_checkpoint_is_not_tried_again_at_once() {
        let (mut change, now) = (NodeChange::default(), Instant::now());
        assert!(matches!(change.look(now, DRAIN_MAX), Some(ChangeOrder::Checkpoint)));
        let (answer, checkpoint) = oneshot::channel();
        change.note_requested(now, checkpoint);
        answer.send(Err("the store is full".to_owned())).expect("it is waited for");
        assert!(change.look(now, DRAIN_MAX).is_none() && !change.holds());
        assert!(change.look(now + PAUSES.0 / 2, DRAIN_MAX).is_none());
        assert!(change.look(now + PAUSES.0, DRAIN_MAX).is_some());
    }

    #[test]
    fn phases_are_measured_from_the_hold_on() {
        let (mut change, now) = (NodeChange::default(), Instant::now());
        held(&mut change, now);
        let drained = now + Duration::from_millis(30);
        let (answer, checkpoint) = oneshot::channel();
        change.note_drained(drained, checkpoint);
        answer.send(Ok(Epoch(2))).expect("it is waited for");
        let done = drained + Duration::from_millis(20);
        let Some(ChangeOrder::Go(paused)) = change.look(done, DRAIN_MAX) else {
            panic!("everything is committed")
        };
        let Paused { since, drained: processed, committed } = paused;
        assert_eq!((since, processed, committed), (now, drained, done));
    }

    /// What a lead that leaves has taken is committed, however often that fails at first.
    #[test]
    fn sources_that_have_stopped_do_not_go_on() {
        let (mut change, now) = (NodeChange::default(), Instant::now());
        held(&mut change, now);
        assert!(matches!(change.note_stopped(now), ChangeOrder::Hold(_)));
        let late = now + 2 * DRAIN_MAX;
        assert!(matches!(change.look(late, DRAIN_MAX), Some(ChangeOrder::LookForQuiet(_))));
        let (answer, checkpoint) = oneshot::channel();
        change.note_drained(late, checkpoint);
        answer.send(Err("the store is full".to_owned())).expect("it is waited for");
        assert!(change.look(late, DRAIN_MAX).is_none() && change.holds());
        let again = late + PAUSES.0;
        assert!(matches!(change.look(again, DRAIN_MAX), Some(ChangeOrder::Hold(_))));
    }
}
