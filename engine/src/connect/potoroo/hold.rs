//! Hold: keeps sources from taking more while output of a sink has no place to wait.
//!
//! Two things hold them: too much waits for the client of the sink, or the disk on which it waits
//! is nearly full. What was taken goes on to its end, and checkpoints are taken as before, so part
//! of the disk is kept free for both: a disk that was full to its end could commit nothing, and
//! what is not committed cannot leave it. A full disk on which nothing of the sink waits does not
//! hold the sources: no client could end that. Must never do: block the caller.

use std::fmt::{self, Debug, Formatter};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use potoroo_sdk::host::SinkId;

use crate::checkpoint::store::{ScratchRoom, Store};
use crate::connect::gather::Gathering;
use crate::connect::lines::LineLimiter;
use crate::disk::Room;
use crate::turn::{Command, Mailbox};

/// Bytes of a disk that are kept free besides those of a checkpoint, of a large one.
const FREE_BYTES: u64 = 64 << 20;

/// What holds the sources back for one sink.
pub struct Hold {
    sink: SinkId,
    name: String,
    /// Where output waits.
    store: Arc<dyn Store>,
    cores: Vec<Mailbox>,
    /// Bytes that the next checkpoint may take.
    checkpoint_bytes: AtomicU64,
    /// Output was gathered that no checkpoint has committed yet.
    uncommitted: AtomicBool,
    reasons: Mutex<Reasons>,
    lines: LineLimiter,
}

#[derive(Debug, Default)]
struct Reasons {
    backlog: bool,
    disk: bool,
}

impl Hold {
    /// Holds the sources of these `cores` for `sink`, named `name`, whose output waits in `store`.
    pub fn new(sink: SinkId, name: &str, store: Arc<dyn Store>, cores: Vec<Mailbox>) -> Self {
        let (checkpoint_bytes, reasons) = (AtomicU64::new(0), Mutex::default());
        let (uncommitted, lines) = (AtomicBool::new(false), LineLimiter::new());
        let name = name.to_owned();
        Self { sink, name, store, cores, checkpoint_bytes, uncommitted, reasons, lines }
    }

    /// `bytes` of output wait, of which there may be `most`: sources go on when a quarter of that
    /// was taken.
    pub fn backlog(&self, bytes: u64, most: u64) {
        let mut reasons = self.lock();
        let full = bytes >= if reasons.backlog { most - most / 4 } else { most };
        if std::mem::replace(&mut reasons.backlog, full) != full {
            self.change(&reasons, !full && !reasons.disk, &format!("{bytes} bytes wait for it"));
        }
    }

    /// A checkpoint may take this many bytes.
    pub fn keep_free(&self, checkpoint_bytes: u64) {
        self.checkpoint_bytes.store(checkpoint_bytes, Ordering::Relaxed);
    }

    /// What was gathered is committed, and waits for the client.
    pub fn committed(&self) {
        self.uncommitted.store(false, Ordering::Relaxed);
    }

    /// Looks how full the disk is, and whether something waits on it: committed output, as the
    /// caller knows, or some that will be. Costs a system call.
    pub fn look(&self, waits: bool) {
        // A disk whose room cannot be read is reported by the next write.
        let Ok(Some(ScratchRoom { disk, has_objects })) = self.store.room() else { return };
        // Those in a bucket take none of the disk on which output is gathered.
        let checkpoint = self.checkpoint_bytes.load(Ordering::Relaxed);
        let checkpoint = if has_objects { checkpoint } else { 0 };
        let waits = (waits && has_objects) || self.uncommitted.load(Ordering::Relaxed);
        self.see(disk, kept_free(disk, checkpoint), waits);
    }

    fn see(&self, room: Room, kept: u64, waits: bool) {
        let mut reasons = self.lock();
        // Not again at once: what is freed is soon taken.
        let full = waits && room.free < if reasons.disk { kept + kept / 4 } else { kept };
        if std::mem::replace(&mut reasons.disk, full) != full {
            let free = room.free;
            let why = format!(
                "the disk on which output waits has {free} bytes free, and {kept} are kept free"
            );
            self.change(&reasons, !full && !reasons.backlog, &why);
        }
    }

    fn change(&self, reasons: &Reasons, go_on: bool, why: &str) {
        let (sink, hold) = (self.sink, reasons.backlog || reasons.disk);
        let state = if go_on { "go on" } else { "are held back" };
        if let Some(left_out) = self.lines.admit() {
            tracing::warn!("sink `{}`: sources {state}: {why}{left_out}", self.name);
        }
        self.cores.iter().for_each(|core| core.send(Command::HoldSources { sink, hold }));
    }

    fn lock(&self) -> MutexGuard<'_, Reasons> {
        // Each change is whole before the next may panic.
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Debug for Hold {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "what holds sources for `{}`", self.name)
    }
}

impl Gathering for Hold {
    fn gathered(&self) {
        self.uncommitted.store(true, Ordering::Relaxed);
        self.look(true);
    }
}

/// Bytes of a disk that are kept free: half of a small one at most.
fn kept_free(room: Room, checkpoint_bytes: u64) -> u64 {
    FREE_BYTES.saturating_add(checkpoint_bytes).min(room.total / 2)
}

#[cfg(test)]
mod tests {
    use potoroo_runtime::Poller;

    use super::*;
    use crate::checkpoint::store::Memory;
    use crate::turn::mailbox;

    /// Another process may have filled the disk: no client would end that.
    #[test]
    fn a_full_disk_holds_sources_back_only_while_something_waits_on_it() {
        let (core, mut mail) = mailbox(Poller::new().expect("this host has one").waker());
        let hold = Hold::new(SinkId(3), "w", Arc::new(Memory::new()), vec![core]);
        let room = |free| Room { free, total: 128 << 20 };
        let mut check = |free, waits, expected| {
            hold.see(room(free), kept_free(room(free), 0), waits);
            let sent = match mail.take() {
                Some(Command::HoldSources { hold, .. }) => Some(hold),
                Some(_) => panic!("no other command is sent"),
                None => None,
            };
            assert_eq!(sent, expected, "{free} bytes free, something waits: {waits}");
        };
        check(0, false, None);
        check(64 << 20, true, None);
        check((64 << 20) - 1, true, Some(true));
        check((80 << 20) - 1, true, None);
        check(0, false, Some(false));
        check(0, true, Some(true));
        check(80 << 20, true, Some(false));
    }
}
