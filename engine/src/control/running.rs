//! An application that runs inside another program.

use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::{Builder, JoinHandle};

use bytes::Bytes;
use potoroo_sdk::Application;
use potoroo_sdk::plan::Plan;
use potoroo_sdk::value::{self, Event};

use super::admin::AdminHandle;
use super::config::Config;
use super::error::Error;
use super::process::{Describe, ProcessStart, complete};
use super::report::{Status, Summary};
use super::signals;
use super::stop_request::StopRequest;
use super::supervise::Supervisor;
use super::watch::Monitor;
use super::witness;
use crate::connect::opening::Channels;
use crate::connect::pipe::{BUFFER_BYTES, Gone, PipeIn, PipeItem, PipeOut};

/// Starts an application inside this program.
///
/// Sources and sinks with the address `channel:` are fed and read through the returned handle.
///
/// ```
/// use potoroo::prelude::*;
/// use potoroo::{Config, SinkAddress, SourceAddress};
///
/// #[event]
/// struct Trade { symbol: Text<8>, quantity: u64 }
/// #[event]
/// struct Position { symbol: Text<8>, total: u64 }
///
/// struct Trades;
/// impl Decode for Trades {
///     type Event = Trade;
///     type Framing = FixedSize;
///     fn framing(&self) -> FixedSize { FixedSize::new(16) }
///     fn decode(&self, payload: &[u8]) -> Result<Trade, Reason> {
///         let mut fields = Fields::new(payload);
///         Ok(Trade { symbol: fields.text()?, quantity: fields.u64_be()? })
///     }
/// }
/// struct Positions;
/// impl Encode for Positions {
///     type Event = Position;
///     fn encode(&self, position: Position, out: &mut Vec<u8>) {
///         out.extend_from_slice(format!("{} {}\n", position.symbol, position.total).as_bytes());
///     }
/// }
///
/// fn positions() -> Application {
///     let app = Application::new("positions");
///     let totals = app.table::<Text<8>, u64>("totals");
///     app.source("trades", Trades)
///         .key_by(|trade| trade.symbol)
///         .update(&totals, |total, trade| {
///             *total += trade.quantity;
///             Position { symbol: trade.symbol, total: *total }
///         })
///         .sink("positions", Positions);
///     app
/// }
///
/// let config = Config::default()
///     .source("trades", SourceAddress::Channel)
///     .sink("positions", SinkAddress::Channel);
/// let mut running = potoroo::run(positions, config)?;
/// let mut trades = running.source("trades").unwrap();
/// let mut out = running.sink("positions").unwrap();
/// for quantity in [3, 4] {
///     let _ = trades.send(&Trade { symbol: Text::new(b"ACME").unwrap(), quantity });
/// }
/// drop(trades); // the source ends
/// let mut text = Vec::new();
/// while let Some(bytes) = out.recv() { text.extend_from_slice(&bytes); }
/// assert_eq!(text, b"ACME 3\nACME 7\n");
/// let summary = running.wait()?;
/// assert_eq!(summary.snapshot.sources[0].events, 2);
/// # Ok::<(), potoroo::Error>(())
/// ```
///
/// # Errors
/// The application or its configuration cannot run: see [`Error`]. Nothing runs then.
pub fn run<F>(application: F, config: Config) -> Result<Running, Error>
where
    F: Fn() -> Application + Send + Sync + 'static,
{
    let plan = application().plan()?;
    let config = complete(&plan, config)?;
    start(Arc::new(application), &plan, config, StopRequest::default())
}

pub(super) fn start(
    describe: Describe,
    plan: &Plan,
    config: Config,
    request: StopRequest,
) -> Result<Running, Error> {
    witness::install();
    // Embedding programs, too, should get an error for a full disk.
    let _ = signals::bear_file_limits();
    let (opened_in, opened) = channel();
    let (fingerprint, of_supervisor) = (plan.fingerprint, request.clone());
    let run = move || {
        let (supervisor, opened) = Supervisor::start(describe, fingerprint, config, of_supervisor)?;
        // The caller waits for it.
        let _ = opened_in.send(opened);
        supervisor.run()
    };
    let supervisor = Builder::new()
        .name("potoroo-control".into())
        .spawn(run)
        .map_err(|source| Error::Thread { what: "the supervisor", source })?;
    match opened.recv() {
        Ok(ProcessStart { channels, watch, listening, admin }) => {
            let supervisor = Some(supervisor);
            Ok(Running { supervisor, channels, watch, listening, admin, request })
        }
        Err(_) => Err(match supervisor.join() {
            Ok(ended) => ended.expect_err("it has not started"),
            Err(panic) => resume_unwind(panic),
        }),
    }
}

