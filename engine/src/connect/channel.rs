//! `channel:`, the program that embeds the engine: it sends the events of a source, and receives
//! the output of a sink, through the handle that [`run`](crate::run) returns.
//!
//! ```text
//!   source   channel:   no options; only a program can give it
//!   sink     channel:   no options; only a program can give it
//! ```
//!
//! **Promise.** Source: at most once, since the program does not send again. Sink: once per run.
//!
//! **Memory.** One pipe each, and a receive buffer (`--inlet-bytes`) of a source.
//!
//! **On trouble.** A program that does not receive holds the sources back. One that drops its end
//! of a sink ends the application; one that drops its end of a source ends that source.

use std::fmt;
use std::sync::Arc;

use potoroo_sdk::host::{SinkId, SourceId};

use super::address::{SinkAddress, SourceAddress};
use super::connector::{Connector, Form};
use super::demand::Demand;
use super::opening::Opening;
use super::pipe::{PipeIn, PipeInlet, PipeOut, PipeOutlet, pipe};
use super::promise::{Promise, Survival};
use super::refusal::EdgeRefusal;
use super::sink::{OpenSink, SinkConnector};
use super::source::{OpenSource, SourceConnector};
use super::starting::Starting;
use super::upstream::Upstream;
use crate::turn::{Command, InletKind, NewInlet};

/// `channel:`
pub static CONNECTOR: Connector = Connector {
    scheme: "channel",
    open_options: &[],
    source: Some(Form {
        summary: "",
        help: String::new,
        parse: |parts| parts.nothing().map(|()| SourceAddress::Channel),
        describe: Some(describe_source),
    }),
    sink: Some(Form {
        summary: "",
        help: String::new,
        parse: |parts| parts.nothing().map(|()| SinkAddress::Channel),
        describe: Some(describe_sink),
    }),
};

fn describe_source(address: &SourceAddress) -> Option<Arc<dyn SourceConnector>> {
    let SourceAddress::Channel = address else { return None };
    Some(Arc::new(Channel))
}

fn describe_sink(address: &SinkAddress) -> Option<Arc<dyn SinkConnector>> {
    let SinkAddress::Channel = address else { return None };
    Some(Arc::new(Channel))
}

#[derive(Debug)]
struct Channel;

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("channel:")
    }
}

impl SourceConnector for Channel {
    fn survival(&self) -> Survival {
        Survival::NONE
    }

    fn promise(&self, _checkpoints: bool) -> Promise {
        Promise::new("at most once", "the program does not send again")
    }

    fn demand(&self, _inlet_bytes: usize) -> Demand {
        Demand { pipes: 1, ..Demand::default() }
    }

    fn is_embedded(&self) -> bool {
        true
    }

    fn open(&self, opening: &mut Opening<'_>) -> Result<Box<dyn OpenSource>, EdgeRefusal> {
        let (pipe_in, pipe) = pipe();
        opening.channels.sources.push((opening.name.to_owned(), pipe_in));
        Ok(Box::new(OpenChannelSource { pipe: Some(pipe) }))
    }
}

impl SinkConnector for Channel {
    fn survival(&self) -> Survival {
        Survival::NONE
    }

    fn promise(&self, _checkpoints: bool) -> Promise {
        Promise::new("once per run", "waits for the program to take it")
    }

    fn demand(&self) -> Demand {
        Demand { pipes: 1, ..Demand::default() }
    }

    fn is_embedded(&self) -> bool {
        true
    }

    fn open(&self, opening: &mut Opening<'_>) -> Result<Box<dyn OpenSink>, EdgeRefusal> {
        let (pipe, pipe_out) = pipe();
        opening.channels.sinks.push((opening.name.to_owned(), pipe_out));
        Ok(Box::new(OpenChannelSink { pipe: Some(pipe) }))
    }
}

/// What the program has handed over is lost with a generation, so it is started once.
struct OpenChannelSource {
    pipe: Option<PipeOut>,
}

impl OpenSource for OpenChannelSource {
    fn starts_once(&self) -> bool {
        true
    }

    fn start(
        &mut self,
        source: SourceId,
        starting: &mut Starting<'_>,
    ) -> Result<Option<Box<dyn Upstream>>, EdgeRefusal> {
        let pipe = self.pipe.take().expect(STARTED_ONCE);
        pipe.wakes(starting.core.waker());
        let (kind, port) = (InletKind::Archives, Box::new(PipeInlet::handed_over(pipe)));
        starting.send(Command::Inlet(NewInlet { source, kind, port, taken: None }));
        Ok(None)
    }
}

/// The program cannot know where the output of a generation ends, so it is started once.
struct OpenChannelSink {
    pipe: Option<PipeIn>,
}

impl OpenSink for OpenChannelSink {
    fn starts_once(&self) -> bool {
        true
    }

    fn start(&mut self, sink: SinkId, starting: &mut Starting<'_>) -> Result<(), EdgeRefusal> {
        let pipe = self.pipe.take().expect(STARTED_ONCE);
        pipe.wakes(starting.core.waker());
        let port = Box::new(PipeOutlet::to_program(pipe));
        starting.send(Command::Sink { sink, port });
        Ok(())
    }
}

/// A rollback is refused before anything stops.
const STARTED_ONCE: &str = "it does not start again";
