//! A source that listens for clients of the connector protocol.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;

use potoroo_sdk::host::SourceId;

use super::serve::{CLIENT_BYTES, CLIENTS_MAX, SourceServer, serve};
use super::streams::{STREAM_BYTES, STREAMS_MAX, Streams};
use super::token;
use crate::checkpoint::SourcePosition;
use crate::connect::address::{Error, HostPort, Parts, SourceAddress};
use crate::connect::connector::Form;
use crate::connect::demand::{Demand, DemandLine};
use crate::connect::listening::{addresses, bind, no_listener};
use crate::connect::opening::Opening;
use crate::connect::permits::Permits;
use crate::connect::pipe::PIPE_BYTES;
use crate::connect::promise::{Promise, Replayable, Survival};
use crate::connect::refusal::EdgeRefusal;
use crate::connect::source::{OpenSource, SourceConnector};
use crate::connect::starting::Starting;
use crate::connect::token::{Token, TokenAt};
use crate::connect::upstream::Upstream;

/// Form of the addresses.
pub(super) const FORM: Form<SourceAddress, dyn SourceConnector> = Form {
    summary: "`potoroo://HOST:PORT` (listens for connectors)",
    help: || HELP.to_owned(),
    parse,
    describe: Some(describe),
};

const HELP: &str =
    "  potoroo://HOST:PORT  listens for clients of the connector protocol; ?token-file=PATH with the
                    token that they have to know, or ?token=TEXT; &streams=N ends after N streams
                    have [default: never]
";

fn parse(parts: &mut Parts<'_>) -> Result<SourceAddress, Error> {
    let (listen, token) = (parts.host_port()?, token::parse(parts)?);
    let streams = parts.number("streams", "a number from 1")?;
    Ok(SourceAddress::Connector { listen, token, streams })
}

fn describe(address: &SourceAddress) -> Option<Arc<dyn SourceConnector>> {
    let SourceAddress::Connector { listen, token, streams } = address else { return None };
    let (listen, token, streams) = (listen.clone(), token.clone(), *streams);
    Some(Arc::new(PotorooSource { listen, token, streams }))
}

#[derive(Debug)]
struct PotorooSource {
    listen: HostPort,
    token: TokenAt,
    streams: Option<NonZeroU64>,
}

impl fmt::Display for PotorooSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "potoroo://{}{}", self.listen, self.token)?;
        let sign = token::sign(&self.token);
        self.streams.map_or(Ok(()), |count| write!(f, "{sign}streams={count}"))
    }
}

impl SourceConnector for PotorooSource {
    fn survival(&self) -> Survival {
        Survival::new(
            "clients send again what no checkpoint has, each event once",
            "the same, and clients need the other address",
        )
    }

    fn promise(&self, checkpoints: bool) -> Promise {
        match checkpoints {
            true => Promise::new(
                "exactly once",
                "acknowledged by checkpoints, sent again after the last one",
            ),
            false => Promise::new(
                "at most once",
                "acknowledged when it is taken, since without --state nothing lasts",
            ),
        }
    }

    fn replay(&self) -> Replayable {
        Replayable::Streams
    }

    fn demand(&self, inlet_bytes: usize) -> Demand {
        let stream_bytes = PIPE_BYTES + inlet_bytes + STREAM_BYTES;
        let lines = vec![
            DemandLine { what: "clients", most: CLIENTS_MAX, each: CLIENT_BYTES },
            DemandLine { what: "streams", most: STREAMS_MAX, each: stream_bytes },
        ];
        Demand { clients: true, lines, ..Demand::default() }
    }

    fn token_file(&self) -> Option<&Path> {
        token::file(&self.token)
    }

    fn open(&self, opening: &mut Opening<'_>) -> Result<Box<dyn OpenSource>, EdgeRefusal> {
        let token = self.token.read()?;
        let addresses = addresses(&self.listen)?;
        if !addresses.iter().all(|at| at.ip().is_loopback()) && token.is_empty() {
            let remedy = "add `?token-file=PATH` or `?token=…`, or listen on 127.0.0.1";
            return Err(EdgeRefusal::Reason(format!("any process could connect there; {remedy}")));
        }
        let listener = bind(&addresses, listen_at)?;
        let bound = listener.local_addr().map_err(no_listener)?;
        opening.listening.push((opening.name.to_owned(), bound));
        let streams = self.streams.map(NonZeroU64::get);
        Ok(Box::new(OpenPotorooSource { listener: Arc::new(listener), token, streams }))
    }
}

fn listen_at(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

struct OpenPotorooSource {
    listener: Arc<TcpListener>,
    token: Token,
    streams: Option<u64>,
}

impl OpenSource for OpenPotorooSource {
    fn start(
        &mut self,
        source: SourceId,
        starting: &mut Starting<'_>,
    ) -> Result<Option<Box<dyn Upstream>>, EdgeRefusal> {
        let Self { listener, token, streams: ends_after } = &*self;
        let resume = starting.resume;
        let recovered = resume.map_or_else(Vec::new, |resume| resume.streams(starting.name));
        let (cores, repeated) = (starting.cores.to_vec(), starting.repeated.cloned());
        let streams =
            Streams::new(source, resume.is_some(), cores, &recovered, repeated.unwrap_or_default());
        let streams = Arc::new(streams);
        if starting.timed {
            let attach = &mut starting.threads.attach;
            streams.open_recovered(|core, command| attach.send(core, command));
        }
        let threads = &mut *starting.threads;
        let left = ends_after.map(|count| count.saturating_sub(streams.ended()));
        threads.ends_after(source, left);
        let server = SourceServer {
            listener: listener.clone(),
            application: starting.application.to_owned(),
            source: starting.name.to_owned(),
            token: token.clone(),
            streams: streams.clone(),
            strangers: Permits::new(threads.places().strangers),
            clients: Permits::new(threads.places().clients),
            notices: threads.notices().clone(),
            stop_accepting: threads.accepting_stop().clone(),
            stop: threads.stopping().clone(),
            lines: Arc::default(),
        };
        threads.add_waiting(serve(server).map_err(EdgeRefusal::thread("what serves a source"))?);
        Ok(Some(Box::new(streams)))
    }
}

impl Upstream for Arc<Streams> {
    fn describe(&mut self, at: &mut SourcePosition, stream: Option<u32>) {
        at.stream = stream.map(|number| self.position(number, at.position));
    }

    fn acknowledge(&self, committed: &[&SourcePosition]) {
        Streams::acknowledge(self, committed.iter().copied());
    }
}
