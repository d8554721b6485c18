//! What the control plane tells a core, and what a core tells the control plane.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use potoroo_runtime::{Connection, Waker};
use potoroo_sdk::host::{SinkId, SourceId};
use tokio::sync::oneshot;

use super::permits::Permit;
use super::pipe::{PipeIn, PipeOut};
use super::spool::Prepared;
use crate::flow::{ConnectionId, Ending, Letter, PartStep, Start};

/// What a core can be told. Closed, and one of them per turn, so that control never starves events.
pub enum Command {
    /// A connection was accepted for a source.
    Connection {
        /// The source.
        source: SourceId,
        /// The connection.
        connection: Connection,
        /// Its place among all connections.
        permit: Permit,
    },
    /// Archives for a source, behind their lengths, come through a pipe.
    Pipe {
        /// The source.
        source: SourceId,
        /// Where they come from.
        pipe: PipeOut,
    },
    /// A sink was connected.
    Sink {
        /// The sink.
        sink: SinkId,
        /// Where its bytes go.
        to: SinkEnd,
    },
    /// A file for a source comes through a pipe, from `start` on.
    File {
        /// The source.
        source: SourceId,
        /// Where its bytes come from.
        pipe: PipeOut,
        /// Where in the file they begin; `None` if it cannot be read again.
        start: Option<Start>,
    },
    /// A stream of a source comes through a pipe.
    Stream {
        /// The source.
        source: SourceId,
        /// Its number among the streams of the source.
        stream: u32,
        /// Hash of its name.
        name_hash: u64,
        /// Where its bytes come from.
        pipe: PipeOut,
        /// Bytes of the stream before the first.
        start: Start,
        /// Where to tell how far it was taken, if anybody wants to know.
        taken: Option<Arc<AtomicU64>>,
    },
    /// A checkpoint begins, is safe, or came to nothing.
    Checkpoint(CheckpointCommand),
    /// Too much output of a sink waits elsewhere, or no longer does: sources are held back.
    HoldSources {
        /// The sink.
        sink: SinkId,
        /// Whether it does.
        hold: bool,
    },
    /// No further connection or pipe will come.
    SourcesComplete,
    /// End all sources behind what has been read.
    StopSources,
    /// Everything was processed: deliver what waits, then end.
    Finish,
    /// End at once, whatever waits.
    Abandon,
}

/// What a core is told of checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointCommand {
    /// The checkpoint of this epoch begins.
    Begin(u32),
    /// It is safe.
    Commit(u32),
    /// It came to nothing.
    Abort(u32),
}

/// What the keeper of checkpoints is told.
#[derive(Debug)]
pub enum Told {
    /// By a core: the next step of its part.
    Part {
        /// The core.
        core: usize,
        /// The step.
        step: PartStep,
    },
    /// By whoever writes a sink's output: what came before an epoch is written.
    Marked {
        /// The sink.
        sink: SinkId,
        /// The epoch.
        epoch: u32,
        /// What waits to become visible when the epoch is safe.
        prepared: Option<Prepared>,
    },
    /// By an operator: a checkpoint is wanted now. Answered with its epoch, or why it came to
    /// nothing.
    Now(oneshot::Sender<Result<u64, String>>),
    /// By the supervisor: everything was processed, the last checkpoint is due.
    Last,
    /// By the supervisor: nobody will tell anything more.
    End,
}

/// The way to the keeper of checkpoints, which may wait for its storage. Parts find room only while
/// few of their steps wait, so memory is bounded; markers always do, so whoever writes the output
/// of a sink never waits for the storage.
#[derive(Clone, Debug)]
pub struct Teller {
    told: Sender<Told>,
    /// Steps of parts that wait.
    steps: Arc<AtomicUsize>,
}

/// The keeper's end of the way to it.
#[derive(Debug)]
pub struct Hearer {
    told: Receiver<Told>,
    steps: Arc<AtomicUsize>,
}

/// Steps of parts that may wait for the keeper, but for one more of each core: chunks are 64 KiB,
/// so 8 MiB.
pub const PARTS_WAITING_MAX: usize = 128;

/// The way to the keeper.
pub fn to_keeper() -> (Teller, Hearer) {
    let (sender, receiver) = channel();
    let steps = Arc::new(AtomicUsize::new(0));
    (Teller { told: sender, steps: steps.clone() }, Hearer { told: receiver, steps })
}