/// A running application. Dropping it stops the application and waits for its end.
pub struct Running {
    supervisor: Option<JoinHandle<Result<Summary, Error>>>,
    channels: Channels,
    watch: Arc<Monitor>,
    listening: Vec<(String, SocketAddr)>,
    /// Closes the port when dropped.
    admin: Option<AdminHandle>,
    request: StopRequest,
}

impl Running {
    /// Takes the sending end of the channel source `name`. The source ends when it is dropped.
    pub fn source(&mut self, name: &str) -> Option<ChannelSource> {
        let at = self.channels.sources.iter().position(|(known, _)| known == name)?;
        let (_, pipe) = self.channels.sources.remove(at);
        Some(ChannelSource { pipe, buffer: Vec::new() })
    }

    /// Takes the receiving end of the channel sink `name`. The application waits for it: a
    /// program that does not read holds its sources back.
    pub fn sink(&mut self, name: &str) -> Option<ChannelSink> {
        let at = self.channels.sinks.iter().position(|(known, _)| known == name)?;
        let (_, pipe) = self.channels.sinks.remove(at);
        Some(ChannelSink { pipe })
    }

    /// Where the source `name` listens, if it does.
    pub fn listening(&self, name: &str) -> Option<SocketAddr> {
        let found = self.listening.iter().find(|(known, _)| known == name);
        found.map(|(_, address)| *address)
    }

    /// All sources that listen, and where.
    pub fn all_listening(&self) -> &[(String, SocketAddr)] {
        &self.listening
    }

    /// Where the admin port listens, if there is one.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(AdminHandle::address)
    }

    /// What the application has done so far.
    pub fn status(&self) -> Status {
        self.watch.status()
    }

    /// Asks the application to stop: its sources end, what is in flight is delivered. That
    /// includes all that a channel source has flushed before, within the time to drain.
    pub fn stop(&self) {
        self.request.stop();
    }

    /// Waits until the application has ended.
    ///
    /// # Errors
    /// A core failed.
    ///
    /// # Panics
    /// The supervisor did.
    pub fn wait(mut self) -> Result<Summary, Error> {
        self.channels = Channels::default();
        let supervisor = self.supervisor.take().expect("only `wait` and `drop` take it");
        supervisor.join().expect("the supervisor does not panic")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(supervisor) = self.supervisor.take() {
            self.stop();
            self.channels = Channels::default();
            let _ = supervisor.join();
        }
    }
}

/// The sending end of a channel source. Not for several threads at once: order would be theirs.
pub struct ChannelSource {
    pipe: PipeIn,
    buffer: Vec<u8>,
}

impl ChannelSource {
    /// Sends one event. Waits while the application has no room.
    ///
    /// Events are handed over a buffer at a time; [`flush`](Self::flush) hands over what there is.
    ///
    /// # Errors
    /// The application has ended.
    pub fn send<E: Event>(&mut self, event: &E) -> Result<(), Gone> {
        if self.buffer.capacity() == 0 {
            self.buffer = self.pipe.buffer()?;
        }
        let archive = value::to_vec(event);
        self.buffer.extend_from_slice(&(archive.len() as u32).to_le_bytes());
        self.buffer.extend_from_slice(&archive);
        match self.buffer.len() >= BUFFER_BYTES / 2 {
            true => self.flush(),
            false => Ok(()),
        }
    }

    /// Hands over what was sent so far.
    ///
    /// # Errors
    /// The application has ended.
    pub fn flush(&mut self) -> Result<(), Gone> {
        match self.buffer.is_empty() {
            true => Ok(()),
            false => self.pipe.send(std::mem::take(&mut self.buffer)),
        }
    }
}

impl Drop for ChannelSource {
    fn drop(&mut self) {
        // The application may have ended before: then the rest is dropped.
        let _ = self.flush();
    }
}

/// The receiving end of a channel sink.
pub struct ChannelSink {
    pipe: PipeOut,
}

impl ChannelSink {
    /// Waits for encoded events, one or several at a time, never a part of one at the end of the
    /// stream; `None` when the application has ended.
    pub fn recv(&mut self) -> Option<Bytes> {
        let PipeItem::Buffer(buffer) = self.pipe.recv()? else {
            panic!("only what is written is marked");
        };
        let bytes = Bytes::copy_from_slice(&buffer);
        self.pipe.return_buffer(buffer);
        Some(bytes)
    }
}
