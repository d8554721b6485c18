//! A source that listens: accepts connections on a thread that may wait, and hands each to a core.

use std::fmt;
use std::io;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use potoroo_runtime::Listener;
use potoroo_sdk::host::SourceId;
use rustix::event::PollFlags;

use super::port::TcpInlet;
use crate::connect::address::{Error, HostPort, Parts, SourceAddress};
use crate::connect::connector::Form;
use crate::connect::demand::Demand;
use crate::connect::lines::LineLimiter;
use crate::connect::listening::{REFUSING_EVERY, addresses, bind, no_accept, no_listener};
use crate::connect::opening::Opening;
use crate::connect::permits::Permits;
use crate::connect::promise::{Promise, Survival};
use crate::connect::refusal::EdgeRefusal;
use crate::connect::source::{OpenSource, SourceConnector};
use crate::connect::starting::Starting;
use crate::connect::stopping::Stopping;
use crate::connect::upstream::Upstream;
use crate::connect::waiting::{STOP_CHECK, wait};
use crate::turn::{Command, InletKind, Mailbox, NewInlet};

/// Form of the addresses.
pub(super) const FORM: Form<SourceAddress, dyn SourceConnector> = Form {
    summary: "`tcp://HOST:PORT` (listens)",
    help: || HELP.to_owned(),
    parse,
    describe: Some(describe),
};

const HELP: &str =
    "  tcp://HOST:PORT   listens; ?connections=N ends after N connections were closed
                    [default: never]
";

fn parse(parts: &mut Parts<'_>) -> Result<SourceAddress, Error> {
    let listen = parts.host_port()?;
    let connections = parts.number("connections", "a number from 1")?;
    Ok(SourceAddress::Tcp { listen, connections })
}

fn describe(address: &SourceAddress) -> Option<Arc<dyn SourceConnector>> {
    let SourceAddress::Tcp { listen, connections } = address else { return None };
    Some(Arc::new(TcpSource { listen: listen.clone(), connections: *connections }))
}

#[derive(Debug)]
struct TcpSource {
    listen: HostPort,
    connections: Option<NonZeroU64>,
}

impl fmt::Display for TcpSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tcp://{}", self.listen)?;
        self.connections.map_or(Ok(()), |count| write!(f, "?connections={count}"))
    }
}

impl SourceConnector for TcpSource {
    fn survival(&self) -> Survival {
        Survival::new(
            "connections are closed, and what came after the last checkpoint is lost",
            "the same, and clients need the other address",
        )
    }

    fn promise(&self, _checkpoints: bool) -> Promise {
        Promise::new("at most once", "plain TCP cannot be read again")
    }

    fn reply_promise(&self) -> Promise {
        Promise::new("at most once", "a reply whose connection is gone is counted as lost")
    }

    fn demand(&self, _inlet_bytes: usize) -> Demand {
        Demand { connections: true, ..Demand::default() }
    }

    fn open(&self, opening: &mut Opening<'_>) -> Result<Box<dyn OpenSource>, EdgeRefusal> {
        let listener = bind(&addresses(&self.listen)?, Listener::bind)?;
        let bound = listener.local_addr().map_err(no_listener)?;
        opening.listening.push((opening.name.to_owned(), bound));
        let connections = self.connections.map(NonZeroU64::get);
        Ok(Box::new(OpenTcpSource { listener: Arc::new(listener), connections }))
    }
}

struct OpenTcpSource {
    listener: Arc<Listener>,
    connections: Option<u64>,
}

impl OpenSource for OpenTcpSource {
    fn start(
        &mut self,
        source: SourceId,
        starting: &mut Starting<'_>,
    ) -> Result<Option<Box<dyn Upstream>>, EdgeRefusal> {
        let threads = &mut *starting.threads;
        threads.ends_after(source, self.connections);
        let acceptor = Acceptor {
            listener: self.listener.clone(),
            source: (source, starting.name.to_owned()),
            cores: starting.cores.to_vec(),
            connections_max: self.connections,
            permits: threads.permits().clone(),
            stop: threads.accepting_stop().clone(),
        };
        threads.add_waiting(accept(acceptor).map_err(EdgeRefusal::thread("a source's acceptor"))?);
        Ok(None)
    }
}

/// How long it waits for a free place or descriptor: connections pile up in the kernel meanwhile.
const FULL_PAUSE: Duration = Duration::from_millis(5);

/// A source that listens, and the cores that serve its connections.
struct Acceptor {
    /// Where it listens.
    listener: Arc<Listener>,
    /// The source and its name.
    source: (SourceId, String),
    /// The cores, which get connections in turn.
    cores: Vec<Mailbox>,
    /// Connections after which it ends.
    connections_max: Option<u64>,
    /// Places for connections.
    permits: Permits,
    /// When to end.
    stop: Stopping,
}

/// Accepts connections of one source and spreads them over the cores in turn, until `stop` has
/// begun or `connections_max` were accepted.
///
/// # Errors
/// The thread cannot be started.
fn accept(acceptor: Acceptor) -> io::Result<JoinHandle<()>> {
    Builder::new().name("potoroo-accept".into()).spawn(move || acceptor.run())
}

impl Acceptor {
    fn run(self) {
        let mut accepted = 0;
        let lines = LineLimiter::once_in(REFUSING_EVERY);
        while !self.stop.has_begun() && Some(accepted) != self.connections_max {
            match self.try_accept(accepted) {
                Ok(true) => accepted += 1,
                Ok(false) => wait(&*self.listener, PollFlags::IN, STOP_CHECK),
                Err(reason) => {
                    no_accept(&self.source.1, &reason, &lines);
                    std::thread::sleep(FULL_PAUSE);
                }
            }
        }
    }

    /// Accepts one connection, if one waits. Without a free place it goes on waiting, in the
    /// kernel.
    fn try_accept(&self, accepted: u64) -> Result<bool, String> {
        let Some(permit) = self.permits.try_take() else {
            let max = self.permits.max();
            return Err(format!(
                "{max} connections are open, which is the limit (--connections-max, or what the \
                 limit of open files allows)"
            ));
        };
        match self.listener.accept() {
            Ok(Some(connection)) => {
                let core = &self.cores[accepted as usize % self.cores.len()];
                core.send(Command::Inlet(NewInlet {
                    source: self.source.0,
                    kind: InletKind::Bytes,
                    port: Box::new(TcpInlet::new(connection, permit)),
                    taken: None,
                }));
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(error) => Err(error.to_string()),
        }
    }
}
