//! The threads that may wait: accepting, connecting, reading and writing files.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;

use potoroo_runtime::Listener;
use potoroo_sdk::host::{SinkId, SourceId};
use potoroo_sdk::plan::Plan;

use super::config::Config;
use super::descriptors::Places;
use super::edges::SinkEdge;
use super::error::Error;
use crate::connect::address::HostPort;
use crate::connect::deliver::{Delivery, Peer, deliver};
use crate::connect::files::Markers;
use crate::connect::mail::{Command, Mailbox, Notice, SinkEnd, Teller};
use crate::connect::permits::Permits;
use crate::connect::pipe::{PipeIn, pipe};
use crate::connect::serve::{Server, serve};
use crate::connect::spool::{Spooler, spool};
use crate::connect::streams::Streams;
use crate::connect::tcp::Acceptor;
use crate::connect::token::Token;
use crate::connect::{files, tcp};
use crate::flow::{Letter, Start};

/// All threads of an application besides its cores.
pub(super) struct Threads {
    source_names: Vec<String>,
    /// By source, for messages.
    source_addresses: Vec<String>,
    sink_names: Vec<String>,
    stop: Arc<AtomicBool>,
    stop_accepting: Arc<AtomicBool>,
    waiting: Vec<JoinHandle<()>>,
    /// Writers end when the cores have: what they write is made durable then.
    writers: Vec<(String, JoinHandle<io::Result<()>>)>,
    readers: Vec<(String, JoinHandle<io::Result<()>>)>,
    /// Tells the connector of each sink that its connection is lost.
    lost: Vec<Option<Sender<String>>>,
    /// Connections after which a source ends: `None` for those that never end.
    pub(super) connections_left: Vec<Option<u64>>,
    letters: Option<Box<dyn Write + Send>>,
    /// Why some of them are not written.
    letters_lost: Option<String>,
    /// Places for connections.
    permits: Permits,
    places: Places,
    /// The keeper of checkpoints, if any are taken: told what is written.
    keeper: Option<Teller>,
    application: String,
    /// Who hears what happens to clients.
    notices: Sender<Notice>,
}

impl Threads {
    pub(super) fn new(
        plan: &Plan,
        config: &Config,
        places: Places,
        keeper: Option<Teller>,
        notices: Sender<Notice>,
    ) -> Self {
        Self {
            application: plan.name.clone(),
            notices,
            source_names: plan.sources.iter().map(|source| source.name.clone()).collect(),
            source_addresses: plan
                .sources
                .iter()
                .map(|source| config.sources[&source.name].to_string())
                .collect(),
            sink_names: plan.sinks.iter().map(|sink| sink.label().to_string()).collect(),
            stop: Arc::new(AtomicBool::new(false)),
            stop_accepting: Arc::new(AtomicBool::new(false)),
            waiting: Vec::new(),
            writers: Vec::new(),
            readers: Vec::new(),
            lost: plan.sinks.iter().map(|_| None).collect(),
            connections_left: plan.sources.iter().map(|_| Some(0)).collect(),
            letters: None,
            letters_lost: None,
            permits: Permits::new(places.connections),
            places,
            keeper,
        }
    }

    pub(super) fn source_name(&self, source: SourceId) -> &str {
        &self.source_names[source.0 as usize]
    }

    pub(super) fn sink_name(&self, sink: SinkId) -> &str {
        &self.sink_names[sink.0 as usize]
    }

    pub(super) fn connect_sink(
        &mut self,
        sink: SinkId,
        edge: SinkEdge,
        core: &Mailbox,
    ) -> Result<(), Error> {
        let name = self.sink_name(sink).to_string();
        let to = match edge {
            SinkEdge::Null => SinkEnd::Null,
            SinkEdge::Channel(pipe) => {
                pipe.wakes(core.waker());
                SinkEnd::Channel(pipe)
            }
            SinkEdge::Stdout => SinkEnd::Pipe(self.write(sink, io::stdout(), core, || Ok(()))?),
            SinkEdge::File(file) => {
                let synced = file.try_clone().map_err(thread("a file's writer"))?;
                SinkEnd::Pipe(self.write(sink, file, core, move || sync(&synced))?)
            }
            SinkEdge::Transactional { .. } | SinkEdge::Client { .. } => {
                unreachable!("they are spooled")
            }
            SinkEdge::Peer(peer) => {
                let stop = self.stop.clone();
                let (lost, thread_of) = tcp::connect(peer, sink, name, core.clone(), stop)
                    .map_err(thread("a sink's connector"))?;
                self.lost[sink.0 as usize] = Some(lost);
                self.waiting.push(thread_of);
                return Ok(());
            }
        };
        core.send(Command::Sink { sink, to });
        Ok(())
    }

