//! Keys: what events are grouped by, and the hash that decides which partition owns a key.
//!
//! Promises: the hash of a key is the same on every machine and in every version, because it
//! decides where a key's state lies. It is XXH3-64 (seed 0) of the key's canonical bytes:
//!
//! | key | canonical bytes |
//! |---|---|
//! | integer | its bytes, little-endian, as many as its width |
//! | `bool` | one byte, 0 or 1 |
//! | `char` | its scalar value as `u32` |
//! | `String`, `Text<N>` | its bytes, without padding |
//! | `[u8; N]` | its bytes |
//! | `()` | none |
//! | tuple, `#[key]` struct | those of its parts, one after the other |
//! | `#[key]` struct of one field | those of the field |
//! | `#[key]` enum | its discriminant as `i64`, little-endian |
//!
//! As a part of a larger key, `String` and `Text` have their length in bytes in front, as `u32`,
//! little-endian, so that neighbours cannot swap letters.
//!
//! `String` and `Text` of equal bytes hash alike, so a table can change from one to the other.

use crate::{text::Text, value::Value};
use alloc::string::String;
use core::fmt;
use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

/// A value that events can be grouped by.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a key",
    label = "not a key",
    note = "keys are integers, `bool`, `char`, `Text<N>`, `String`, `[u8; N]`, tuples of keys, \
            and your own types with `#[key]`",
    note = "floats are no keys, because NaN is not equal to itself"
)]
pub trait Key: Value + Clone + Eq + fmt::Debug {
    /// Appends the canonical bytes of this key as a part of a larger one.
    fn append(&self, bytes: &mut KeyBytes);

    /// XXH3-64 of the canonical bytes of this key.
    #[must_use]
    #[inline]
    fn hash(&self) -> u64 {
        let mut bytes = KeyBytes::new();
        self.append(&mut bytes);
        bytes.hash()
    }
}

/// The canonical bytes of a key of several parts, collected for hashing. Never on the heap.
pub struct KeyBytes {
    short: [u8; SHORT_BYTES],
    short_len: usize,
    /// Takes over when `short` is full.
    long: Option<Xxh3Default>,
}

impl KeyBytes {
    #[inline]
    fn new() -> Self {
        Self { short: [0; SHORT_BYTES], short_len: 0, long: None }
    }

    /// Appends the bytes of a part whose length depends on its type only.
    #[inline(always)]
    pub fn fixed(&mut self, part: &[u8]) {
        let end = self.short_len + part.len();
        match self.short.get_mut(self.short_len..end) {
            Some(room) if self.long.is_none() => {
                room.copy_from_slice(part);
                self.short_len = end;
            }
            _ => self.fixed_long(part),
        }
    }

    /// Appends the bytes of a part of variable length, with the length in front.
    ///
    /// # Panics
    /// When the part has 4 GiB or more.
    #[inline]
    pub fn variable(&mut self, part: &[u8]) {
        let len = u32::try_from(part.len()).expect("a part of a key is shorter than 4 GiB");
        self.fixed(&len.to_le_bytes());
        self.fixed(part);
    }

    #[cold]
    #[inline(never)]
    fn fixed_long(&mut self, part: &[u8]) {
        let short = &self.short[..self.short_len];
        let long = self.long.get_or_insert_with(|| {
            let mut long = Xxh3Default::new();
            long.update(short);
            long
        });
        long.update(part);
    }

    /// Inlined, so that keys of constant size become straight-line code.
    #[inline(always)]
    fn hash(&self) -> u64 {
        match &self.long {
            None => xxh3_64(&self.short[..self.short_len]),
            Some(long) => Self::hash_long(long),
        }
    }

    #[cold]
    #[inline(never)]
    fn hash_long(long: &Xxh3Default) -> u64 {
        long.digest()
    }
}

/// Room for two tickers and a few numbers. Longer keys go through the slower streaming hash.
const SHORT_BYTES: usize = 64;

macro_rules! integer_key {
    ($($type:ty),+) => { $(
        impl Key for $type {
            #[inline]
            fn append(&self, bytes: &mut KeyBytes) {
                bytes.fixed(&self.to_le_bytes());
            }

            #[inline]
            fn hash(&self) -> u64 {
                xxh3_64(&self.to_le_bytes())
            }
        }
    )+ };
}
integer_key!(u8, u16, u32, u64, u128, i8, i16, i32, i64, i128);

impl Key for bool {
    #[inline]
    fn append(&self, bytes: &mut KeyBytes) {
        u8::from(*self).append(bytes);
    }
}

impl Key for char {
    #[inline]
    fn append(&self, bytes: &mut KeyBytes) {
        u32::from(*self).append(bytes);
    }
}

impl Key for () {
    #[inline]
    fn append(&self, _: &mut KeyBytes) {}
}

impl<const N: usize> Key for [u8; N] {
    #[inline]
    fn append(&self, bytes: &mut KeyBytes) {
        bytes.fixed(self);
    }

    #[inline]
    fn hash(&self) -> u64 {
        xxh3_64(self)
    }
}

impl<const N: usize> Key for Text<N> {
    #[inline]
    fn append(&self, bytes: &mut KeyBytes) {
        bytes.variable(self.as_bytes());
    }

    #[inline]
    fn hash(&self) -> u64 {
        xxh3_64(self.as_bytes())
    }
}

impl Key for String {
    #[inline]
    fn append(&self, bytes: &mut KeyBytes) {
        bytes.variable(self.as_bytes());
    }

    #[inline]
    fn hash(&self) -> u64 {
        xxh3_64(self.as_bytes())
    }
}

macro_rules! tuple_key {
    ($($part:ident $index:tt),+) => {
        impl<$($part: Key),+> Key for ($($part,)+) {
            #[inline]
            fn append(&self, bytes: &mut KeyBytes) {
                $( self.$index.append(bytes); )+
            }
        }
    };
}
tuple_key!(A 0, B 1);
tuple_key!(A 0, B 1, C 2);
tuple_key!(A 0, B 1, C 2, D 3);
