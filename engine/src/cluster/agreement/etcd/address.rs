//! Where etcd is, as `--cluster` names it: `etcd://HOST:PORT[,HOST:PORT]/NAME`, or `etcds://…` if
//! the way there is encrypted.

use std::fmt;
use std::net::IpAddr;

/// Where etcd is, and the name of the cluster in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdAddress {
    /// Host and port of each server.
    endpoints: Vec<String>,
    name: String,
    encrypted: bool,
}

/// Where etcd listens if nothing else is said.
const PORT: u16 = 2379;

/// Bytes of a cluster's name at most.
const NAME_BYTES_MAX: usize = 63;

impl EtcdAddress {
    /// What follows `etcd://`, or `etcds://` if the way is `encrypted`.
    ///
    /// # Errors
    /// What is wrong with it. Nothing of it is repeated: it may hold a password.
    pub fn parse(text: &str, encrypted: bool) -> Result<Self, String> {
        let Some((servers, name)) = text.split_once('/') else {
            return Err("it has no name of a cluster".to_owned());
        };
        if text.contains('@') {
            return Err("it has an `@`, and user and password are given by the variables \
                        POTOROO_ETCD_USER and POTOROO_ETCD_PASSWORD"
                .to_owned());
        }
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if !(1..=NAME_BYTES_MAX).contains(&name.len()) || !name.bytes().all(fits) {
            return Err(format!(
                "the name of a cluster has 1 to {NAME_BYTES_MAX} letters, digits, dots, dashes or \
                 underscores"
            ));
        }
        let endpoints = servers.split(',').map(endpoint).collect::<Result<_, _>>()?;
        Ok(Self { endpoints, name: name.to_owned(), encrypted })
    }

    /// Host and port of each server.
    pub fn endpoints(&self) -> &[String] {
        &self.endpoints
    }

    /// Whether the way there is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// Whether what is sent there may leave this machine.
    pub fn is_beyond_loopback(&self) -> bool {
        let is_loopback = |endpoint: &String| {
            let host = endpoint.rsplit_once(':').map_or("", |(host, _)| host);
            let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
            host == "localhost" || address.is_ok_and(|address| address.is_loopback())
        };
        !self.endpoints.iter().all(is_loopback)
    }

    /// The name of the cluster.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for EtcdAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.encrypted { "etcds" } else { "etcd" };
        write!(f, "{scheme}://{}/{}", self.endpoints.join(","), self.name)
    }
}

/// A host, or an IPv6 address in brackets, with its port.
fn endpoint(text: &str) -> Result<String, String> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = !host.is_empty() && host.bytes().all(plain);
    let is_address = inner.is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok());
    if !is_host && !is_address {
        return Err("a server of it is no HOST:PORT".to_owned());
    }
    let port = port.map_or(Ok(PORT), str::parse::<u16>);
    let port = port.ok().filter(|port| *port > 0);
    port.map(|port| format!("{host}:{port}")).ok_or_else(|| "a port of it is none".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_servers_and_a_name() {
        for (text, expected) in [
            ("e1/orders", "etcd://e1:2379/orders"),
            ("127.0.0.1:1,[::1]:2,[::1]/a.b-c_D", "etcd://127.0.0.1:1,[::1]:2,[::1]:2379/a.b-c_D"),
        ] {
            let address = EtcdAddress::parse(text, false).expect("it is one");
            assert_eq!(address.to_string(), expected);
        }
        let encrypted = EtcdAddress::parse("e1/orders", true).expect("it is one");
        assert_eq!(encrypted.to_string(), "etcds://e1:2379/orders");
    }

    #[test]
    fn loopback_is_known_by_its_addresses() {
        for (text, beyond) in [
            ("127.0.0.1:1,[::1]:2,localhost/x", false),
            ("127.0.0.1,10.0.0.1/x", true),
            ("e1/x", true),
            ("[2001:db8::1]/x", true),
        ] {
            let address = EtcdAddress::parse(text, false).expect("it is one");
            assert_eq!(address.is_beyond_loopback(), beyond, "{text}");
        }
    }

    #[test]
    fn what_is_none_is_refused_without_repeating_it() {
        for odd in [
            "e1",
            "e1/",
            "/x",
            ",/x",
            "e1,/x",
            "e1:0/x",
            "e1:65536/x",
            "e1:x/x",
            "::1/x",
            "[e]/x",
            "e1/a/b",
            "e1/a b",
            "e1/ä",
            "e 1/x",
            "user:hunter2@e1/x",
            "e1:/x",
            "http://e1/x",
        ] {
            let refused = EtcdAddress::parse(odd, false).expect_err(odd);
            assert!(!refused.contains("hunter2"), "{refused}");
        }
        let long = format!("e1/{}", "x".repeat(NAME_BYTES_MAX + 1));
        assert!(EtcdAddress::parse(&long, false).is_err());
    }
}
