//! How a run ends: one state machine, which the supervisor owns and asks.
//!
//! ```text
//!   Running ──── stop requested, time over ──► Draining
//!      │                                            │
//!      └── all sources complete ──┬── all quiet ────┘
//!                                 ▼
//!                             Committing ── last checkpoint visible ──► Finishing ──► Ended
//!                                                                                       ▲
//!   any of them ── not within the time to drain, output lost ──► Abandoning ────────────┘
//! ```
//!
//! - `Running`: sources are open.
//! - `Draining`: sources are closed, what is in flight is processed.
//! - `Committing`: everything was processed, the last checkpoint is being made. The time to drain
//!   begins again with each of its steps. Without checkpoints there is nothing to commit.
//! - `Finishing`: cores deliver what they hold, then end.
//! - `Abandoning`: cores end at once, what they hold is lost.
//! - `Ended`: the cores have ended.
//!
//! It decides by its inputs, reads no clock and sends nothing: the caller carries out the
//! [`Order`].

use std::time::{Duration, Instant};

use super::checkpoints::LastStage;
use super::report::StopReason;

/// Where the end of a run stands.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Running,
    Draining {
        until: Instant,
    },
    /// `steps` were made when the time began.
    Committing {
        until: Instant,
        steps: u64,
    },
    Finishing {
        until: Instant,
    },
    Abandoning,
    Ended,
}

/// What the supervisor sees at one look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) now: Instant,
    /// Why the application is to stop, if it is.
    pub(super) stop: Option<StopReason>,
    /// No source will have another event.
    pub(super) sources_complete: bool,
    /// Nothing is in flight.
    pub(super) quiet: bool,
    /// The last checkpoint, and the steps that were made towards it; `None` where none are taken.
    pub(super) last: Option<(LastStage, u64)>,
}

/// What the supervisor has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Close the sources.
    StopSources,
    /// Take the last checkpoint.
    Commit,
    /// Have the cores end when they have delivered what they hold.
    Finish,
    /// Have the cores end at once.
    Abandon(Overdue),
}

/// What was not done within the time to drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// Nothing: the storage of checkpoints has failed, and has said so.
    Nothing,
    /// Not everything was processed or delivered.
    Delivery,
    /// The last checkpoint was not committed.
    Commit,
    /// The last checkpoint is committed, and not all of its output has arrived.
    Output,
}

/// The end of one run.
#[derive(Debug)]
pub(super) struct Shutdown {
    phase: Phase,
    stop: StopReason,
    /// The time to drain.
    drain: Duration,
}

impl Shutdown {
    /// A run whose cores may take `drain` for each of the last three phases.
    pub(super) fn new(drain: Duration) -> Self {
        Self { phase: Phase::Running, stop: StopReason::Ended, drain }
    }

    /// Whether the sources are open, as far as they have not ended by themselves.
    pub(super) fn is_running(&self) -> bool {
        self.phase == Phase::Running
    }

    /// Decides what follows from what is seen.
    pub(super) fn look(&mut self, seen: &Seen) -> Option<Order> {
        let failed = matches!(seen.last, Some((LastStage::Failed, _)));
        match self.phase {
            Phase::Abandoning => None,
            _ if failed => Some(self.abandon(Overdue::Nothing)),
            Phase::Running => match seen.stop {
                Some(stop) => {
                    self.stop = stop;
                    self.enter(Phase::Draining { until: seen.now + self.drain });
                    Some(Order::StopSources)
                }
                None if seen.sources_complete && seen.quiet => Some(self.settle(seen)),
                None => None,
            },
            Phase::Draining { .. } if seen.quiet => Some(self.settle(seen)),
            Phase::Draining { until } => self.late(seen, until, Overdue::Delivery),
            Phase::Committing { until, steps } => match seen.last {
                None | Some((LastStage::Visible, _)) => Some(self.finish(seen)),
                Some((_, now)) if now != steps => {
                    self.enter(Phase::Committing { until: seen.now + self.drain, steps: now });
                    None
                }
                Some((LastStage::Committed, _)) => self.late(seen, until, Overdue::Output),
                Some(_) => self.late(seen, until, Overdue::Commit),
            },
            Phase::Finishing { until } => self.late(seen, until, Overdue::Delivery),
            Phase::Ended => unreachable!("a run that has ended is not looked at"),
        }
    }

    /// A sink takes nothing any more, and never will. Returns whether that ends the run.
    pub(super) fn lose_sink(&mut self) -> bool {
        let goes_on = !self.is_abandoned();
        if goes_on {
            self.stop = StopReason::SinkFailed;
            self.enter(Phase::Abandoning);
        }
        goes_on
    }

    /// Whether the cores were ended before they had delivered what they hold.
    pub(super) fn is_abandoned(&self) -> bool {
        self.phase == Phase::Abandoning
    }

    /// The cores have ended. Returns why the run did.
    pub(super) fn end(mut self) -> StopReason {
        self.enter(Phase::Ended);
        self.stop
    }

