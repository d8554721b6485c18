//! Hinted: the hint of a row that counts.
//!
//! A row that is due at some moment has one hint at the host at or before it, which counts; others
//! that come back for the row mean nothing. So a moment that moves later or goes away costs
//! nothing, and hints never pile up for one row.

use crate::time::EventTime;

/// When a row is hinted at; at the end of time: not. It is not stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hinted(EventTime);

/// What has a hint that counts.
pub(crate) trait HintedRow {
    fn hinted(&mut self) -> &mut Hinted;
}

impl Default for Hinted {
    fn default() -> Self {
        Self(EventTime::MAX)
    }
}

impl Hinted {
    /// The row is due at `due`, at the end of time never. Returns the moment at which it has to be
    /// hinted at now, if no hint up to then counts.
    #[inline]
    pub(crate) fn at(&mut self, due: EventTime) -> Option<EventTime> {
        (due < self.0).then(|| {
            self.0 = due;
            due
        })
    }

    /// Takes a hint that has come back. Returns whether it counts.
    #[inline]
    pub(crate) fn take(&mut self, due: EventTime) -> bool {
        let counts = self.0 == due;
        if counts {
            *self = Self::default();
        }
        counts
    }

    /// From now on a hint at `due` counts, and no other.
    pub(crate) fn set(&mut self, due: EventTime) {
        self.0 = due;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_hint_counts_at_a_time() {
        let [early, late, never] =
            [EventTime::from_nanos(1), EventTime::from_nanos(2), EventTime::MAX];
        let mut hinted = Hinted::default();
        assert_eq!(hinted.at(never), None);
        assert_eq!(hinted.at(late), Some(late));
        assert_eq!(hinted.at(late), None, "it is hinted at");
        assert_eq!(hinted.at(early), Some(early));
        assert_eq!(hinted.at(late), None, "the earlier one comes first");
        assert!(!hinted.take(late), "it does not count any more");
        assert!(hinted.take(early));
        assert!(!hinted.take(early), "it was taken");
        assert_eq!(hinted.at(late), Some(late));
    }
}
