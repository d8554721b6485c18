//! The storage thread: stores the parts of cores, drives the coordinator, and makes committed
//! output visible. It may wait for the storage; no core ever waits for it.

mod complaints;
pub mod effects;
pub mod follower;
mod last;
mod next;
pub mod output_storage;
pub mod part_storage;
mod progress;
mod thread;
mod turnover;
mod unclear;

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use self::complaints::Complaints;
use self::effects::Effects;
use self::follower::NodeStorage;
pub(super) use self::last::LastStage;
use self::last::{FailedByPanic, LastCheckpoint, SharedLast};
pub(super) use self::next::{CannotRest, NextGeneration};
use self::part_storage::LOOK;
pub(super) use self::progress::{CheckpointProgress, unix_seconds};
use self::thread::spawn;
use self::unclear::act_until_clear;
use super::error::Error;
use crate::checkpoint::coordinator::{Action, CoordinatorInput};
use crate::checkpoint::store::draw;
use crate::checkpoint::{Epoch, Transaction, collect};
use crate::cluster::nodes::RemoteNode;
use crate::cluster::wire::{CoreOrder, ToNode};
use crate::connect::edge_lease::EdgeLease;
use crate::connect::mail::{HandOver, StorageMessage, StorageReceiver, StorageSender};
use crate::flow::{PartCost, PartStep};
use crate::system::{self, SideThread};
use crate::turn::StorageShared;

/// A checkpoint is aborted when no message of it comes for this long: a sink takes nothing.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// The next checkpoint begins at the latest this long after an abort.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// At the end, output that could not be made visible is tried again after this time.
const SHOW_AGAIN: Duration = Duration::from_millis(50);

/// Why nothing is stored or let out.
const SUSPENDED: &str = "the node is suspended, its lease was not renewed in time";

/// How often it is looked whether it still is.
const SUSPENDED_LOOK: Duration = Duration::from_millis(50);

/// What the storage thread needs at its start.
pub(super) struct CheckpointSetup {
    pub(super) effects: Effects,
    pub(super) interval: Duration,
    /// Checkpoints that are retained.
    pub(super) retained: usize,
    /// By core.
    pub(super) shared: Vec<Arc<StorageShared>>,
    /// The other nodes, whose cores take part.
    pub(super) nodes: Vec<Arc<RemoteNode>>,
    /// After its end nothing becomes visible; none for a process that is alone.
    pub(super) lease: EdgeLease,
}

/// The running storage thread.
pub(super) struct Checkpoints {
    storage: StorageSender,
    last: Arc<SharedLast>,
    next: Sender<NextGeneration>,
    thread: SideThread,
}

impl Checkpoints {
    /// Starts the storage thread, which waits at `gate`.
    pub(super) fn start(
        setup: CheckpointSetup,
        (storage, messages): (StorageSender, StorageReceiver),
        progress: Arc<CheckpointProgress>,
        gate: Receiver<()>,
    ) -> Result<Self, Error> {
        let generation = setup.effects.coordinator.head().generation;
        progress.note(|summary| summary.generation = generation);
        *progress.shared.lock().unwrap_or_else(PoisonError::into_inner) = setup.shared.clone();
        let last = Arc::new(SharedLast::default());
        let of_thread = last.clone();
        let (next, after_rest) = channel();
        let run = move || {
            let _failed = FailedByPanic(of_thread.clone());
            match system::receive_any(&gate) {
                Ok(()) => Running::new((setup, after_rest), progress, of_thread).run(&messages),
                // The start has failed.
                Err(_) => of_thread.fail(),
            }
        };
        Ok(Self { storage, last, next, thread: spawn(run)? })
    }

    /// Starts the storage thread of a node that does not lead, which waits at `gate`.
    pub(super) fn follow(
        node: NodeStorage,
        (storage, messages): (StorageSender, StorageReceiver),
        gate: Receiver<()>,
    ) -> Result<Self, Error> {
        let run = move || {
            if system::receive_any(&gate).is_ok() {
                node.run(&messages);
            }
        };
        Ok(Self { storage, last: Arc::default(), next: channel().0, thread: spawn(run)? })
    }

    /// Has the thread rest until the next generation begins: nothing is begun or committed.
    ///
    /// # Errors
    /// It has ended, and has logged why.
    pub(super) fn rest(&self) -> Result<(), CannotRest> {
        let (rested_in, rested) = channel();
        self.storage.send(StorageMessage::Rest(rested_in));
        system::receive_any(&rested).map_err(|_| CannotRest)
    }

    /// Has the thread, which rests or has logged why it ended, commit for the `next` generation.
    pub(super) fn go_on(&self, next: NextGeneration) {
        let _ = self.next.send(next);
    }

    /// Has the next generation take over, if it can.
    pub(super) fn hand_over(&self, to_next: HandOver) {
        self.storage.send(StorageMessage::HandOver(to_next));
    }

    /// Everything was processed: requests the last checkpoint.
    pub(super) fn request_last(&self) {
        self.storage.send(StorageMessage::Last);
    }

    /// Where the last checkpoint stands.
    pub(super) fn last(&self) -> LastStage {
        self.last.last()
    }

