//! Where a source or sink is: parsed once from the text of a URL, valid ever after.
//!
//! Owns the grammar of addresses and nothing else: no file is opened and no name resolved here.
//!
//! ```text
//! SCHEME : REST ? OPTION=VALUE & OPTION=VALUE
//!
//! source   tcp://HOST:PORT   listens             ?connections=N
//!          file:PATH         reads to the end
//!          gen:NAME          makes events up     ?rate=N|max &seed=N &count=N
//!          potoroo://HOST:PORT  listens for clients of the connector protocol
//!                                               ?token=TEXT|token-file=PATH &streams=N
//!          channel:          the program that embeds the engine
//! sink     tcp://HOST:PORT   connects             ?sequence=true
//!          potoroo://HOST:PORT  connects to a client of the connector protocol
//!                                               ?token=TEXT|token-file=PATH &lost=TRANSACTION
//!          file:PATH         creates, truncates  ?append=true
//!          stdout:           standard output
//!          null:             counts and drops
//!          channel:          the program that embeds the engine
//! ```
//!
//! `file://PATH` means `file:PATH`. IPv6 addresses stand in brackets: `tcp://[::1]:7000`. Nothing
//! is escaped, so a path cannot contain a `?`. Printing an address gives a text that parses to it,
//! but for a token, which is never shown.

mod host;
mod parts;
mod transaction;

use std::fmt;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::str::FromStr;

use super::token::TokenAt;
use parts::Parts;
pub use transaction::TransactionId;

pub use host::{HostPort, first_that_works};
pub use parts::{without_token, without_tokens};

/// Events per second of a generator whose address names no rate: quick enough to be worth
/// watching, slow enough for a laptop that does something else at the same time.
pub const RATE_DEFAULT: NonZeroU64 = NonZeroU64::new(100_000).unwrap();
/// Seed of a generator whose address names none: two runs then make the same events.
pub const SEED_DEFAULT: u64 = 1;

const SOURCE_SCHEMES: &str = "`tcp://HOST:PORT` (listens), `potoroo://HOST:PORT` (listens for \
     connectors), `file:PATH` (reads), `gen:NAME` (makes events up)";
const SINK_SCHEMES: &str = "`tcp://HOST:PORT` (connects), `potoroo://HOST:PORT` (connects to a \
     connector), `file:PATH` (writes), `stdout:`, `null:` (counts and drops)";

/// Where a source takes its events from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceAddress {
    /// Listens for connections.
    Tcp {
        /// Where to listen; port 0 takes any free one.
        listen: HostPort,
        /// The source ends after so many connections were closed; `None`: it never ends.
        connections: Option<NonZeroU64>,
    },
    /// Reads a file to its end.
    File {
        /// The file.
        path: PathBuf,
    },
    /// Makes events up with a generator that the application registered.
    Generator(GeneratorAddress),
    /// Listens for clients of the connector protocol.
    Connector {
        /// Where to listen; port 0 takes any free one.
        listen: HostPort,
        /// What clients have to know.
        token: TokenAt,
        /// The source ends after so many streams have; `None`: it never ends.
        streams: Option<NonZeroU64>,
    },
    /// Events come from the program that embeds the engine.
    Channel,
}

/// A generator and its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratorAddress {
    /// Name under which the application registered it.
    pub name: String,
    /// Events per second, open loop; `None`: as fast as possible.
    pub rate: Option<NonZeroU64>,
    /// Seed: the same seed makes the same events.
    pub seed: u64,
    /// Most events to make; `None`: no limit.
    pub count: Option<u64>,
}

impl GeneratorAddress {
    /// The generator `name` with every parameter at its default.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), rate: Some(RATE_DEFAULT), seed: SEED_DEFAULT, count: None }
    }
}

