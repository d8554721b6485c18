//! Readiness by io_uring.
//!
//! Owns the ring and the requests armed in it. Submits each request at once and reads completions
//! only when the kernel has raised a flag.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;

use io_uring::{IoUring, cqueue, opcode, squeue, types};

use super::ready::{Interest, Ready};
use super::wake::Waker;
use super::watches::Watches;

/// One armed request.
struct Watch {
    token: u64,
    /// Open as long as the watch exists, as users unwatch before they close; or `FD_REFUSED`.
    fd: RawFd,
    interest: Interest,
}

pub(super) struct UringBackend {
    ring: IoUring,
    watches: Watches<Watch>,
    ids: HashMap<(u64, Interest), u64>, // cold: when a descriptor comes or goes
    /// Requests that the kernel has ended and that are submitted again. It stays for its memory.
    rearm: Vec<u64>,
    wake_fd: RawFd,
    /// The completion queue may hold something although no flag is raised.
    unread: bool,
}

impl UringBackend {
    // cold: once per core
    pub(super) fn new(waker: &Waker) -> io::Result<Self> {
        // Deferred work is done only when we ask, without interrupting the turn; with plain flags
        // each segment costs an interrupt, and a round trip four times as much.
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_cqsize(COMPLETIONS)
            .build(SUBMISSIONS)
            .map_err(explained)?;
        if !ring.params().is_feature_ext_arg() || !ring.params().is_feature_nodrop() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, TOO_OLD));
        }
        let mut backend = Self {
            ring,
            watches: Watches::new(),
            ids: HashMap::new(),
            rearm: Vec::new(),
            wake_fd: waker.as_fd().as_raw_fd(),
            unread: false,
        };
        backend.submit(&wake_request(backend.wake_fd))?;
        Ok(backend)
    }

    pub(super) fn watch(&mut self, fd: RawFd, token: u64, interest: Interest) -> io::Result<()> {
        if self.ids.contains_key(&(token, interest)) {
            assert!(interest == Interest::Write, "token {token} is watched already");
            return Ok(());
        }
        let watch = Watch { token, fd, interest };
        let request = watch.request();
        let id = self.watches.insert(watch);
        self.ids.insert((token, interest), id);
        let submitted = self.submit(&request.user_data(id));
        if submitted.is_err() {
            self.forget(id);
        }
        submitted
    }

    pub(super) fn unwatch(&mut self, token: u64) {
        for interest in [Interest::Read, Interest::Write] {
            let Some(&id) = self.ids.get(&(token, interest)) else { continue };
            self.forget(id);
            // A request that lived on would keep the connection open behind its closed
            // descriptor. So it is cancelled, not removed: removing is refused while the kernel
            // has something to report for it. What it still reports is ignored, as its id is gone.
            let _ = self.submit(&opcode::AsyncCancel::new(id).build().user_data(ID_IGNORED));
        }
    }

    #[inline]
    pub(super) fn poll(&mut self, ready: &mut Vec<Ready>, waker: &Waker) {
        let queue = self.ring.submission();
        let flagged = queue.taskrun() || queue.cq_overflow();
        drop(queue);
        if flagged || self.unread {
            self.poll_completions(ready, waker, flagged);
        }
    }

    #[inline(never)]
    fn poll_completions(&mut self, ready: &mut Vec<Ready>, waker: &Waker, flagged: bool) {
        if flagged {
            // Runs the deferred work. An interrupted call leaves the flag up for the next poll.
            let _ = self.ring.submit();
        }
        self.unread = false;
        let mut woken = None;
        for completion in self.ring.completion() {
            let more = cqueue::more(completion.flags());
            match completion.user_data() {
                ID_IGNORED => {}
                ID_WAKE => woken = Some(more),
                id => {
                    let Some(watch) = self.watches.find(id) else { continue };
                    ready.push(watch.ready(completion.result()));
                    if completion.result() < 0 {
                        watch.fd = FD_REFUSED;
                    }
                    if !more {
                        self.rearm.push(id);
                    }
                }
            }
        }
        if let Some(more) = woken {
            waker.drain();
            if !more {
                self.rearm.push(ID_WAKE);
            }
        }
        if !self.rearm.is_empty() {
            self.rearm_ended();
        }
    }

    /// Ends what was to be reported once, and asks again for the rest: the kernel ends a lasting
    /// request when completions overflow.
    #[cold]
    fn rearm_ended(&mut self) {
        while let Some(id) = self.rearm.pop() {
            let request = match self.watches.find(id) {
                Some(watch) if watch.goes_on() => watch.request().user_data(id),
                None if id == ID_WAKE => wake_request(self.wake_fd),
                Some(_) => {
                    self.forget(id);
                    continue;
                }
                None => continue,
            };
            if self.submit(&request).is_err() {
                self.rearm.push(id);
                self.unread = true;
                return;
            }
        }
    }

    pub(super) fn park(&mut self, timeout: Duration) {
        let timeout = types::Timespec::from(timeout);
        let arguments = types::SubmitArgs::new().timespec(&timeout);
        // A timeout and an interruption are as good as a completion: the caller looks anyway.
        let _ = self.ring.submitter().submit_with_args(1, &arguments);
        self.unread = true;
    }

    fn forget(&mut self, id: u64) {
        if let Some(watch) = self.watches.remove(id) {
            self.ids.remove(&(watch.token, watch.interest));
        }
    }

    /// Submits at once, while the descriptor is surely open. Watching is rare, so a system call
    /// each is no matter.
    fn submit(&mut self, request: &squeue::Entry) -> io::Result<()> {
        self.unread = true;
        let pushed = push(&mut self.ring, request);
        // Each push is followed by a submission, so the queue cannot be full unless that failed.
        pushed.map_err(|_| io::Error::from(io::ErrorKind::WouldBlock))?;
        loop {
            match self.ring.submit() {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Watch {
    // cold: when a descriptor is watched
    fn request(&self) -> squeue::Entry {
        let fd = types::Fd(self.fd);
        match self.interest {
            Interest::Read => opcode::PollAdd::new(fd, READ_MASK).multi(true).build(),
            Interest::Write => opcode::PollAdd::new(fd, libc::POLLOUT as u32).build(),
        }
    }

    fn goes_on(&self) -> bool {
        self.interest == Interest::Read && self.fd != FD_REFUSED
    }

    /// `result` is a mask of readiness or a negated error.
    fn ready(&self, result: i32) -> Ready {
        let mask = if result < 0 { BROKEN_MASK } else { result as u32 };
        let broken = mask & BROKEN_MASK != 0;
        Ready {
            token: self.token,
            readable: self.interest == Interest::Read && mask & (READ_MASK | BROKEN_MASK) != 0,
            writable: self.interest == Interest::Write,
            closed: broken || mask & HANG_UP_MASK != 0,
        }
    }
}

// cold: once per core, and when completions overflow
fn wake_request(wake_fd: RawFd) -> squeue::Entry {
    let poll = opcode::PollAdd::new(types::Fd(wake_fd), libc::POLLIN as u32);
    poll.multi(true).build().user_data(ID_WAKE)
}

/// Puts a request that polls, or stops polling, into the submission queue; the only unsafe step of
/// the io_uring form.
pub(super) fn push(ring: &mut IoUring, request: &squeue::Entry) -> Result<(), squeue::PushError> {
    // SAFETY: such requests carry no pointers, so nothing must outlive them; this module and
    // `probe` make no others. A descriptor that is not open is answered with an error.
    unsafe { ring.submission().push(request) }
}

/// Flags that a kernel does not know yet are refused as invalid; nothing else of ours is.
// cold: once per core
fn explained(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::EINVAL) => io::Error::new(io::ErrorKind::Unsupported, TOO_OLD),
        _ => error,
    }
}

/// Why a kernel that has io_uring cannot serve a core.
pub(crate) const TOO_OLD: &str =
    "this kernel's io_uring is too old (Linux 6.1 has what cores need)";
const HANG_UP_MASK: u32 = libc::POLLRDHUP as u32; // cold: a number, no call
const READ_MASK: u32 = libc::POLLIN as u32 | HANG_UP_MASK; // cold: a number, no call
const BROKEN_MASK: u32 = libc::POLLERR as u32 | libc::POLLHUP as u32; // cold: a number, no call
/// Outside of the ids that [`Watches`] gives.
const ID_WAKE: u64 = u64::MAX;
const ID_IGNORED: u64 = u64::MAX - 1;
/// In place of a descriptor that the kernel would not watch.
const FD_REFUSED: RawFd = -1;
/// One request is submitted at a time.
const SUBMISSIONS: u32 = 8;
/// Each costs 16 bytes. An overflow loses nothing, it only ends lasting requests.
const COMPLETIONS: u32 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_that_the_kernel_does_not_know_mean_that_it_is_too_old() {
        assert_eq!(explained(io::Error::from_raw_os_error(libc::EINVAL)).to_string(), TOO_OLD);
        let refused = explained(io::Error::from_raw_os_error(libc::EPERM));
        assert_eq!(refused.raw_os_error(), Some(libc::EPERM));
    }
}
