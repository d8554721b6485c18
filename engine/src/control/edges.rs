//! The outer ends of an application: opened before it runs, so that a mistake is found at once, and
//! kept open over all its generations.

use std::net::SocketAddr;

use potoroo_sdk::plan::Plan;

use super::config::Config;
use super::error::Error;
use crate::checkpoint::store::Location;
use crate::connect::address::{SinkAddress, SourceAddress};
use crate::connect::claims::Claims;
use crate::connect::opening::{Channels, Opening};
use crate::connect::refusal::EdgeRefusal;
use crate::connect::sink::{OpenLetters, OpenSink};
use crate::connect::source::OpenSource;

/// Everything opened. The default is that of a node that has none.
#[derive(Default)]
pub(super) struct Edges {
    /// By source.
    pub(super) sources: Vec<Box<dyn OpenSource>>,
    /// By sink; `None` for replies.
    pub(super) sinks: Vec<Option<Box<dyn OpenSink>>>,
    pub(super) letters: Option<Box<dyn OpenLetters>>,
    pub(super) channels: Channels,
    /// Where sources listen: name and address.
    pub(super) listening: Vec<(String, SocketAddr)>,
    /// The files that are used; held until the process ends.
    pub(super) claims: Claims,
}

impl Edges {
    /// Opens everything; also outputs that another process has locked, if that is a lead which this
    /// one `succeeds`.
    pub(super) fn open(plan: &Plan, config: &Config, succeeds: bool) -> Result<Self, Error> {
        let mut edges = Self {
            sources: Vec::new(),
            sinks: Vec::new(),
            letters: None,
            channels: Channels::default(),
            listening: Vec::new(),
            claims: claims(config).passing_over_locks(succeeds),
        };
        for source in &plan.sources {
            let (name, address) = (&source.name, &config.sources[&source.name]);
            let what = format!("source `{name}`");
            let mut opening = edges.opening(plan, config, (name, &what));
            let opened = address.connector().open(&mut opening);
            let opened = opened.map_err(|refusal| source_refused(name, address, refusal))?;
            edges.sources.push(opened);
        }
        for sink in &plan.sinks {
            let Some(name) = &sink.name else {
                edges.sinks.push(None);
                continue;
            };
            let (what, address) = (format!("sink `{name}`"), &config.sinks[name]);
            let mut opening = edges.opening(plan, config, (name, &what));
            let opened = address.connector().open(&mut opening);
            let opened = opened.map_err(|refusal| sink_refused(&what, address, refusal))?;
            edges.sinks.push(Some(opened));
        }
        if let Some(address) = &config.dead_letters {
            let mut opening = edges.opening(plan, config, (LETTERS, LETTERS));
            let opened = address.connector().open_letters(&mut opening);
            edges.letters = Some(opened.map_err(|it| sink_refused(LETTERS, address, it))?);
        }
        Ok(edges)
    }

    /// The first edge that cannot be started once more, if there is one.
    pub(super) fn only_once(&self, plan: &Plan) -> Option<String> {
        let mut sources = plan.sources.iter().zip(&self.sources);
        let mut sinks = plan.sinks.iter().zip(&self.sinks);
        let source = sources.find(|(_, edge)| edge.starts_once());
        let source = source.map(|(source, _)| format!("source `{}`", source.name));
        source.or_else(|| {
            let once =
                |edge: &Option<Box<dyn OpenSink>>| edge.iter().any(|edge| edge.starts_once());
            let sink = sinks.find(|(_, edge)| once(edge));
            sink.map(|(sink, _)| format!("sink `{}`", sink.label()))
        })
    }

    fn opening<'a>(
        &'a mut self,
        plan: &'a Plan,
        config: &'a Config,
        (name, what): (&'a str, &'a str),
    ) -> Opening<'a> {
        Opening {
            plan,
            name,
            what,
            checkpoints: config.state.is_some(),
            claims: &mut self.claims,
            channels: &mut self.channels,
            listening: &mut self.listening,
        }
    }
}

/// What dead letters are in messages.
pub(super) const LETTERS: &str = "dead letters";

/// What is used besides sources and sinks: tokens, the configuration and the state folder.
fn claims(config: &Config) -> Claims {
    let sources: Vec<_> = config.sources.values().map(SourceAddress::connector).collect();
    let sinks: Vec<_> = config.sinks.values().map(SinkAddress::connector).collect();
    let tokens = sources.iter().filter_map(|source| source.token_file());
    let tokens = tokens.chain(sinks.iter().filter_map(|sink| sink.token_file()));
    let tokens = tokens.map(|path| ("a token is read from it", path));
    let file = config.file.as_deref().map(|path| ("the configuration is read from it", path));
    Claims::new(tokens.chain(file), config.state.as_ref().and_then(Location::folder))
}

/// The source `name` cannot use its address.
pub(super) fn source_refused(name: &str, address: &SourceAddress, refusal: EdgeRefusal) -> Error {
    let name = name.to_owned();
    match refusal {
        EdgeRefusal::Reason(reason) => Error::Source { name, address: address.to_string(), reason },
        EdgeRefusal::At { address, reason } => Error::Source { name, address, reason },
        EdgeRefusal::Generator(mistake) => Error::Generator { name, mistake },
        EdgeRefusal::Thread { what, source } => Error::Thread { what, source },
    }
}

/// A sink, or what else is `what`, cannot use its address.
pub(super) fn sink_refused(what: &str, address: &SinkAddress, refusal: EdgeRefusal) -> Error {
    let what = what.to_owned();
    match refusal {
        EdgeRefusal::Reason(reason) => Error::Sink { what, address: address.to_string(), reason },
        EdgeRefusal::At { address, reason } => Error::Sink { what, address, reason },
        EdgeRefusal::Generator(mistake) => {
            Error::Sink { what, address: address.to_string(), reason: mistake.to_string() }
        }
        EdgeRefusal::Thread { what, source } => Error::Thread { what, source },
    }
}
