//! The cold half of TCP: accepting connections for sources and connecting sinks, on threads that
//! may wait. Established connections belong to the cores, as ports.

mod port;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use potoroo_runtime::{Connection, Listener};
use potoroo_sdk::host::{SinkId, SourceId};
use rustix::event::PollFlags;

use crate::connect::address::{HostPort, first_that_works};
use crate::connect::lines::Lines;
use crate::connect::listening::{REFUSING_EVERY, no_accept};
use crate::connect::permits::Permits;
use crate::connect::waiting::{STOP_CHECK, wait};
use crate::turn::{Command, InletKind, Mailbox, NewInlet};

pub use port::{TcpInlet, TcpOutlet};

/// First and longest pause between two attempts to connect a sink.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// How long it waits for a free place or descriptor: connections pile up in the kernel meanwhile.
const FULL_PAUSE: Duration = Duration::from_millis(5);

/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A source that listens, and who serves its connections.
pub struct Acceptor {
    /// Where it listens.
    pub listener: Listener,
    /// The source and its name.
    pub source: (SourceId, String),
    /// The cores, which get connections in turn.
    pub cores: Vec<Mailbox>,
    /// Connections after which it ends.
    pub connections_max: Option<u64>,
    /// Places for connections.
    pub permits: Permits,
    /// When to end.
    pub stop: Arc<AtomicBool>,
}

/// Accepts connections of one source and spreads them over the cores in turn, until told to stop
/// or until `connections_max` were accepted.
///
/// # Errors
/// The thread cannot be started.
pub fn accept(acceptor: Acceptor) -> io::Result<JoinHandle<()>> {
    Builder::new().name("potoroo-accept".into()).spawn(move || acceptor.run())
}

impl Acceptor {
    fn run(self) {
        let mut accepted = 0;
        let lines = Lines::once_in(REFUSING_EVERY);
        while !self.stop.load(Ordering::Relaxed) && Some(accepted) != self.connections_max {
            match self.try_accept(accepted) {
                Ok(true) => accepted += 1,
                Ok(false) => wait(&self.listener, PollFlags::IN, STOP_CHECK),
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

/// Keeps one sink connected: connects, hands the connection to the core that owns the sink, and
/// does so again whenever the returned sender says that it is lost. Ends when that is dropped.
///
/// # Errors
/// The thread cannot be started.
pub fn connect(
    peer: HostPort,
    sink: SinkId,
    name: String,
    core: Mailbox,
    stop: Arc<AtomicBool>,
) -> io::Result<(Sender<String>, JoinHandle<()>)> {
    let (lost_in, lost_out) = channel::<String>();
    let run = move || {
        // A peer may accept and go as often as it likes.
        let lines = (Lines::default(), Lines::default());
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

fn wait_until_lost(lost: &Receiver<String>, stop: &AtomicBool) -> Option<String> {
    loop {
        match lost.recv_timeout(STOP_CHECK) {
            Ok(reason) => return Some(reason),
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) if stop.load(Ordering::Relaxed) => return None,
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Tries until the peer is there. `None` when told to stop.
fn connect_once_there(peer: &HostPort, name: &str, stop: &AtomicBool) -> Option<Connection> {
    let mut pause = BACKOFF.0;
    let mut told = false;
    loop {
        // Looked up anew each time: a host may have moved, or have more addresses.
        let connected = peer.addresses().and_then(|addresses| {
            first_that_works(&addresses, |address| connect_address(address, stop))
        });
        let error = match connected {
            Ok(connection) => return Some(connection),
            Err(error) => error,
        };
        if !told {
            tracing::warn!(
                "sink `{name}` cannot connect to {peer}: {error}; start the receiver there, or \
                 give another address with --sink; trying again until it is there"
            );
            told = true;
        }
        let mut waited = Duration::ZERO;
        while waited < pause {
            if stop.load(Ordering::Relaxed) {
                return None;
            }
            std::thread::sleep(STOP_CHECK.min(pause));
            waited += STOP_CHECK;
        }
        pause = (pause * 2).min(BACKOFF.1);
    }
}

fn connect_address(address: SocketAddr, stop: &AtomicBool) -> io::Result<Connection> {
    let connection = Connection::connect_start(address)?;
    let until = Instant::now() + CONNECT_TIMEOUT;
    loop {
        wait(&connection, PollFlags::OUT, STOP_CHECK);
        if connection.finish_connect()? {
            break;
        }
        if Instant::now() > until || stop.load(Ordering::Relaxed) {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer"));
        }
    }
    if connection.local_addr()? == connection.peer_addr()? {
        // Nobody listens, and the port is one that the kernel gave to this very connection.
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(connection)
}
