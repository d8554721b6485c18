//! What edges are started with: cores, threads, and what an earlier run has left.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use potoroo_sdk::host::{SinkId, SourceId};

use super::gather::{Gatherer, Gathering, Patience, gather};
use super::pipe::{PipeInlet, PipeOutlet, pipe};
use super::pump::{self, Markers, Tail, WriteGuard};
use super::refusal::EdgeRefusal;
use super::resume::Resume;
use super::threads::EdgeThreads;
use super::visible::Visible;
use crate::checkpoint::Transaction;
use crate::flow::Start;
use crate::turn::{Command, InletKind, Mailbox, NewInlet};

/// What takes part in checkpoints besides cores and sources.
#[derive(Default)]
pub struct SinkStates {
    /// Where committed output becomes visible.
    pub visible: Vec<Box<dyn Visible>>,
    /// Output that an earlier run has committed, and that may not be visible.
    pub committed: Vec<Transaction>,
}

/// What is known while one edge is started.
pub struct Starting<'a> {
    /// Name of the application.
    pub application: &'a str,
    /// Name of the source or sink.
    pub name: &'a str,
    /// All cores.
    pub cores: &'a [Mailbox],
    /// The core that the edge belongs to.
    pub core: &'a Mailbox,
    /// What an earlier run has left; `None` if no checkpoints are taken.
    pub resume: Option<Resume<'a>>,
    /// Bytes of committed output that may wait for a client.
    pub backlog_bytes_max: u64,
    /// Of a source: its events have times.
    pub timed: bool,
    /// Of a source: where messages are counted that come again.
    pub repeated: Option<&'a Arc<AtomicU64>>,
    /// All threads.
    pub threads: &'a mut EdgeThreads,
    /// Where committed output becomes visible.
    pub sinks: &'a mut SinkStates,
}

impl Starting<'_> {
    /// Sends this to the core of the edge, when nothing can fail any more.
    pub fn send(&mut self, command: Command) {
        self.threads.attach.send(self.core, command);
    }

    /// Reads `from` to its end, on a thread of its own. With `start` it can be read again, and
    /// begins there; then it is seen at its end whether `tail` is still there.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn read(
        &mut self,
        source: SourceId,
        from: impl Read + Send + 'static,
        start: Option<Start>,
        tail: Option<Tail>,
    ) -> Result<(), EdgeRefusal> {
        let (pipe_in, pipe) = pipe();
        let reader = pump::read(from, tail, pipe_in, self.core.waker().clone());
        self.threads.add_reader(self.name, reader.map_err(EdgeRefusal::thread("a file's reader"))?);
        let kind = start.map_or(InletKind::Bytes, InletKind::Replayed);
        let port = Box::new(PipeInlet::new(pipe));
        self.send(Command::Inlet(NewInlet { source, kind, port, taken: None }));
        Ok(())
    }

    /// Writes the output of `sink` to `to`, on a thread of its own; makes it durable with `sync`
    /// when the core has ended.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn write(
        &mut self,
        sink: SinkId,
        to: impl Write + Send + 'static,
        sync: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> Result<(), EdgeRefusal> {
        let (pipe_in, pipe_out) = pipe();
        let (storage, notices) = (self.threads.storage().cloned(), self.threads.notices().clone());
        let markers = Markers { sink, storage, notices };
        let (lease, stop) = (self.threads.lease().clone(), self.threads.stopping().clone());
        let how = (markers, WriteGuard { lease, stop });
        let writer = pump::write(to, pipe_out, self.core.waker().clone(), how, sync);
        self.threads.add_writer(self.name, writer.map_err(EdgeRefusal::thread("a file's writer"))?);
        let port = Box::new(PipeOutlet::to_writer(pipe_in));
        self.send(Command::Sink { sink, port });
        Ok(())
    }

    /// Gathers the output of `sink` for `file` or a client, the first of it for `offset`. On a full
    /// disk it waits for room; before that it holds back the sources by `hold`.
    ///
    /// # Errors
    /// The thread cannot be started.
    ///
    /// # Panics
    /// No checkpoints are taken.
    pub fn gather(
        &mut self,
        sink: SinkId,
        file: Option<String>,
        offset: u64,
        hold: Option<Arc<dyn Gathering>>,
    ) -> Result<(), EdgeRefusal> {
        let store = self.resume.expect("only checkpoints commit").store.clone();
        let gatherer = Gatherer::new(store, self.name, file, offset);
        let (pipe_in, pipe_out) = pipe();
        let storage = self.threads.storage().expect("only checkpoints commit").clone();
        let patience = Patience { hold, stop: self.threads.stopping().clone() };
        let ends = (pipe_out, self.core.waker().clone());
        let writer = gather(gatherer, sink, storage, ends, patience);
        let writer = writer.map_err(EdgeRefusal::thread("what gathers output"))?;
        self.threads.add_writer(self.name, writer);
        let port = Box::new(PipeOutlet::to_writer(pipe_in));
        self.send(Command::Sink { sink, port });
        Ok(())
    }
}
