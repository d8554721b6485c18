//! A sink that connects, and connects again whenever its connection is lost: on a thread that may
//! wait. An established connection belongs to a core.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use potoroo_runtime::Connection;
use potoroo_sdk::host::SinkId;
use rustix::event::PollFlags;

use super::port::TcpOutlet;
use crate::connect::address::{Error, HostPort, Parts, SinkAddress, first_that_works};
use crate::connect::connector::Form;
use crate::connect::demand::Demand;
use crate::connect::lines::LineLimiter;
use crate::connect::opening::Opening;
use crate::connect::promise::{Promise, Survival};
use crate::connect::refusal::EdgeRefusal;
use crate::connect::sink::{OpenSink, SinkConnector};
use crate::connect::starting::Starting;
use crate::connect::stopping::Stopping;
use crate::connect::waiting::{STOP_CHECK, wait};
use crate::turn::{Command, Mailbox};

/// Form of the addresses.
pub(super) const FORM: Form<SinkAddress, dyn SinkConnector> = Form {
    summary: "`tcp://HOST:PORT` (connects)",
    help: || HELP.to_owned(),
    parse,
    describe: Some(describe),
};

const HELP: &str =
    "  tcp://HOST:PORT   connects, and waits for an absent peer; ?sequence=true puts the id of its
                    input before each output [default: false]
";

fn parse(parts: &mut Parts<'_>) -> Result<SinkAddress, Error> {
    let connect = parts.peer()?;
    let sequence = parts.number("sequence", "`true` or `false`")?.unwrap_or(false);
    Ok(SinkAddress::Tcp { connect, sequence })
}

fn describe(address: &SinkAddress) -> Option<Arc<dyn SinkConnector>> {
    let SinkAddress::Tcp { connect, sequence } = address else { return None };
    Some(Arc::new(TcpSink { connect: connect.clone(), sequence: *sequence }))
}

#[derive(Debug)]
struct TcpSink {
    connect: HostPort,
    sequence: bool,
}

impl fmt::Display for TcpSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sequence = if self.sequence { "?sequence=true" } else { "" };
        write!(f, "tcp://{}{sequence}", self.connect)
    }
}

impl SinkConnector for TcpSink {
    fn survival(&self) -> Survival {
        let repeated = match self.sequence {
            true => "what left after the last checkpoint is repeated, with the same ids",
            false => "what left after the last checkpoint is repeated",
        };
        Survival::new(repeated, Survival::SAME)
    }

    fn promise(&self, checkpoints: bool) -> Promise {
        match (checkpoints, self.sequence) {
            (true, true) => Promise::new(
                "at least once",
                "repeats after a crash have the ids that they had before",
            ),
            (true, false) => Promise::REPEATED,
            (false, _) => {
                Promise::new("at most once", "what a broken connection had taken may be lost")
            }
        }
    }

    fn demand(&self) -> Demand {
        Demand::default()
    }

    fn has_origins(&self) -> bool {
        self.sequence
    }

    fn open(&self, _opening: &mut Opening<'_>) -> Result<Box<dyn OpenSink>, EdgeRefusal> {
        Ok(Box::new(OpenTcpSink { peer: self.connect.clone() }))
    }
}

struct OpenTcpSink {
    peer: HostPort,
}

impl OpenSink for OpenTcpSink {
    fn start(&mut self, sink: SinkId, starting: &mut Starting<'_>) -> Result<(), EdgeRefusal> {
        let (name, core) = (starting.name.to_owned(), starting.core.clone());
        let stop = starting.threads.stopping().clone();
        let connector = connect(self.peer.clone(), sink, name, core, stop);
        let (lost, thread) = connector.map_err(EdgeRefusal::thread("a sink's connector"))?;
        starting.threads.reconnects(sink, lost);
        starting.threads.add_waiting(thread);
        Ok(())
    }
}

/// First and longest pause between two attempts to connect a sink.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Keeps one sink connected: connects, hands the connection to the core that owns the sink, and
/// does so again whenever the returned sender says that it is lost. Ends when that is dropped.
///
/// # Errors
/// The thread cannot be started.
fn connect(
    peer: HostPort,
    sink: SinkId,
    name: String,
    core: Mailbox,
    stop: Stopping,
) -> io::Result<(Sender<String>, JoinHandle<()>)> {
    let (lost_in, lost_out) = channel::<String>();
    let run = move || {
        // A peer may accept and go as often as it likes.
        let lines = (LineLimiter::default(), LineLimiter::default());
        loop {
            let Some(connection) = connect_once_there(&peer, &name, &stop) else { return };
            if let Some(left_out) = lines.0.admit() {
                tracing::info!("sink `{name}` is connected to {peer}{left_out}");
            }
            core.send(Command::Sink { sink, port: Box::new(TcpOutlet::new(connection)) });
            let Some(reason) = wait_until_lost(&lost_out, &stop) else { return };
            if let Some(left_out) = lines.1.admit() {
                tracing::warn!(
                    "sink `{name}` lost its connection to {peer}: {reason}; events wait, sources \
                     are held back when the buffers are full, and it is connected again{left_out}"
                );
            }
        }
    };
    let thread = Builder::new().name("potoroo-connect".into()).spawn(run)?;
    Ok((lost_in, thread))
}

fn wait_until_lost(lost: &Receiver<String>, stop: &Stopping) -> Option<String> {
    loop {
        match lost.recv_timeout(STOP_CHECK) {
            Ok(reason) => return Some(reason),
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) if stop.has_begun() => return None,
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Tries until the peer is there. `None` when `stop` has begun.
fn connect_once_there(peer: &HostPort, name: &str, stop: &Stopping) -> Option<Connection> {
    let mut pause = BACKOFF.0;
    let mut logged = false;
    loop {
        // Looked up anew each time: a host may have moved, or have more addresses.
        let connected = peer.addresses().and_then(|addresses| {
            first_that_works(&addresses, |address| connect_address(address, stop))
        });
        let error = match connected {
            Ok(connection) => return Some(connection),
            Err(error) => error,
        };
        if !logged {
            tracing::warn!(
                "sink `{name}` cannot connect to {peer}: {error}; start the receiver there, or \
                 give another address with --sink; trying again until it is there"
            );
            logged = true;
        }
        let mut waited = Duration::ZERO;
        while waited < pause {
            if stop.has_begun() {
                return None;
            }
            std::thread::sleep(STOP_CHECK.min(pause));
            waited += STOP_CHECK;
        }
        pause = (pause * 2).min(BACKOFF.1);
    }
}

fn connect_address(address: SocketAddr, stop: &Stopping) -> io::Result<Connection> {
    let connection = Connection::connect_start(address)?;
    let until = Instant::now() + CONNECT_TIMEOUT;
    loop {
        wait(&connection, PollFlags::OUT, STOP_CHECK);
        if connection.finish_connect()? {
            break;
        }
        if Instant::now() > until || stop.has_begun() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer"));
        }
    }
    if connection.local_addr()? == connection.peer_addr()? {
        // There is no listener, and the port is one that the kernel gave to this very connection.
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(connection)
}
