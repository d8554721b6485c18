//! Chunks: records in buffers of one size, which come back when they were stored.
//!
//! Promises: a buffer is reallocated only for a record longer than [`CHUNK_SPARE_BYTES`], and
//! buffers are reused: the first touch of new memory costs more than writing to it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

/// Bytes at which a chunk is full: written within about ten microseconds, and stored with one
/// system call for hundreds of rows.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// Room of a full chunk beyond that, for its last record.
const CHUNK_SPARE_BYTES: usize = CHUNK_BYTES / 8;

/// Empty buffers for the chunks of several tables. Clones share them.
#[derive(Clone, Default)]
pub struct Spares(Rc<RefCell<Vec<Vec<u8>>>>);

impl Spares {
    /// An empty buffer; a new one if there is none.
    pub fn take(&self) -> Vec<u8> {
        let spare = self.0.borrow_mut().pop();
        // cold: once per buffer, which comes back
        spare.unwrap_or_else(|| Vec::with_capacity(CHUNK_BYTES + CHUNK_SPARE_BYTES))
    }

    /// Puts a buffer aside for later use, unless it is smaller than a chunk.
    pub fn put(&self, mut chunk: Vec<u8>) {
        if chunk.capacity() >= CHUNK_BYTES {
            chunk.clear();
            self.0.borrow_mut().push(chunk);
        }
    }

    /// Gives the memory of one buffer back if there are more than `count`.
    pub fn trim(&self, count: usize) {
        let mut spares = self.0.borrow_mut();
        if spares.len() > count {
            spares.pop();
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.borrow().len()
    }
}

/// Records that wait to be taken.
#[derive(Default)]
pub(super) struct Chunks {
    last: Vec<u8>,
    full: VecDeque<Vec<u8>>,
}

impl Chunks {
    /// The chunk to append the next record to.
    #[inline]
    pub(super) fn room(&mut self, spares: &Spares) -> &mut Vec<u8> {
        if self.last.len() >= CHUNK_BYTES || self.last.capacity() == 0 {
            self.begin_chunk(spares);
        }
        &mut self.last
    }

    #[cold]
    #[inline(never)]
    fn begin_chunk(&mut self, spares: &Spares) {
        let full = std::mem::replace(&mut self.last, spares.take());
        if !full.is_empty() {
            self.full.push_back(full);
        }
    }

    /// The oldest full chunk; with `all` also one that is not full.
    pub(super) fn take(&mut self, all: bool) -> Option<Vec<u8>> {
        let last = || (all && !self.last.is_empty()).then(|| std::mem::take(&mut self.last));
        self.full.pop_front().or_else(last)
    }

    /// Drops all records.
    pub(super) fn clear(&mut self, spares: &Spares) {
        while let Some(chunk) = self.take(true) {
            spares.put(chunk);
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let full: usize = self.full.iter().map(Vec::capacity).sum();
        full + self.last.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_chunks_come_first_and_their_buffers_come_back() {
        let (spares, mut chunks) = (Spares::default(), Chunks::default());
        for byte in 0..3 {
            let chunk = chunks.room(&spares);
            let capacity = chunk.capacity();
            chunk.resize(CHUNK_BYTES + CHUNK_SPARE_BYTES, byte);
            assert_eq!(chunk.capacity(), capacity, "it has room beyond its size");
        }
        chunks.room(&spares).push(3);
        let first = chunks.take(false).expect("three are full");
        assert_eq!((first[0], chunks.memory_bytes()), (0, 3 * first.capacity()));
        spares.put(first);
        assert_eq!((spares.take().len(), spares.count()), (0, 0));
        assert_eq!(chunks.take(false).map(|chunk| chunk[0]), Some(1));
        assert_eq!(chunks.take(false).map(|chunk| chunk[0]), Some(2));
        assert_eq!(chunks.take(false), None);
        assert_eq!(chunks.take(true), Some(vec![3]));
        chunks.room(&spares).push(4);
        chunks.clear(&spares);
        assert_eq!((chunks.take(true), spares.count()), (None, 1));
    }
}
