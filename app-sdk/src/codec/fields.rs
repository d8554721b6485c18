//! Fields: a cursor that reads the fields of a payload one after the other.

use super::Reason;
use crate::text::Text;

/// Reads fields from the front of a payload.
///
/// ```
/// use potoroo_sdk::codec::Fields;
///
/// let mut fields = Fields::new(&[1, 0, 0, 0, 7]);
/// assert_eq!(fields.u8(), Ok(1));
/// assert_eq!(fields.u32_be(), Ok(7));
/// assert_eq!(fields.finish(), Ok(()));
/// ```
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

macro_rules! number {
    ($($name:ident: $type:ty, $from:ident, $to:ident, $doc:literal;)+) => { $(
        #[doc = $doc]
        ///
        /// ```
        #[doc = concat!("let bytes = (7 as ", stringify!($type), ").", stringify!($to), "();")]
        /// let mut fields = potoroo_sdk::codec::Fields::new(&bytes);
        #[doc = concat!("assert_eq!(fields.", stringify!($name), "(), Ok(7 as ",
                        stringify!($type), "));")]
        #[doc = concat!("assert!(fields.", stringify!($name), "().is_err());")]
        /// ```
        ///
        /// # Errors
        /// When the payload is too short.
        #[inline]
        pub fn $name(&mut self) -> Result<$type, Reason> {
            self.array().map(<$type>::$from)
        }
    )+ };
}

impl<'a> Fields<'a> {
    /// A cursor at the front of `payload`.
    ///
    /// ```
    /// use potoroo_sdk::codec::Fields;
    ///
    /// assert_eq!(Fields::new(&[7]).u8(), Ok(7));
    /// ```
    #[must_use]
    #[inline]
    pub const fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload }
    }

    number! {
        u8: u8, from_be_bytes, to_be_bytes, "One byte.";
        i8: i8, from_be_bytes, to_be_bytes, "One byte, signed.";
        u16_be: u16, from_be_bytes, to_be_bytes, "Two bytes, most significant first.";
        u32_be: u32, from_be_bytes, to_be_bytes, "Four bytes, most significant first.";
        u64_be: u64, from_be_bytes, to_be_bytes, "Eight bytes, most significant first.";
        i32_be: i32, from_be_bytes, to_be_bytes, "Four bytes, signed, most significant first.";
        i64_be: i64, from_be_bytes, to_be_bytes, "Eight bytes, signed, most significant first.";
        f64_be: f64, from_be_bytes, to_be_bytes,
            "An IEEE double or NaN, most significant byte first.";
        u16_le: u16, from_le_bytes, to_le_bytes, "Two bytes, least significant first.";
        u32_le: u32, from_le_bytes, to_le_bytes, "Four bytes, least significant first.";
        u64_le: u64, from_le_bytes, to_le_bytes, "Eight bytes, least significant first.";
        i32_le: i32, from_le_bytes, to_le_bytes, "Four bytes, signed, least significant first.";
        i64_le: i64, from_le_bytes, to_le_bytes, "Eight bytes, signed, least significant first.";
        f64_le: f64, from_le_bytes, to_le_bytes,
            "An IEEE double or NaN, least significant byte first.";
    }

    /// An IEEE double, most significant byte first, neither NaN nor infinite.
    ///
    /// ```
    /// use potoroo_sdk::codec::Fields;
    ///
    /// assert_eq!(Fields::new(&1.5_f64.to_be_bytes()).finite_f64_be(), Ok(1.5));
    /// assert!(Fields::new(&f64::NAN.to_be_bytes()).finite_f64_be().is_err());
    /// ```
    ///
    /// # Errors
    /// When the payload is too short or the number is not finite.
    #[inline]
    pub fn finite_f64_be(&mut self) -> Result<f64, Reason> {
        self.f64_be().and_then(finite)
    }

    /// An IEEE double, least significant byte first, neither NaN nor infinite.
    ///
    /// ```
    /// use potoroo_sdk::codec::Fields;
    ///
    /// assert_eq!(Fields::new(&1.5_f64.to_le_bytes()).finite_f64_le(), Ok(1.5));
    /// assert!(Fields::new(&f64::NAN.to_le_bytes()).finite_f64_le().is_err());
    /// ```
    ///
    /// # Errors
    /// When the payload is too short or the number is not finite.
    #[inline]
    pub fn finite_f64_le(&mut self) -> Result<f64, Reason> {
        self.f64_le().and_then(finite)
    }

    /// `N` bytes of text.
    ///
    /// ```
    /// use potoroo_sdk::codec::Fields;
    ///
    /// let text = Fields::new(b"IBM\0").text::<4>();
    /// assert_eq!(text.map(|text| text.to_string()), Ok("IBM".into()));
    /// ```
    ///
    /// # Errors
    /// When the payload is too short.
    #[inline]
    pub fn text<const N: usize>(&mut self) -> Result<Text<N>, Reason> {
        self.array().map(Text::from_array)
    }

    /// `N` bytes.
    ///
    /// ```
    /// use potoroo_sdk::codec::Fields;
    ///
    /// assert_eq!(Fields::new(b"to be").array(), Ok(*b"to"));
    /// ```
    ///
    /// # Errors
    /// When the payload is too short.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Reason> {
        let (field, rest) = self.rest.split_first_chunk().ok_or(TOO_SHORT)?;
        self.rest = rest;
        Ok(*field)
    }

    /// `count` bytes.
    ///
    /// ```
    /// use potoroo_sdk::codec::Fields;
    ///
    /// let mut fields = Fields::new(b"\x02to be");
    /// let length = fields.u8()?;
    /// assert_eq!(fields.bytes(length.into()), Ok(&b"to"[..]));
    /// # Ok::<(), potoroo_sdk::codec::Reason>(())
    /// ```
    ///
    /// # Errors
    /// When the payload is too short.
    #[inline]
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], Reason> {
        let (field, rest) = self.rest.split_at_checked(count).ok_or(TOO_SHORT)?;
        self.rest = rest;
        Ok(field)
    }

    /// All bytes that were not read yet.
    ///
    /// ```
    /// use potoroo_sdk::codec::Fields;
    ///
    /// let mut fields = Fields::new(b"to be");
    /// fields.array::<3>()?;
    /// assert_eq!(fields.rest(), b"be");
    /// # Ok::<(), potoroo_sdk::codec::Reason>(())
    /// ```
    #[must_use]
    #[inline]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Checks that everything was read.
    ///
    /// ```
    /// use potoroo_sdk::codec::Fields;
    ///
    /// let mut fields = Fields::new(&[7]);
    /// assert!(fields.clone().finish().is_err());
    /// fields.u8()?;
    /// assert!(fields.finish().is_ok());
    /// # Ok::<(), potoroo_sdk::codec::Reason>(())
    /// ```
    ///
    /// # Errors
    /// When bytes are left.
    #[inline]
    pub fn finish(self) -> Result<(), Reason> {
        if self.rest.is_empty() { Ok(()) } else { Err(TOO_LONG) }
    }
}

#[inline]
fn finite(number: f64) -> Result<f64, Reason> {
    if number.is_finite() { Ok(number) } else { Err(NOT_FINITE) }
}

const TOO_SHORT: Reason = Reason::new("payload is too short");
const TOO_LONG: Reason = Reason::new("payload is too long");
const NOT_FINITE: Reason = Reason::new("number is not finite");
