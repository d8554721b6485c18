//! Where events leave: the bytes that wait for a sink or for a connection.
//!
//! An outlet is memory only. The driver of the core writes [`Outlet::waiting`] to a socket or a
//! file between turns and reports how much was written; latency ends there.

use std::collections::VecDeque;

use potoroo_runtime::Nanos;
use potoroo_sdk::host::{BATCH_EVENTS, Cause, Origin};

use crate::checkpoint::Epoch;

/// Bytes on their way out, in order.
#[derive(Debug)]
pub struct Outlet {
    bytes: Vec<u8>,
    /// How much of `bytes` is out.
    start: usize,
    /// With this many waiting bytes the outlet counts as full.
    bytes_max: usize,
    /// Bytes that were ever added, and that are out.
    added: u64,
    out: u64,
    /// End of the last event whose latency was taken.
    taken: u64,
    /// Events whose last byte is at this count of added bytes.
    samples: VecDeque<Sample>,
    /// Epochs, each with the count of bytes that were added before its snapshot.
    markers: VecDeque<(u64, Epoch)>,
    /// With this many events waiting the outlet counts as full, too: the note of a tiny event is
    /// longer than its bytes.
    samples_max: usize,
    hold: Hold,
    /// Each event has its origin in front.
    numbered: bool,
}

/// How long an outlet has been full since its receiver last took a good part of it.
#[derive(Clone, Copy, Debug, Default)]
struct Hold {
    ns: u64,
    /// When it was last looked at, if it was full then.
    seen: Option<Nanos>,
    /// What was out when it began.
    out: u64,
}

/// An event whose latency ends when its bytes are out.
#[derive(Clone, Copy, Debug)]
struct Sample {
    end: u64,
    ingress: u64,
    path: u16,
}

