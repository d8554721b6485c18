//! Rows: a key and its state, and a row without its types.

use alloc::string::String;
use alloc::vec::Vec;

use super::record::{append_removed, append_row};
use crate::key::Key;
use crate::value::{State, TooLong};

/// Set in the tag of a slot without a row; the other bits are those of the last one.
pub(super) const FREE: u32 = 1 << 31;

/// One row; 16 bytes and the state for a key of 8 bytes.
pub(crate) struct Row<K, S> {
    pub(crate) key: K,
    /// See [`AnyRow::tag`].
    pub(super) tag: u32,
    pub(crate) state: S,
}

impl<K: Key, S> Row<K, S> {
    #[inline(always)]
    pub(super) fn holds(&self, key: &K) -> bool {
        self.key == *key && !self.is_free()
    }
}

impl<K, S> Row<K, S> {
    #[inline(always)]
    pub(super) fn is_free(&self) -> bool {
        self.tag & FREE != 0
    }
}

/// A row without its types, for hosts that store rows.
pub trait AnyRow {
    /// The tag that its table had when the row changed last, or what
    /// [`set_tag`](Self::set_tag) has set since.
    fn tag(&self) -> u32;
    /// Sets the tag, without a change of the row.
    fn set_tag(&mut self, tag: u32);
    /// Appends the [`Record`](super::Record) of the row, whose key and state may take `bytes_max`
    /// bytes each. Returns how many bytes it owns on the heap, in stored form.
    ///
    /// # Errors
    /// Key or state takes more than `bytes_max`; `out` is unchanged.
    fn append(&self, bytes_max: usize, out: &mut Vec<u8>) -> Result<usize, TooLong>;
    /// Appends the record that says that its key was removed.
    ///
    /// # Errors
    /// The key takes more than `bytes_max`; `out` is unchanged.
    fn append_removed(&self, bytes_max: usize, out: &mut Vec<u8>) -> Result<(), TooLong>;
    /// Its key as JSON.
    fn key_json(&self) -> String;
}

impl<K: Key, S: State> AnyRow for Row<K, S> {
    fn tag(&self) -> u32 {
        self.tag
    }

    fn set_tag(&mut self, tag: u32) {
        debug_assert_eq!((self.tag | tag) & FREE, 0, "a row that exists keeps its slot");
        self.tag = tag;
    }

    fn append(&self, bytes_max: usize, out: &mut Vec<u8>) -> Result<usize, TooLong> {
        append_row(&self.key, &self.state, bytes_max, out)
    }

    fn append_removed(&self, bytes_max: usize, out: &mut Vec<u8>) -> Result<(), TooLong> {
        append_removed(&self.key, bytes_max, out)
    }

    // cold: for the message that a row is too long
    fn key_json(&self) -> String {
        let mut text = String::new();
        self.key.json(&mut text);
        text
    }
}
