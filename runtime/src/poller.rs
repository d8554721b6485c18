//! Readiness of descriptors, and the place where an idle core sleeps.
//!
//! Owns one io_uring per core, used for readiness only: bytes move by direct non-blocking calls,
//! which are as fast for few peers and far simpler to own. Promises that asking costs about a
//! nanosecond while nothing happens, whatever the number of descriptors: the kernel raises a flag
//! in shared memory, and only then it is entered. Where io_uring is not available, epoll takes its
//! place behind the same methods. It must never wait outside of [`Poller::park`].
//!
//! **Readiness is an edge.** It is reported when something changes, not while it lasts: read until
//! nothing is left, or remember that the descriptor may hold more.
//!
//! **Parking** loses no wake-up if both sides keep to their order:
//!
//! ```text
//! the core:  prepare_park → look at all rings once more → park (or cancel_park)
//! a sibling: publish      → Waker::wake_if_parked
//! ```
//!
//! Each side has a full fence between its two steps, so either the core sees what was published,
//! or the sibling sees that the core is parked.
#![allow(unsafe_code)]

mod epoll;
mod wake;
mod watches;

pub use wake::Waker;

use std::collections::HashMap;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;

use io_uring::{IoUring, cqueue, opcode, squeue, types};

use epoll::EpollBackend;
use watches::Watches;

/// Watches descriptors for one thread, the one that made it.
pub struct Poller {
    backend: Backend,
    waker: Waker,
    /// The kernel ties the ring to its thread.
    one_thread: PhantomData<*const ()>,
}

/// How a poller asks the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollerKind {
    /// By io_uring: next to nothing while nothing happens.
    Uring,
    /// By epoll, where io_uring is missing or forbidden: a system call (0.2 µs) per question.
    Epoll,
}

/// What became of a watched descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// What the descriptor was watched under.
    pub token: u64,
    /// Reading will give something: bytes, the end, or the failure.
    pub readable: bool,
    /// Writing will give something: room or the failure. Only after [`Poller::watch_writable`].
    pub writable: bool,
    /// The peer has gone or the connection is broken; bytes may still be there to read.
    pub closed: bool,
}

/// Why a poller cannot work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither io_uring nor epoll could be set up.
    #[error("cannot set up readiness of descriptors: {0}; raise the limit of open files")]
    Setup(io::Error),
    /// The kernel refuses to watch a descriptor.
    #[error("cannot watch a descriptor: {0}; regular files cannot be watched")]
    Watch(io::Error),
}

impl Poller {
    /// A poller for this thread: io_uring if the kernel grants it, otherwise epoll.
    ///
    /// # Errors
    /// If neither can be had, which means that descriptors have run out.
    pub fn new() -> Result<Self, Error> {
        Self::with_kind(PollerKind::Uring).or_else(|_| Self::with_kind(PollerKind::Epoll))
    }

    /// A poller of this kind and no other.
    ///
    /// # Errors
    /// If it cannot be had.
    pub fn with_kind(kind: PollerKind) -> Result<Self, Error> {
        let waker = Waker::new().map_err(Error::Setup)?;
        let backend = match kind {
            PollerKind::Uring => {
                UringBackend::new(&waker).map(|uring| Backend::Uring(Box::new(uring)))
            }
            PollerKind::Epoll => EpollBackend::new(&waker).map(Backend::Epoll),
        };
        let backend = backend.map_err(Error::Setup)?;
        Ok(Self { backend, waker, one_thread: PhantomData })
    }

    /// Watches `fd` for bytes to read and for its end, until [`Poller::unwatch`]. Reports at once
    /// if something is there already.
    ///
    /// Take it out before closing the descriptor: the kernel keeps the connection open otherwise.
    ///
    /// # Errors
    /// If the kernel refuses.
    ///
    /// # Panics
    /// If something is watched for reading under this token already.
    pub fn watch(&mut self, fd: impl AsFd, token: u64) -> Result<(), Error> {
        match &mut self.backend {
            Backend::Uring(uring) => uring.watch(fd.as_fd().as_raw_fd(), token, Interest::Read),
            Backend::Epoll(epoll) => epoll.watch(fd.as_fd(), token, Interest::Read),
        }
        .map_err(Error::Watch)
    }

