//! Pieces: records in buffers of one size, which come back when they were stored.
//!
//! Promises: a buffer never grows by being copied unless a single record is longer than what it
//! has to spare, and memory that was used before is used again: a first touch of new memory costs
//! more than what is written to it.

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;

/// Bytes at which a piece is full: few enough to be written within some microseconds, enough that
/// storing it costs one system call for hundreds of rows.
pub const PIECE_BYTES: usize = 64 * 1024;

/// What a full piece may hold beyond that: its last records.
const PIECE_SPARE_BYTES: usize = PIECE_BYTES / 8;

/// Empty buffers for the pieces of several tables. Clones share them.
#[derive(Clone, Default)]
pub struct Spares(Rc<RefCell<Vec<Vec<u8>>>>);

impl Spares {
    /// An empty buffer; a new one if there is none.
    pub fn take(&self) -> Vec<u8> {
        let spare = self.0.borrow_mut().pop();
        spare.unwrap_or_else(|| Vec::with_capacity(PIECE_BYTES + PIECE_SPARE_BYTES))
    }

    /// Puts a buffer aside for later use, unless it is one that others have made.
    pub fn put(&self, mut piece: Vec<u8>) {
        if piece.capacity() >= PIECE_BYTES {
            piece.clear();
            self.0.borrow_mut().push(piece);
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
pub(super) struct Pieces {
    last: Vec<u8>,
    full: VecDeque<Vec<u8>>,
}

impl Pieces {
    /// The piece to append the next record to.
    #[inline]
    pub(super) fn room(&mut self, spares: &Spares) -> &mut Vec<u8> {
        if self.last.len() >= PIECE_BYTES || self.last.capacity() == 0 {
            self.turn(spares);
        }
        &mut self.last
    }

    #[cold]
    #[inline(never)]
    fn turn(&mut self, spares: &Spares) {
        let full = core::mem::replace(&mut self.last, spares.take());
        if !full.is_empty() {
            self.full.push_back(full);
        }
    }

    /// The oldest full piece; with `all` also one that is not full.
    pub(super) fn take(&mut self, all: bool) -> Option<Vec<u8>> {
        let last = || (all && !self.last.is_empty()).then(|| core::mem::take(&mut self.last));
        self.full.pop_front().or_else(last)
    }

    /// Forgets all records.
    pub(super) fn clear(&mut self, spares: &Spares) {
        while let Some(piece) = self.take(true) {
            spares.put(piece);
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
    fn full_pieces_come_first_and_their_buffers_come_back() {
        let (spares, mut pieces) = (Spares::default(), Pieces::default());
        for byte in 0..3 {
            let piece = pieces.room(&spares);
            let capacity = piece.capacity();
            piece.resize(PIECE_BYTES + PIECE_SPARE_BYTES, byte);
            assert_eq!(piece.capacity(), capacity, "it has room beyond its size");
        }
        pieces.room(&spares).push(3);
        let first = pieces.take(false).expect("three are full");
        assert_eq!((first[0], pieces.memory_bytes()), (0, 3 * first.capacity()));
        spares.put(first);
        assert_eq!((spares.take().len(), spares.count()), (0, 0));
        assert_eq!(pieces.take(false).map(|piece| piece[0]), Some(1));
        assert_eq!(pieces.take(false).map(|piece| piece[0]), Some(2));
        assert_eq!(pieces.take(false), None);
        assert_eq!(pieces.take(true), Some(alloc::vec![3]));
        pieces.room(&spares).push(4);
        pieces.clear(&spares);
        assert_eq!((pieces.take(true), spares.count()), (None, 1));
    }
}
