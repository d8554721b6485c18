//! The same readiness by epoll, for hosts that forbid io_uring.
//!
//! Owns one epoll descriptor, edge-triggered to behave like the io_uring form.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

use super::ready::{Interest, Ready};
use super::wake::Waker;
use super::watches::Watches;

pub(super) struct EpollBackend {
    epoll: OwnedFd,
    watches: Watches<Watch>,
    by_fd: HashMap<RawFd, u64>,  // cold: when a descriptor comes or goes
    by_token: HashMap<u64, u64>, // cold: when a descriptor comes or goes
    /// Reports of the kernel that were not read yet. The vector is reused.
    reported: Vec<epoll::Event>,
}

struct Watch {
    token: u64,
    fd: RawFd,
    read: bool,
    write: bool,
}

impl EpollBackend {
    // cold: once per core
    pub(super) fn new(waker: &Waker) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let data = epoll::EventData::new_u64(ID_WAKE);
        epoll::add(&epoll, waker, data, epoll::EventFlags::IN | epoll::EventFlags::ET)?;
        Ok(Self {
            epoll,
            watches: Watches::new(),
            by_fd: HashMap::new(),
            by_token: HashMap::new(),
            reported: Vec::with_capacity(REPORTS),
        })
    }

    pub(super) fn watch(
        &mut self,
        fd: BorrowedFd<'_>,
        token: u64,
        interest: Interest,
    ) -> io::Result<()> {
        let raw = fd.as_raw_fd();
        let id = self.by_token.get(&token).copied().unwrap_or_else(|| {
            let watch = Watch { token, fd: raw, read: false, write: false };
            let id = self.watches.insert(watch);
            self.by_token.insert(token, id);
            self.by_fd.insert(raw, id);
            id
        });
        let watch = self.watches.find(id).expect("known by its token");
        match interest {
            Interest::Read => {
                assert!(!watch.read, "token {token} is watched already");
                watch.read = true;
            }
            Interest::Write if watch.write => return Ok(()),
            Interest::Write => watch.write = true,
        }
        let flags = watch.flags();
        let registered = self.register(fd, id, flags);
        if registered.is_err() {
            self.unwatch(token);
        }
        registered
    }

    /// The kernel's own entry stays until the descriptor is closed, which is to follow; what it
    /// reports is ignored, as the id is gone.
    pub(super) fn unwatch(&mut self, token: u64) {
        let Some(id) = self.by_token.remove(&token) else { return };
        let watch = self.watches.remove(id).expect("known by its token");
        if self.by_fd.get(&watch.fd) == Some(&id) {
            self.by_fd.remove(&watch.fd);
        }
    }

    pub(super) fn poll(&mut self, ready: &mut Vec<Ready>, waker: &Waker) {
        if self.reported.is_empty() {
            self.wait(Duration::ZERO);
        }
        while let Some(report) = self.reported.pop() {
            match report.data.u64() {
                ID_WAKE => waker.drain(),
                id => {
                    let watch = self.watches.find(id);
                    ready.extend(watch.and_then(|watch| watch.ready(report.flags)));
                }
            }
        }
    }

    pub(super) fn park(&mut self, timeout: Duration) {
        if self.reported.is_empty() {
            self.wait(timeout);
        }
    }

    // cold: only hosts without io_uring enter the kernel for each poll
    fn wait(&mut self, timeout: Duration) {
        let timeout = Timespec {
            tv_sec: timeout.as_secs().min(i64::MAX as u64) as i64,
            tv_nsec: timeout.subsec_nanos().into(),
        };
        let spare = rustix::buffer::spare_capacity(&mut self.reported);
        // An interruption is as good as a timeout: the caller looks again anyway.
        let _ = epoll::wait(&self.epoll, spare, Some(&timeout));
    }

    fn register(&self, fd: BorrowedFd<'_>, id: u64, flags: epoll::EventFlags) -> io::Result<()> {
        let data = epoll::EventData::new_u64(id);
        match epoll::add(&self.epoll, fd.as_fd(), data, flags) {
            Err(Errno::EXIST) => epoll::modify(&self.epoll, fd, data, flags)?,
            added => added?,
        }
        Ok(())
    }
}

impl Watch {
    fn flags(&self) -> epoll::EventFlags {
        let mut flags = epoll::EventFlags::ET;
        if self.read {
            flags |= epoll::EventFlags::IN | epoll::EventFlags::RDHUP;
        }
        if self.write {
            flags |= epoll::EventFlags::OUT;
        }
        flags
    }

    fn ready(&mut self, flags: epoll::EventFlags) -> Option<Ready> {
        let broken = flags.intersects(epoll::EventFlags::ERR | epoll::EventFlags::HUP);
        let closed = broken || flags.contains(epoll::EventFlags::RDHUP);
        let readable = self.read && (closed || flags.contains(epoll::EventFlags::IN));
        let writable = self.write && (broken || flags.contains(epoll::EventFlags::OUT));
        // Room is reported once; later reports of the kernel are ignored.
        self.write &= !writable;
        (readable || writable).then_some(Ready { token: self.token, readable, writable, closed })
    }
}

const ID_WAKE: u64 = u64::MAX;
/// Taken from the kernel at once; the rest follows at the next turn.
const REPORTS: usize = 256;
