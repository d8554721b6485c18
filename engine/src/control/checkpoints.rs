//! The thread that keeps checkpoints: stores what cores hand out, drives the coordinator, and makes
//! committed output visible. It may wait for the storage; no core ever waits for it.

pub mod effects;
pub mod keeper;
mod last;
mod progress;

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::oneshot;

use self::effects::Effects;
pub(super) use self::last::Last;
use self::last::LastCheckpoint;
pub(super) use self::progress::CheckpointProgress;
use super::error::Error;
use crate::checkpoint::collect;
use crate::checkpoint::coordinator::{Action, CoordinatorInput};
use crate::checkpoint::store::{self, draw};
use crate::connect::mail::{Hearer, Teller, Told};
use crate::connect::spool::Prepared;
use crate::flow::{PartCost, PartStep};
use crate::turn::StorageShared;

/// A checkpoint of which nothing is heard for so long is given up: a sink takes nothing.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// The next checkpoint begins at the latest so long after one that was given up.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// How often is told, at most, that checkpoints are given up one after the other.
const COMPLAINT_EVERY: Duration = Duration::from_secs(10);

/// How often it looks for what cores hand out meanwhile.
const LOOK: Duration = Duration::from_micros(200);

/// How soon what could not be made visible at the end is tried again.
const SHOW_AGAIN: Duration = Duration::from_millis(50);

/// How often HEAD is swapped again when nobody knows whether it was.
const SWAPS_MAX: usize = 5;

/// What the keeper is made of.
pub(super) struct Keeping {
    pub(super) effects: Effects,
    pub(super) interval: Duration,
    /// Checkpoints that are kept.
    pub(super) kept: usize,
    /// By core.
    pub(super) shared: Vec<Arc<StorageShared>>,
}

/// The running keeper.
pub(super) struct Checkpoints {
    teller: Teller,
    progress: Arc<CheckpointProgress>,
    thread: JoinHandle<()>,
}

impl Checkpoints {
    /// Starts the keeper, which begins when it gets a word through `gate`.
    pub(super) fn start(
        keeping: Keeping,
        (teller, heard): (Teller, Hearer),
        progress: Arc<CheckpointProgress>,
        gate: Receiver<()>,
    ) -> Result<Self, Error> {
        *progress.shared.lock().unwrap_or_else(PoisonError::into_inner) = keeping.shared.clone();
        let of_thread = progress.clone();
        let run = move || {
            let _failed = FailedByPanic(of_thread.clone());
            match gate.recv() {
                Ok(()) => Running::new(keeping, of_thread).run(&heard),
                // The start has failed.
                Err(_) => of_thread.last.fail(),
            }
        };
        let thread = Builder::new().name("potoroo-keep".into()).spawn(run);
        let thread =
            thread.map_err(|source| Error::Thread { what: "the keeper of checkpoints", source })?;
        Ok(Self { teller, progress, thread })
    }

    /// Everything was processed: asks for the last checkpoint.
    pub(super) fn ask_last(&self) {
        self.teller.tell(Told::Last);
    }

    /// Where the last checkpoint stands.
    pub(super) fn last(&self) -> Last {
        self.progress.last.last()
    }

    /// Steps made towards the last checkpoint and its output: it is worth waiting for while they
    /// grow.
    pub(super) fn steps(&self) -> u64 {
        self.progress.last.steps()
    }

    /// Waits for its end, after all others that tell it something have ended.
    pub(super) fn join(self) {
        self.teller.tell(Told::End);
        // It panics in no way but by a bug, which the panic has told.
        let _ = self.thread.join();
    }
}

/// Has an application end whose storage thread panics: nothing would be committed any more.
struct FailedByPanic(Arc<CheckpointProgress>);

impl Drop for FailedByPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.last.fail();
        }
    }
}

type Answer = oneshot::Sender<Result<u64, String>>;

struct Running {
    keeping: Keeping,
    progress: Arc<CheckpointProgress>,
    /// When the next one is due.
    due: Instant,
    begun: Instant,
    /// When something was last heard of the one that is under way.
    heard_at: Instant,
    /// What it cost so far.
    cost: PartCost,
    /// Bytes and rows of its parts, when all are stored.
    written: (u64, u64),
    /// What was last said of each sink whose output cannot be made visible.
    complaints: BTreeMap<String, String>,
    /// It was said that old checkpoints cannot be deleted, and none could be since.
    not_deleted: bool,
    /// When was last said that one was given up, unless one was committed since, and how many were
    /// since then.
    given_up: Option<(Instant, u64)>,
    /// Operators who want the next one, and those who wait for the one that is under way.
    wanted: Vec<Answer>,
    answers: Vec<Answer>,
    last: LastCheckpoint,
    /// How far its output had come, by sink, when it was last looked.
    farthest: Vec<(u128, u64)>,
    ended: bool,
}

