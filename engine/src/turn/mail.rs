//! What the control plane commands a core, and what a core notifies the control plane of.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use potoroo_runtime::{LinkReceiver, Waker};
use potoroo_sdk::host::{SinkId, SourceId};

use super::link_counts::LinkCounts;
use super::ports::{InletPort, LinkPort, OutletPort};
use crate::checkpoint::Epoch;
use crate::flow::{ConnectionId, Core, CoreEdges, DeadLetter, Ending, Start};

/// A command for a core. Closed, and at most one of them is obeyed per turn, so that control never
/// starves events.
pub enum Command {
    /// Open an inlet.
    Inlet(NewInlet),
    /// A sink was connected: its bytes go to this port.
    Sink {
        /// The sink.
        sink: SinkId,
        /// Where its bytes go.
        port: Box<dyn OutletPort>,
    },
    /// A checkpoint begins, is committed or aborted.
    Checkpoint(CheckpointCommand),
    /// Too much output of a sink waits elsewhere, or no longer does: sources are held back.
    HoldSources {
        /// The sink.
        sink: SinkId,
        /// Whether it does.
        hold: bool,
    },
    /// Nodes come or go: sources are held for the hold of this number, from 1; `None`: go on.
    HoldForNodes(Option<u64>),
    /// Another generation begins with the edges of the core: leave the links, and become what this
    /// makes of it.
    Renew(Renew),
    /// Report the peer of a connection.
    NamePeer(ConnectionId),
    /// No further inlet will be opened at this source.
    SourceComplete(SourceId),
    /// No further inlet will be opened.
    SourcesComplete,
    /// End all sources after what has been read.
    StopSources,
    /// Everything was processed: deliver what waits, then end.
    Finish,
    /// End at once, whatever waits.
    Abandon,
}

/// Makes the core of the next generation of the edges of the one before, on their thread. It may
/// wait. `None` if it could not, and then the thread ends.
pub type Renew = Box<dyn FnOnce(CoreEdges) -> Option<Renewed> + Send>;

/// What takes the place of a core.
pub struct Renewed {
    /// The core, with the edges.
    pub core: Core,
    /// Its links.
    pub links: Vec<NewLink>,
    /// By seat: those of the cores of this node.
    pub wakers: Vec<Option<Waker>>,
}

/// A link that a core is to have.
pub struct NewLink {
    /// The seat at the other end, to and from which the core has the lanes of this link.
    pub seat: usize,
    /// The connection.
    pub port: Box<dyn LinkPort>,
    /// Takes the peer's bytes.
    pub receiver: LinkReceiver,
    /// How far the clock of the peer is ahead of this one's.
    pub ahead_ns: i64,
    /// What goes over it is counted there.
    pub counts: Arc<LinkCounts>,
}

/// A step of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointCommand {
    /// The checkpoint of this epoch begins.
    Begin(Epoch),
    /// It is committed.
    Commit(Epoch),
    /// It is aborted.
    Abort(Epoch),
}

/// An inlet that is to be opened.
pub struct NewInlet {
    /// Its source.
    pub source: SourceId,
    /// What its bytes are, and where they begin.
    pub kind: InletKind,
    /// Where they come from.
    pub port: Box<dyn InletPort>,
    /// Where to publish how many of them the core has taken, if that is of use.
    pub taken: Option<Arc<AtomicU64>>,
}

/// What the bytes of an inlet are, and where they begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InletKind {
    /// What the codec expects; they cannot be read again.
    Bytes,
    /// Archives of events, each after its length (u32, little-endian), made in this process.
    Archives,
    /// What the codec expects, from here on; they can be read again.
    Replayed(Start),
    /// As replayed, for one of the streams of the source.
    Stream {
        /// Its number among the streams of the source in this run.
        number: u32,
        /// Hash of its name.
        name_hash: u64,
        /// Where its bytes begin.
        start: Start,
    },
}

/// What a core, or a thread that serves the clients of a source, reports.
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
    /// A link broke, or its bytes were wrong, or its peer has ended: once per link. What was under
    /// way in it is lost.
    LinkLost {
        /// The seat at its other end.
        seat: usize,
        /// How often the core was renewed before it got the link.
        renewals: u32,
        /// Why.
        reason: String,
    },
    /// Input that could not be used.
    Letters(Vec<DeadLetter>),
    /// A connection has kept its send buffer full for a while, or its peer was requested.
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
// cold: once per core
pub fn mailbox(waker: Waker) -> (Mailbox, Mail) {
    let (sender, receiver) = channel();
    let waiting = Arc::new(AtomicBool::new(false));
    let mailbox = Mailbox { commands: sender, waiting: waiting.clone(), waker };
    (mailbox, Mail { commands: receiver, waiting })
}

impl Mailbox {
    /// Sends the core a command. A core that has ended drops it.
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
