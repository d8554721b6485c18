//! All connectors: the engine's own, and those that a program has registered.
//!
//! Everything that depends on the kind of an address goes through here: a new connector of the
//! engine is a folder and one line in `BUILT_IN`, one of a program a value of [`Connector`] and
//! one call of [`register`].

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock};

use super::address::{Edge, Error, Parts, SinkAddress, SourceAddress};
use super::connector::{Connector, Form};
use super::sink::SinkConnector;
use super::source::SourceConnector;
use super::{channel, file, generator, null, potoroo, stdout, tcp};

/// The engine's own, in the order of the help.
const BUILT_IN: [&Connector; 7] = [
    &tcp::CONNECTOR,
    &potoroo::CONNECTOR,
    &file::CONNECTOR,
    &generator::CONNECTOR,
    &stdout::CONNECTOR,
    &null::CONNECTOR,
    &channel::CONNECTOR,
];

/// Those that this program has registered. Process-wide, because an address means the same on the
/// command line, in files and in messages.
static REGISTERED: RwLock<Vec<&'static Connector>> = RwLock::new(Vec::new());

/// Makes a connector known: from then on its addresses are parsed, listed and explained. Call it
/// first of all in `main`.
///
/// # Panics
/// Another connector has that scheme.
pub fn register(connector: &'static Connector) {
    let mut registered = REGISTERED.write().unwrap_or_else(PoisonError::into_inner);
    let known = BUILT_IN.iter().chain(&*registered).any(|one| one.scheme == connector.scheme);
    assert!(!known, "two connectors have the scheme `{}`", connector.scheme);
    registered.push(connector);
}

fn all() -> Vec<&'static Connector> {
    let registered = REGISTERED.read().unwrap_or_else(PoisonError::into_inner);
    BUILT_IN.into_iter().chain(registered.iter().copied()).collect()
}

fn open_options() -> Vec<&'static str> {
    all().iter().flat_map(|one| one.open_options).copied().collect()
}

/// What `--help` prints of addresses.
pub fn help() -> String {
    let sources: String =
        all().iter().filter_map(|one| Some((one.source.as_ref()?.help)())).collect();
    let sinks: String = all().iter().filter_map(|one| Some((one.sink.as_ref()?.help)())).collect();
    format!("Sources:\n{sources}\nSinks:\n{sinks}")
}

impl SourceAddress {
    /// The connector's view of this address: guarantee, memory and opening.
    pub fn connector(&self) -> Arc<dyn SourceConnector> {
        if let Self::Other(other) = self {
            return other.0.clone();
        }
        let describe = |one: &&Connector| one.source.as_ref()?.describe?(self);
        BUILT_IN.iter().find_map(describe).expect("each variant has a connector")
    }
}

impl SinkAddress {
    /// The connector's view of this address: guarantee, memory and opening.
    pub fn connector(&self) -> Arc<dyn SinkConnector> {
        if let Self::Other(other) = self {
            return other.0.clone();
        }
        let describe = |one: &&Connector| one.sink.as_ref()?.describe?(self);
        BUILT_IN.iter().find_map(describe).expect("each variant has a connector")
    }
}

impl FromStr for SourceAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text, Edge::Source, |one| one.source.as_ref(), |one| one.sink.is_some())
    }
}

impl FromStr for SinkAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text, Edge::Sink, |one| one.sink.as_ref(), |one| one.source.is_some())
    }
}

impl fmt::Display for SourceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.connector().fmt(f)
    }
}

impl fmt::Display for SinkAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.connector().fmt(f)
    }
}

/// Parses an address of the direction `edge`, for which connectors have the form that `form` finds;
/// `opposite` is whether one has the other direction.
fn parse<A: 'static, C: ?Sized + 'static>(
    text: &str,
    edge: Edge,
    form: impl Fn(&'static Connector) -> Option<&'static Form<A, C>>,
    opposite: impl Fn(&Connector) -> bool,
) -> Result<A, Error> {
    let schemes = || {
        let forms = all().into_iter().filter_map(&form);
        let summaries = forms.map(|form| form.summary).filter(|summary| !summary.is_empty());
        summaries.collect::<Vec<_>>().join(", ")
    };
    let shown = without_token(text);
    let Some(mut parts) = Parts::split(text, shown.clone(), open_options()) else {
        return Err(Error::NoScheme { text: shown, edge, schemes: schemes() });
    };
    let connector = all().into_iter().find(|one| one.scheme == parts.scheme());
    let Some(form) = connector.and_then(&form) else {
        let hint = match (connector.is_some_and(opposite), edge) {
            (true, Edge::Source) => " (that scheme is for sinks)",
            (true, Edge::Sink) => " (that scheme is for sources)",
            (false, _) => "",
        };
        let scheme = parts.scheme().to_owned();
        return Err(Error::UnknownScheme { text: shown, scheme, edge, schemes: schemes(), hint });
    };
    let address = (form.parse)(&mut parts)?;
    parts.finish()?;
    Ok(address)
}

/// A text with addresses in it, such as a command line, without secrets.
pub fn without_tokens(text: &str) -> String {
    let ends = |char: char| char.is_whitespace() || "'\"`".contains(char);
    let shown = |word: &str| {
        let (body, end) = word.split_at(word.trim_end_matches(ends).len());
        without_token(body) + end
    };
    text.split_inclusive(ends).map(shown).collect()
}

/// The text of an address without secrets: without values of options that may be a token,
/// also one that is misspelt or given twice.
pub fn without_token(text: &str) -> String {
    let open = open_options();
    let Some((address, options)) = text.split_once('?') else { return text.to_owned() };
    let shown = |option: &str| match option.split_once('=') {
        Some((name, _)) if !open.contains(&name) => format!("{name}=…"),
        None if !option.is_empty() && !open.contains(&option) => "…".to_owned(),
        _ => option.to_owned(),
    };
    let options: Vec<String> = options.split(['&', '?']).map(shown).collect();
    format!("{address}?{}", options.join("&"))
}

#[cfg(test)]
mod tests;