/// Where a sink brings its events to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkAddress {
    /// Connects to a peer, again and again while it is absent.
    Tcp {
        /// The peer.
        connect: HostPort,
        /// Each output has its origin in front, by which repeats are known.
        sequence: bool,
    },
    /// Writes a file.
    File {
        /// The file.
        path: PathBuf,
        /// Writes behind what is there instead of truncating.
        append: bool,
    },
    /// Brings what is committed to a client of the connector protocol.
    Connector {
        /// The client.
        connect: HostPort,
        /// What it has to know of us.
        token: TokenAt,
        /// Up to this transaction it may lack what it had: it has lost that for good.
        lost: Option<TransactionId>,
    },
    /// Standard output.
    Stdout,
    /// Counts and drops.
    Null,
    /// Events go to the program that embeds the engine.
    Channel,
}

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no `SCHEME:` in front.
    #[error("`{text}` has no scheme: a {edge} is one of {}", edge.schemes())]
    NoScheme {
        /// The address.
        text: String,
        /// What the address is for.
        edge: Edge,
    },
    /// No scheme of that name, or not in this direction.
    #[error("`{text}`: no {edge} has the scheme `{scheme}`: take one of {}{}",
        edge.schemes(), edge.direction_hint(scheme))]
    UnknownScheme {
        /// The address.
        text: String,
        /// Its scheme.
        scheme: String,
        /// What the address is for.
        edge: Edge,
    },
    /// The part behind the scheme is missing or unusable.
    #[error("`{text}`: {cause}: write {remedy}")]
    Malformed {
        /// The address.
        text: String,
        /// What is wrong.
        cause: &'static str,
        /// What to write instead.
        remedy: &'static str,
    },
    /// An option that this scheme does not have.
    #[error("`{text}`: unknown option `{option}`: {known}")]
    UnknownOption {
        /// The address.
        text: String,
        /// The option.
        option: String,
        /// The options that there are.
        known: String,
    },
    /// An option whose value cannot be used.
    #[error("`{text}`: option `{option}` cannot be `{value}`: it takes {expected}")]
    BadOption {
        /// The address.
        text: String,
        /// The option.
        option: &'static str,
        /// Its value.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
}

/// The direction of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// Events enter.
    Source,
    /// Events leave.
    Sink,
}

impl Edge {
    fn schemes(self) -> &'static str {
        match self {
            Self::Source => SOURCE_SCHEMES,
            Self::Sink => SINK_SCHEMES,
        }
    }

    fn direction_hint(self, scheme: &str) -> &'static str {
        match (self, scheme) {
            (Self::Source, "stdout" | "null") => " (that scheme is for sinks)",
            (Self::Sink, "gen") => " (that scheme is for sources)",
            _ => "",
        }
    }
}

impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Sink => "sink",
        })
    }
}

impl FromStr for SourceAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut parts = Parts::split(text, Edge::Source)?;
        let address = match parts.scheme {
            "tcp" => {
                let listen = parts.host_port()?;
                let connections = parts.number("connections", "a number from 1")?;
                Self::Tcp { listen, connections }
            }
            "file" => Self::File { path: parts.path()? },
            "gen" => Self::Generator(parts.generator()?),
            "potoroo" => {
                let (listen, token) = (parts.host_port()?, parts.token()?);
                let streams = parts.number("streams", "a number from 1")?;
                Self::Connector { listen, token, streams }
            }
            "channel" => parts.nothing().map(|()| Self::Channel)?,
            _ => return Err(parts.unknown_scheme(Edge::Source)),
        };
        parts.finish()?;
        Ok(address)
    }
}

impl FromStr for SinkAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut parts = Parts::split(text, Edge::Sink)?;
        let address = match parts.scheme {
            "tcp" => {
                let connect = parts.peer()?;
                let sequence = parts.number("sequence", "`true` or `false`")?.unwrap_or(false);
                Self::Tcp { connect, sequence }
            }
            "potoroo" => {
                let (connect, token) = (parts.peer()?, parts.token()?);
                let lost = parts.number("lost", "a transaction as a message has named it")?;
                Self::Connector { connect, token, lost }
            }
            "file" => {
                let path = parts.path()?;
                let append = parts.number("append", "`true` or `false`")?.unwrap_or(false);
                Self::File { path, append }
            }
            "stdout" => parts.nothing().map(|()| Self::Stdout)?,
            "null" => parts.nothing().map(|()| Self::Null)?,
            "channel" => parts.nothing().map(|()| Self::Channel)?,
            _ => return Err(parts.unknown_scheme(Edge::Sink)),
        };
        parts.finish()?;
        Ok(address)
    }
}

