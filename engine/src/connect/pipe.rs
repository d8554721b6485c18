//! A pipe of buffers between a core and a thread that may wait: for files and embedding programs.
//!
//! A fixed number of buffers goes round, full in one direction and empty in the other, so a pipe
//! is bounded and allocates nothing while it runs. The end that belongs to a core never waits. A
//! core learns when each buffer was sent: then its bytes had been read.
//!
//! ```text
//!   PipeIn  ── full ──►  PipeOut
//!           ◄─ empty ──
//! ```

mod port;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use potoroo_runtime::{Clock, Nanos, Waker};

use crate::checkpoint::Epoch;

pub use port::{PipeInlet, PipeOutlet};

/// What comes out of a pipe.
#[derive(Debug)]
pub enum PipeItem {
    /// A buffer.
    Buffer(Vec<u8>),
    /// What follows comes after this epoch.
    Marker(Epoch),
}

/// What goes through a pipe.
#[derive(Debug)]
enum Item {
    /// A buffer, and when it was sent.
    Buffer(Vec<u8>, Nanos),
    Marker(Epoch),
}

/// Buffers of one pipe: while one is written and one is read, two more cover a hiccup.
const BUFFERS: usize = 4;

/// Markers that may wait in one pipe, so that a buffer always finds a place.
const MARKERS: usize = 4;

/// Bytes of one buffer: large enough that a system call per buffer costs little per event.
pub const BUFFER_BYTES: usize = 64 * 1024;

/// Bytes of a pipe.
pub const PIPE_BYTES: usize = BUFFERS * BUFFER_BYTES;

/// The end that fills buffers.
#[derive(Debug)]
pub struct PipeIn {
    full: SyncSender<Item>,
    empty: Receiver<Vec<u8>>,
    clock: Clock,
    closing: Arc<Closing>,
    /// Markers that wait to be received.
    markers: Arc<AtomicUsize>,
    /// The last one: a core that is woken must find `full` gone.
    _farewell: Farewell,
}

/// The end that empties buffers.
#[derive(Debug)]
pub struct PipeOut {
    full: Receiver<Item>,
    empty: SyncSender<Vec<u8>>,
    closing: Arc<Closing>,
    received: u64,
    /// As at the other end.
    markers: Arc<AtomicUsize>,
}

/// How the end that empties a pipe closes it without losing what the other end believes sent: a
/// sender counts itself in before it looks whether the pipe is closed, and the end
/// that closes it reads that count afterwards. All accesses are sequentially consistent, so one of
/// the two always sees the other.
#[derive(Debug, Default)]
struct Closing {
    closed: AtomicBool,
    sent: AtomicU64,
    /// Wakes the core at one end, where the thread at the other end does not.
    core: OnceLock<Waker>,
}

impl Closing {
    fn wake(&self) {
        if let Some(core) = self.core.get() {
            core.wake_if_parked();
        }
    }
}

/// What [`PipeOut::try_recv`] found.
#[derive(Debug)]
pub enum Received {
    /// A full buffer, and when it was sent; give it back when it is empty.
    Buffer(Vec<u8>, Nanos),
    /// Nothing now.
    Nothing,
    /// Nothing ever: the other end is gone.
    Ended,
}

/// A pipe with all its buffers empty.
pub fn pipe() -> (PipeIn, PipeOut) {
    pipe_of(BUFFER_BYTES)
}

/// A pipe with buffers of `buffer_bytes`.
pub fn pipe_of(buffer_bytes: usize) -> (PipeIn, PipeOut) {
    let (full_in, full_out) = sync_channel(BUFFERS + MARKERS);
    let (empty_in, empty_out) = sync_channel(BUFFERS);
    for _ in 0..BUFFERS {
        let buffer = Vec::with_capacity(buffer_bytes);
        empty_in.try_send(buffer).expect("the channel holds all buffers");
    }
    let closing = Arc::new(Closing::default());
    let markers = Arc::new(AtomicUsize::new(0));
    let (of_in, of_out) = (closing.clone(), markers.clone());
    let clock = Clock::new();
    let farewell = Farewell(closing.clone());
    let pipe_in = PipeIn {
        full: full_in,
        empty: empty_out,
        clock,
        closing: of_in,
        markers,
        _farewell: farewell,
    };
    let (full, empty) = (full_out, empty_in);
    (pipe_in, PipeOut { full, empty, closing, received: 0, markers: of_out })
}

impl PipeIn {
    /// Has the core that holds this end woken whenever a buffer is given back.
    pub fn wakes(&self, core: &Waker) {
        let _ = self.closing.core.set(core.clone());
    }

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

    /// Waits for an empty buffer, for up to `most`.
    ///
    /// # Errors
    /// The other end is gone.
    pub fn buffer_within(&mut self, most: Duration) -> Result<Option<Vec<u8>>, Gone> {
        match self.empty.recv_timeout(most) {
            Ok(buffer) => Ok(Some(buffer)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Gone),
        }
    }

