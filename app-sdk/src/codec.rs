//! Codecs: bytes from outside become events, events become bytes.
//!
//! A codec has two steps. Its [`Framing`] finds where one frame ends and the next begins; then
//! [`Decode`] turns the payload into an event. [`Encode`] writes a whole frame.
//!
//! ```text
//!   bytes of a source ── Framing::split ──► payload ── Decode::decode ──► event
//!                            │                            │
//!                            └── Reason ──► dead letters ◄┘
//! ```
//!
//! Promises: whatever the bytes are, there is an outcome and never a panic; a framing looks at
//! bytes only, so that the same input in parts of any size gives the same frames.
//! Must never do: hold back bytes, allocate per event when reading, know where bytes come from.

mod fields;
mod framing;
mod put;
mod text;

pub use fields::Fields;
pub use framing::{FixedSize, LengthPrefixed, LengthWord, Lines};
pub use put::Put;
pub use text::LineText;

use crate::value::{Event, View};
use alloc::vec::Vec;
use core::fmt;

/// Why bytes were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason(&'static str);

impl Reason {
    /// A reason of at most one line, such as `"price is not a number"`.
    ///
    /// ```
    /// use potoroo_sdk::codec::Reason;
    ///
    /// const NO_PRICE: Reason = Reason::new("price is not a number");
    /// assert_eq!(NO_PRICE.to_string(), "price is not a number");
    /// ```
    #[must_use]
    pub const fn new(detail: &'static str) -> Self {
        Self(detail)
    }

    /// The text of the reason.
    ///
    /// ```
    /// use potoroo_sdk::codec::Reason;
    ///
    /// assert_eq!(Reason::new("not UTF-8").detail(), "not UTF-8");
    /// ```
    #[must_use]
    pub const fn detail(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

/// What a [`Framing`] found at the start of bytes. Positions count from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// No whole frame yet; at least this many bytes in all are needed (0 = unknown).
    /// Never returned for bytes that have ended, unless there are none.
    More(usize),
    /// The payload is `bytes[start..end]`; the next frame begins at `next`, which is above 0.
    Frame {
        /// First byte of the payload.
        start: usize,
        /// First byte behind the payload.
        end: usize,
        /// First byte behind the frame.
        next: usize,
    },
    /// The boundary itself cannot be trusted: the rest of the stream is unreadable.
    Broken(Reason),
    /// `bytes[..next]` are a bad frame, for the dead letters; reading goes on at `next`, above 0.
    Skip {
        /// First byte behind the bad frame.
        next: usize,
        /// What is wrong with it.
        reason: Reason,
    },
    /// `bytes[..next]` begin a frame above the limit, for the dead letters; the rest of the frame
    /// follows at `next`, above 0, and is passed over: [`Framing::frame_end`] finds its end.
    Overlong {
        /// First byte behind what goes to the dead letters.
        next: usize,
        /// What is wrong with the frame.
        reason: Reason,
    },
}

/// Finds frames in a stream of bytes.
///
/// ```
/// use potoroo_sdk::codec::{Framing, Reason, Split};
///
/// /// Each byte is a frame; zeros are refused.
/// #[derive(Clone)]
/// struct Bytes;
///
/// impl Framing for Bytes {
///     fn split(&self, bytes: &[u8], _ended: bool) -> Split {
///         match bytes {
///             [] => Split::More(1),
///             [0, ..] => Split::Skip { next: 1, reason: Reason::new("zero") },
///             _ => Split::Frame { start: 0, end: 1, next: 1 },
///         }
///     }
///     fn frame_bytes_max(&self) -> usize { 1 }
/// }
/// assert_eq!(Bytes.split(&[7, 0], false), Split::Frame { start: 0, end: 1, next: 1 });
/// ```
pub trait Framing: Clone + 'static {
    /// What the first frame in `bytes` is; `ended` says that no bytes will follow.
    ///
    /// ```
    /// use potoroo_sdk::codec::{Framing, Lines, Split};
    ///
    /// let lines = Lines::new();
    /// assert_eq!(lines.split(b"to be", false), Split::More(0));
    /// assert_eq!(lines.split(b"to be\r\n", false), Split::Frame { start: 0, end: 5, next: 7 });
    /// assert_eq!(lines.split(b"to be", true), Split::Frame { start: 0, end: 5, next: 5 });
    /// ```
    fn split(&self, bytes: &[u8], ended: bool) -> Split;

