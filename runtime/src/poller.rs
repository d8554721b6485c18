//! Readiness of descriptors, and the place where an idle core sleeps.
//!
//! Owns one io_uring per core, used for readiness only: bytes move by direct non-blocking calls,
//! which are as fast for few peers and far simpler to own. Promises that asking costs about a
//! nanosecond while nothing happens, whatever the number of descriptors: the kernel raises a flag
//! in shared memory, and only then it is entered. Where io_uring is not available, epoll takes its
//! place with the same methods. It must never wait outside of [`Poller::park`].
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

mod ready;
mod wake;
mod watches;

mod epoll;
mod uring;

pub(crate) mod probe;

pub use ready::Ready;
pub use wake::Waker;

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use epoll::EpollBackend;
use ready::Interest;
pub(crate) use uring::TOO_OLD;
use uring::UringBackend;

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

impl fmt::Display for PollerKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Uring => "io_uring",
            Self::Epoll => "epoll",
        })
    }
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

impl Error {
    /// What the kernel says, without what users should do.
    // cold: for a message
    pub(crate) fn cause(&self) -> String {
        match self {
            Self::Setup(error) | Self::Watch(error) => error.to_string(),
        }
    }
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
    // cold: once per core
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
    fn what_is_unwatched_while_something_arrives_is_closed_with_its_descriptor() {
        for_each_kind(|poller| {
            let (near, mut far) = pair();
            poller.watch(&near, 5).expect("sockets can be watched");
            assert_eq!(poll(poller), []);
            far.write_all(b"x").expect("room");
            poller.unwatch(5);
            drop(near);
            assert_eq!(poll(poller), []);
            far.set_nonblocking(true).expect("a flag");
            // Closed with a byte unread: the end, or that it was reset, but not "not yet".
            let kind = far.read(&mut [0]).map_err(|error| error.kind());
            assert_ne!(kind, Err(io::ErrorKind::WouldBlock), "the kernel still holds it open");
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