impl Running {
    fn new(keeping: Keeping, progress: Arc<CheckpointProgress>) -> Self {
        let now = Instant::now();
        Self {
            due: now + keeping.interval,
            last: LastCheckpoint::new(progress.last.clone()),
            keeping,
            progress,
            begun: now,
            heard_at: now,
            cost: PartCost::default(),
            written: (0, 0),
            complaints: BTreeMap::new(),
            not_deleted: false,
            given_up: None,
            wanted: Vec::new(),
            answers: Vec::new(),
            farthest: Vec::new(),
            ended: false,
        }
    }

    fn run(mut self, heard: &Hearer) {
        self.show_committed();
        while !self.ended {
            match self.listen(heard) {
                Ok(told) => self.obey(told),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.look();
        }
    }

    /// While a checkpoint is under way this looks now and then: somebody who waits would have to be
    /// woken, and a core that wakes somebody makes its events wait for a system call.
    fn listen(&self, heard: &Hearer) -> Result<Told, RecvTimeoutError> {
        if self.keeping.effects.coordinator.running().is_some() {
            let told = heard.hear(Duration::ZERO);
            if matches!(told, Err(RecvTimeoutError::Timeout)) {
                std::thread::sleep(LOOK);
            }
            return told;
        }
        let next = if self.last.is_committed() { Instant::now() + SHOW_AGAIN } else { self.due };
        heard.hear(next.saturating_duration_since(Instant::now()))
    }

    fn obey(&mut self, told: Told) {
        if let Told::Part { .. } | Told::Marked { .. } = told {
            self.heard_at = Instant::now();
            self.last.step();
        }
        match told {
            Told::Part { core, step } => self.keep(core, step),
            Told::Marked { sink, epoch, prepared } => {
                match prepared.map(Prepared::make_durable).transpose() {
                    Ok(prepared) => {
                        let (sink, epoch) = (sink.0.into(), epoch.into());
                        self.hear(CoordinatorInput::Marked { sink, epoch, prepared });
                    }
                    Err(error) => {
                        self.fail(&format!("output of a sink cannot be made durable: {error}"));
                    }
                }
            }
            Told::Now(answer) => {
                self.wanted.push(answer);
                self.due = Instant::now();
            }
            Told::Last => self.last.ask(),
            Told::End => self.ended = true,
        }
    }

    fn keep(&mut self, core: usize, step: PartStep) {
        let input = self.keeping.effects.keeper.keep(core, &step, draw());
        match step {
            PartStep::Chunk(chunk) => self.keeping.shared[core].give_back(chunk.bytes),
            PartStep::End(end) => self.cost.add(&end.cost),
            PartStep::Begin { .. } | PartStep::Failed { .. } => {}
        }
        if let Some(input) = input {
            self.hear(input);
        }
    }

    /// Begins what is due and gives up what takes too long.
    fn look(&mut self) {
        let now = Instant::now();
        match self.keeping.effects.coordinator.running() {
            Some(epoch) if now >= self.heard_at + SILENCE_MAX => {
                let reason =
                    format!("nothing was heard of it for {SILENCE_MAX:?}: a sink takes nothing");
                self.hear(CoordinatorInput::Failed { epoch, reason });
            }
            Some(_) => {}
            None if self.last.is_committed() => {
                self.show_committed();
                self.count_delivery();
                if self.keeping.effects.coordinator.all_visible() {
                    self.last.make_visible();
                }
            }
            None if self.last.is_asked() || now >= self.due => {
                self.show_committed();
                self.answers = std::mem::take(&mut self.wanted);
                self.hear(CoordinatorInput::Begin);
                (self.begun, self.heard_at) = (now, now);
                self.cost = PartCost::default();
                self.due = now + self.keeping.interval;
                if let Some(epoch) = self.keeping.effects.coordinator.running() {
                    self.last.begin(epoch);
                }
            }
            None => {}
        }
    }

    /// The coordinator hears one thing, and what it wants is done.
    fn hear(&mut self, input: CoordinatorInput) {
        let mut next = Some(input);
        while let Some(input) = next.take() {
            let Some(action) = self.keeping.effects.coordinator.handle(input, unix_seconds())
            else {
                return;
            };
            next = self.act(action);
        }
    }

    fn act(&mut self, action: Action) -> Option<CoordinatorInput> {
        match &action {
            Action::Store(manifest) => {
                let parts = || manifest.parts.iter().filter(|part| part.epoch == manifest.epoch);
                self.written =
                    (parts().map(|part| part.bytes).sum(), parts().map(|part| part.rows).sum());
            }
            Action::Commit { .. } => self.show_committed(),
            _ => {}
        }
        let input = match self.carry_out(&action) {
            Ok(input) => input,
            Err(error) => return Some(self.fail(&error)),
        };
        match action {
            Action::Commit { epoch, .. } => self.committed(epoch),
            Action::Abort { epoch, reason } => self.aborted(epoch, &reason),
            _ => {}
        }
        input
    }

    /// # Errors
    /// Why this process cannot go on.
    fn carry_out(&mut self, action: &Action) -> Result<Option<CoordinatorInput>, String> {
        for _ in 0..SWAPS_MAX {
            match self.keeping.effects.act(action, draw()) {
                Ok(input) => return Ok(input),
                Err(store::Error::Unclear { .. }) => std::thread::sleep(Duration::from_millis(100)),
                Err(error) => return Err(error.to_string()),
            }
        }
        Err("nobody knows whether the last checkpoint was committed".to_owned())
    }

    /// No further checkpoint can be made.
    fn fail(&mut self, reason: &dyn std::fmt::Display) -> CoordinatorInput {
        if !std::mem::replace(&mut self.ended, true) {
            tracing::error!("{reason}; this process ends: start the application again");
        }
        self.progress.last.fail();
        CoordinatorInput::Swapped(Err(reason.to_string()))
    }

    fn committed(&mut self, epoch: u64) {
        self.given_up = None;
        let (took, written, cost) = (self.begun.elapsed(), self.written, self.cost);
        // Where state changes faster than it can be stored checkpoints would follow each other
        // without end, and cores would do little else: half of the time is theirs.
        self.due = self.due.max(Instant::now() + took);
        self.progress.note(|summary| {
            summary.committed += 1;
            summary.epoch = epoch;
            summary.last_ms = took.as_secs_f64() * 1e3;
            (summary.last_bytes, summary.last_rows) = written;
            summary.last_cost = cost;
            summary.cost.add(&cost);
        });
        self.answer(&Ok(epoch));
        self.collect();
        self.last.commit(epoch);
    }

    /// Output of the last checkpoint that comes to its clients is worth waiting for.
    fn count_delivery(&mut self) {
        let farthest: Vec<_> =
            self.keeping.effects.visible.iter().map(|one| one.farthest()).collect();
        if std::mem::replace(&mut self.farthest, farthest) != self.farthest {
            self.last.count_step();
        }
    }

    fn answer(&mut self, result: &Result<u64, String>) {
        for answer in self.answers.drain(..) {
            // Who asked may have gone.
            let _ = answer.send(result.clone());
        }
    }

    /// Deletes what no kept checkpoint needs: also what one that was given up has left, or a full
    /// disk would stay full.
    fn collect(&mut self) {
        let Keeping { effects, kept, .. } = &self.keeping;
        let Effects { store, coordinator, visible, .. } = effects;
        match collect(&**store, coordinator.head(), *kept, coordinator.running()) {
            Ok(collected) => {
                self.not_deleted = false;
                visible.iter().for_each(|visible| visible.keep_free(collected.bytes_kept));
                self.progress.note(|summary| summary.stored_bytes = collected.bytes_kept);
            }
            Err(_) if self.not_deleted => {}
            Err(error) => {
                self.not_deleted = true;
                tracing::warn!("old checkpoints cannot be deleted: {error}");
            }
        }
    }

    /// Makes committed output visible; what cannot be, and all of that sink behind it, is tried
    /// again at the next checkpoint.
    fn show_committed(&mut self) {
        let Self { keeping, complaints, .. } = self;
        let mut failed = Vec::new();
        keeping.effects.show(|sink, shown| match shown {
            Ok(_) => drop(complaints.remove(sink)),
            Err(error) => failed.push((sink.to_owned(), error)),
        });
        failed.into_iter().for_each(|(sink, error)| self.not_shown(&sink, &error));
    }

    fn not_shown(&mut self, sink: &str, error: &io::Error) {
        let what = format!("committed output of sink `{sink}` cannot be written: {error}");
        if error.kind() == io::ErrorKind::InvalidData {
            // What was committed before is gone: no further try can help, and output would pile up.
            self.fail(&what);
        } else if self.complaints.get(sink) != Some(&what) {
            tracing::error!("{what}; it is kept and tried again");
            self.complaints.insert(sink.to_owned(), what);
        }
    }

    /// Says that a checkpoint was given up: not each time, where the storage fails on and on.
    fn complain(&mut self, epoch: u64, reason: &str) {
        let now = Instant::now();
        match &mut self.given_up {
            Some((said, since)) if now - *said < COMPLAINT_EVERY => *since += 1,
            given_up => {
                let others = match given_up.map_or(0, |(_, since)| since) {
                    0 => String::new(),
                    count => format!(" ({count} others before it)"),
                };
                tracing::warn!(
                    "checkpoint {epoch} was given up: {reason}; the application goes on{others}"
                );
                *given_up = Some((now, 0));
            }
        }
    }

    fn aborted(&mut self, epoch: u64, reason: &str) {
        // What it took the cores in vain is not all that they do.
        self.due = self.due.max(Instant::now() + self.begun.elapsed().min(PAUSE_MAX));
        self.complain(epoch, reason);
        self.answer(&Err(reason.to_owned()));
        self.progress.note(|summary| summary.aborted += 1);
        self.collect();
        if self.last.give_up() {
            // It is tried again.
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
