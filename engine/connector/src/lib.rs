//! Sources and sinks in other processes that take part in the checkpoints of an application.
#![doc = ""]
#![doc = include_str!("../README.md")]

mod error;
mod frame;
mod reader;

mod sink;
mod source;

pub use error::Error;
pub use frame::{FRAME_BYTES_MAX, Frame, MESSAGE_BYTES_MAX, Malformed, Role, VERSION};
pub use reader::{HELLO_BYTES_MAX, Reader};
pub use sink::{Piece, Sink};
pub use source::{Options, Source, StreamNumber};
