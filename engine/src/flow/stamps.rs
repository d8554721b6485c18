//! When the bytes that wait in an inlet were read.
//!
//! Owns a fixed number of stamps, one for each read: where its bytes end, and when it was made. An
//! event gets the stamp of the read that completed it. Promises that no event seems younger than
//! it is: when stamps run out, further reads get the stamp of the last one.
//!
//! ```text
//!   bytes:   │ taken │ read at 5 │ read at 7      │ read at 9 │ room
//!   stamps:          │         5 │              7 │         9 │
//! ```

use potoroo_runtime::Nanos;

/// The stamps of one inlet.
pub(super) struct Stamps {
    entries: [Stamp; STAMPS_MAX],
    first: usize,
    count: usize,
}

#[derive(Clone, Copy)]
struct Stamp {
    /// Bytes since the beginning of the connection up to which it is good.
    end: u64,
    at: Nanos,
}

impl Stamps {
    // cold: once per connection
    pub(super) fn new() -> Self {
        Self { entries: [Stamp { end: 0, at: Nanos::ZERO }; STAMPS_MAX], first: 0, count: 0 }
    }

    /// Forgets all of them.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.count = 0;
    }

    /// The bytes up to `end` that no stamp is good for were read at `at`.
    #[inline]
    pub(super) fn add(&mut self, end: u64, at: Nanos) {
        let last = (self.first + self.count + STAMPS_MAX - 1) % STAMPS_MAX;
        let same = self.count > 0 && self.entries[last].at == at;
        if same || self.count == STAMPS_MAX {
            self.entries[last].end = end;
            return;
        }
        self.entries[(self.first + self.count) % STAMPS_MAX] = Stamp { end, at };
        self.count += 1;
    }

    /// When the bytes at `position` were read, where the bytes of that read end, and whether it was
    /// the last one. `None` if there is no byte.
    #[inline]
    pub(super) fn at(&mut self, position: u64) -> Option<(Nanos, u64, bool)> {
        while self.count > 0 && self.entries[self.first].end <= position {
            self.pass();
        }
        let Stamp { end, at } = self.entries[self.first];
        (self.count > 0).then_some((at, end, self.count == 1))
    }

    /// The bytes of the oldest read are the beginning of an event that the next one completes.
    #[inline]
    pub(super) fn pass(&mut self) {
        self.first = (self.first + 1) % STAMPS_MAX;
        self.count -= 1;
    }
}

/// Reads that may wait in one inlet with a stamp each: half a kilobyte.
const STAMPS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_read_has_its_stamp_until_they_run_out() {
        let mut stamps = Stamps::new();
        assert_eq!(stamps.at(0), None);
        for lap in 0..3 * STAMPS_MAX as u64 {
            stamps.add(lap * 10 + 10, Nanos(lap));
            assert_eq!(stamps.at(lap * 10), Some((Nanos(lap), lap * 10 + 10, true)));
        }
        stamps.clear();
        for read in 1..=40 {
            stamps.add(read * 10, Nanos(read));
        }
        assert_eq!(stamps.at(0), Some((Nanos(1), 10, false)));
        assert_eq!(stamps.at(15), Some((Nanos(2), 20, false)));
        assert_eq!(stamps.at(310), Some((Nanos(32), 400, true)), "older, never younger");
        assert_eq!(stamps.at(400), None);
    }

    #[test]
    fn reads_at_one_moment_share_a_stamp() {
        let mut stamps = Stamps::new();
        (1..=100).for_each(|read| stamps.add(read, Nanos(7)));
        assert_eq!(stamps.at(99), Some((Nanos(7), 100, true)));
    }
}
