//! Where events leave: the bytes that wait for a sink or for a connection.
//!
//! An outlet is memory only. Whoever drives the core writes [`Outlet::waiting`] to a socket or a
//! file between turns and says how much went out; latency ends there.

use std::collections::VecDeque;

/// Bytes on their way out, in order.
#[derive(Debug)]
pub struct Outlet {
    bytes: Vec<u8>,
    /// How much of `bytes` is out.
    start: usize,
    /// Above so many waiting bytes the outlet counts as full.
    bytes_max: usize,
    /// Bytes that were ever added, and that are out.
    added: u64,
    out: u64,
    /// End of the last event whose latency was taken.
    taken: u64,
    /// Events whose last byte is at this count of added bytes.
    samples: VecDeque<Sample>,
    /// Epochs, each with the count of added bytes behind which what follows is another's.
    marks: VecDeque<(u64, u32)>,
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
            start: 0,
            bytes_max,
            added: 0,
            out: 0,
            taken: 0,
            samples: VecDeque::with_capacity(1024),
            marks: VecDeque::new(),
        }
    }

    /// What is added from now on belongs behind `epoch`.
    #[cold]
    pub(super) fn mark(&mut self, epoch: u32) {
        self.marks.push_back((self.added, epoch));
    }

    /// The epoch that has ended here, if all its bytes are out. Ask until there is none: what is
    /// behind it waits for that.
    #[inline]
    pub fn take_mark(&mut self) -> Option<u32> {
        let (at, epoch) = *self.marks.front()?;
        if at > self.out {
            return None;
        }
        self.marks.pop_front();
        Some(epoch)
    }

    /// Puts back what [`take_mark`](Self::take_mark) gave: it could not be passed on yet.
    pub fn put_back_mark(&mut self, epoch: u32) {
        self.marks.push_front((self.out, epoch));
    }

    /// Whether nothing is left here.
    pub fn is_empty(&self) -> bool {
        self.start == self.bytes.len() && self.marks.is_empty()
    }

    /// Adds one event's bytes. Never refuses: who adds looks at [`full`](Self::full) before the
    /// next event.
    #[inline]
    pub(super) fn add(&mut self, bytes: &[u8], path: u16, ingress: u64) {
        if bytes.is_empty() && !self.samples.is_empty() {
            // It cannot make the outlet full, so it must not take room behind those that can.
            return;
        }
        self.bytes.extend_from_slice(bytes);
        self.added += bytes.len() as u64;
        self.samples.push_back(Sample { end: self.added, ingress, path });
    }

    /// Whether nothing should be added now.
    #[inline]
    pub fn full(&self) -> bool {
        self.bytes.len() - self.start >= self.bytes_max
    }

    /// The bytes that wait, up to the next mark.
    #[inline]
    pub fn waiting(&self) -> &[u8] {
        match self.marks.front() {
            None => &self.bytes[self.start..],
            Some((at, _)) => &self.bytes[self.start..][..(at - self.out) as usize],
        }
    }

    /// The first `bytes` of [`waiting`](Self::waiting) are out.
    ///
    /// # Panics
    /// So many were not waiting.
    pub fn written(&mut self, bytes: usize) {
        assert!(bytes <= self.bytes.len() - self.start, "no more is out than waited");
        self.start += bytes;
        self.out += bytes as u64;
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        } else if self.start >= self.bytes_max {
            // An event that is out in part is kept whole, for `restart`.
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

#[cfg(test)]
mod tests {
    use super::Outlet;

    #[test]
    fn events_without_bytes_do_not_gather() {
        let mut outlet = Outlet::new(8);
        outlet.add(b"slow", 1, 10);
        (0..10_000).for_each(|_| outlet.add(b"", 1, 20));
        assert!(!outlet.full());
        assert!(outlet.samples.len() < 10, "{} events wait for nothing", outlet.samples.len());
    }

    #[test]
    fn latency_ends_with_the_last_byte() {
        let mut outlet = Outlet::new(8);
        outlet.add(b"hello", 1, 10);
        outlet.add(b"world", 2, 20);
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
