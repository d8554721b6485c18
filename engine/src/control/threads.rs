//! The threads that may wait: accepting, connecting, reading and writing files.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Duration;

use potoroo_runtime::Listener;
use potoroo_sdk::host::{SinkId, SourceId};
use potoroo_sdk::plan::Plan;

use super::attach::{Attach, Emptied, EmptiedFile};
use super::claims::Claims;
use super::config::Config;
use super::descriptors::Places;
use super::edges::SinkEdge;
use super::error::Error;
use super::letters::LetterBox;
use crate::checkpoint::{Imprint, Watched};
use crate::connect::address::HostPort;
use crate::connect::file::{Markers, Tail};
use crate::connect::mail::Teller;
use crate::connect::null::NullOutlet;
use crate::connect::patience::{Output, Reader, Stopping, Writer};
use crate::connect::permits::Permits;
use crate::connect::pipe::{PipeIn, PipeInlet, PipeOutlet, pipe};
use crate::connect::potoroo::deliver::{Delivery, Peer, deliver};
use crate::connect::potoroo::hold::Hold;
use crate::connect::potoroo::serve::{Server, serve};
use crate::connect::potoroo::streams::Streams;
use crate::connect::spool::{Patience, Spooler, spool};
use crate::connect::tcp::Acceptor;
use crate::connect::token::Token;
use crate::connect::{file, tcp};
use crate::flow::{Letter, Start};
use crate::turn::{Command, InletKind, Mailbox, NewInlet, Notice, OutletPort};