    /// Watches `fd` for room to write, or for the result of connecting, once. Does nothing if that
    /// is watched already. A descriptor may be watched for both under one token.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn watch_writable(&mut self, fd: impl AsFd, token: u64) -> Result<(), Error> {
        match &mut self.backend {
            Backend::Uring(uring) => uring.watch(fd.as_fd().as_raw_fd(), token, Interest::Write),
            Backend::Epoll(epoll) => epoll.watch(fd.as_fd(), token, Interest::Write),
        }
        .map_err(Error::Watch)
    }

    /// Stops watching what is watched under `token`; nothing is reported for it any more, and the
    /// token may be used again. Does nothing for an unknown token.
    pub fn unwatch(&mut self, token: u64) {
        match &mut self.backend {
            Backend::Uring(uring) => uring.unwatch(token),
            Backend::Epoll(epoll) => epoll.unwatch(token),
        }
    }

    /// Appends what became ready since the last call. Never waits; about a nanosecond if nothing
    /// happened. Does not allocate while `ready` has room.
    #[inline]
    pub fn poll(&mut self, ready: &mut Vec<Ready>) {
        match &mut self.backend {
            Backend::Uring(uring) => uring.poll(ready, &self.waker),
            Backend::Epoll(epoll) => epoll.poll(ready, &self.waker),
        }
    }

    /// Announces that this thread is about to park. Look at every ring once more after it; then
    /// [`Poller::park`] if there is nothing, [`Poller::cancel_park`] otherwise.
    pub fn prepare_park(&mut self) {
        self.waker.announce_park();
    }

    /// Takes the announcement back.
    pub fn cancel_park(&mut self) {
        self.waker.end_park();
    }

    /// Sleeps until a descriptor is ready, a [`Waker`] wakes it or `timeout` has passed; it may
    /// also wake without a reason. Call [`Poller::prepare_park`] before and [`Poller::poll`] after.
    pub fn park(&mut self, timeout: Duration) {
        match &mut self.backend {
            Backend::Uring(uring) => uring.park(timeout),
            Backend::Epoll(epoll) => epoll.park(timeout),
        }
        self.waker.end_park();
    }

    /// A handle for others to wake this thread with.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// How this poller asks the kernel.
    pub fn kind(&self) -> PollerKind {
        match self.backend {
            Backend::Uring(_) => PollerKind::Uring,
            Backend::Epoll(_) => PollerKind::Epoll,
        }
    }
}

enum Backend {
    Uring(Box<UringBackend>),
    Epoll(EpollBackend),
}

/// What a descriptor is watched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Interest {
    /// Until further notice.
    Read,
    /// Once.
    Write,
}

/// One armed request.
struct Watch {
    token: u64,
    /// Open as long as the watch exists, as users unwatch before they close; or `FD_REFUSED`.
    fd: RawFd,
    interest: Interest,
}

struct UringBackend {
    ring: IoUring,
    watches: Watches<Watch>,
    ids: HashMap<(u64, Interest), u64>,
    /// Requests that the kernel has ended and that go on. Kept for its memory.
    rearm: Vec<u64>,
    wake_fd: RawFd,
    /// The completion queue may hold something although no flag is raised.
    unread: bool,
}

