//! The host and port of an address, and all that may be behind a name.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

/// A host, by name or number, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// Name or number, an IPv6 number without its brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl HostPort {
    /// Looks the host up: all its addresses, each once, at least one. May ask a name server and
    /// wait for it: not for a core.
    ///
    /// # Errors
    /// The host is unknown, or has no address.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for address in (self.host.as_str(), self.port).to_socket_addrs()? {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        match addresses.is_empty() {
            true => Err(io::Error::new(io::ErrorKind::NotFound, "it has no address")),
            false => Ok(addresses),
        }
    }
}

/// What `attempt` makes of the first of these addresses with which it works.
///
/// # Errors
/// Why it works with none of them.
pub fn first_that_works<T>(
    addresses: &[SocketAddr],
    mut attempt: impl FnMut(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut failed: Vec<(SocketAddr, io::Error)> = Vec::new();
    for address in addresses {
        match attempt(*address) {
            Ok(done) => return Ok(done),
            Err(error) => failed.push((*address, error)),
        }
    }
    let (last, before) = failed.split_last_mut().expect("a host has an address");
    if before.is_empty() {
        return Err(failed.remove(0).1);
    }
    let kind = last.1.kind();
    let all: Vec<String> = failed.iter().map(|(at, error)| format!("{at}: {error}")).collect();
    Err(io::Error::new(kind, all.join("; ")))
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// `localhost` often is `::1` and `127.0.0.1`, and a listener often has only one of them.
    #[test]
    fn all_addresses_of_a_name_are_tried_in_turn() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let there = listener.local_addr().expect("it is bound");
        let absent = SocketAddr::from(([127, 0, 0, 2], there.port()));
        let dial = |address: SocketAddr| TcpStream::connect(address);
        let found = first_that_works(&[absent, there], dial).expect("one of them is there");
        assert_eq!(found.peer_addr().expect("it is connected"), there);
        let one = first_that_works(&[absent], dial).expect_err("no listener");
        assert_eq!(one.raw_os_error(), dial(absent).expect_err("nor now").raw_os_error());
        let none = first_that_works(&[absent, absent], dial).expect_err("no listener");
        assert_eq!(
            (none.kind(), none.to_string().matches(&absent.to_string()).count()),
            (one.kind(), 2)
        );
    }

    #[test]
    fn a_name_is_looked_up_to_addresses_of_which_each_is_there_once() {
        let host = HostPort { host: "localhost".into(), port: 7 };
        let found = host.addresses().expect("every host has it");
        assert!(found.iter().all(|at| at.port() == 7 && at.ip().is_loopback()), "{found:?}");
        let unlike = |at: usize| !found[..at].contains(&found[at]);
        assert!((0..found.len()).all(unlike), "{found:?}");
    }
}