impl fmt::Display for SourceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { listen, connections: None } => write!(f, "tcp://{listen}"),
            Self::Tcp { listen, connections: Some(count) } => {
                write!(f, "tcp://{listen}?connections={count}")
            }
            Self::File { path } => write!(f, "file:{}", path.display()),
            Self::Generator(generator) => generator.fmt(f),
            Self::Connector { listen, token, streams } => {
                write!(f, "potoroo://{listen}{token}")?;
                let sign = if matches!(token, TokenAt::File(_)) { '&' } else { '?' };
                streams.map_or(Ok(()), |count| write!(f, "{sign}streams={count}"))
            }
            Self::Channel => f.write_str("channel:"),
        }
    }
}

impl fmt::Display for GeneratorAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gen:{}?rate=", self.name)?;
        match self.rate {
            Some(rate) => write!(f, "{rate}")?,
            None => f.write_str("max")?,
        }
        write!(f, "&seed={}", self.seed)?;
        self.count.map_or(Ok(()), |count| write!(f, "&count={count}"))
    }
}

impl fmt::Display for SinkAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { connect, sequence: false } => write!(f, "tcp://{connect}"),
            Self::Tcp { connect, sequence: true } => write!(f, "tcp://{connect}?sequence=true"),
            Self::Connector { connect, token, lost } => {
                write!(f, "potoroo://{connect}{token}")?;
                let sign = if matches!(token, TokenAt::File(_)) { '&' } else { '?' };
                lost.map_or(Ok(()), |TransactionId(id)| write!(f, "{sign}lost={id:x}"))
            }
            Self::File { path, append: false } => write!(f, "file:{}", path.display()),
            Self::File { path, append: true } => write!(f, "file:{}?append=true", path.display()),
            Self::Stdout => f.write_str("stdout:"),
            Self::Null => f.write_str("null:"),
            Self::Channel => f.write_str("channel:"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::token::Token;
    use super::*;

    fn source(text: &str) -> SourceAddress {
        text.parse().expect("a valid source")
    }

    fn source_error(text: &str) -> String {
        text.parse::<SourceAddress>().expect_err("an invalid source").to_string()
    }

    fn sink_error(text: &str) -> String {
        text.parse::<SinkAddress>().expect_err("an invalid sink").to_string()
    }

    fn check_error(message: &str, parts: &[&str]) {
        for part in parts {
            assert!(message.contains(part), "`{part}` is not in: {message}");
        }
    }

    #[test]
    fn sources_print_what_they_parse() {
        for text in [
            "tcp://127.0.0.1:7000",
            "tcp://[::1]:0?connections=2",
            "file:/tmp/orders.bin",
            "file:orders.bin",
            "gen:orders?rate=max&seed=7&count=1000",
            "gen:orders?rate=100000&seed=1",
            "potoroo://127.0.0.1:7000",
            "potoroo://[::1]:0?streams=2",
            "potoroo://[::1]:0?token-file=/run/token&streams=2",
            "channel:",
        ] {
            assert_eq!(source(text).to_string(), text);
        }
        assert_eq!(source("gen:orders"), source("gen:orders?rate=100_000&seed=1"));
        assert_eq!(source("file:///tmp/x"), source("file:/tmp/x"));
    }

    #[test]
    fn sinks_print_what_they_parse() {
        for text in [
            "tcp://peer.example:9",
            "tcp://[fe80::1]:9?sequence=true",
            "potoroo://peer.example:9",
            "potoroo://peer.example:9?token-file=token",
            "potoroo://peer.example:9?token-file=token&lost=a5",
            "potoroo://peer.example:9?lost=ffffffffffffffffffffffffffffffff",
            "file:a?append=true",
            "stdout:",
            "null:",
        ] {
            assert_eq!(text.parse::<SinkAddress>().expect("a valid sink").to_string(), text);
        }
        let file = SinkAddress::File { path: "a".into(), append: false };
        assert_eq!("file:a?append=false".parse(), Ok(file));
    }

    #[test]
    fn unknown_schemes_list_the_known_ones() {
        check_error(&source_error("kafka://a/b"), &["source", "`kafka`", "tcp://", "gen:NAME"]);
        check_error(&source_error("stdout:"), &["that scheme is for sinks"]);
        check_error(&sink_error("gen:orders"), &["that scheme is for sources", "null:"]);
        check_error(&sink_error("out.txt"), &["`out.txt` has no scheme", "file:PATH"]);
        check_error(&source_error(""), &["`` has no scheme"]);
    }

    #[test]
    fn malformed_addresses_say_what_to_write() {
        check_error(&source_error("tcp://localhost"), &["names no port", "tcp://HOST:PORT"]);
        check_error(&source_error("tcp://localhost:"), &["names no port"]);
        check_error(&source_error("tcp://:7000"), &["names no host", "127.0.0.1"]);
        check_error(&source_error("tcp://a:70000"), &["no number from 0 to 65535"]);
        check_error(&source_error("tcp://::1:7000"), &["brackets", "tcp://[::1]:PORT"]);
        check_error(&source_error("tcp://[::1]7000"), &["`[` needs `]:PORT`"]);
        check_error(&sink_error("tcp://localhost:0"), &["nobody listens at port 0"]);
        check_error(&sink_error("file:"), &["names no file"]);
        check_error(&sink_error("null:x"), &["nothing follows"]);
        check_error(&source_error("gen:"), &["names no generator"]);
        check_error(&source_error("potoroo://a:1?token-file="), &["names no file", "token-file="]);
        let two = sink_error("potoroo://a:1?token-file=f&token=hush");
        check_error(&two, &["has two tokens", "token-file=PATH"]);
    }

    #[test]
    fn a_token_is_never_shown() {
        let address = source("potoroo://127.0.0.1:7000?token=hush&streams=3");
        assert!(!format!("{address} {address:?}").contains("hush"), "{address:?}");
        for text in ["potoroo://a:b?token=hush", "potoroo://a:1?token=hush&x=1", "x:?token=hush"] {
            let error = source_error(text);
            assert!(!error.contains("hush") && error.contains("token=…"), "{error}");
        }
        for text in [
            "potoroo://a:1?tokne=hush",
            "potoroo://a:1?token=x&token=hush",
            "potoroo://a:1?token=x?y&hush",
            "potoroo://a:1?token=x?hush",
            "potoroo://a:1?token=x&hush",
        ] {
            let address = text.parse::<SourceAddress>();
            let shown = address.map_or_else(|error| error.to_string(), |it| format!("{it:?}"));
            assert!(!shown.contains("hush"), "{shown}");
        }
        let SourceAddress::Connector { token, .. } = address else { panic!("{address}") };
        assert_eq!(token, TokenAt::Address(Token::new("hush")));
    }

    #[test]
    fn a_text_keeps_all_but_its_tokens() {
        let text =
            "error: unexpected argument 'a=potoroo://h:1?token=hush&streams=1' found\n\nUsage";
        let shown = "error: unexpected argument 'a=potoroo://h:1?token=…&streams=1' found\n\nUsage";
        assert_eq!(without_tokens(text), shown);
        assert_eq!(without_tokens("what? no = \n sign"), "what? no = \n sign");
    }

    #[test]
    fn options_are_checked() {
        check_error(&source_error("gen:a?speed=1"), &["`speed`", "`rate`, `seed`, `count`"]);
        check_error(&source_error("gen:a?rate=0"), &["`rate` cannot be `0`", "`max`"]);
        check_error(&source_error("gen:a?seed=x"), &["`seed` cannot be `x`", "a number"]);
        check_error(&source_error("gen:a?seed=1&seed=2"), &["given twice"]);
        check_error(&source_error("tcp://a:1?connections="), &["`connections` cannot be ``"]);
        check_error(&sink_error("null:?x=1"), &["`null` has none"]);
        check_error(&sink_error("file:a?append=yes"), &["`true` or `false`"]);
        check_error(&sink_error("potoroo://a:1?lost=x"), &["`lost` cannot be `x`", "has named it"]);
    }
}