    /// Steps made towards the last checkpoint and its output: while they grow, it is waited for.
    pub(super) fn steps(&self) -> u64 {
        self.last.steps()
    }

    /// Waits for its end, after all other senders have ended.
    pub(super) fn join(self) {
        self.storage.send(StorageMessage::End);
        drop(self.next); // It may rest.
        self.thread.join();
    }
}

type Answer = oneshot::Sender<Result<Epoch, String>>;

struct Running {
    setup: CheckpointSetup,
    after_rest: Receiver<NextGeneration>,
    progress: Arc<CheckpointProgress>,
    /// When the next one is due.
    due: Instant,
    begun: Instant,
    /// When the last message of the checkpoint under way came.
    message_at: Instant,
    /// What it cost so far.
    cost: PartCost,
    /// Bytes and rows of its parts, when all are stored.
    written: (u64, u64),
    complaints: Complaints,
    /// Operators who wait for the next checkpoint, and for the one that is under way.
    wanted: Vec<Answer>,
    answers: Vec<Answer>,
    last: LastCheckpoint,
    /// How far the output of each sink had come at the last look.
    farthest: Vec<(u128, u64)>,
    ended: bool,
}

impl Running {
    fn new(
        (setup, after_rest): (CheckpointSetup, Receiver<NextGeneration>),
        progress: Arc<CheckpointProgress>,
        last: Arc<SharedLast>,
    ) -> Self {
        let now = system::now();
        Self {
            due: now + setup.interval,
            last: LastCheckpoint::new(last),
            setup,
            after_rest,
            progress,
            begun: now,
            message_at: now,
            cost: PartCost::default(),
            written: (0, 0),
            complaints: Complaints::default(),
            wanted: Vec::new(),
            answers: Vec::new(),
            farthest: Vec::new(),
            ended: false,
        }
    }

