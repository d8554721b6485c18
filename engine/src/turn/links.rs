//! The links of a core to cores of other nodes, and their ports.
//!
//! ```text
//!   before the turn   LinkPort ── bytes ──► LinkReceiver ── frames that are admitted ──► lanes
//!   after it          lanes ──► LinkSender ── bytes ──► LinkPort
//! ```
//!
//! There is one link for each core of another node, so no core passes on what is another's: simple,
//! and enough for few cores. Where nodes have many, one link from a core to a whole node is to take
//! their place, whose cores pass frames on to their siblings.
//!
//! Promises: a link costs at most one read and one send per turn, and neither while it has nothing;
//! bytes that cannot be understood end it, with a reason. Must never do: open a link, or go on with
//! one that broke. What was under way in it is lost, so the control plane has to end the
//! generation.

use std::fmt::Display;
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use potoroo_runtime::link::RECORDS_MAX;
use potoroo_runtime::{LinkReceiver, Nanos, ReadOutcome, Ready, WriteOutcome};

use super::link_counts::LinkCounts;
use super::mail::{NewLink, Notice};
use super::ports::{LinkPort, Readiness, Watching};
use crate::flow::Core;

/// The links of one core.
pub(super) struct Links {
    links: Vec<OpenLink>,
    /// Bytes of the one that is read.
    buffer: Box<[u8]>,
    /// The one that sends first.
    first: usize,
    /// They are watched.
    watched: bool,
    /// How often the core was renewed before.
    renewals: u32,
    notices: Sender<Notice>,
}

struct OpenLink {
    seat: usize,
    /// As of all.
    renewals: u32,
    /// None any more if it is lost.
    port: Option<Box<dyn LinkPort>>,
    receiver: LinkReceiver,
    ahead_ns: i64,
    counts: Arc<LinkCounts>,
    /// Its frames wait for the peer to have room.
    waits: bool,
    /// Its bytes are announced; otherwise it is read in each turn.
    announced: bool,
    /// It is read in each turn.
    active: bool,
    /// Reads in a row that found nothing.
    idle_reads: u32,
    /// There is no room in its connection before that is announced.
    full: bool,
}

/// What a link had to send.
enum Sent {
    Nothing,
    Bytes,
    /// Something for which its connection had no room.
    NoRoom,
}

/// Announced links that are read in each turn although they were found empty: more of them would
/// cost more than asking for readiness.
const HOT_LINKS_MAX: usize = 3;

/// Links that send in one turn: each costs some microseconds, and the others send more at once
/// later.
const SENDS_PER_TURN: usize = 4;

/// Bytes that are read at once.
const READ_BYTES: usize = 64 * 1024;

/// Tokens of links begin here; those below are of sinks and inlets.
const LINK_TOKENS: u64 = 1 << 33;

/// The link whose readiness is announced under `token`; `None` for a sink's or an inlet's.
pub(super) fn link_of(token: u64) -> Option<usize> {
    token.checked_sub(LINK_TOKENS).map(|link| link as usize)
}

fn token_of(link: usize) -> u64 {
    LINK_TOKENS + link as u64
}

impl Links {
    /// None yet. Those that are lost are reported to `notices`.
    // cold: at start
    pub(super) fn new(notices: Sender<Notice>) -> Self {
        let (links, buffer, first, watched) = (Vec::new(), Box::default(), 0, false);
        Self { links, buffer, first, watched, renewals: 0, notices }
    }

    /// Leaves all of them: other ones take their place.
    #[cold]
    pub(super) fn leave(&mut self, readiness: &mut dyn Readiness) {
        (0..self.links.len()).for_each(|number| readiness.unwatch(token_of(number)));
        *self = Self { renewals: self.renewals + 1, ..Self::new(self.notices.clone()) };
    }

