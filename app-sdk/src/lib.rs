//! What a Potoroo application is: events, keys, tables, streams, codecs and the
//! reference interpreter that defines what an application means.
//!
//! Promises: `no_std`, so that no thread, socket, file or clock can get in; no `unsafe`.
//! Must never contain: anything that names where or on how many machines an application runs.
//!
//! ```text
//!   value · text · key      what an event and a key are made of
//!   codec                   bytes to events and back
//!   application · stream    what is computed
//!   table · outputs         what handlers see and return
//!   plan                    the checked description
//!   host                    the seam to whatever executes it
//!   reference               the slow, obvious executor
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
extern crate self as potoroo_sdk;

pub mod codec;
pub mod key;
pub mod random;
pub mod text;
pub mod value;

mod application;
mod draft;
mod exchange;
mod flow;
pub mod host;
pub mod outputs;
pub mod plan;
pub mod reference;
pub mod stream;
pub mod table;

/// The guide's examples, which are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

pub use application::Application;
pub use potoroo_derive::{event, key, state, value};

/// Everything that an application usually needs.
pub mod prelude {
    pub use crate::application::Application;
    pub use crate::codec::{
        Decode, Encode, Fields, FixedSize, Framing, LengthPrefixed, LengthWord, LineText, Lines,
        Put, Reason, Split,
    };
    pub use crate::key::Key;
    pub use crate::outputs::{Out, Outputs};
    pub use crate::random::Random;
    pub use crate::reference::Reference;
    pub use crate::stream::{Keyed, Stream};
    pub use crate::table::{Entry, Table};
    pub use crate::text::{Symbol, Text};
    pub use crate::value::{Event, Seq, State, Value, View};
    pub use crate::{event, key, state, value};
}
