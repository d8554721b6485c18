//! Text: short strings inside a value, so that keys and events need no heap.
//!
//! Promises: `Text<N>` takes exactly `N` bytes, natively and archived, is `Copy` and plain.

use crate::value::{Event, Plain, Schema, Value, quote, schema_field, schema_start};
use alloc::string::String;
use core::{fmt, str::FromStr};
use rkyv::{Archive, Archived, Deserialize, Place, Serialize, rancor::Fallible};

/// Up to `N` bytes of text, filled up with zero bytes at the end.
///
/// Any bytes but a trailing zero are allowed; feeds often carry ASCII without a promise of it.
/// Ordering and equality are those of the bytes.
///
/// ```
/// use potoroo_sdk::text::Text;
///
/// let symbol = Text::<8>::new(b"IBM").unwrap();
/// assert_eq!(symbol.as_bytes(), b"IBM");
/// assert_eq!(symbol.to_string(), "IBM");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text<const N: usize>([u8; N]);

/// The name of an instrument: eight bytes hold every ticker of the large exchanges.
pub type Symbol = Text<8>;

impl<const N: usize> Text<N> {
    /// The empty text.
    pub const EMPTY: Self = Self([0; N]);

    /// The text of these bytes, or `None` when there are more than `N` or the last one is zero.
    #[must_use]
    #[inline]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut text = [0; N];
        text.get_mut(..bytes.len())?.copy_from_slice(bytes);
        (bytes.last() != Some(&0)).then_some(Self(text))
    }

    /// The text of exactly these bytes, without the zeros at the end. Free of charge.
    #[must_use]
    #[inline]
    pub const fn from_array(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// All `N` bytes, with the zeros that fill them up.
    #[must_use]
    #[inline]
    pub const fn as_array(&self) -> &[u8; N] {
        &self.0
    }

    /// Length in bytes.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        // One instruction instead of a loop for what tickers and ids are made of.
        if N <= 16 {
            let mut word = [0; 16];
            word[..N].copy_from_slice(&self.0);
            return 16 - u128::from_le_bytes(word).leading_zeros() as usize / 8;
        }
        self.0.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)
    }

    /// Whether there is no byte.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0 == [0; N]
    }

    /// The bytes without the zeros at the end.
    #[must_use]
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0[..self.len()]
    }

    /// The text, or `None` when the bytes are not UTF-8.
    #[must_use]
    #[inline]
    pub fn as_str(&self) -> Option<&str> {
        core::str::from_utf8(self.as_bytes()).ok()
    }
}

impl<const N: usize> FromStr for Text<N> {
    type Err = TextTooLong;

    fn from_str(text: &str) -> Result<Self, TextTooLong> {
        Self::new(text.as_bytes()).ok_or(TextTooLong)
    }
}

/// A string is too long for a text, or ends with a zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextTooLong;

impl fmt::Display for TextTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the text is too long for its field")
    }
}

impl core::error::Error for TextTooLong {}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// UTF-8 as it is, every other byte as `\xNN`: nothing is lost in a log.
impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = self.as_str() {
            return f.pad(text);
        }
        self.as_bytes().utf8_chunks().try_for_each(|chunk| {
            f.write_str(chunk.valid())?;
            chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))
        })
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

impl<const N: usize> Schema for Text<N> {
    const TYPE: &'static str = "Text";
    const SHAPE: u64 = schema_field(schema_start("Text"), "length", N as u64);

    fn json(&self, out: &mut String) {
        quote(self, out);
    }
}

impl<const N: usize> Archive for Text<N> {
    type Archived = [u8; N];
    type Resolver = [(); N];

    #[inline]
    fn resolve(&self, resolver: Self::Resolver, out: Place<Self::Archived>) {
        self.0.resolve(resolver, out);
    }
}

impl<S: Fallible + ?Sized, const N: usize> Serialize<S> for Text<N> {
    #[inline]
    fn serialize(&self, serializer: &mut S) -> Result<Self::Resolver, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<D: Fallible + ?Sized, const N: usize> Deserialize<Text<N>, D> for [u8; N] {
    #[inline]
    fn deserialize(&self, _: &mut D) -> Result<Text<N>, D::Error> {
        Ok(Text(*self))
    }
}

impl<const N: usize> Value for Text<N> {
    type View<'a> = Self;
    const PLAIN: bool = true;

    #[inline(always)]
    fn view(archived: &Archived<Self>) -> Self {
        Self(*archived)
    }

    #[inline(always)]
    fn lend(&self) -> Self {
        *self
    }
}

impl<const N: usize> Plain for Text<N> {}

impl<const N: usize> Event for Text<N> {}
