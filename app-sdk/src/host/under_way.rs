//! Under way: which event a stage is busy with, for the host to print when the application panics.
//!
//! Addresses, not copies: a note of an event costs one store, of its key two, of the search for its
//! end two. What is noted belongs to the stage, so it is valid while the stage runs: the host
//! [ends](UnderWay::end) the note of the event after each call of a stage, and an operator ends
//! that of the key. A panic that unwinds leaves the notes in place: the host
//! [takes](UnderWay::take) them before the stack unwinds.

use core::cell::Cell;
use core::fmt::Debug;
use core::ptr::NonNull;

use super::cause::Cause;

/// The notes of one thread, empty at first.
#[derive(Debug, Default)]
pub struct UnderWay {
    cause: Cell<Option<NonNull<Cause>>>,
    key: Cell<Option<NonNull<dyn Debug>>>,
    splits: Cell<bool>,
}

/// What was noted: addresses that are valid as long as the stage that noted them runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Noted {
    /// The input that caused the event.
    pub cause: Option<NonNull<Cause>>,
    /// The key of the event, once it has one.
    pub key: Option<NonNull<dyn Debug>>,
    /// The end of the event was being looked for.
    pub splits: bool,
}

impl UnderWay {
    /// An event begins.
    #[inline(always)]
    pub(crate) fn begin(&self, cause: &Cause) {
        self.cause.set(Some(NonNull::from(cause)));
    }

    /// No event is under way: the stage has returned.
    #[inline(always)]
    pub fn end(&self) {
        self.cause.set(None);
    }

    /// Runs `work`, which looks for the end of the event that has begun.
    #[inline(always)]
    pub(crate) fn splitting<R>(&self, work: impl FnOnce() -> R) -> R {
        self.splits.set(true);
        let result = work();
        self.splits.set(false);
        result
    }

    /// The event under way has this key, which stays noted until [`end_key`](Self::end_key).
    #[inline(always)]
    pub(crate) fn begin_key<K: Debug + 'static>(&self, key: &K) {
        self.key.set(Some(NonNull::from(key as &dyn Debug)));
    }

    /// What follows has no key, or another.
    #[inline(always)]
    pub(crate) fn end_key(&self) {
        self.key.set(None);
    }

    /// Takes the notes, for a report of a panic: what they point to is valid only until the panic
    /// unwinds.
    pub fn take(&self) -> Noted {
        Noted { cause: self.cause.take(), key: self.key.take(), splits: self.splits.take() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Origin, SourceId};

    #[test]
    fn the_event_and_its_key_are_noted_until_they_end() {
        let under_way = UnderWay::default();
        let cause = Cause { ingress: 0, origin: Origin::default(), source: SourceId(0) };
        let keys = [1u64, 2u64];
        for key in &keys {
            under_way.begin(&cause);
            under_way.begin_key(key);
            let noted = under_way.key.get().map(NonNull::cast::<u64>);
            assert_eq!(noted, Some(NonNull::from(key)));
        }
        under_way.end_key();
        let noted = under_way.take();
        assert_eq!(noted.cause, Some(NonNull::from(&cause)));
        assert!(noted.key.is_none() && under_way.take().cause.is_none());
        assert!(under_way.splitting(|| under_way.take().splits));
        assert!(!under_way.take().splits);
    }
}
