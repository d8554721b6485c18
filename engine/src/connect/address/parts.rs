//! Takes the text of an address apart, one part after the other.

use std::path::PathBuf;
use std::str::FromStr;

use super::error::Error;
use super::host::HostPort;

/// An address taken apart. Options are taken out one by one; what stays is unknown.
pub struct Parts<'a> {
    /// As errors show it: without its token.
    text: String,
    scheme: &'a str,
    rest: &'a str,
    options: Vec<(&'a str, &'a str)>,
    /// Options whose values are no secret.
    open: Vec<&'static str>,
    known: Vec<&'static str>,
}

impl<'a> Parts<'a> {
    /// Takes `text` apart, which errors show as `shown`; `open` are the options whose values
    /// are no secret. `None` if it has no scheme.
    pub(in crate::connect) fn split(
        text: &'a str,
        shown: String,
        open: Vec<&'static str>,
    ) -> Option<Self> {
        let (scheme, behind) = text.split_once(':')?;
        let (rest, options) = behind.split_once('?').unwrap_or((behind, ""));
        let pair = |option: &'a str| option.split_once('=').unwrap_or((option, ""));
        let options = options.split('&').filter(|option| !option.is_empty()).map(pair).collect();
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        Some(Self { text: shown, scheme, rest, options, open, known: Vec::new() })
    }

    /// What is before the first `:`.
    pub fn scheme(&self) -> &'a str {
        self.scheme
    }

    /// What is after the scheme, without `//` and without options.
    pub fn rest(&self) -> &'a str {
        self.rest
    }

    /// The rest as `HOST:PORT`.
    ///
    /// # Errors
    /// It is none.
    pub fn host_port(&self) -> Result<HostPort, Error> {
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

    /// As [`host_port`](Self::host_port), of a peer that listens.
    ///
    /// # Errors
    /// It is none.
    pub fn peer(&self) -> Result<HostPort, Error> {
        let peer = self.host_port()?;
        match peer.port {
            0 => Err(self.malformed("no peer listens at port 0", "the port of the peer")),
            _ => Ok(peer),
        }
    }

    /// The rest as the path of a file.
    ///
    /// # Errors
    /// It is empty.
    pub fn path(&self) -> Result<PathBuf, Error> {
        match self.rest {
            "" => Err(self.malformed("it names no file", "`file:PATH`")),
            path => Ok(PathBuf::from(path)),
        }
    }

    /// Sees that nothing follows the scheme.
    ///
    /// # Errors
    /// Something does.
    pub fn nothing(&self) -> Result<(), Error> {
        match self.rest {
            "" => Ok(()),
            _ => Err(self.malformed("nothing follows this scheme", "the scheme and its `:` alone")),
        }
    }

    /// Takes an option out. After this it is known: errors list it.
    pub fn take(&mut self, option: &'static str) -> Option<&'a str> {
        self.known.push(option);
        let index = self.options.iter().position(|(name, _)| *name == option)?;
        Some(self.options.remove(index).1)
    }

    /// Takes an option out and parses it; `expected` says what it takes.
    ///
    /// # Errors
    /// Its value cannot be parsed.
    pub fn number<T: FromStr>(
        &mut self,
        option: &'static str,
        expected: &'static str,
    ) -> Result<Option<T>, Error> {
        let value = self.take(option);
        value.map(|value| self.value(option, value, expected)).transpose()
    }

    /// Parses the value of an option; `expected` says what it takes.
    ///
    /// # Errors
    /// It cannot be parsed.
    pub fn value<T: FromStr>(
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

    /// An error in what follows the scheme, with what to write instead.
    pub fn malformed(&self, cause: &'static str, remedy: &'static str) -> Error {
        Error::Malformed { text: self.text.clone(), cause, remedy }
    }

    /// Nothing may be left over: a misspelt option would otherwise be silently ignored.
    pub(in crate::connect) fn finish(self) -> Result<(), Error> {
        let Some((option, value)) = self.options.first() else { return Ok(()) };
        let known = match self.known.contains(option) {
            true => "it is given twice, give it once".to_string(),
            false if self.known.is_empty() => format!("`{}` has none", self.scheme),
            false => format!("`{}` has `{}`", self.scheme, self.known.join("`, `")),
        };
        // Without a value it may be one: of a token in which there is a `&`.
        let named = self.open.contains(option) || !value.is_empty();
        let option = if named { (*option).to_owned() } else { "…".to_owned() };
        Err(Error::UnknownOption { text: self.text, option, known })
    }
}
