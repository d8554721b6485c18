//! Hold: keeps sources from taking more while output of a sink has no place to wait.
//!
//! Two things hold them: too much waits for the client of the sink, or the disk on which it waits
//! is nearly full. What was taken goes on to its end, and checkpoints are taken as before, so part
//! of the disk is kept free for both: a disk that was full to its end could commit nothing, and
//! what is not committed cannot leave it. Must never do: block whoever asks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use potoroo_sdk::host::SinkId;

use super::mail::{Command, Mailbox};
use super::spool::{Room, Target};

/// Bytes of a disk that are kept free besides those of a checkpoint, of a large one.
const FREE_BYTES: u64 = 64 << 20;

/// What holds the sources back for one sink.
#[derive(Debug)]
pub struct Hold {
    sink: SinkId,
    target: Target,
    cores: Vec<Mailbox>,
    /// Bytes that the next checkpoint may take.
    checkpoint_bytes: AtomicU64,
    reasons: Mutex<Reasons>,
}

#[derive(Debug, Default)]
struct Reasons {
    backlog: bool,
    disk: bool,
}

impl Hold {
    /// Holds the sources of these `cores` for `sink`, whose output waits at `target`.
    pub fn new(sink: SinkId, target: Target, cores: Vec<Mailbox>) -> Self {
        let (checkpoint_bytes, reasons) = (AtomicU64::new(0), Mutex::default());
        Self { sink, target, cores, checkpoint_bytes, reasons }
    }

    /// So many bytes of output wait: `full`, or not any more.
    pub fn backlog(&self, full: bool, bytes: u64) {
        let mut reasons = self.lock();
        if std::mem::replace(&mut reasons.backlog, full) != full {
            self.change(&reasons, !full && !reasons.disk, &format!("{bytes} bytes wait for it"));
        }
    }

    /// A checkpoint may take so many bytes.
    pub fn keep_free(&self, checkpoint_bytes: u64) {
        self.checkpoint_bytes.store(checkpoint_bytes, Ordering::Relaxed);
    }

    /// Looks how full the disk is. Costs a system call.
    pub fn look(&self) {
        // What cannot be asked is told by the next write.
        let Ok(Some(room)) = self.target.disk().room(self.target.folder()) else { return };
        let kept = kept_free(room, self.checkpoint_bytes.load(Ordering::Relaxed));
        let mut reasons = self.lock();
        // Not again at once: what is freed is soon taken.
        let full = room.free < if reasons.disk { kept + kept / 4 } else { kept };
        if std::mem::replace(&mut reasons.disk, full) != full {
            let (free, folder) = (room.free, self.target.folder().display());
            let why = format!("{folder} has {free} bytes free, and {kept} are kept free");
            self.change(&reasons, !full && !reasons.backlog, &why);
        }
    }

    fn change(&self, reasons: &Reasons, go_on: bool, why: &str) {
        let (sink, hold) = (self.sink, reasons.backlog || reasons.disk);
        let state = if go_on { "go on" } else { "are held back" };
        tracing::warn!("sink `{}`: sources {state}: {why}", self.target.sink);
        self.cores.iter().for_each(|core| core.send(Command::HoldSources { sink, hold }));
    }

    fn lock(&self) -> MutexGuard<'_, Reasons> {
        // Each change is whole before the next may panic.
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes of a disk that are kept free: half of a small one at most.
fn kept_free(room: Room, checkpoint_bytes: u64) -> u64 {
    FREE_BYTES.saturating_add(checkpoint_bytes).min(room.total / 2)
}
