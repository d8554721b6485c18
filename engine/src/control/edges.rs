//! The outer ends of an application: opened before it runs, so that a mistake is found at once.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use potoroo_connector::HELLO_TEXT_BYTES_MAX;
use potoroo_runtime::Listener;
use potoroo_sdk::plan::Plan;

use super::claims::Claims;
use super::config::Config;
use super::console;
use super::error::Error;
use super::remedy;
use crate::checkpoint::store::Place;
use crate::connect::address::{
    GeneratorAddress, HostPort, SinkAddress, SourceAddress, TransactionId, first_that_works,
};
use crate::connect::file;
use crate::connect::patience::is_fifo;
use crate::connect::pipe::{PipeIn, PipeOut, pipe};
use crate::connect::spool::Target;
use crate::connect::token::Token;

/// An opened source.
pub(super) enum SourceEdge {
    Listener { listener: Listener, connections: Option<u64> },
    File { file: Arc<File>, path: PathBuf },
    Generator(GeneratorAddress),
    Connector { listener: TcpListener, token: Token, streams: Option<u64> },
    Channel(PipeOut),
}

/// An opened sink.
pub(super) enum SinkEdge {
    Null,
    Peer(HostPort),
    /// A client that gets committed output only.
    Client {
        address: HostPort,
        token: Token,
        target: Target,
        /// Up to this transaction it may lack what it had.
        lost: u128,
    },
    /// A file that is written as output comes; `anew` if what is in it goes away.
    File {
        file: Arc<File>,
        path: PathBuf,
        anew: bool,
    },
    /// A named pipe, which is opened when somebody reads it.
    Fifo(PathBuf),
    /// A file that readers see committed output in only.
    Transactional {
        target: Target,
        append: bool,
    },
    Stdout,
    Channel(PipeIn),
}

/// The embedding program's ends of channel sources and sinks, by name.
#[derive(Default)]
pub(super) struct Channels {
    pub(super) sources: Vec<(String, PipeIn)>,
    pub(super) sinks: Vec<(String, PipeOut)>,
}

/// Everything opened.
pub(super) struct Edges {
    /// By source.
    pub(super) sources: Vec<SourceEdge>,
    /// By sink; `None` for replies.
    pub(super) sinks: Vec<Option<SinkEdge>>,
    pub(super) letters: Option<SinkEdge>,
    pub(super) channels: Channels,
    /// Where sources listen: name and address.
    pub(super) listening: Vec<(String, SocketAddr)>,
    /// The files that are used.
    pub(super) claims: Claims,
}

impl Edges {
    pub(super) fn open(plan: &Plan, config: &Config) -> Result<Self, Error> {
        let mut edges = Self {
            sources: Vec::new(),
            sinks: Vec::new(),
            letters: None,
            channels: Channels::default(),
            listening: Vec::new(),
            claims: Claims::new(config),
        };
        for (index, source) in plan.sources.iter().enumerate() {
            let address = &config.sources[&source.name];
            let edge = edges.open_source(plan, index, address)?;
            edges.sources.push(edge);
        }
        for sink in &plan.sinks {
            let Some(name) = &sink.name else {
                edges.sinks.push(None);
                continue;
            };
            let what = format!("sink `{name}`");
            let edge = match (&config.sinks[name], &config.state) {
                (address @ SinkAddress::File { path, append }, Some(_))
                    if file::is_regular(path) =>
                {
                    edges.open_file(&what, address, path)?;
                    let target = Target::new(name, path.clone());
                    SinkEdge::Transactional { target, append: *append }
                }
                (
                    address @ SinkAddress::Connector { connect, token, lost },
                    Some(Place::Folder(state)),
                ) => {
                    let refused = |reason| sink_refused(name, address, reason);
                    check_names(&plan.name, name).map_err(refused)?;
                    let token = token.read().map_err(refused)?;
                    let target = Target::in_state(state, name);
                    let lost = lost.map_or(0, |TransactionId(id)| id);
                    SinkEdge::Client { address: connect.clone(), token, target, lost }
                }
                (address, _) => edges.open_sink(name, &what, address)?,
            };
            edges.sinks.push(Some(edge));
        }
        edges.letters = match &config.dead_letters {
            // What an earlier life could not understand is as dead as before.
            Some(SinkAddress::File { path, .. }) if config.state.is_some() => {
                let address = SinkAddress::File { path: path.clone(), append: true };
                Some(edges.open_letters(&address)?)
            }
            Some(address) => Some(edges.open_letters(address)?),
            None => None,
        };
        Ok(edges)
    }