    /// Spools the output of a transactional sink.
    ///
    /// # Panics
    /// No checkpoints are taken.
    pub(super) fn spool(
        &mut self,
        sink: SinkId,
        spooler: Spooler,
        core: &Mailbox,
    ) -> Result<(), Error> {
        let name = self.sink_name(sink).to_string();
        let (pipe_in, pipe_out) = pipe();
        let keeper = self.keeper.clone().expect("only with checkpoints anything is transactional");
        let writer = spool(spooler, sink, keeper, pipe_out, core.waker().clone());
        self.writers.push((name, writer.map_err(thread("a file's spooler"))?));
        core.send(Command::Sink { sink, to: SinkEnd::Pipe(pipe_in) });
        Ok(())
    }

    /// Brings spooled output to a client.
    pub(super) fn deliver(
        &mut self,
        delivery: Arc<Delivery>,
        address: HostPort,
        token: Token,
    ) -> Result<(), Error> {
        let peer = Peer { address, token, application: self.application.clone() };
        let courier = deliver(delivery, peer, self.stop.clone());
        self.waiting.push(courier.map_err(thread("what serves a sink"))?);
        Ok(())
    }

    fn write(
        &mut self,
        sink: SinkId,
        to: impl Write + Send + 'static,
        core: &Mailbox,
        sync: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> Result<PipeIn, Error> {
        let (pipe_in, pipe_out) = pipe();
        let name = self.sink_name(sink).to_string();
        let markers = Markers { sink, keeper: self.keeper.clone() };
        let writer = files::write(to, pipe_out, core.waker().clone(), markers, sync);
        self.writers.push((name, writer.map_err(thread("a file's writer"))?));
        Ok(pipe_in)
    }

    pub(super) fn read_file(
        &mut self,
        source: SourceId,
        mut file: File,
        start: Start,
        core: &Mailbox,
    ) -> Result<(), Error> {
        let (pipe_in, pipe_out) = pipe();
        let position = start.position;
        // A pipe or device cannot be read again: it has no position.
        let regular = file.metadata().is_ok_and(|facts| facts.is_file());
        if position > 0 && regular {
            let length = file.metadata().map_or(u64::MAX, |facts| facts.len());
            if length < position {
                return Err(Error::Source {
                    name: self.source_name(source).to_string(),
                    address: self.source_addresses[source.0 as usize].clone(),
                    reason: format!(
                        "it has {length} bytes, and the last checkpoint has read {position}: it \
                         is not the file that was read before; put that one back, or start with \
                         an empty --state"
                    ),
                });
            }
            file.seek(SeekFrom::Start(position)).map_err(|error| Error::Source {
                name: self.source_name(source).to_string(),
                address: self.source_addresses[source.0 as usize].clone(),
                reason: format!(
                    "{error}: the last checkpoint stands at byte {position}, and it cannot be \
                     read from there; give a file that is no pipe, or start with an empty --state"
                ),
            })?;
        }
        let start = regular.then_some(Start { grows: self.keeper.is_some(), ..start });
        core.send(Command::File { source, pipe: pipe_out, start });
        let reader = files::read(file, pipe_in, core.waker().clone());
        let name = self.source_name(source).to_string();
        self.readers.push((name, reader.map_err(thread("a file's reader"))?));
        Ok(())
    }

    pub(super) fn accept(
        &mut self,
        source: SourceId,
        listener: Listener,
        connections: Option<u64>,
        cores: &[Mailbox],
    ) -> Result<(), Error> {
        self.connections_left[source.0 as usize] = connections;
        let acceptor = Acceptor {
            listener,
            source: (source, self.source_name(source).to_string()),
            cores: cores.to_vec(),
            connections_max: connections,
            permits: self.permits.clone(),
            stop: self.stop_accepting.clone(),
        };
        self.waiting.push(tcp::accept(acceptor).map_err(thread("a source's acceptor"))?);
        Ok(())
    }

    /// Serves the clients of a source that has streams.
    pub(super) fn serve(
        &mut self,
        streams: Arc<Streams>,
        listener: TcpListener,
        token: Token,
        ends_after: Option<u64>,
    ) -> Result<(), Error> {
        let source = streams.source();
        let left = ends_after.map(|count| count.saturating_sub(streams.ended()));
        self.connections_left[source.0 as usize] = left;
        let server = Server {
            listener,
            application: self.application.clone(),
            source: self.source_name(source).to_string(),
            token,
            streams,
            strangers: Permits::new(self.places.strangers),
            clients: Permits::new(self.places.clients),
            notices: self.notices.clone(),
            stop_accepting: self.stop_accepting.clone(),
            stop: self.stop.clone(),
            lines: Arc::default(),
        };
        self.waiting.push(serve(server).map_err(thread("what serves a source"))?);
        Ok(())
    }

    pub(super) fn write_letters(&mut self, edge: Option<SinkEdge>) -> Result<(), Error> {
        self.letters = match edge {
            Some(SinkEdge::File(file)) => Some(Box::new(io::BufWriter::new(file))),
            Some(SinkEdge::Stdout) => Some(Box::new(io::stdout())),
            _ => None,
        };
        Ok(())
    }

    /// Writes dead letters, one JSON object per line: source, connection (hexadecimal, as in the
    /// log), position, reason and the bytes in hexadecimal.
    pub(super) fn letters(&mut self, letters: &[Letter]) {
        let Some(to) = &mut self.letters else { return };
        let mut written = Ok(());
        for letter in letters {
            let line = serde_json::json!({
                "source": self.source_names[letter.cause.source.0 as usize],
                "connection": format!("{:x}", letter.cause.origin.connection),
                "position": letter.cause.origin.position,
                "reason": letter.reason.to_string(),
                "bytes": hex(&letter.bytes),
            });
            written = written.and_then(|()| writeln!(to, "{line}"));
        }
        // Said once; it is tried again with the next ones, and told at the end.
        if let Err(error) = written.and_then(|()| to.flush())
            && self.letters_lost.is_none()
        {
            tracing::error!("dead letters cannot be written: {error}; free space there");
            self.letters_lost = Some(error.to_string());
        }
    }

    /// A sink takes nothing any more. Returns whether it will again: a connection is made anew, a
    /// file or channel has gone for good.
    pub(super) fn sink_lost(&self, sink: SinkId, reason: String) -> bool {
        match &self.lost[sink.0 as usize] {
            Some(connector) => drop(connector.send(reason)),
            None => tracing::error!(
                "sink `{}` cannot be written: {reason}; the application ends, and what waits for \
                 it is lost",
                self.sink_name(sink)
            ),
        }
        self.lost[sink.0 as usize].is_some()
    }

    /// No connection is accepted any more; sinks are still connected.
    pub(super) fn stop_accepting(&self) {
        self.stop_accepting.store(true, Ordering::Relaxed);
    }

    /// Waits for all threads after the cores have ended; returns what went wrong in writers.
    pub(super) fn join(self) -> Vec<String> {
        self.stop_accepting();
        self.stop.store(true, Ordering::Relaxed);
        drop(self.lost);
        drop(self.keeper);
        let failed = |(name, thread): (String, JoinHandle<io::Result<()>>)| match thread.join() {
            Ok(written) => Some(format!("`{name}`: {}", written.err()?)),
            Err(_) => Some(format!("`{name}`: its thread panicked")),
        };
        let panicked = self.waiting.into_iter().filter_map(|waiting| waiting.join().err());
        let panicked = panicked.map(|_| "a connection: its thread panicked".to_owned());
        let panicked: Vec<String> = panicked.collect();
        let letters = self.letters_lost.map(|error| format!("dead letters: {error}"));
        self.writers
            .into_iter()
            .chain(self.readers)
            .filter_map(failed)
            .chain(letters)
            .chain(panicked)
            .collect()
    }
}

/// Some targets, such as `/dev/null` and pipes, cannot be made durable and need not be.
fn sync(file: &File) -> io::Result<()> {
    match file.sync_all() {
        Err(error) if error.kind() != io::ErrorKind::InvalidInput => Err(error),
        _ => Ok(()),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn thread(what: &'static str) -> impl Fn(io::Error) -> Error {
    move |source| Error::Thread { what, source }
}
