//! What is announced of wires, and how they are broken.

use std::os::fd::BorrowedFd;

use potoroo::turn::Readiness;
use potoroo_runtime::Ready;
use potoroo_runtime::poller::Error;
use potoroo_sdk::random::Random;

use super::way::{Condition, Way};

/// One end of a wire, for those who do not read or write it.
#[derive(Clone)]
pub struct WireWatch {
    seat: usize,
    to: Way,
    from: Way,
}

impl WireWatch {
    pub(super) fn new(seat: usize, to: &Way, from: &Way) -> Self {
        Self { seat, to: to.clone(), from: from.clone() }
    }

    /// The core at the other end.
    pub fn seat(&self) -> usize {
        self.seat
    }

    /// Whether there is something to announce.
    pub fn pending(&self) -> bool {
        let comes = {
            let from = self.from.lock();
            from.came && from.reader.is_some()
        };
        comes || self.has_room()
    }

    /// Announces it.
    pub fn announce(&self, ready: &mut Vec<Ready>) {
        let closed = self.from.lock().condition != Condition::Whole;
        let announced =
            |token, writable: bool| Ready { token, readable: !writable, writable, closed };
        let mut from = self.from.lock();
        if let Some(token) = from.reader.filter(|_| from.came) {
            from.came = false;
            ready.push(announced(token, false));
        }
        drop(from);
        if self.has_room()
            && let Some(token) = self.to.lock().writer.take()
        {
            ready.push(announced(token, true));
        }
    }

    /// The writer waits for room, and there is some, or there will never be.
    fn has_room(&self) -> bool {
        let to = self.to.lock();
        let waits = to.writer.is_some();
        let free = to.room(self.to.bytes_max) > 0 || to.condition != Condition::Whole;
        drop(to);
        waits && (free || self.from.lock().condition != Condition::Whole)
    }

    /// Both directions are cut off.
    pub fn reset(&self) {
        self.to.lock().cut();
        self.from.lock().cut();
    }

    /// The process at this end is gone: the other end finds what it had written, and then the end.
    pub fn end(&self) {
        self.to.lock().end();
        self.from.lock().account.close();
    }

    /// The next bytes for this end are none of a link, if a record is to begin with them: within a
    /// frame any byte may be right. Returns whether they are.
    pub fn spoil(&self) -> bool {
        let mut from = self.from.lock();
        if !from.account.is_between_records() {
            return false;
        }
        from.account.close();
        from.bytes.clear();
        // No record begins so, and no frame is so long.
        from.bytes.extend([0xff; 16]);
        from.came = true;
        true
    }

    /// What is under way to this end.
    pub fn under_way(&self) -> Vec<u8> {
        self.from.lock().bytes.iter().copied().collect()
    }

    /// What was under way to an end of another wire is under way to this one.
    pub fn begin_with(&self, bytes: &[u8]) {
        let mut from = self.from.lock();
        from.bytes.extend(bytes);
        from.came = true;
    }

    /// # Errors
    /// Something that was written to this end was not read.
    pub fn check_empty(&self) -> Result<(), String> {
        self.from.lock().account.check_empty()
    }
}

/// Announces to one core what comes over its wires, some time later.
pub struct WireReadiness {
    watches: Vec<WireWatch>,
    random: Random,
}

impl WireReadiness {
    /// Of no wires yet.
    pub fn new(random: Random) -> Self {
        Self { watches: Vec::new(), random }
    }

    /// Announces that of `watch`, too.
    pub fn add(&mut self, watch: WireWatch) {
        self.watches.push(watch);
    }
}

impl Readiness for WireReadiness {
    fn poll(&mut self, ready: &mut Vec<Ready>) {
        for watch in &self.watches {
            if self.random.chance(0.5) {
                watch.announce(ready);
            }
        }
    }

    fn watch(&mut self, _: BorrowedFd<'_>, _: u64) -> Result<(), Error> {
        unreachable!("no port has a descriptor")
    }

    fn watch_writable(&mut self, _: BorrowedFd<'_>, _: u64) -> Result<(), Error> {
        unreachable!("no port has a descriptor")
    }

    fn unwatch(&mut self, _: u64) {}
}