    /// Everything was processed: it only has to be committed.
    fn settle(&mut self, seen: &Seen) -> Order {
        let Some((_, steps)) = seen.last else { return self.finish(seen) };
        self.enter(Phase::Committing { until: seen.now + self.drain, steps });
        Order::Commit
    }

    fn finish(&mut self, seen: &Seen) -> Order {
        self.enter(Phase::Finishing { until: seen.now + self.drain });
        Order::Finish
    }

    fn late(&mut self, seen: &Seen, until: Instant, late: Overdue) -> Option<Order> {
        (seen.now > until).then(|| self.abandon(late))
    }

    fn abandon(&mut self, late: Overdue) -> Order {
        self.enter(Phase::Abandoning);
        Order::Abandon(late)
    }

    fn enter(&mut self, next: Phase) {
        assert!(self.phase.leads_to(next), "{:?} does not lead to {next:?}", self.phase);
        self.phase = next;
    }
}

impl Phase {
    /// Whether an arrow of the picture leads from one phase to the other.
    fn leads_to(self, next: Self) -> bool {
        match self {
            Self::Running => !matches!(next, Self::Running | Self::Ended),
            Self::Draining { .. } => {
                matches!(next, Self::Committing { .. } | Self::Finishing { .. } | Self::Abandoning)
            }
            Self::Committing { .. } => {
                matches!(next, Self::Committing { .. } | Self::Finishing { .. } | Self::Abandoning)
            }
            Self::Finishing { .. } => matches!(next, Self::Abandoning | Self::Ended),
            Self::Abandoning => next == Self::Ended,
            Self::Ended => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAIN: Duration = Duration::from_secs(10);

    /// Shows one look after the other, each a second later, and expects an order of each.
    fn check(looks: &[(Seen, Option<Order>)]) -> Shutdown {
        let mut shutdown = Shutdown::new(DRAIN);
        for (index, (seen, order)) in looks.iter().enumerate() {
            assert_eq!(shutdown.look(seen), *order, "look {index}");
        }
        shutdown
    }

    fn seen(start: Instant, second: u64) -> Seen {
        let now = start + Duration::from_secs(second);
        Seen { now, stop: None, sources_complete: false, quiet: false, last: None }
    }

    #[test]
    fn without_checkpoints_a_run_finishes_when_it_is_quiet() {
        let at = Instant::now();
        let complete = Seen { sources_complete: true, ..seen(at, 0) };
        let quiet = Seen { quiet: true, ..complete };
        let shutdown = check(&[
            (seen(at, 0), None),
            (Seen { quiet: true, ..seen(at, 0) }, None),
            (complete, None),
            (quiet, Some(Order::Finish)),
            (quiet, None),
        ]);
        assert_eq!(shutdown.end(), StopReason::Ended);
    }

    #[test]
    fn each_phase_may_take_the_time_to_drain() {
        let at = Instant::now();
        let stop = Seen { stop: Some(StopReason::Signal), ..seen(at, 0) };
        let stopped = (stop, Some(Order::StopSources));
        let late = Some(Order::Abandon(Overdue::Delivery));
        let shutdown = check(&[stopped, (seen(at, 10), None), (seen(at, 11), late)]);
        assert!(shutdown.is_abandoned());
        assert_eq!(shutdown.end(), StopReason::Signal);
        let quiet = (Seen { quiet: true, ..seen(at, 9) }, Some(Order::Finish));
        check(&[stopped, quiet, (seen(at, 19), None), (seen(at, 20), late), (seen(at, 99), None)]);
    }

    #[test]
    fn the_time_to_commit_begins_again_with_each_step() {
        let at = Instant::now();
        let look = |second, last, steps| Seen { last: Some((last, steps)), ..seen(at, second) };
        let complete =
            Seen { sources_complete: true, quiet: true, ..look(0, LastStage::NotAsked, 5) };
        let begun = (complete, Some(Order::Commit));
        let late = |late| Some(Order::Abandon(late));
        check(&[
            begun,
            (look(10, LastStage::UnderWay, 5), None),
            (look(11, LastStage::UnderWay, 6), None),
            (look(21, LastStage::UnderWay, 6), None),
            (look(22, LastStage::UnderWay, 6), late(Overdue::Commit)),
        ]);
        check(&[begun, (look(11, LastStage::Committed, 5), late(Overdue::Output))]);
        check(&[begun, (look(1, LastStage::Failed, 5), late(Overdue::Nothing))]);
        let visible = look(50, LastStage::Visible, 9);
        let shutdown = check(&[begun, (visible, Some(Order::Finish)), (visible, None)]);
        assert_eq!(shutdown.end(), StopReason::Ended);
    }

    #[test]
    fn a_lost_sink_ends_a_run_once() {
        let mut shutdown = Shutdown::new(DRAIN);
        assert!(shutdown.lose_sink());
        assert!(!shutdown.lose_sink());
        assert_eq!(shutdown.look(&seen(Instant::now(), 0)), None);
        assert_eq!(shutdown.end(), StopReason::SinkFailed);
    }

    #[test]
    #[should_panic(expected = "Running does not lead to Ended")]
    fn cores_that_were_not_stopped_do_not_end() {
        Shutdown::new(DRAIN).end();
    }
}
