//! Turns a core, hot: bytes from sockets and pipes into its inlets, its turn, and bytes from its
//! outlets to sockets and pipes.
//!
//! ```text
//!   mail       commands for a core, and its notices
//!   links      where the bytes of an inlet come from
//!   sinks      where the bytes of a sink go
//!   handout    parts of checkpoints, within a budget of time
//!   driver     all of it around the turn of a core
//!   replies    the way back to connections
//!   reactor    a core with its driver, as the runtime turns it
//! ```

mod driver;
mod handout;
mod links;
mod mail;
mod reactor;
mod replies;
mod sinks;

pub use driver::{Driver, Progress};
pub use handout::{Handout, SPARES_MAX, Shared};
pub use mail::{CheckpointCommand, Command, Mail, Mailbox, Notice, SinkEnd, mailbox};
pub use reactor::{CoreReactor, CoreSeat};
