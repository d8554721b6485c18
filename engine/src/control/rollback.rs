//! Rollback: a running application goes back to a retained checkpoint.
//!
//! ```text
//!   operator ── request ──► supervisor ── hand over ──► storage thread: the checkpoint is whole,
//!      ▲                        ▲                       HEAD is swapped to the next generation
//!      │                        └──────────── Recovery ──────┘
//!      └── answer ◄── the next generation has begun ◄── the old one has ended
//! ```
//!
//! Promises: one at a time; what can be known to be wrong is refused before anything stops, and the
//! application goes on as it was; from the swap on the old generation commits nothing. Must never
//! do: wait for the storage on the supervisor's thread while the application runs.

use std::sync::PoisonError;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use super::console;
use super::error::Error;
use super::process::{Process, describe_again};
use super::recovery::Recovery;
use super::rollback_requests::{RepeatedOutput, RollbackAnswer, RollbackRequests, RolledBack};
use crate::checkpoint::Epoch;
use crate::checkpoint::store::Head;
use crate::connect::mail::HandOver;

/// A rollback that is under way.
pub(super) struct Rollback {
    epoch: Epoch,
    answer: RollbackAnswer,
    requests: RollbackRequests,
    begun: Instant,
    /// From the storage thread.
    taken: Receiver<Result<Recovery, Error>>,
}

impl Rollback {
    /// The next one that is requested, if that can be done, and `gate` says so now and before HEAD
    /// is swapped. The storage thread, by the returned message, looks whether its checkpoint can be
    /// used.
    pub(super) fn next(
        process: &Process,
        running: bool,
        gate: impl Fn() -> Result<(), Error> + Send + 'static,
    ) -> Option<(Self, HandOver)> {
        let (epoch, answer) = process.rollbacks.take()?;
        let requests = process.rollbacks.clone();
        let may = gate().map_err(|error| error.to_string());
        if let Err(reason) = may.and_then(|()| may_begin(process, epoch, running)) {
            requests.finish();
            let _ = answer.send(Err(reason));
            return None;
        }
        let (taken_in, taken) = channel();
        let hand_over = hand_over(process, epoch, gate, move |result| {
            let done = result.is_ok();
            // The supervisor may have ended: then HEAD waits for the next start.
            let _ = taken_in.send(result);
            done
        });
        Some((Self { epoch, answer, requests, begun: Instant::now(), taken }, hand_over))
    }

    /// Refuses the next one that is requested.
    pub(super) fn refuse_next(process: &Process, reason: &str) {
        if let Some((_, answer)) = process.rollbacks.take() {
            process.rollbacks.finish();
            let _ = answer.send(Err(reason.to_owned()));
        }
    }

    /// What the next generation goes on from, once it is known; or the rollback again. One that is
    /// refused is answered.
    pub(super) fn poll(self) -> Result<(Self, Recovery), Option<Self>> {
        match self.taken.try_recv() {
            Ok(Ok(recovery)) => Ok((self, recovery)),
            Ok(Err(error)) => {
                let epoch = self.epoch;
                tracing::warn!(
                    "no rollback to checkpoint {epoch}: {error}; the application goes on"
                );
                self.refuse(error.to_string());
                Err(None)
            }
            Err(TryRecvError::Empty) => Err(Some(self)),
            Err(TryRecvError::Disconnected) => {
                self.refuse("the storage of checkpoints has failed: see the log".to_owned());
                Err(None)
            }
        }
    }

    /// Counts it, before the next generation commits anything.
    pub(super) fn count(&self, process: &Process) {
        let progress = process.stored.as_ref().map(|stored| &stored.progress);
        progress.inspect(|progress| progress.roll_back(self.epoch));
    }

    /// It is not done.
    pub(super) fn refuse(self, reason: String) {
        self.requests.finish();
        let _ = self.answer.send(Err(reason));
    }

    /// The next generation runs, from `recovery`; nothing was processed for `stopped`.
    pub(super) fn finish(self, of: RolledBackTo, stopped: Duration) {
        let RolledBackTo { generation, repeats } = of;
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        let (epoch, ms, stopped_ms) = (self.epoch, millis(self.begun.elapsed()), millis(stopped));
        let done = RolledBack { epoch, generation, ms, stopped_ms, repeats };
        console::note(&done);
        self.requests.finish();
        let _ = self.answer.send(Ok(done));
    }
}

/// What the answer has of a recovery, which the next generation takes.
pub(super) struct RolledBackTo {
    pub(super) generation: u64,
    repeats: Vec<RepeatedOutput>,
}

impl From<&Recovery> for RolledBackTo {
    fn from(recovery: &Recovery) -> Self {
        let repeats = recovery.recovered.repeats.iter().map(|repeat| RepeatedOutput {
            sink: repeat.sink.clone(),
            epochs: repeat.epochs,
            bytes: repeat.bytes,
        });
        Self { generation: recovery.recovered.head.generation, repeats: repeats.collect() }
    }
}

/// # Errors
/// Why no rollback can be done, whatever its checkpoint has.
fn may_begin(process: &Process, epoch: Epoch, running: bool) -> Result<(), String> {
    if !running {
        return Err(format!(
            "the application is about to end: start it again with --restore {epoch}"
        ));
    }
    let remedy = || format!("stop the application, and start it with --restore {epoch}");
    match process.edges().only_once(&process.plan) {
        Some(edge) => {
            Err(format!("{edge} cannot begin anew while the application runs: {}", remedy()))
        }
        None => Ok(()),
    }
}

/// Looks whether all of the checkpoint of `epoch` is there, and takes over from it through `gate`.
/// `done` gets
/// what came of it, and returns whether HEAD was swapped.
fn hand_over(
    process: &Process,
    epoch: Epoch,
    gate: impl Fn() -> Result<(), Error> + Send + 'static,
    done: impl FnOnce(Result<Recovery, Error>) -> bool + Send + 'static,
) -> HandOver {
    let Process { describe, plan, config, stored, request, .. } = process;
    let (describe, fingerprint, config) = (describe.clone(), plan.fingerprint, config.clone());
    let stored = stored.clone().expect("only what is stored has checkpoints");
    let (edges, request) = (process.shared_edges(), request.clone());
    HandOver(Box::new(move |own: &Head| {
        let taken = describe_again(&describe, fingerprint).and_then(|plan| {
            let edges = edges.lock().unwrap_or_else(PoisonError::into_inner);
            let of = ((&plan, &config), (&stored, &*edges));
            Recovery::roll_back(of, (own, epoch), &request, &|_| gate())
        });
        done(taken)
    }))
}
