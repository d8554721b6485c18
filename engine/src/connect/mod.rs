//! The world outside: where sources take bytes from and where sinks bring them to.
//!
//! Cold, but for the driver, which moves buffers between sockets and a core once per turn.

pub mod address;
pub mod deliver;
pub mod driver;
pub mod files;
pub mod hold;
pub mod lines;
pub mod mail;
pub mod patience;
pub mod permits;
pub mod pipe;
pub mod scarce;
pub mod serve;
pub mod spool;
pub mod streams;
pub mod tcp;
pub mod token;
pub mod visible;
