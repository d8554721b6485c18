//! TimePromise: up to when nothing on time comes from a core.

use potoroo_runtime::Nanos;
use potoroo_sdk::time::EventTime;

/// What a core promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimePromise {
    /// Nothing on time comes from it at or before this moment; and when what raised that entered.
    Until(EventTime, u64),
    /// Nothing comes from it any more; and what it had promised before.
    Ended(EventTime),
}

impl TimePromise {
    /// The number of a word, and what stands beside it.
    pub(super) fn to_word(self) -> (i64, u64) {
        match self {
            Self::Until(moment, entered) => (moment.nanos(), entered),
            Self::Ended(last) => (EventTime::MAX.nanos(), last.nanos().cast_unsigned()),
        }
    }

    /// What a word says that came at `now`.
    pub(super) fn of_word(number: i64, beside: u64, now: Nanos) -> Self {
        match (EventTime::from_nanos(number), beside) {
            (EventTime::MAX, last) => Self::Ended(EventTime::from_nanos(last.cast_signed())),
            (moment, 0) => Self::Until(moment, now.0),
            (moment, entered) => Self::Until(moment, entered),
        }
    }
}
