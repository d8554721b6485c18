//! Under way: which event a stage is busy with, for the host to print when the application panics.
//!
//! Addresses, not copies: a batch is noted once, each of its events with one store, and the search
//! for the end of an event with two. What is noted belongs to the stage, so it is valid while the
//! stage runs: an exchange [ends](UnderWay::end) the note of its batch before the causes and keys
//! go, and the host ends what is left after each call of a stage. A panic leaves the notes in
//! place: the host [takes](UnderWay::take) them before the stack unwinds. So where a handler
//! catches a panic of its own, a later panic within the same batch names no event.

use core::cell::Cell;
use core::fmt::Debug;
use core::ptr::NonNull;
use core::slice;

use super::cause::Cause;

/// The notes of one thread, empty at first.
#[derive(Debug, Default)]
pub struct UnderWay {
    batch: Cell<Option<BatchNote>>,
    /// The event of the batch.
    place: Cell<usize>,
    splits: Cell<bool>,
}

/// Where the causes and keys of a batch lie.
#[derive(Clone, Copy, Debug)]
struct BatchNote {
    causes: NonNull<Cause>,
    keys: Option<KeysNote>,
}

/// Where the keys of a batch lie: the first of them, and the way to the others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeysNote {
    first: NonNull<()>,
    at: fn(NonNull<()>, usize) -> Option<NonNull<dyn Debug>>,
}

impl KeysNote {
    /// Of `keys`, if there are any.
    #[inline(always)]
    pub(crate) fn new<K: Debug + 'static>(keys: &[K]) -> Option<Self> {
        let at = |first: NonNull<()>, place| -> Option<NonNull<dyn Debug>> {
            Some(NonNull::new(first.cast::<K>().as_ptr().wrapping_add(place))?)
        };
        (!keys.is_empty()).then_some(Self { first: NonNull::from(keys).cast(), at })
    }
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
    /// A batch begins whose events have these causes and keys, or begins again after another one:
    /// its first event is under way.
    #[inline(always)]
    pub(crate) fn begin_batch(&self, causes: &[Cause], keys: Option<KeysNote>) {
        self.batch.set(Some(BatchNote { causes: NonNull::from(causes).cast(), keys }));
        self.place.set(0);
    }

    /// The event at `place` of the batch begins.
    #[inline(always)]
    pub(crate) fn begin(&self, place: usize) {
        self.place.set(place);
    }

    /// An event begins that belongs to no batch yet.
    #[inline(always)]
    pub(crate) fn begin_alone(&self, cause: &Cause) {
        self.begin_batch(slice::from_ref(cause), None);
    }

    /// No event is under way: what was noted goes, or the stage has returned.
    #[inline(always)]
    pub fn end(&self) {
        self.batch.set(None);
    }

    /// Runs `work`, which looks for the end of the event that has begun.
    #[inline(always)]
    pub(crate) fn splitting<R>(&self, work: impl FnOnce() -> R) -> R {
        self.splits.set(true);
        let result = work();
        self.splits.set(false);
        result
    }

    /// Takes the notes, for a report of a panic: what they point to is valid only until the panic
    /// unwinds.
    pub fn take(&self) -> Noted {
        let (batch, place) = (self.batch.take(), self.place.take());
        let cause = |batch: BatchNote| NonNull::new(batch.causes.as_ptr().wrapping_add(place));
        let key = |batch: BatchNote| batch.keys.and_then(|keys| (keys.at)(keys.first, place));
        let splits = self.splits.take();
        Noted { cause: batch.and_then(cause), key: batch.and_then(key), splits }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Origin, SourceId};

    #[test]
    fn the_event_and_its_key_are_noted_until_they_end() {
        let under_way = UnderWay::default();
        let causes = [Cause { ingress: 0, origin: Origin::default(), source: SourceId(0) }; 2];
        let keys = [1u64, 2u64];
        for place in 0..2 {
            under_way.begin_batch(&causes, KeysNote::new(&keys));
            under_way.begin(place);
            let noted = under_way.take();
            assert_eq!(noted.cause, Some(NonNull::from(&causes[place])));
            assert_eq!(noted.key.map(NonNull::cast::<u64>), Some(NonNull::from(&keys[place])));
        }
        under_way.begin_batch(&causes, KeysNote::new::<u64>(&[]));
        let noted = under_way.take();
        assert!(noted.cause.is_some() && noted.key.is_none());
        under_way.begin_alone(&causes[0]);
        under_way.end();
        assert!(under_way.take().cause.is_none());
        assert!(under_way.splitting(|| under_way.take().splits));
        assert!(!under_way.take().splits);
    }
}
