//! Put: the counterpart of `Fields`, for writing frames.

use super::LengthWord;
use crate::text::Text;
use alloc::vec::Vec;

macro_rules! number {
    ($($name:ident: $type:ty, $to:ident, $doc:literal;)+) => { $(
        #[doc = $doc]
        ///
        /// ```
        /// use potoroo_sdk::codec::Put;
        ///
        /// let mut out = Vec::new();
        #[doc = concat!("out.", stringify!($name), "(7 as ", stringify!($type), ");")]
        #[doc = concat!("assert_eq!(out, (7 as ", stringify!($type), ").", stringify!($to),
                        "());")]
        /// ```
        fn $name(&mut self, value: $type);
    )+ };
}

macro_rules! number_impl {
    ($($name:ident: $type:ty, $to:ident;)+) => { $(
        #[inline]
        fn $name(&mut self, value: $type) {
            self.extend_from_slice(&value.$to());
        }
    )+ };
}

/// Appends the fields of a frame.
pub trait Put {
    number! {
        put_u8: u8, to_be_bytes, "One byte.";
        put_i8: i8, to_be_bytes, "One byte, signed.";
        put_u16_be: u16, to_be_bytes, "Two bytes, most significant first.";
        put_u32_be: u32, to_be_bytes, "Four bytes, most significant first.";
        put_u64_be: u64, to_be_bytes, "Eight bytes, most significant first.";
        put_i32_be: i32, to_be_bytes, "Four bytes, signed, most significant first.";
        put_i64_be: i64, to_be_bytes, "Eight bytes, signed, most significant first.";
        put_f64_be: f64, to_be_bytes, "An IEEE double, most significant byte first.";
        put_u16_le: u16, to_le_bytes, "Two bytes, least significant first.";
        put_u32_le: u32, to_le_bytes, "Four bytes, least significant first.";
        put_u64_le: u64, to_le_bytes, "Eight bytes, least significant first.";
        put_i32_le: i32, to_le_bytes, "Four bytes, signed, least significant first.";
        put_i64_le: i64, to_le_bytes, "Eight bytes, signed, least significant first.";
        put_f64_le: f64, to_le_bytes, "An IEEE double, least significant byte first.";
    }

    /// All `N` bytes of the text, zeros at the end included.
    ///
    /// ```
    /// use potoroo_sdk::prelude::*;
    ///
    /// let mut out = Vec::new();
    /// out.put_text(Text::<4>::from_array(*b"IBM\0"));
    /// assert_eq!(out, b"IBM\0");
    /// ```
    fn put_text<const N: usize>(&mut self, text: Text<N>);

    /// The bytes as they are.
    ///
    /// ```
    /// use potoroo_sdk::prelude::*;
    ///
    /// let mut out = Vec::new();
    /// out.put_bytes(b"to be");
    /// assert_eq!(out, b"to be");
    /// ```
    fn put_bytes(&mut self, bytes: &[u8]);

    /// Appends a length, then the bytes that `payload` appends.
    ///
    /// ```
    /// use potoroo_sdk::prelude::*;
    ///
    /// let mut out = Vec::new();
    /// out.put_framed(LengthWord::U16Be, |payload| payload.put_bytes(b"to be"));
    /// assert_eq!(out, b"\0\x05to be");
    /// ```
    ///
    /// # Panics
    /// When the payload is too long for `word`.
    fn put_framed(&mut self, word: LengthWord, payload: impl FnOnce(&mut Self));
}

impl Put for Vec<u8> {
    number_impl! {
        put_u8: u8, to_be_bytes;
        put_i8: i8, to_be_bytes;
        put_u16_be: u16, to_be_bytes;
        put_u32_be: u32, to_be_bytes;
        put_u64_be: u64, to_be_bytes;
        put_i32_be: i32, to_be_bytes;
        put_i64_be: i64, to_be_bytes;
        put_f64_be: f64, to_be_bytes;
        put_u16_le: u16, to_le_bytes;
        put_u32_le: u32, to_le_bytes;
        put_u64_le: u64, to_le_bytes;
        put_i32_le: i32, to_le_bytes;
        put_i64_le: i64, to_le_bytes;
        put_f64_le: f64, to_le_bytes;
    }

    #[inline]
    fn put_text<const N: usize>(&mut self, text: Text<N>) {
        self.extend_from_slice(text.as_array());
    }

    #[inline]
    fn put_bytes(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    #[inline]
    fn put_framed(&mut self, word: LengthWord, payload: impl FnOnce(&mut Self)) {
        let at = self.len();
        self.extend_from_slice(&[0; 4][..word.bytes()]);
        let start = self.len();
        payload(self);
        let length = self.len() - start;
        word.write(length, &mut self[at..start]);
    }
}