impl Outlet {
    /// An empty outlet that is full above `bytes_max` bytes.
    // cold: once per sink or connection
    pub fn new(bytes_max: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(2 * bytes_max),
            samples: VecDeque::with_capacity(samples_max(bytes_max) + BATCH_EVENTS),
            samples_max: samples_max(bytes_max),
            start: 0,
            bytes_max,
            added: 0,
            out: 0,
            taken: 0,
            markers: VecDeque::new(),
            hold: Hold::default(),
            numbered: false,
        }
    }

    /// From now on each event has its origin in front: connection and position, each u64,
    /// little-endian. It is the same in every run, for a source that is read again.
    // cold: at start
    pub(super) fn number(&mut self) {
        self.numbered = true;
    }

    /// The snapshot of `epoch` lies here: what is added from now on follows it.
    #[cold]
    pub(super) fn mark(&mut self, epoch: Epoch) {
        self.markers.push_back((self.added, epoch));
    }

    /// The epoch whose snapshot comes next, if all bytes before it are out. Call until there is
    /// none: the bytes that follow it wait for that.
    #[inline]
    pub fn take_marker(&mut self) -> Option<Epoch> {
        let (at, epoch) = *self.markers.front()?;
        if at > self.out {
            return None;
        }
        self.markers.pop_front();
        Some(epoch)
    }

    /// Puts back what [`take_marker`](Self::take_marker) gave: it could not be passed on yet.
    pub fn put_back_marker(&mut self, epoch: Epoch) {
        self.markers.push_front((self.out, epoch));
    }

    /// Whether nothing is left here.
    pub fn is_empty(&self) -> bool {
        self.start == self.bytes.len() && self.markers.is_empty()
    }

    /// Bytes of memory of an outlet that is full above `bytes_max` bytes: twice those, since the
    /// event that fills it may be long, and a note for each event.
    pub fn memory_bytes(bytes_max: usize) -> usize {
        2 * bytes_max + (samples_max(bytes_max) + BATCH_EVENTS) * size_of::<Sample>()
    }

    /// Adds one event's bytes. Never refuses: the caller looks at [`full`](Self::full) before the
    /// next event.
    #[inline]
    pub(super) fn add(&mut self, bytes: &[u8], path: u16, cause: &Cause) {
        if self.numbered {
            self.add_number(&cause.origin);
        } else if bytes.is_empty() && !self.samples.is_empty() {
            // It has no bytes that could make the outlet full: its note would not be bounded.
            return;
        }
        self.bytes.extend_from_slice(bytes);
        self.added += bytes.len() as u64;
        self.samples.push_back(Sample { end: self.added, ingress: cause.ingress, path });
    }

    fn add_number(&mut self, origin: &Origin) {
        self.bytes.extend_from_slice(&origin.connection.to_le_bytes());
        self.bytes.extend_from_slice(&origin.position.to_le_bytes());
        self.added += NUMBER_BYTES;
    }

    /// Whether nothing should be added now.
    #[inline]
    pub fn full(&self) -> bool {
        self.bytes.len() - self.start >= self.bytes_max || self.samples.len() >= self.samples_max
    }

    /// For how many nanoseconds it has been full in all since its receiver took half of its limit,
    /// or everything. Call it after each attempt to write. With `last` it counts as full while
    /// anything waits: nothing more will be added.
    ///
    /// A receiver that takes a few bytes now and then counts as one that takes none, and one that
    /// is slow but steady is never counted.
    pub fn held_ns(&mut self, now: Nanos, last: bool) -> u64 {
        let waiting = !self.waiting().is_empty();
        let half = self.bytes_max.div_ceil(2) as u64;
        if !waiting || self.out.saturating_sub(self.hold.out) >= half {
            self.hold = Hold { out: self.out, ..Hold::default() };
        }
        if let Some(seen) = self.hold.seen {
            self.hold.ns += now.0.saturating_sub(seen.0);
        }
        self.hold.seen = (waiting && (last || self.full())).then_some(now);
        self.hold.ns
    }

    /// The bytes that wait, up to the next marker.
    #[inline]
    pub fn waiting(&self) -> &[u8] {
        match self.markers.front() {
            None => &self.bytes[self.start..],
            Some((at, _)) => &self.bytes[self.start..][..(at - self.out) as usize],
        }
    }

    /// The first `bytes` of [`waiting`](Self::waiting) are out.
    ///
    /// # Panics
    /// More than were waiting.
    pub fn written(&mut self, bytes: usize) {
        assert!(bytes <= self.bytes.len() - self.start, "no more is out than waited");
        self.start += bytes;
        self.out += bytes as u64;
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        } else if self.start >= self.bytes_max {
            // An event that is out in part stays whole, for `restart`.
            let partial = (self.out - self.event_start()) as usize;
            self.bytes.drain(..self.start - partial);
            self.start = partial;
        }
    }

    /// The peer is gone, and another takes its place: it gets the event of which the first had a
    /// part from its beginning.
    pub fn restart(&mut self) {
        let partial = (self.out - self.event_start()) as usize;
        self.start -= partial;
        self.out -= partial as u64;
    }

    /// Where the first event begins that is not wholly out, counted in bytes ever added.
    fn event_start(&self) -> u64 {
        let whole = self.samples.iter().take_while(|sample| sample.end <= self.out);
        whole.last().map_or(self.taken, |sample| sample.end)
    }

    /// Events of which some byte waits.
    pub(super) fn events_waiting(&self) -> usize {
        self.samples.iter().filter(|sample| sample.end > self.out).count()
    }

    /// Whether nothing waits and every latency was taken.
    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        self.samples.is_empty() && self.is_empty()
    }

    /// Whether some latency has ended that was not yet taken.
    #[inline]
    fn has_out(&self) -> bool {
        self.samples.front().is_some_and(|sample| sample.end <= self.out)
    }

    /// Takes the path and ingress of each event whose bytes are out.
    pub(super) fn take_out(&mut self, mut take: impl FnMut(u16, u64)) {
        while self.has_out() {
            let sample = self.samples.pop_front().expect("has_out looked at it");
            self.taken = sample.end;
            take(sample.path, sample.ingress);
        }
    }
}

/// Bytes of an origin.
const NUMBER_BYTES: u64 = 16;

/// As many events as fit the limit by the size of their notes.
const fn samples_max(bytes_max: usize) -> usize {
    let fitting = bytes_max / size_of::<Sample>();
    if fitting > SAMPLES_MIN { fitting } else { SAMPLES_MIN }
}

/// The events of one turn find room in the smallest outlet.
const SAMPLES_MIN: usize = 64;

#[cfg(test)]
mod tests {
    use potoroo_runtime::Nanos;

    use potoroo_sdk::host::{Cause, Origin, SourceId};

