//! Takes the text of an address apart, one part after the other.

use std::path::PathBuf;
use std::str::FromStr;

use super::{Edge, Error, GeneratorAddress, HostPort};
use crate::connect::token::{Token, TokenAt};

/// An address taken apart. Options are taken out one by one; what stays is unknown.
pub(super) struct Parts<'a> {
    /// As errors show it: without its token.
    text: String,
    pub(super) scheme: &'a str,
    rest: &'a str,
    options: Vec<(&'a str, &'a str)>,
    known: Vec<&'static str>,
}

impl<'a> Parts<'a> {
    pub(super) fn split(text: &'a str, edge: Edge) -> Result<Self, Error> {
        let shown = without_token(text);
        let Some((scheme, behind)) = text.split_once(':') else {
            return Err(Error::NoScheme { text: shown, edge });
        };
        let (rest, options) = behind.split_once('?').unwrap_or((behind, ""));
        let pair = |option: &'a str| option.split_once('=').unwrap_or((option, ""));
        let options = options.split('&').filter(|option| !option.is_empty()).map(pair).collect();
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        Ok(Self { text: shown, scheme, rest, options, known: Vec::new() })
    }

    pub(super) fn host_port(&self) -> Result<HostPort, Error> {
        let whole = || self.malformed("it names no port", "`tcp://HOST:PORT`");
        let (host, port) = match self.rest.strip_prefix('[') {
            Some(open) => open
                .split_once("]:")
                .ok_or_else(|| self.malformed("`[` needs `]:PORT`", "`tcp://[::1]:PORT`"))?,
            None => self.rest.rsplit_once(':').ok_or_else(whole)?,
        };
        if host.contains(':') && !self.rest.starts_with('[') {
            let cause = "an IPv6 address stands in brackets";
            return Err(self.malformed(cause, "`tcp://[::1]:PORT`"));
        }
        if host.is_empty() {
            let remedy = "`tcp://127.0.0.1:PORT`, or `tcp://0.0.0.0:PORT` to listen everywhere";
            return Err(self.malformed("it names no host", remedy));
        }
        if port.is_empty() {
            return Err(whole());
        }
        let bad = |_| self.malformed("its port is no number from 0 to 65535", "`tcp://HOST:PORT`");
        Ok(HostPort { host: host.to_string(), port: port.parse().map_err(bad)? })
    }

    pub(super) fn peer(&self) -> Result<HostPort, Error> {
        let peer = self.host_port()?;
        match peer.port {
            0 => Err(self.malformed("nobody listens at port 0", "the port of the peer")),
            _ => Ok(peer),
        }
    }

    pub(super) fn path(&self) -> Result<PathBuf, Error> {
        match self.rest {
            "" => Err(self.malformed("it names no file", "`file:PATH`")),
            path => Ok(PathBuf::from(path)),
        }
    }

    pub(super) fn generator(&mut self) -> Result<GeneratorAddress, Error> {
        if self.rest.is_empty() {
            return Err(self.malformed("it names no generator", "`gen:NAME`"));
        }
        let default = GeneratorAddress::new(self.rest);
        let rate = match self.take("rate") {
            None => default.rate,
            Some("max") => None,
            Some(value) => Some(self.value("rate", value, "events per second from 1, or `max`")?),
        };
        let seed = self.number("seed", "a number")?.unwrap_or(default.seed);
        let count = self.number("count", "a number of events")?;
        Ok(GeneratorAddress { rate, seed, count, ..default })
    }

    pub(super) fn token(&mut self) -> Result<TokenAt, Error> {
        let remedy = "`token-file=PATH`, and no `token=`";
        match (self.take("token"), self.take("token-file")) {
            (Some(_), Some(_)) => Err(self.malformed("it has two tokens", remedy)),
            (None, Some("")) => Err(self.malformed("its token-file names no file", remedy)),
            (None, Some(path)) => Ok(TokenAt::File(path.into())),
            (text, None) => Ok(TokenAt::Address(text.map(Token::new).unwrap_or_default())),
        }
    }

    pub(super) fn nothing(&self) -> Result<(), Error> {
        match self.rest {
            "" => Ok(()),
            _ => Err(self.malformed("nothing follows this scheme", "the scheme and its `:` alone")),
        }
    }

    fn take(&mut self, option: &'static str) -> Option<&'a str> {
        self.known.push(option);
        let index = self.options.iter().position(|(name, _)| *name == option)?;
        Some(self.options.remove(index).1)
    }

    pub(super) fn number<T: FromStr>(
        &mut self,
        option: &'static str,
        expected: &'static str,
    ) -> Result<Option<T>, Error> {
        let value = self.take(option);
        value.map(|value| self.value(option, value, expected)).transpose()
    }

    fn value<T: FromStr>(
        &self,
        option: &'static str,
        value: &str,
        expected: &'static str,
    ) -> Result<T, Error> {
        let bad = |_| Error::BadOption {
            text: self.text.clone(),
            option,
            value: value.to_string(),
            expected,
        };
        value.replace('_', "").parse().map_err(bad)
    }

    fn malformed(&self, cause: &'static str, remedy: &'static str) -> Error {
        Error::Malformed { text: self.text.clone(), cause, remedy }
    }

    pub(super) fn unknown_scheme(&self, edge: Edge) -> Error {
        let (text, scheme) = (self.text.clone(), self.scheme.to_string());
        Error::UnknownScheme { text, scheme, edge }
    }

    /// Nothing may be left over: a misspelt option would otherwise be silently ignored.
    pub(super) fn finish(self) -> Result<(), Error> {
        let Some((option, value)) = self.options.first() else { return Ok(()) };
        let known = match self.known.contains(option) {
            true => "it is given twice, give it once".to_string(),
            false if self.known.is_empty() => format!("`{}` has none", self.scheme),
            false => format!("`{}` has `{}`", self.scheme, self.known.join("`, `")),
        };
        // Without a value it may be one: of a token in which there is a `&`.
        let named = OPEN.contains(option) || !value.is_empty();
        let option = if named { (*option).to_owned() } else { "…".to_owned() };
        Err(Error::UnknownOption { text: self.text, option, known })
    }
}

/// Options whose values anybody may see.
const OPEN: [&str; 9] =
    ["connections", "streams", "token-file", "rate", "seed", "count", "sequence", "append", "lost"];

/// A text with addresses in it, such as a command line, as anybody may see it.
pub fn without_tokens(text: &str) -> String {
    let ends = |char: char| char.is_whitespace() || "'\"`".contains(char);
    let shown = |word: &str| {
        let (body, end) = word.split_at(word.trim_end_matches(ends).len());
        without_token(body) + end
    };
    text.split_inclusive(ends).map(shown).collect()
}

/// The text of an address as anybody may see it: without values of options that may be a token,
/// also one that is misspelt or given twice.
pub fn without_token(text: &str) -> String {
    let Some((address, options)) = text.split_once('?') else { return text.to_owned() };
    let shown = |option: &str| match option.split_once('=') {
        Some((name, _)) if !OPEN.contains(&name) => format!("{name}=…"),
        None if !option.is_empty() && !OPEN.contains(&option) => "…".to_owned(),
        _ => option.to_owned(),
    };
    let options: Vec<String> = options.split(['&', '?']).map(shown).collect();
    format!("{address}?{}", options.join("&"))
}