impl Teller {
    /// Hands over a step of a part of `core`, unless too many wait: then it comes back. A keeper
    /// that has ended, and with it the application, takes everything.
    ///
    /// # Errors
    /// There is no room now.
    pub fn try_part(&self, core: usize, step: PartStep) -> Result<(), PartStep> {
        // Only a bound on memory: nothing else is ordered by it.
        if self.steps.load(Ordering::Relaxed) >= PARTS_WAITING_MAX {
            return Err(step);
        }
        self.steps.fetch_add(1, Ordering::Relaxed);
        self.tell(Told::Part { core, step });
        Ok(())
    }

    /// Tells what is no part.
    pub fn tell(&self, told: Told) {
        // The keeper may have ended, and with it the application.
        let _ = self.told.send(told);
    }
}

impl Hearer {
    /// What is told next, within `limit`.
    ///
    /// # Errors
    /// Nothing was told in that time, or nobody is left to tell anything.
    pub fn hear(&self, limit: Duration) -> Result<Told, RecvTimeoutError> {
        let told = self.told.recv_timeout(limit)?;
        if let Told::Part { .. } = told {
            self.steps.fetch_sub(1, Ordering::Relaxed);
        }
        Ok(told)
    }
}

/// Where the bytes of a sink go.
pub enum SinkEnd {
    /// Nowhere: they are counted and dropped.
    Null,
    /// Over a connection.
    Connection(Connection),
    /// Through a pipe, to a thread that may wait and takes markers.
    Pipe(PipeIn),
    /// Through a pipe, to the embedding program.
    Channel(PipeIn),
}

/// What a core, or who serves the clients of a source, tells.
#[derive(Debug)]
pub enum Notice {
    /// A client of a source was refused.
    Refused {
        /// The source.
        source: SourceId,
        /// Who was connected.
        peer: String,
        /// Why.
        reason: String,
    },
    /// A connection or pipe of a source is closed.
    Closed {
        /// The source.
        source: SourceId,
        /// How it ended.
        ending: Ending,
        /// Who was connected.
        peer: String,
    },
    /// A sink lost its connection.
    SinkLost {
        /// The sink.
        sink: SinkId,
        /// Why.
        reason: String,
    },
    /// Input that could not be used.
    Letters(Vec<Letter>),
    /// A connection has kept its send buffer full for a while.
    Holding {
        /// The connection.
        id: ConnectionId,
        /// Who is connected.
        peer: String,
    },
    /// A connection was closed because it did not take its replies for too long.
    Stalled {
        /// The source.
        source: SourceId,
        /// Who was connected.
        peer: String,
        /// Replies that waited for it.
        replies: u64,
    },
    /// A core was ended before everything was read that the embedding program handed over.
    Unread {
        /// The source.
        source: SourceId,
        /// Bytes of events, with their lengths.
        bytes: usize,
    },
}

/// The control plane's end of a core's mailbox.
#[derive(Clone, Debug)]
pub struct Mailbox {
    commands: Sender<Command>,
    waiting: Arc<AtomicBool>,
    waker: Waker,
}

/// The core's end of its mailbox.
pub struct Mail {
    commands: Receiver<Command>,
    waiting: Arc<AtomicBool>,
}

/// A mailbox for the core that `waker` wakes.
pub fn mailbox(waker: Waker) -> (Mailbox, Mail) {
    let (sender, receiver) = channel();
    let waiting = Arc::new(AtomicBool::new(false));
    let mailbox = Mailbox { commands: sender, waiting: waiting.clone(), waker };
    (mailbox, Mail { commands: receiver, waiting })
}

impl Mailbox {
    /// Tells the core something. A core that has ended no longer listens.
    pub fn send(&self, command: Command) {
        if self.commands.send(command).is_ok() {
            // Pairs with the acquire in `Mail::take`: the command is there when it is announced.
            self.waiting.store(true, Ordering::Release);
            self.waker.wake_if_parked();
        }
    }

    /// Wakes the core if it is parked: after something was put into one of its pipes.
    pub fn waker(&self) -> &Waker {
        &self.waker
    }
}

impl Mail {
    /// The next command. Costs one load of a line that stays in the core's cache while there is
    /// none.
    #[inline]
    pub fn take(&mut self) -> Option<Command> {
        if !self.waiting.load(Ordering::Acquire) {
            return None;
        }
        self.take_waiting()
    }

    #[cold]
    fn take_waiting(&mut self) -> Option<Command> {
        // The flag goes down before the queue is looked at, and no load may pass that: a command
        // that is not seen here raises the flag after it went down.
        self.waiting.swap(false, Ordering::SeqCst);
        let command = self.commands.try_recv().ok();
        if command.is_some() {
            // There may be more: the next turn looks again.
            self.waiting.store(true, Ordering::Relaxed);
        }
        command
    }
}