impl UringBackend {
    fn new(waker: &Waker) -> io::Result<Self> {
        // Deferred work is done only when we ask, without interrupting the turn; with plain flags
        // each segment costs an interrupt, and a round trip four times as much.
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_cqsize(COMPLETIONS)
            .build(SUBMISSIONS)?;
        if !ring.params().is_feature_ext_arg() || !ring.params().is_feature_nodrop() {
            return Err(io::ErrorKind::Unsupported.into());
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

    fn watch(&mut self, fd: RawFd, token: u64, interest: Interest) -> io::Result<()> {
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

    fn unwatch(&mut self, token: u64) {
        for interest in [Interest::Read, Interest::Write] {
            let Some(&id) = self.ids.get(&(token, interest)) else { continue };
            self.forget(id);
            // Should it fail, the request lives until the descriptor's connection ends; what it
            // reports is ignored, as its id is gone.
            let _ = self.submit(&opcode::PollRemove::new(id).build().user_data(ID_IGNORED));
        }
    }

    #[inline]
    fn poll(&mut self, ready: &mut Vec<Ready>, waker: &Waker) {
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

    fn park(&mut self, timeout: Duration) {
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
        // SAFETY: requests to poll and to stop polling carry no pointers; the descriptor is open,
        // as `Watch::fd` says, and if it were not, the kernel would answer with an error.
        let pushed = unsafe { self.ring.submission().push(request) };
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
            closed: broken || mask & libc::POLLRDHUP as u32 != 0,
        }
    }
}

fn wake_request(wake_fd: RawFd) -> squeue::Entry {
    let poll = opcode::PollAdd::new(types::Fd(wake_fd), libc::POLLIN as u32);
    poll.multi(true).build().user_data(ID_WAKE)
}

const READ_MASK: u32 = libc::POLLIN as u32 | libc::POLLRDHUP as u32;
const BROKEN_MASK: u32 = libc::POLLERR as u32 | libc::POLLHUP as u32;
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
    use std::io::{Read, Write};
    use std::net::Shutdown;
    use std::os::unix::net::UnixStream;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn bytes_are_reported_once_per_arrival() {
        for_each_kind(|poller| {
            let (mut near, mut far) = pair();
            poller.watch(&near, 7).expect("sockets can be watched");
            assert_eq!(poll(poller), []);
            for _ in 0..3 {
                far.write_all(b"x").expect("room");
                assert_eq!(park_and_poll(poller), [readable(7)]);
                assert_eq!(poll(poller), []);
                near.read_exact(&mut [0]).expect("arrived");
            }
        });
    }

    #[test]
    fn what_is_there_before_watching_is_reported() {
        for_each_kind(|poller| {
            let (near, mut far) = pair();
            far.write_all(b"x").expect("room");
            poller.watch(&near, 1).expect("sockets can be watched");
            assert_eq!(park_and_poll(poller), [readable(1)]);
        });
    }

    #[test]
    fn room_is_reported_once_per_request() {
        for_each_kind(|poller| {
            let (near, _far) = pair();
            poller.watch(&near, 3).expect("sockets can be watched");
            let room = Ready { token: 3, readable: false, writable: true, closed: false };
            for _ in 0..3 {
                poller.watch_writable(&near, 3).expect("sockets can be watched");
                poller.watch_writable(&near, 3).expect("the same request again");
                assert_eq!(park_and_poll(poller), [room]);
                assert_eq!(poll(poller), []);
            }
        });
    }

    #[test]
    fn the_end_of_the_peer_is_reported() {
        for_each_kind(|poller| {
            let (near, far) = pair();
            poller.watch(&near, 3).expect("sockets can be watched");
            far.shutdown(Shutdown::Write).expect("connected");
            let reports = park_and_poll(poller);
            assert_eq!(reports, [Ready { closed: true, ..readable(3) }]);
        });
    }

    #[test]
    fn nothing_is_reported_after_unwatching_and_the_token_is_free_again() {
        for_each_kind(|poller| {
            let (near, mut far) = pair();
            poller.watch(&near, 5).expect("sockets can be watched");
            far.write_all(b"x").expect("room");
            poller.unwatch(5);
            poller.unwatch(6);
            assert_eq!(poll(poller), []);
            let (other, mut other_far) = pair();
            poller.watch(&other, 5).expect("the token is free");
            other_far.write_all(b"x").expect("room");
            assert_eq!(park_and_poll(poller), [readable(5)]);
        });
    }

    #[test]
    fn many_descriptors_come_and_go() {
        for_each_kind(|poller| {
            for round in 0..200 {
                let (near, mut far) = pair();
                poller.watch(&near, round).expect("sockets can be watched");
                far.write_all(b"x").expect("room");
                assert_eq!(park_and_poll(poller), [readable(round)]);
                poller.unwatch(round);
            }
        });
    }

    #[test]
    fn a_waker_ends_parking_before_and_after_it_began() {
        for_each_kind(|poller| {
            poller.prepare_park();
            poller.waker().wake_if_parked();
            poller.park(LONG);
            assert_eq!(poll(poller), []);
            for _ in 0..100 {
                let waker = poller.waker();
                poller.prepare_park();
                let sibling = std::thread::spawn(move || waker.wake_if_parked());
                poller.park(LONG);
                assert_eq!(poll(poller), []);
                sibling.join().expect("waking does not panic");
            }
        });
    }

    #[test]
    fn waking_a_core_that_is_awake_leaves_no_trace() {
        for_each_kind(|poller| {
            poller.waker().wake_if_parked();
            poller.prepare_park();
            poller.cancel_park();
            poller.waker().wake_if_parked();
            poller.prepare_park();
            poller.park(Duration::from_millis(1));
            assert_eq!(poll(poller), []);
        });
    }

    fn for_each_kind(check: impl Fn(&mut Poller)) {
        check(&mut Poller::with_kind(PollerKind::Epoll).expect("epoll is always there"));
        check(&mut Poller::new().expect("epoll at least"));
    }

    fn pair() -> (UnixStream, UnixStream) {
        UnixStream::pair().expect("descriptors are left")
    }

    fn readable(token: u64) -> Ready {
        Ready { token, readable: true, writable: false, closed: false }
    }

    fn poll(poller: &mut Poller) -> Vec<Ready> {
        let mut ready = Vec::new();
        poller.poll(&mut ready);
        ready
    }

    /// Parks until something is reported, however often it wakes without a reason.
    fn park_and_poll(poller: &mut Poller) -> Vec<Ready> {
        loop {
            let ready = poll(poller);
            if !ready.is_empty() {
                return ready;
            }
            poller.prepare_park();
            poller.park(LONG);
        }
    }
}