    /// Sends a buffer that came from this pipe. Never waits: there are as many places as buffers
    /// and markers.
    ///
    /// # Errors
    /// The other end is gone, or has closed the pipe; the buffer is not received then.
    pub fn send(&mut self, buffer: Vec<u8>) -> Result<(), Gone> {
        self.closing.sent.fetch_add(1, Ordering::SeqCst);
        if self.closing.closed.load(Ordering::SeqCst) {
            self.closing.sent.fetch_sub(1, Ordering::SeqCst);
            return Err(Gone);
        }
        let sent = self.full.send(Item::Buffer(buffer, self.clock.now())).map_err(|_| Gone);
        self.closing.wake();
        sent
    }

    /// Marks what was sent as belonging to `epoch`, unless too many markers wait. Returns whether
    /// it did.
    ///
    /// # Errors
    /// The other end is gone.
    pub fn try_mark(&mut self, epoch: Epoch) -> Result<bool, Gone> {
        if self.markers.load(Ordering::Relaxed) == MARKERS {
            return Ok(false);
        }
        self.markers.fetch_add(1, Ordering::Relaxed);
        self.full.send(Item::Marker(epoch)).map(|()| true).map_err(|_| Gone)
    }
}

impl PipeOut {
    /// Has the core that holds this end woken whenever a buffer is sent.
    pub fn wakes(&self, core: &Waker) {
        let _ = self.closing.core.set(core.clone());
    }

    /// A full buffer, if there is one now.
    pub fn try_recv(&mut self) -> Received {
        match self.full.try_recv() {
            Ok(Item::Buffer(buffer, sent)) => {
                self.received += 1;
                Received::Buffer(buffer, sent)
            }
            Err(TryRecvError::Empty) if self.is_drained() => Received::Ended,
            Ok(Item::Marker(_)) => panic!("only what is written is marked"),
            Err(TryRecvError::Empty) => Received::Nothing,
            Err(TryRecvError::Disconnected) => Received::Ended,
        }
    }

    /// Takes nothing more: whatever was sent before is still received, and then the pipe ends.
    pub fn close(&mut self) {
        self.closing.closed.store(true, Ordering::SeqCst);
    }

    /// Whether it is closed, and everything was received that was sent before.
    fn is_drained(&self) -> bool {
        // Relaxed is enough to see our own store; the count is read in the order of `send`.
        self.closing.closed.load(Ordering::Relaxed)
            && self.closing.sent.load(Ordering::SeqCst) == self.received
    }

    /// Waits for a full buffer or a marker; `None` when the other end is gone.
    pub fn recv(&mut self) -> Option<PipeItem> {
        Some(match self.full.recv().ok()? {
            Item::Buffer(buffer, _) => PipeItem::Buffer(buffer),
            Item::Marker(epoch) => {
                self.markers.fetch_sub(1, Ordering::Relaxed);
                PipeItem::Marker(epoch)
            }
        })
    }

    /// Gives a buffer back.
    pub fn return_buffer(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        // When the other end is gone, empty buffers are not waited for any more.
        let _ = self.empty.send(buffer);
        self.closing.wake();
    }
}

/// Wakes the core at the other end when this end is gone.
#[derive(Debug)]
struct Farewell(Arc<Closing>);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.wake();
    }
}

/// The other end of a pipe is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

#[cfg(test)]
mod tests {
    use super::{PipeIn, Received, pipe};

    fn send(pipe_in: &mut PipeIn, byte: u8) -> bool {
        let Ok(mut buffer) = pipe_in.buffer() else { return false };
        buffer.push(byte);
        pipe_in.send(buffer).is_ok()
    }

    #[test]
    fn a_closed_pipe_gives_what_was_sent_before_and_ends() {
        let (mut pipe_in, mut pipe_out) = pipe();
        assert!(send(&mut pipe_in, 1));
        assert!(send(&mut pipe_in, 2));
        pipe_out.close();
        assert!(!send(&mut pipe_in, 3), "the sender notices it");
        for byte in [1, 2] {
            let received = pipe_out.try_recv();
            let Received::Buffer(buffer, _) = received else { panic!("{byte} was sent") };
            assert_eq!(buffer, [byte]);
        }
        assert!(matches!(pipe_out.try_recv(), Received::Ended));
    }

    /// Whatever the moment: what the sender believes sent is received.
    #[test]
    fn closing_while_something_is_sent_loses_nothing() {
        for round in 0..200 {
            let (mut pipe_in, mut pipe_out) = pipe();
            let sender = std::thread::spawn(move || {
                (0..u64::MAX).take_while(|_| send(&mut pipe_in, 0)).count()
            });
            let mut received = 0;
            loop {
                match pipe_out.try_recv() {
                    Received::Buffer(buffer, _) => {
                        received += 1;
                        pipe_out.return_buffer(buffer);
                    }
                    Received::Nothing => std::hint::spin_loop(),
                    Received::Ended => break,
                }
                if received >= round {
                    pipe_out.close();
                }
            }
            drop(pipe_out);
            assert_eq!(sender.join().expect("it ends"), received, "round {round}");
        }
    }
}
