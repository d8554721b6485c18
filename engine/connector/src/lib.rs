//! Sources and sinks in other processes that take part in the checkpoints of an application.
#![doc = ""]
#![doc = include_str!("../README.md")]

mod error;
mod frame;
mod reader;

mod link;
mod options;
mod sink;
mod source;
mod strangers;

pub use error::Error;
pub use frame::{
    FRAME_BYTES_MAX, Frame, HELLO_BYTES_MAX, HELLO_TEXT_BYTES_MAX, MESSAGE_BYTES_MAX, Malformed,
    Role, VERSION, is_same_token,
};
pub use options::Options;
pub use reader::FrameReader;
pub use sink::{Piece, Sink};
pub use source::{Source, StreamNumber};