    /// The longest frame in bytes, with all that belongs to it: a buffer of this size always
    /// lets [`split`](Self::split) decide.
    ///
    /// ```
    /// use potoroo_sdk::codec::{FixedSize, Framing};
    ///
    /// assert_eq!(FixedSize::new(20).frame_bytes_max(), 20);
    /// ```
    fn frame_bytes_max(&self) -> usize;

    /// The same framing for a buffer of `bytes_max` bytes. A framing that can go on after a frame
    /// above the limit refuses frames that do not fit the buffer, too.
    ///
    /// ```
    /// use potoroo_sdk::codec::{FixedSize, Framing, Lines};
    ///
    /// assert_eq!(Lines::new().within(1024).frame_bytes_max(), 1024);
    /// assert_eq!(FixedSize::new(20).within(10).frame_bytes_max(), 20, "one size");
    /// ```
    #[must_use]
    fn within(self, bytes_max: usize) -> Self {
        let _ = bytes_max;
        self
    }

    /// First byte behind the frame whose beginning was [`Split::Overlong`] and of which `bytes`
    /// are the next ones; `None` if the frame does not end among them. Depends on no bytes before
    /// them, so the rest of a frame may come in parts of any size.
    ///
    /// ```
    /// use potoroo_sdk::codec::{Framing, Lines, Split};
    ///
    /// let lines = Lines::new().length_max(4);
    /// assert!(matches!(lines.split(b"to be or", false), Split::Overlong { next: 4, .. }));
    /// assert_eq!(lines.frame_end(b"e or"), None);
    /// assert_eq!(lines.frame_end(b" not\nto be"), Some(5));
    /// ```
    fn frame_end(&self, bytes: &[u8]) -> Option<usize> {
        let _ = bytes;
        Some(0)
    }
}

/// Turns payloads into events.
///
/// ```
/// use potoroo_sdk::prelude::*;
///
/// #[event]
/// struct Trade { symbol: Symbol, price: f64 }
///
/// struct Trades;
///
/// impl Decode for Trades {
///     type Event = Trade;
///     type Framing = FixedSize;
///     fn framing(&self) -> FixedSize { FixedSize::new(16) }
///     fn decode(&self, payload: &[u8]) -> Result<Trade, Reason> {
///         let mut fields = Fields::new(payload);
///         Ok(Trade { symbol: fields.text()?, price: fields.finite_f64_le()? })
///     }
/// }
/// let trade = Trades.decode(b"IBM\0\0\0\0\0\0\0\0\0\0\0\x24\x40");
/// assert_eq!(trade.map(|trade| trade.price), Ok(10.0));
/// assert_eq!(Trades.decode(b"IBM").map_err(Reason::detail), Err("payload is too short"));
/// ```
pub trait Decode: 'static {
    /// What comes out.
    type Event: Event;

    /// Where a frame ends and the next one begins.
    type Framing: Framing;

    /// The framing, with its limits.
    fn framing(&self) -> Self::Framing;

    /// The event of one frame's payload.
    ///
    /// # Errors
    /// The reason why the payload is none; it goes to the dead letters and reading goes on.
    fn decode(&self, payload: &[u8]) -> Result<Self::Event, Reason>;
}

/// Turns events into bytes.
///
/// ```
/// use potoroo_sdk::prelude::*;
///
/// #[event]
/// struct Trade { symbol: Symbol, price: f64 }
///
/// struct Trades;
///
/// impl Encode for Trades {
///     type Event = Trade;
///     fn encode(&self, trade: View<'_, Trade>, out: &mut Vec<u8>) {
///         out.put_framed(LengthWord::U16Be, |payload| {
///             payload.put_text(trade.symbol);
///             payload.put_f64_be(trade.price);
///         });
///     }
/// }
/// let mut out = Vec::new();
/// Trades.encode(Trade { symbol: Symbol::EMPTY, price: 1.0 }, &mut out);
/// assert_eq!(out[..2], [0, 16]);
/// ```
pub trait Encode: 'static {
    /// What goes in.
    type Event: Event;

    /// Appends one whole frame, its framing included, to `out`.
    fn encode(&self, event: View<'_, Self::Event>, out: &mut Vec<u8>);
}