    fn run(mut self, messages: &StorageReceiver) {
        self.show_committed();
        while !self.ended {
            match self.listen(messages) {
                Ok(message) => self.handle(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if !self.ended {
                self.look();
            }
        }
    }

    /// While a checkpoint is under way, this thread looks for messages every [`LOOK`]: to wake it
    /// would cost the core that sends a system call, for which its events would wait.
    fn listen(&self, messages: &StorageReceiver) -> Result<StorageMessage, RecvTimeoutError> {
        if self.setup.effects.coordinator.running().is_some() {
            let message = messages.receive(Duration::ZERO);
            if matches!(message, Err(RecvTimeoutError::Timeout)) {
                system::look_again_after(LOOK);
            }
            return message;
        }
        let next = if self.last.is_committed() { system::now() + SHOW_AGAIN } else { self.due };
        messages.receive(next.saturating_duration_since(system::now()))
    }

    fn handle(&mut self, message: StorageMessage) {
        use StorageMessage::{Marked, Part, Remote};
        if let Part { .. } | Marked { .. } | Remote { .. } = message {
            self.message_at = system::now();
            self.last.step();
        }
        match message {
            Part { core, step } => self.store(core, step),
            Marked { sink, epoch, output } => {
                match self.setup.effects.outputs.store(sink, epoch, output, draw) {
                    Ok(input) => self.advance(input),
                    Err(error) => drop(self.fail(&error)),
                }
                // To store it may have taken long, and what came since waits.
                self.message_at = system::now();
            }
            Remote { generation, input } => {
                // A node may hear of a rollback late.
                if generation == self.setup.effects.coordinator.head().generation {
                    self.advance(input);
                }
            }
            StorageMessage::Now(answer) => {
                self.wanted.push(answer);
                self.due = system::now();
            }
            StorageMessage::HandOver(to_next) => self.hand_over(to_next),
            StorageMessage::Rest(rested) => self.rest(&rested),
            StorageMessage::Last => self.last.request(),
            StorageMessage::End => self.ended = true,
        }
    }

    fn store(&mut self, core: usize, step: PartStep) {
        let input = self.setup.effects.parts.store(core, &step, draw());
        match step {
            PartStep::Chunk(chunk) => self.setup.shared[core].return_buffer(chunk.bytes),
            PartStep::End(end) => self.cost.add(&end.cost),
            PartStep::Begin { .. } | PartStep::Failed { .. } => {}
        }
        if let Some(input) = input {
            self.advance(input);
        }
    }

    /// Begins a checkpoint that is due, and aborts one that takes too long.
    fn look(&mut self) {
        let now = system::now();
        match self.setup.effects.coordinator.running() {
            Some(epoch) if now >= self.message_at + SILENCE_MAX => {
                let cause = match self.setup.lease.is_over() {
                    true => SUSPENDED,
                    false => "a sink takes nothing",
                };
                let reason = format!("it made no progress for {SILENCE_MAX:?}: {cause}");
                self.advance(CoordinatorInput::Failed { epoch, reason });
            }
            Some(_) => {}
            None if self.last.is_committed() => {
                self.show_committed();
                self.count_delivery();
                if self.setup.effects.coordinator.all_visible() {
                    self.last.make_visible();
                }
            }
            // Cores do nothing for it, and the others may have gone on.
            None if self.setup.lease.is_over() => {
                self.answers = std::mem::take(&mut self.wanted);
                self.answer(&Err(format!("no checkpoint begins: {SUSPENDED}")));
                self.due = self.due.max(now + SUSPENDED_LOOK);
            }
            None if self.last.is_requested() || now >= self.due => {
                self.show_committed();
                self.answers = std::mem::take(&mut self.wanted);
                self.advance(CoordinatorInput::Begin);
                (self.begun, self.message_at) = (now, now);
                self.cost = PartCost::default();
                self.due = now + self.setup.interval;
                if let Some(epoch) = self.setup.effects.coordinator.running() {
                    self.last.begin(epoch);
                }
            }
            None => {}
        }
    }

    /// Gives `input` to the coordinator, and does what the coordinator requests.
    fn advance(&mut self, input: CoordinatorInput) {
        let mut next = Some(input);
        while let Some(input) = next.take() {
            let Some(action) = self.setup.effects.coordinator.handle(input, unix_seconds()) else {
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
        let effects = &mut self.setup.effects;
        let input = act_until_clear(|| effects.act(action, draw()))?;
        self.order(action);
        Ok(input)
    }

    /// Has the cores of the other nodes do what those of this one do.
    fn order(&self, action: &Action) {
        let Some(order) = CoreOrder::of(action) else { return };
        self.setup.nodes.iter().for_each(|node| node.send(&ToNode::Order(order)));
    }

    /// No further checkpoint can be made.
    fn fail(&mut self, reason: &dyn std::fmt::Display) -> CoordinatorInput {
        if !std::mem::replace(&mut self.ended, true) {
            tracing::error!("{reason}; this process ends: start the application again");
        }
        self.last.fail();
        CoordinatorInput::Swapped(Err(reason.to_string()))
    }

    fn committed(&mut self, epoch: Epoch) {
        self.complaints.committed();
        let (took, written, cost) = (system::since(self.begun), self.written, self.cost);
        // Where state changes faster than it can be stored checkpoints would follow each other
        // without end, and cores would do little else: half of the time is theirs.
        self.due = self.due.max(system::now() + took);
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

    /// Counts a step when output of the last checkpoint came to a client: the drain goes on.
    fn count_delivery(&mut self) {
        let farthest = self.setup.effects.visible.iter().map(|one| one.farthest());
        if std::mem::replace(&mut self.farthest, farthest.collect()) != self.farthest {
            self.last.count_step();
        }
    }

    fn answer(&mut self, result: &Result<Epoch, String>) {
        for answer in self.answers.drain(..) {
            // The operator may have gone.
            let _ = answer.send(result.clone());
        }
    }

    /// Deletes the objects that no retained checkpoint needs. Also after an abort, whose objects
    /// would otherwise keep a full disk full.
    fn collect(&mut self) {
        let CheckpointSetup { effects, retained, .. } = &self.setup;
        let Effects { store, coordinator, outputs, visible, .. } = effects;
        let (head, running) = (coordinator.head(), coordinator.running());
        let unsettled = coordinator.invisible().iter().cloned().chain(outputs.prepared());
        let unsettled: Vec<Transaction> = unsettled.collect();
        match collect(&**store, head, *retained, running, &unsettled) {
            Ok(collected) => {
                self.complaints.deleted();
                let bytes = collected.state_bytes_kept;
                visible.iter().for_each(|visible| visible.keep_free(bytes));
                self.progress.note(|summary| summary.stored_bytes = collected.bytes_kept);
            }
            Err(error) => self.complaints.not_deleted(&error),
        }
    }

    /// Makes committed output visible. Output that cannot be, and all later output of its sink, is
    /// tried again at the next checkpoint.
    fn show_committed(&mut self) {
        let Self { setup, complaints, .. } = self;
        if setup.lease.is_over() {
            return;
        }
        let mut failed = Vec::new();
        setup.effects.show(|sink, shown| match shown {
            Ok(_) => complaints.shown(sink),
            Err(error) => failed.push((sink.to_owned(), error)),
        });
        failed.into_iter().for_each(|(sink, error)| self.not_shown(&sink, &error));
    }

    fn not_shown(&mut self, sink: &str, error: &io::Error) {
        let what = format!("committed output of sink `{sink}` cannot be written: {error}");
        if error.kind() == io::ErrorKind::InvalidData {
            // What was committed before is gone: no further try can help, and output would pile up.
            self.fail(&what);
        } else {
            self.complaints.not_shown(sink, what);
        }
    }

    fn aborted(&mut self, epoch: Epoch, reason: &str) {
        // What it took the cores in vain is not all that they do.
        self.due = self.due.max(system::now() + system::since(self.begun).min(PAUSE_MAX));
        self.complaints.aborted(epoch, reason);
        self.answer(&Err(reason.to_owned()));
        self.progress.note(|summary| summary.aborted += 1);
        self.collect();
        if self.last.abort() {
            // It is tried again.
            system::sleep(Duration::from_millis(20));
        }
    }
}