/// All threads of an application besides its cores.
pub(super) struct Threads {
    source_names: Vec<String>,
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
    letters: Option<LetterBox<Output>>,
    /// Places for connections.
    permits: Permits,
    places: Places,
    /// The keeper of checkpoints, if any are taken: told what is written.
    keeper: Option<Teller>,
    application: String,
    /// Who hears what happens to clients.
    notices: Sender<Notice>,
    /// What is left to do when all of them have started.
    pub(super) attach: Attach,
    /// The files that are used; held until all of them have ended.
    pub(super) claims: Claims,
    /// Tells those that wait for somebody else's end of a file.
    stopping: Arc<Stopping>,
    /// How long they may wait then.
    grace: Duration,
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
            sink_names: plan.sinks.iter().map(|sink| sink.label().to_string()).collect(),
            stop: Arc::new(AtomicBool::new(false)),
            stop_accepting: Arc::new(AtomicBool::new(false)),
            waiting: Vec::new(),
            writers: Vec::new(),
            readers: Vec::new(),
            lost: plan.sinks.iter().map(|_| None).collect(),
            connections_left: plan.sources.iter().map(|_| Some(0)).collect(),
            letters: None,
            permits: Permits::new(places.connections),
            places,
            keeper,
            attach: Attach::default(),
            claims: Claims::default(),
            stopping: Arc::default(),
            grace: Duration::from_secs(config.drain_seconds),
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
        let port: Box<dyn OutletPort> = match edge {
            SinkEdge::Null => Box::new(NullOutlet),
            SinkEdge::Channel(pipe) => {
                pipe.wakes(core.waker());
                Box::new(PipeOutlet::to_program(pipe))
            }
            SinkEdge::Stdout | SinkEdge::File { .. } | SinkEdge::Fifo(_) => {
                let what = format!("sink `{name}`");
                let (to, file) = self.open_output(&what, edge).map_err(thread(WRITER))?;
                let pipe = self.write(sink, to, core, move || file.map_or(Ok(()), sync))?;
                Box::new(PipeOutlet::to_writer(pipe))
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
        self.attach.send(core, Command::Sink { sink, port });
        Ok(())
    }

    /// What writes an output, and its file if that is to be made durable.
    ///
    /// # Panics
    /// It is written otherwise.
    fn open_output(
        &mut self,
        what: &str,
        edge: SinkEdge,
    ) -> io::Result<(Output, Option<Arc<File>>)> {
        let stopping = self.stopping.clone();
        let (file, path, anew) = match edge {
            SinkEdge::Fifo(path) => {
                let writer = Writer::to_fifo(what, &path, stopping);
                return Ok((Output::Waiting(writer), None));
            }
            SinkEdge::File { file, path, anew } => (file, path, anew),
            SinkEdge::Stdout => {
                let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
                (Arc::new(file), PathBuf::new(), false)
            }
            _ => unreachable!("no file"),
        };
        if !file.metadata()?.is_file() {
            return Ok((Output::Waiting(Writer::to_open(file, stopping)), None));
        }
        if anew {
            let (what, address) = (what.to_owned(), format!("file:{}", path.display()));
            let file = EmptiedFile::Open(file.clone());
            self.attach.empty(Emptied { what, address, file });
        }
        Ok((Output::File(file.clone()), Some(file)))
    }

    /// Spools the output of a transactional sink; waits for room on a full disk if `hold` says so.
    ///
    /// # Panics
    /// No checkpoints are taken.
    pub(super) fn spool(
        &mut self,
        sink: SinkId,
        spooler: Spooler,
        hold: Option<Arc<Hold>>,
        core: &Mailbox,
    ) -> Result<(), Error> {
        let name = self.sink_name(sink).to_string();
        let (pipe_in, pipe_out) = pipe();
        let keeper = self.keeper.clone().expect("only with checkpoints anything is transactional");
        let patience = hold.map(|hold| Patience { hold, stop: self.stop.clone() });
        let writer = spool(spooler, sink, keeper, (pipe_out, core.waker().clone()), patience);
        self.writers.push((name, writer.map_err(thread("a file's spooler"))?));
        let port = Box::new(PipeOutlet::to_writer(pipe_in));
        self.attach.send(core, Command::Sink { sink, port });
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
        let (keeper, notices) = (self.keeper.clone(), self.notices.clone());
        let markers = Markers { sink, keeper, notices };
        let writer = file::write(to, pipe_out, core.waker().clone(), markers, sync);
        self.writers.push((name, writer.map_err(thread(WRITER))?));
        Ok(pipe_in)
    }

    /// Reads a file from where `at` says that it was read up to, and as what. Returns it if it can
    /// be read again.
    pub(super) fn read_file(
        &mut self,
        source: SourceId,
        (file, path): (Arc<File>, &Path),
        (start, imprint): (Start, Option<Imprint>),
        core: &Mailbox,
    ) -> Result<Option<Watched>, Error> {
        let (pipe_in, pipe) = pipe();
        let name = self.source_name(source).to_string();
        // A pipe or device cannot be read again: it has no position.
        let regular = file.metadata().is_ok_and(|facts| facts.is_file());
        let waker = core.waker().clone();
        let mut watched = None;
        let reader = if regular {
            let now = go_on(&file, (&name, path), (start.position, imprint))?;
            watched = Some(Watched::new(file.clone(), (start.position, now)));
            (&mut &*file).seek(SeekFrom::Start(start.position)).map_err(thread(READER))?;
            // Those that the kernel makes as they are read have no length, and change.
            let made = file.metadata().map_or(0, |facts| facts.len()) == 0;
            let tail = (!made).then(|| Tail::new(file.clone(), start.position));
            file::read(file.clone(), tail, pipe_in, waker)
        } else {
            let reader = Reader::new(&name, path, file.clone(), self.stopping.clone());
            file::read(reader, None, pipe_in, waker)
        };
        self.readers.push((name, reader.map_err(thread(READER))?));
        let start = regular.then_some(Start { grows: self.keeper.is_some(), ..start });
        let kind = start.map_or(InletKind::Bytes, InletKind::Replayed);
        let new = NewInlet { source, kind, port: Box::new(PipeInlet::new(pipe)), taken: None };
        self.attach.send(core, Command::Inlet(new));
        Ok(watched)
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
        let edge = edge.filter(|edge| !matches!(edge, SinkEdge::Null));
        let Some(edge) = edge else { return Ok(()) };
        let opened = self.open_output("dead letters", edge).map_err(thread(WRITER))?;
        self.letters = Some(LetterBox::new(opened.0.within(LETTERS_WAIT)));
        Ok(())
    }

    /// Writes dead letters.
    pub(super) fn letters(&mut self, letters: &[Letter]) {
        if let Some(to) = &mut self.letters {
            to.write(letters, &self.source_names);
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
    ///
    /// Those that write what somebody else has to read go on for a while, unless everything was
    /// `abandoned`.
    pub(super) fn join(self, abandoned: bool) -> Vec<String> {
        self.stop_accepting();
        self.stopping.stop(if abandoned { Duration::ZERO } else { self.grace });
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
        let letters = self.letters.and_then(LetterBox::close);
        let letters = letters.map(|error| format!("dead letters: {error}"));
        self.writers
            .into_iter()
            .chain(self.readers)
            .filter_map(failed)
            .chain(letters)
            .chain(panicked)
            .collect()
    }
}

const READER: &str = "a file's reader";

const WRITER: &str = "a file's writer";

/// How long the supervisor, which has more to do, waits for who reads dead letters.
const LETTERS_WAIT: Duration = Duration::from_secs(1);

/// Whether a source goes on at `position` of a file: it must be the one that was read before, if
/// only by what is in it. Returns its imprint there.
fn go_on(
    file: &File,
    (name, path): (&str, &Path),
    (position, imprint): (u64, Option<Imprint>),
) -> Result<Imprint, Error> {
    let refused = |reason: String| {
        let (name, address) = (name.to_owned(), format!("file:{}", path.display()));
        Err(Error::Source { name, address, reason })
    };
    let remedy = "it was rotated, replaced or changed; put back the file that was read, or start \
                  with an empty --state";
    let now = match Imprint::of(file, position) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            let length = file.metadata().map_or(0, |facts| facts.len());
            return refused(format!(
                "it has {length} bytes, and the last checkpoint has read {position}: {remedy}"
            ));
        }
        Err(error) => return refused(error.to_string()),
        Ok(now) => now,
    };
    match imprint {
        Some(before) if before.digest != now.digest => refused(format!(
            "what is before byte {position}, where the last checkpoint stands, is not what was \
             read: {remedy}"
        )),
        Some(before) if before != now => {
            tracing::info!(
                "source `{name}`: file:{} is another file than before and has the same content \
                 up to byte {position}: it goes on there",
                path.display()
            );
            Ok(now)
        }
        _ => Ok(now),
    }
}

/// Some targets, such as `/dev/null` and pipes, cannot be made durable and need not be.
fn sync(file: Arc<File>) -> io::Result<()> {
    match file.sync_all() {
        Err(error) if error.kind() != io::ErrorKind::InvalidInput => Err(error),
        _ => Ok(()),
    }
}

fn thread(what: &'static str) -> impl Fn(io::Error) -> Error {
    move |source| Error::Thread { what, source }
}
