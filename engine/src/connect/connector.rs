//! A connector: what its addresses look like, in each direction in which it has some.

use std::sync::Arc;

use super::address::{Error, Parts, SinkAddress, SourceAddress};
use super::sink::SinkConnector;
use super::source::SourceConnector;

/// A connector. A program makes its own known with [`register`](super::register).
pub struct Connector {
    /// What its addresses begin with, without the `:`.
    pub scheme: &'static str,
    /// Options whose values are no secret. Values of all others are never printed: one of them
    /// may be a token.
    pub open_options: &'static [&'static str],
    /// Its sources.
    pub source: Option<Form<SourceAddress, dyn SourceConnector>>,
    /// Its sinks.
    pub sink: Option<Form<SinkAddress, dyn SinkConnector>>,
}

/// Addresses of one connector in one direction.
pub struct Form<A, C: ?Sized> {
    /// What an address looks like, and in brackets what it does, for messages that list all
    /// schemes: ``"`file:PATH` (reads)"``. Empty for one that no command line can have.
    pub summary: &'static str,
    /// Its paragraph of `--help`: whole lines, ending in a line feed.
    pub help: fn() -> String,
    /// Parses an address whose scheme it is.
    pub parse: fn(&mut Parts<'_>) -> Result<A, Error>,
    /// Describes an address of a variant of its own; `None` if it is of another. Not for
    /// connectors outside of the engine, whose addresses describe themselves.
    pub describe: Option<ViewOf<A, C>>,
}

/// The view that a connector has of an address, if it is one of its own.
pub type ViewOf<A, C> = fn(&A) -> Option<Arc<C>>;
