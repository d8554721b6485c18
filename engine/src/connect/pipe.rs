//! A pipe of buffers between a core and a thread that may wait: for files and embedding programs.
//!
//! A fixed number of buffers goes round, full in one direction and empty in the other, so a pipe
//! is bounded and allocates nothing while it runs. The end that belongs to a core never waits.
//!
//! ```text
//!   PipeIn  ── full ──►  PipeOut
//!           ◄─ empty ──
//! ```

use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

/// Buffers of one pipe: while one is written and one is read, two more cover a hiccup.
const BUFFERS: usize = 4;

/// Bytes of one buffer: large enough that a system call per buffer costs little per event.
pub const BUFFER_BYTES: usize = 64 * 1024;

/// The end that fills buffers.
#[derive(Debug)]
pub struct PipeIn {
    full: SyncSender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
}

/// The end that empties buffers.
#[derive(Debug)]
pub struct PipeOut {
    full: Receiver<Vec<u8>>,
    empty: SyncSender<Vec<u8>>,
}

/// What [`PipeOut::try_recv`] found.
#[derive(Debug)]
pub enum Received {
    /// A full buffer; give it back when it is empty.
    Buffer(Vec<u8>),
    /// Nothing now.
    Nothing,
    /// Nothing ever: the other end is gone.
    Ended,
}

/// A pipe with all its buffers empty.
pub fn pipe() -> (PipeIn, PipeOut) {
    let (full_in, full_out) = sync_channel(BUFFERS);
    let (empty_in, empty_out) = sync_channel(BUFFERS);
    for _ in 0..BUFFERS {
        let buffer = Vec::with_capacity(BUFFER_BYTES);
        empty_in.try_send(buffer).expect("the channel holds all buffers");
    }
    let pipe_in = PipeIn { full: full_in, empty: empty_out };
    (pipe_in, PipeOut { full: full_out, empty: empty_in })
}

impl PipeIn {
    /// An empty buffer, if there is one now. `Err` when the other end is gone.
    ///
    /// # Errors
    /// The other end is gone.
    pub fn try_buffer(&mut self) -> Result<Option<Vec<u8>>, Gone> {
        match self.empty.try_recv() {
            Ok(buffer) => Ok(Some(buffer)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(Gone),
        }
    }

    /// Waits for an empty buffer.
    ///
    /// # Errors
    /// The other end is gone.
    pub fn buffer(&mut self) -> Result<Vec<u8>, Gone> {
        self.empty.recv().map_err(|_| Gone)
    }

    /// Sends a buffer that came from this pipe. Never waits: there are as many places as buffers.
    ///
    /// # Errors
    /// The other end is gone.
    pub fn send(&mut self, buffer: Vec<u8>) -> Result<(), Gone> {
        self.full.send(buffer).map_err(|_| Gone)
    }
}

impl PipeOut {
    /// A full buffer, if there is one now.
    pub fn try_recv(&mut self) -> Received {
        match self.full.try_recv() {
            Ok(buffer) => Received::Buffer(buffer),
            Err(TryRecvError::Empty) => Received::Nothing,
            Err(TryRecvError::Disconnected) => Received::Ended,
        }
    }

    /// Waits for a full buffer; `None` when the other end is gone.
    pub fn recv(&mut self) -> Option<Vec<u8>> {
        self.full.recv().ok()
    }

    /// Gives a buffer back.
    pub fn give_back(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        // Nobody waits for empty buffers any more when the other end is gone.
        let _ = self.empty.send(buffer);
    }
}

/// The other end of a pipe is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;