    fn open_source(
        &mut self,
        plan: &Plan,
        index: usize,
        address: &SourceAddress,
    ) -> Result<SourceEdge, Error> {
        let name = &plan.sources[index].name;
        let because = |reason: String| {
            let (name, address) = (name.clone(), address.to_string());
            Error::Source { name, address, reason }
        };
        let refused = |error: io::Error, remedy: &str| because(format!("{error}; {remedy}"));
        let no_listener = |error: io::Error| {
            let remedy =
                remedy::listen(&error, "give another port, or port 0 for any that is free");
            refused(error, &remedy)
        };
        match address {
            SourceAddress::Tcp { listen, connections } => {
                let addresses = listen.addresses().map_err(|error| refused(error, HOST_REMEDY))?;
                let listener = first_that_works(&addresses, Listener::bind).map_err(no_listener)?;
                let bound = listener.local_addr().map_err(no_listener)?;
                self.listening.push((name.clone(), bound));
                let connections = connections.map(|count| count.get());
                Ok(SourceEdge::Listener { listener, connections })
            }
            SourceAddress::File { path } => self.open_input(name, path).map_err(because),
            SourceAddress::Generator(generator) => {
                let stage = &plan.sources[index].stage;
                stage
                    .generator(&generator.name, generator.seed)
                    .map_err(|mistake| Error::Generator { name: name.clone(), mistake })?;
                Ok(SourceEdge::Generator(generator.clone()))
            }
            SourceAddress::Connector { listen, token, streams } => {
                let token = token.read().map_err(because)?;
                let addresses = listen.addresses().map_err(|error| refused(error, HOST_REMEDY))?;
                if !addresses.iter().all(|at| at.ip().is_loopback()) && token.is_empty() {
                    let open = io::Error::other("anybody could connect there");
                    let remedy = "add `?token-file=PATH` or `?token=…`, or listen on 127.0.0.1";
                    return Err(refused(open, remedy));
                }
                let listener = first_that_works(&addresses, listen_at).map_err(no_listener)?;
                let bound = listener.local_addr().map_err(no_listener)?;
                self.listening.push((name.clone(), bound));
                let streams = streams.map(|count| count.get());
                Ok(SourceEdge::Connector { listener, token, streams })
            }
            SourceAddress::Channel => {
                let (pipe_in, pipe_out) = pipe();
                self.channels.sources.push((name.clone(), pipe_in));
                Ok(SourceEdge::Channel(pipe_out))
            }
        }
    }

    /// # Errors
    /// Cause and remedy.
    fn open_input(&mut self, name: &str, path: &Path) -> Result<SourceEdge, String> {
        let opened = file::open_source(path).and_then(|file| Ok((file.metadata()?, file)));
        let opened = opened.map_err(|error| format!("{error}; {}", remedy::read(&error)));
        let (facts, file) = opened?;
        self.claims.input(name, &facts)?;
        Ok(SourceEdge::File { file: Arc::new(file), path: path.to_owned() })
    }

    /// Opens the sink `name`, or what else is `what`.
    fn open_sink(
        &mut self,
        name: &str,
        what: &str,
        address: &SinkAddress,
    ) -> Result<SinkEdge, Error> {
        match address {
            SinkAddress::Null => Ok(SinkEdge::Null),
            SinkAddress::Stdout if console::closed() => {
                let what = what.to_owned();
                let reason = "standard output is closed: open it, or give file:".to_owned();
                Err(Error::Sink { what, address: address.to_string(), reason })
            }
            SinkAddress::Stdout => Ok(SinkEdge::Stdout),
            SinkAddress::Tcp { connect, .. } => Ok(SinkEdge::Peer(connect.clone())),
            SinkAddress::Connector { .. } => {
                let reason =
                    "a connector gets what checkpoints commit: add --state DIR, or give tcp:";
                Err(sink_refused(name, address, reason.to_string()))
            }
            SinkAddress::File { path, append } => {
                let file = self.open_file(what, address, path)?;
                let (path, anew) = (path.clone(), !*append);
                Ok(match file {
                    Some(file) => SinkEdge::File { file, path, anew },
                    None => SinkEdge::Fifo(path),
                })
            }
            SinkAddress::Channel => {
                let (pipe_in, pipe_out) = pipe();
                self.channels.sinks.push((name.to_string(), pipe_out));
                Ok(SinkEdge::Channel(pipe_in))
            }
        }
    }

    /// Opens a file for output, unless it is a named pipe; nothing of it is changed. Refuses one
    /// that is used otherwise, too.
    fn open_file(
        &mut self,
        what: &str,
        address: &SinkAddress,
        path: &Path,
    ) -> Result<Option<Arc<File>>, Error> {
        let refused = |reason: String| {
            let (what, address) = (what.to_owned(), address.to_string());
            Error::Sink { what, address, reason }
        };
        let failed = |error: io::Error| refused(format!("{error}; {}", remedy::write(&error)));
        let file = (!is_fifo(path)).then(|| file::open_output(path)).transpose();
        let file = file.map_err(failed)?.map(Arc::new);
        let facts = file.as_ref().map_or_else(|| path.metadata(), |file| file.metadata());
        let facts = facts.map_err(failed)?;
        self.claims.output(what, path, &facts, file.as_ref()).map_err(refused)?;
        Ok(file)
    }

    fn open_letters(&mut self, address: &SinkAddress) -> Result<SinkEdge, Error> {
        let edge = self.open_sink("dead letters", "dead letters", address)?;
        match edge {
            SinkEdge::Null | SinkEdge::Stdout | SinkEdge::File { .. } | SinkEdge::Fifo(_) => {
                Ok(edge)
            }
            SinkEdge::Peer(_)
            | SinkEdge::Client { .. }
            | SinkEdge::Channel(_)
            | SinkEdge::Transactional { .. } => Err(Error::Sink {
                what: "dead letters".to_string(),
                address: address.to_string(),
                reason: "they can go to `file:PATH`, `stdout:` or `null:`".to_string(),
            }),
        }
    }
}

fn sink_refused(name: &str, address: &SinkAddress, reason: String) -> Error {
    Error::Sink { what: format!("sink `{name}`"), address: address.to_string(), reason }
}

/// Whether a connector can be told who brings it what.
fn check_names(application: &str, sink: &str) -> Result<(), String> {
    match application.len().max(sink.len()) > HELLO_TEXT_BYTES_MAX {
        true => Err(format!(
            "a connector is told the names of application and sink: give them up to \
             {HELLO_TEXT_BYTES_MAX} bytes each"
        )),
        false => Ok(()),
    }
}

fn listen_at(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

const HOST_REMEDY: &str = "give the number or name of this host";
