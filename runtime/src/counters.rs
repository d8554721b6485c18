//! Counters that one core writes and anybody reads.
//!
//! Owns a fixed group of numbers on cache lines of its own. Promises that counting is a plain load
//! and store, without a locked instruction. It must never be written by two threads: nothing
//! breaks, but counts get lost. Whoever uses a group gives names to its indices.

use std::array;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;

/// A group of `N` counters, all zero at first. Clones share the numbers.
pub struct Counters<const N: usize> {
    cells: Arc<CachePadded<[AtomicU64; N]>>,
}

impl<const N: usize> Counters<N> {
    /// A new group, all zero.
    pub fn new() -> Self {
        Self { cells: Arc::new(CachePadded::new(array::from_fn(|_| AtomicU64::new(0)))) }
    }

    /// Adds `amount`; wraps at 2^64. Only the owning thread may call it.
    ///
    /// # Panics
    /// If `index` is not below `N`, as all methods here.
    #[inline]
    pub fn add(&self, index: usize, amount: u64) {
        let cell = &self.cells[index];
        cell.store(cell.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
    }

    /// Replaces the value, as for a level rather than a count. Only the owning thread may call it.
    #[inline]
    pub fn set(&self, index: usize, value: u64) {
        self.cells[index].store(value, Ordering::Relaxed);
    }

    /// Raises the value to `value` if that is larger. Only the owning thread may call it.
    #[inline]
    pub fn raise(&self, index: usize, value: u64) {
        let cell = &self.cells[index];
        cell.store(cell.load(Ordering::Relaxed).max(value), Ordering::Relaxed);
    }

    /// The value, exact on the owning thread and slightly old elsewhere.
    #[inline]
    pub fn read(&self, index: usize) -> u64 {
        self.cells[index].load(Ordering::Relaxed)
    }

    /// All values; each is a true one, but they need not belong to the same moment.
    pub fn read_all(&self) -> [u64; N] {
        array::from_fn(|index| self.read(index))
    }
}

impl<const N: usize> Default for Counters<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Clone for Counters<N> {
    fn clone(&self) -> Self {
        Self { cells: Arc::clone(&self.cells) }
    }
}

impl<const N: usize> fmt::Debug for Counters<N> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Counters").field(&self.read_all()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_thread_reads_what_the_owner_wrote() {
        let counters = Counters::<3>::new();
        let reader = counters.clone();
        std::thread::spawn(move || {
            (0..10).for_each(|_| counters.add(0, 2));
            counters.set(1, 7);
            counters.raise(2, 5);
            counters.raise(2, 4);
        })
        .join()
        .expect("the owner does not panic");
        assert_eq!(reader.read_all(), [20, 7, 5]);
    }
}
