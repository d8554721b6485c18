//! The connector protocol: sources and sinks in other processes, and in any language, that take
//! part in the checkpoints of a Potoroo application.
//!
//! ```text
//!   source client ── connects ──► --source NAME=potoroo://HOST:PORT?token=…   the engine listens
//!   sink client   ◄── connects ── --sink NAME=potoroo://HOST:PORT?token=…     the client listens
//! ```
//!
//! A **source** has streams. A stream is a sequence of messages, each with an id that is greater
//! than the one before and means something to the client: an offset, a row, a time. What the engine
//! has acknowledged belongs to a committed checkpoint and is never asked for again; what it has not,
//! the client keeps, and sends again when it is told to go on behind an earlier id.
//!
//! A **sink** gets transactions: the output of one checkpoint that is committed. It makes each
//! durable together with its id, and says so. After any interruption it tells the last one that it
//! has, and gets those behind it; so it needs to remember one number.
//!
//! # Bytes
//!
//! All numbers are little-endian. A connection carries frames in both directions:
//!
//! ```text
//!   ┌────────────┬─────────┬──────────────┐
//!   │ length u32 │ kind u8 │ fields       │   length counts kind and fields: 1 to 1 048 576
//!   └────────────┴─────────┴──────────────┘
//!   text    length u16, UTF-8
//!   bytes   whatever is left of the frame
//! ```
//!
//! | kind | frame | who | fields |
//! |---|---|---|---|
//! | 1 | `Hello` | who connects | magic `PTRO` (4 bytes), version u16 (1), role u8 (1 a source client, 2 an engine with a sink's output), token text, application text, endpoint text |
//! | 2 | `Welcome` | who listens | version u16, last u64: of a sink the last transaction that it has, 0 for none |
//! | 3 | `Refused` | both | reason text; the connection is closed behind it |
//! | 4 | `Open` | source | stream u32, name text, from u64 |
//! | 5 | `Resume` | engine | stream u32, behind u64 |
//! | 6 | `Credit` | engine | stream u32, messages u32 |
//! | 7 | `Message` | source | stream u32, id u64, payload bytes |
//! | 8 | `Ack` | engine | stream u32, id u64 |
//! | 9 | `End` | source | stream u32 |
//! | 10 | `Ended` | engine | stream u32 |
//! | 11 | `Begin` | engine | transaction u64, length u64 |
//! | 12 | `Data` | engine | payload bytes |
//! | 13 | `Commit` | engine | transaction u64 |
//! | 14 | `Committed` | sink | transaction u64 |
//!
//! # A source
//!
//! 1. The client sends `Hello`; the engine answers `Welcome` or `Refused`. An empty application or
//!    endpoint means any; up to here a frame may have 4096 bytes.
//! 2. The client opens streams: `stream` is its number on this connection, `name` its name for ever
//!    (1 to 255 bytes), `from` the id behind which the client can send everything: 0 from the
//!    beginning. The engine answers `Resume`: the client goes on with the first id behind `behind`.
//!    If that is before `from`, something would be missing, and the engine refuses.
//! 3. The client sends messages as long as it has credit: one message takes one. Without credit none
//!    may be sent. Ids rise; one that does not is an error. One that the engine has already is passed
//!    over and counted. The payloads of a stream, one behind the other, are the bytes that the codec
//!    of the source reads: usually one or more whole frames each, but a frame may go on in the next
//!    message. The same id means the same payload for ever.
//! 4. `Ack` covers all messages up to its id: a checkpoint that contains their effect is committed.
//!    An engine without checkpoints acknowledges what its cores have taken.
//! 5. `End` says that no message will follow. `Ended` acknowledges that as `Ack` does messages.
//!
//! A stream belongs to one connection at a time. When a connection is lost the client connects
//! again, opens its streams again and goes on where `Resume` says: within the life of the engine
//! behind the last message that it got, behind a crash behind the last committed one.
//!
//! # A sink
//!
//! 1. The engine sends `Hello`; the client answers `Welcome` with the last transaction that it has,
//!    or `Refused`.
//! 2. `Begin`, then `Data` up to its length, then `Commit`: the client makes the bytes and the id
//!    durable, in one step, and answers `Committed`. Ids rise, but not by one. A client that cannot
//!    take a transaction answers `Refused` instead and closes: it is offered again.
//! 3. Without `Committed` the transaction is in doubt. The next `Welcome` tells whether it was
//!    committed; if not it begins again, from its first byte, with the same bytes and id.
//!
//! Data comes when its checkpoint is committed, never before: the engine keeps it until then, and
//! until it is committed by the client. So the engine votes for its sinks: a sink that is slow or
//! absent neither aborts a checkpoint nor delays one.
//!
//! # Clients
//!
//! [`Source`] and [`Sink`] are blocking clients. `engine/examples/connector.py` has both in Python,
//! with its standard library only.

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
