//! How many connections may be open: what each of them takes is bounded, so their sum is, too.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many connections may be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    /// Of all sources together that accept connections.
    pub connections: usize,
    /// Of each source with clients: those that have not sent their hello.
    pub strangers: usize,
    /// Of each source with clients: those that have.
    pub clients: usize,
}

/// The places for connections of one application. Clones share them.
#[derive(Clone, Debug)]
pub struct Permits {
    taken: Arc<AtomicUsize>,
    max: usize,
}

/// One place; free again when it is dropped.
#[derive(Debug)]
pub struct Permit(Arc<AtomicUsize>);

impl Permits {
    /// `max` places, all free.
    pub fn new(max: usize) -> Self {
        Self { taken: Arc::new(AtomicUsize::new(0)), max }
    }

    /// A place, unless all are taken.
    pub fn try_take(&self) -> Option<Permit> {
        let more = |taken: usize| (taken < self.max).then_some(taken + 1);
        let taken = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.is_ok().then(|| Permit(self.taken.clone()))
    }

    /// How many places there are.
    pub fn max(&self) -> usize {
        self.max
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::Permits;

    #[test]
    fn a_place_is_free_again_when_its_permit_is_gone() {
        let permits = Permits::new(2);
        let first = permits.try_take().expect("two are free");
        let _second = permits.try_take().expect("one is free");
        assert!(permits.try_take().is_none());
        drop(first);
        assert!(permits.clone().try_take().is_some());
    }
}
