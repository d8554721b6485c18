//! Under way: which event a stage is busy with, for the host to print when the application panics.
//!
//! Addresses, not copies: noting an event costs one store; noting its key two, and taking the note
//! back two; noting that its bytes are being split two. What is noted lies on the stack of the
//! stage, so it is valid while the stage runs: the host [ends](UnderWay::end) the note of the event
//! after each call of a stage. A panic that unwinds leaves the notes behind: the host
//! [takes](UnderWay::take) them before it does.

use core::cell::Cell;
use core::fmt::Debug;
use core::ptr::NonNull;

use super::cause::Cause;
use crate::key::Key;

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

    /// Runs `work` for an event with this key.
    #[inline(always)]
    pub(crate) fn keyed<K: Key, R>(&self, key: &K, work: impl FnOnce() -> R) -> R {
        let before = self.key.replace(Some(NonNull::from(key as &dyn Debug)));
        let result = work();
        self.key.set(before);
        result
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
    fn the_innermost_key_is_noted_and_the_outer_one_comes_back() {
        let under_way = UnderWay::default();
        let cause = Cause { ingress: 0, origin: Origin::default(), source: SourceId(0) };
        under_way.begin(&cause);
        let (outer, inner) = (1u64, 2u64);
        let key = || under_way.key.get().map(NonNull::cast::<()>);
        under_way.keyed(&outer, || {
            under_way.keyed(&inner, || assert_eq!(key(), Some(NonNull::from(&inner).cast())));
            assert_eq!(key(), Some(NonNull::from(&outer).cast()));
        });
        let noted = under_way.take();
        assert_eq!(noted.cause, Some(NonNull::from(&cause)));
        assert!(noted.key.is_none() && under_way.take().cause.is_none());
        assert!(under_way.splitting(|| under_way.take().splits));
        assert!(!under_way.take().splits);
    }
}