    use super::{Outlet, samples_max};

    fn at(ingress: u64) -> Cause {
        let origin = Origin { connection: 1, position: ingress };
        Cause { ingress, origin, source: SourceId(0) }
    }

    #[test]
    fn a_numbered_event_begins_with_its_origin_also_when_it_begins_again() {
        let mut outlet = Outlet::new(64);
        outlet.number();
        outlet.add(b"one", 1, &at(258));
        outlet.add(b"", 1, &at(3));
        let whole =
            *b"\x01\0\0\0\0\0\0\0\x02\x01\0\0\0\0\0\0one\x01\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0";
        assert_eq!(outlet.waiting(), whole);
        outlet.written(17);
        outlet.restart();
        assert_eq!(outlet.waiting(), whole);
    }

    #[test]
    fn events_without_bytes_do_not_gather() {
        let mut outlet = Outlet::new(8);
        outlet.add(b"slow", 1, &at(10));
        (0..10_000).for_each(|_| outlet.add(b"", 1, &at(20)));
        assert!(!outlet.full());
        assert!(outlet.samples.len() < 10, "{} events wait for nothing", outlet.samples.len());
    }

    #[test]
    fn tiny_events_fill_it_by_their_count() {
        let mut outlet = Outlet::new(1 << 16);
        let capacity = outlet.samples.capacity();
        while !outlet.full() {
            outlet.add(b"x", 1, &at(10));
        }
        assert_eq!(outlet.waiting().len(), samples_max(1 << 16));
        assert_eq!(outlet.samples.capacity(), capacity, "nothing was allocated");
        assert!(Outlet::memory_bytes(1 << 16) >= (2 << 16) + 24 * outlet.waiting().len());
        outlet.written(1);
        outlet.take_out(|_, _| {});
        assert!(!outlet.full());
    }

    #[test]
    fn a_receiver_has_to_take_half_of_it() {
        let mut outlet = Outlet::new(100);
        outlet.add(&[7; 150], 1, &at(10));
        assert_eq!(outlet.held_ns(Nanos(1000), false), 0);
        assert_eq!(outlet.held_ns(Nanos(1500), false), 500);
        outlet.written(40);
        assert_eq!(outlet.held_ns(Nanos(2000), false), 1000, "a little is not enough");
        outlet.written(40);
        assert_eq!(outlet.held_ns(Nanos(2500), false), 0);
        // An outlet that is not full blocks no core.
        assert_eq!(outlet.held_ns(Nanos(9000), false), 0);
        assert_eq!(outlet.held_ns(Nanos(9100), true), 0);
        assert_eq!(outlet.held_ns(Nanos(9200), true), 100, "nothing else will come");
        outlet.written(70);
        assert_eq!(outlet.held_ns(Nanos(9300), true), 0);
    }

    /// The time in which it was not full does not count, however long it took half of it.
    #[test]
    fn only_the_time_counts_in_which_it_was_full() {
        let mut outlet = Outlet::new(100);
        outlet.add(&[7; 100], 1, &at(10));
        outlet.held_ns(Nanos(1000), false);
        outlet.written(10);
        assert_eq!(outlet.held_ns(Nanos(1100), false), 100);
        assert_eq!(outlet.held_ns(Nanos(1_000_000), false), 100);
        outlet.add(&[7; 10], 1, &at(10));
        assert_eq!(outlet.held_ns(Nanos(1_000_010), false), 100);
        assert_eq!(outlet.held_ns(Nanos(1_000_030), false), 120);
    }

    #[test]
    fn latency_ends_with_the_last_byte() {
        let mut outlet = Outlet::new(8);
        outlet.add(b"hello", 1, &at(10));
        outlet.add(b"world", 2, &at(20));
        assert!(outlet.full());
        let mut out = Vec::new();
        outlet.written(9);
        outlet.take_out(|path, ingress| out.push((path, ingress)));
        assert_eq!(out, [(1, 10)]);
        assert_eq!(outlet.waiting(), b"d");
        assert!(!outlet.full());
        outlet.written(1);
        outlet.take_out(|path, ingress| out.push((path, ingress)));
        assert_eq!(out, [(1, 10), (2, 20)]);
        assert_eq!(outlet.waiting(), b"");
    }
}