    // cold: at start
    pub(super) fn add(&mut self, new: NewLink) {
        assert!(!self.watched, "links are added before the first turn");
        let NewLink { seat, port, receiver, ahead_ns, counts } = new;
        self.buffer = vec![0; READ_BYTES].into_boxed_slice();
        self.links.push(OpenLink {
            seat,
            renewals: self.renewals,
            port: Some(port),
            receiver,
            ahead_ns,
            counts,
            waits: false,
            announced: false,
            active: true,
            idle_reads: 0,
            full: false,
        });
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// Something was announced for a link.
    #[cold]
    pub(super) fn note_ready(&mut self, link: usize, ready: Ready) {
        let Some(link) = self.links.get_mut(link) else { return };
        if ready.readable || ready.closed {
            (link.active, link.idle_reads) = (true, 0);
        }
        if ready.writable || ready.closed {
            link.full = false;
        }
    }

    /// Reads each active link once. Announced ones that stay empty for `hot_reads` become inactive,
    /// or at once if there are many. Returns whether anything came.
    pub(super) fn bring(
        &mut self,
        core: &Core,
        now: Nanos,
        hot_reads: u32,
        readiness: &mut dyn Readiness,
    ) -> bool {
        if !self.watched {
            self.watch(readiness);
        }
        let Self { links, buffer, notices, .. } = self;
        let active = links.iter().filter(|link| link.active).count();
        let hot = if active <= HOT_LINKS_MAX { hot_reads } else { 0 };
        let mut any = false;
        for (number, link) in links.iter_mut().enumerate().filter(|(_, link)| link.active) {
            match link.bring(core, buffer, now, hot) {
                Ok(came) => any |= came,
                Err(reason) => link.lose(number, reason, notices, readiness),
            }
        }
        any
    }

    /// Sends what waits in links, for each at most once and for [`SENDS_PER_TURN`] of them: those
    /// that had to wait come first in the next turn. Returns whether anything went, or may go in
    /// that turn.
    pub(super) fn carry(&mut self, core: &mut Core, readiness: &mut dyn Readiness) -> bool {
        let Self { links, first, notices, .. } = self;
        let (mut tries, mut any) = (0, false);
        for number in (*first..links.len()).chain(0..*first) {
            let link = &mut links[number];
            match link.carry(core) {
                Ok(Sent::Nothing) => continue,
                Ok(Sent::Bytes) => any = true,
                Ok(Sent::NoRoom) => link.watch_room(number, readiness),
                Err(reason) => link.lose(number, reason, notices, readiness),
            }
            tries += 1;
            if tries == SENDS_PER_TURN {
                *first = number + 1;
                // No announcement may come for the others: the core must not sleep before them.
                return true;
            }
        }
        any
    }

    #[cold]
    fn watch(&mut self, readiness: &mut dyn Readiness) {
        self.watched = true;
        for (number, link) in self.links.iter_mut().enumerate() {
            let watching = link.port.as_mut().map(|port| port.watch(readiness, token_of(number)));
            link.announced = watching == Some(Watching::Announced);
            if watching == Some(Watching::Refused) {
                let reason = words("the kernel does not announce its bytes");
                link.lose(number, reason, &self.notices, readiness);
            }
        }
    }
}

impl OpenLink {
    /// Reads what has come. Returns whether there was something.
    ///
    /// # Errors
    /// The connection is broken, or its bytes are wrong.
    #[inline]
    fn bring(
        &mut self,
        core: &Core,
        buffer: &mut [u8],
        now: Nanos,
        hot: u32,
    ) -> Result<bool, String> {
        let Some(port) = &mut self.port else { return Ok(false) };
        let bytes = match port.read(buffer) {
            ReadOutcome::Bytes(bytes) => bytes,
            ReadOutcome::WouldBlock => {
                self.idle_reads = self.idle_reads.saturating_add(1);
                self.active = !self.announced || self.idle_reads <= hot;
                return Ok(false);
            }
            ReadOutcome::Closed => return Err(words("its peer has closed it")),
            ReadOutcome::Failed(code) => return Err(port.explain(code)),
        };
        self.idle_reads = 0;
        let (ahead_ns, mut frames) = (self.ahead_ns, 0);
        let admit = |level, frame: &mut [u8]| {
            frames += 1;
            core.admit(level, frame, ahead_ns, now).map_err(words)
        };
        self.receiver.take(&mut buffer[..bytes], admit).map_err(words)?;
        self.counts.received(bytes, frames);
        Ok(true)
    }

    /// Sends what waits.
    ///
    /// # Errors
    /// The connection is broken.
    #[inline]
    fn carry(&mut self, core: &mut Core) -> Result<Sent, String> {
        let Some(port) = self.port.as_mut().filter(|_| !self.full) else {
            return Ok(Sent::Nothing);
        };
        let sender = core.link(self.seat);
        if !sender.plan(&mut self.receiver) {
            let waits = sender.waits_for_credit();
            if waits && !self.waits {
                self.counts.waits();
            }
            self.waits = waits;
            return Ok(Sent::Nothing);
        }
        let mut parts = [IoSlice::new(&[]); 2 * RECORDS_MAX];
        let count = sender.gather(&mut parts);
        match port.write(&parts[..count]) {
            WriteOutcome::Bytes(bytes) => {
                sender.sent(bytes);
                self.counts.sent(bytes);
                Ok(Sent::Bytes)
            }
            WriteOutcome::WouldBlock => Ok(Sent::NoRoom),
            WriteOutcome::Failed(code) => Err(port.explain(code)),
        }
    }

    #[cold]
    fn watch_room(&mut self, number: usize, readiness: &mut dyn Readiness) {
        let port = self.port.as_mut();
        let watching = port.map(|port| port.watch_room(readiness, token_of(number)));
        self.full = watching == Some(Watching::Announced);
    }

    /// Closes it and reports it.
    #[cold]
    fn lose(
        &mut self,
        number: usize,
        reason: String,
        notices: &Sender<Notice>,
        readiness: &mut dyn Readiness,
    ) {
        readiness.unwatch(token_of(number));
        (self.port, self.active) = (None, false);
        let _ = notices.send(Notice::LinkLost { seat: self.seat, renewals: self.renewals, reason });
    }
}

#[cold]
fn words(reason: impl Display) -> String {
    reason.to_string()
}
