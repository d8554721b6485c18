//! What all sources that listen have in common.

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::address::{HostPort, first_that_works};
use super::lines::LineLimiter;
use super::refusal::EdgeRefusal;
use super::remedy;

/// The addresses of the host on which a source listens.
///
/// # Errors
/// There is no such host.
pub(super) fn addresses(listen: &HostPort) -> Result<Vec<SocketAddr>, EdgeRefusal> {
    let unknown = |error| format!("{error}; give the number or name of this host").into();
    listen.addresses().map_err(unknown)
}

/// What `bind` makes of the first of these addresses with which it works.
///
/// # Errors
/// It works with none.
pub(super) fn bind<T>(
    addresses: &[SocketAddr],
    bind: impl FnMut(SocketAddr) -> io::Result<T>,
) -> Result<T, EdgeRefusal> {
    first_that_works(addresses, bind).map_err(no_listener)
}

/// A listener cannot be had.
pub(super) fn no_listener(error: io::Error) -> EdgeRefusal {
    let remedy = remedy::listen(&error, "give another port, or port 0 for any that is free");
    EdgeRefusal::Reason(format!("{error}; {remedy}"))
}

/// How often a source that cannot accept is logged.
pub(super) const REFUSING_EVERY: Duration = Duration::from_secs(10);

/// Logs that a source accepts no connection, which lasts until others are closed.
pub(super) fn no_accept(source: &str, reason: &dyn Display, lines: &LineLimiter) {
    if let Some(left_out) = lines.admit() {
        tracing::error!(
            "source `{source}` cannot accept: {reason}; connections wait until others are closed: \
             raise the limit of open files (`ulimit -n`) if it is reached{left_out}"
        );
    }
}
