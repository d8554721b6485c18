//! Serves the clients of a source that speak the connector protocol, on threads that may wait.
//!
//! ```text
//!   client ── messages ──► reader thread ──► pipe of its stream ──► core
//!          ◄── credits, acknowledgements ── writer thread ◄── checkpoints
//! ```
//!
//! Each client has two threads: one reads its frames, and waits for room in a pipe; the other sends
//! it credits and acknowledgements. Those are kept as one state, not as a queue: a client that does
//! not read costs no memory.
//!
//! Promises: a client that has no token, breaks a rule, or does not speak the protocol is sent the
//! reason and disconnected; what it sent before stays. Must never do: show a token.

mod client;
mod lines;

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use potoroo_connector::{
    Error, FRAME_BYTES_MAX, Frame, FrameReader, HELLO_BYTES_MAX, Role, VERSION,
};
use potoroo_runtime::socket::keep_alive;
use rustix::event::PollFlags;
use rustix::net::sockopt::set_tcp_user_timeout;

pub use self::client::{Client, ServiceEnd, Serving};
pub use self::lines::ServerLines;
use super::answers::Answers;
use super::streams::{STREAMS_MAX, Streams};
use crate::connect::lines::one_line;
use crate::connect::listening::no_accept;
use crate::connect::permits::{Permit, Permits};
use crate::connect::stopping::Stopping;
use crate::connect::token::Token;
use crate::connect::waiting::{STOP_CHECK, is_pause, wait};
use crate::turn::Notice;

/// How long a connection may take to send its hello; until then it is a stranger.
const HELLO_MAX: Duration = Duration::from_secs(5);

/// Strangers that are served at once; more wait in the kernel.
pub const STRANGERS_MAX: usize = 256;

/// Clients of one source: one for each stream that may be open, and as many that have gone without
/// a word.
pub const CLIENTS_MAX: usize = 2 * STREAMS_MAX;

/// Bytes of memory that a client takes: the longest frame, and what is read at once.
pub const CLIENT_BYTES: usize = FRAME_BYTES_MAX + 64 * 1024;

/// A client that reads nothing for this time, while frames wait for it, is disconnected.
const LISTEN_MAX: Duration = Duration::from_secs(30);

/// A client whose host acknowledges nothing for this time is gone, in milliseconds.
const USER_TIMEOUT_MS: u32 = 60_000;

/// A client with an open stream receives a frame this often. If none comes for three times as long,
/// the engine or its host is gone.
const BEAT: Duration = Duration::from_secs(10);

/// How long a client that opens a stream waits until the client that has it, which is refused, has
/// released it.
const RELEASE_MAX: Duration = Duration::from_secs(5);

/// How often the positions of the cores are read, where no checkpoint acknowledges.
const LOOK: Duration = Duration::from_millis(10);

/// What serves the clients of one source.
pub struct SourceServer {
    /// Where it listens; not waiting.
    pub listener: Arc<TcpListener>,
    /// Name of the application.
    pub application: String,
    /// Name of the source.
    pub source: String,
    /// What its clients have to know.
    pub token: Token,
    /// Its streams.
    pub streams: Arc<Streams>,
    /// Permits of connections that have not sent their hello.
    pub strangers: Permits,
    /// Permits of clients.
    pub clients: Permits,
    /// Where refused clients are reported.
    pub notices: Sender<Notice>,
    /// No new client is served.
    pub stop_accepting: Stopping,
    /// Everything is acknowledged that will be.
    pub stop: Stopping,
    /// Clients come as often as they like.
    pub lines: Arc<ServerLines>,
}

/// Serves clients until `stop_accepting` has begun.
///
/// # Errors
/// The thread cannot be started.
pub fn serve(server: SourceServer) -> io::Result<JoinHandle<()>> {
    Builder::new().name("potoroo-serve".into()).spawn(move || Arc::new(server).run())
}

/// A client that is served.
struct Served {
    answers: Arc<Answers>,
    thread: JoinHandle<()>,
}

impl SourceServer {
    fn run(self: Arc<Self>) {
        let mut served: Vec<Served> = Vec::new();
        while !self.stop.has_begun() {
            served.retain(|one| !one.thread.is_finished());
            if self.stop_accepting.has_begun() {
                std::thread::sleep(STOP_CHECK);
                continue;
            }
            match self.try_accept() {
                Ok(Some(one)) => served.push(one),
                Ok(None) => wait(&*self.listener, PollFlags::IN, STOP_CHECK),
                Err(error) => {
                    no_accept(&self.source, &error, &self.lines.accept);
                    std::thread::sleep(STOP_CHECK);
                }
            }
        }
        self.streams.acknowledge_taken();
        served.iter().for_each(|one| one.answers.finish(None));
        for one in served {
            let _ = one.thread.join();
        }
    }

    fn try_accept(self: &Arc<Self>) -> io::Result<Option<Served>> {
        let Some(place) = self.strangers.try_take() else {
            std::thread::sleep(STOP_CHECK);
            return Ok(None);
        };
        let (stream, peer) = match self.listener.accept() {
            Ok(accepted) => accepted,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => return Ok(None),
            Err(error) => return Err(error),
        };
        stream.set_nonblocking(false)?;
        let (stream, peer) = (Arc::new(stream), peer.to_string());
        let answers = Arc::new(Answers::default());
        let run = {
            let (server, answers) = (self.clone(), answers.clone());
            let (stream, peer) = (stream.clone(), peer.clone());
            move || server.serve(&stream, &peer, &answers, place)
        };
        match Builder::new().name("potoroo-client".into()).spawn(run) {
            Ok(thread) => Ok(Some(Served { answers, thread })),
            Err(error) => {
                self.refuse(&stream, &peer, no_thread(&error));
                Ok(None)
            }
        }
    }

    /// Refuses a client before it has said anything. Its first words are read for a moment: unread,
    /// they would take the reason from it.
    fn refuse(&self, mut stream: &TcpStream, peer: &str, reason: String) {
        let mut out = Vec::new();
        Frame::Refused { reason: &reason }.encode(&mut out);
        let read = stream.set_read_timeout(Some(STOP_CHECK));
        // It may have gone.
        let _ = read.and_then(|()| stream.read(&mut [0; HELLO_BYTES_MAX]));
        let _ = self.write(&out, stream);
        self.report_refused(peer, reason);
    }

    fn report_refused(&self, peer: &str, reason: String) {
        let (source, peer) = (self.streams.source(), peer.to_owned());
        let reason = one_line(&reason);
        let _ = self.notices.send(Notice::Refused { source, peer, reason });
    }

    /// Serves one client to its end.
    fn serve(&self, stream: &TcpStream, peer: &str, answers: &Arc<Answers>, place: Permit) {
        let until = Instant::now() + HELLO_MAX;
        let mut reader = FrameReader::new(stream).until(until);
        let greeted = self.greet(&mut reader, stream, until);
        let _place = match greeted {
            Ok(place) => place,
            Err(reason) => {
                let mut out = Vec::new();
                Frame::Refused { reason: &reason }.encode(&mut out);
                // The refused client may have gone.
                let _ = self.write(&out, stream);
                return self.report_refused(peer, reason);
            }
        };
        drop(place);
        std::thread::scope(|scope| {
            let answer = || self.answer(answers, stream);
            let writer = Builder::new().name("potoroo-answer".into()).spawn_scoped(scope, answer);
            let writer = match writer {
                Ok(writer) => writer,
                Err(error) => return self.refuse(stream, peer, no_thread(&error)),
            };
            if let Some(left_out) = self.lines.served.admit() {
                tracing::info!("source `{}` serves {peer}{left_out}", self.source);
            }
            let mut client = Client::new(self.serving(), answers.clone());
            let ended = receive(&mut client, answers, &mut reader);
            client.release();
            match ended {
                Ok(()) => answers.finish(None),
                Err(ServiceEnd::Refused(reason)) => {
                    self.report_refused(peer, reason.clone());
                    answers.finish(Some(reason));
                }
                // What was committed meanwhile is still acknowledged, until the server stops.
                Err(ServiceEnd::Ending) => {}
            }
            let _ = writer.join();
        });
    }

    fn serving(&self) -> Serving {
        let (source, streams) = (self.source.clone(), self.streams.clone());
        let (ends, lines) = (self.stop_accepting.clone(), self.lines.clone());
        Serving { source, streams, ends, lines }
    }

    /// Lets a client in that knows the token and means this source; returns its place.
    fn greet(
        &self,
        reader: &mut FrameReader<&TcpStream>,
        stream: &TcpStream,
        until: Instant,
    ) -> Result<Permit, String> {
        let failed = |error: io::Error| error.to_string();
        stream.set_read_timeout(Some(STOP_CHECK)).map_err(failed)?;
        stream.set_write_timeout(Some(STOP_CHECK)).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        keep_alive(stream).map_err(failed)?;
        // A client that is alive reads what it is sent: see `LISTEN_MAX`.
        set_tcp_user_timeout(stream, USER_TIMEOUT_MS).map_err(|error| error.to_string())?;
        let hello = loop {
            let waits = Instant::now() < until && !self.stop.has_begun();
            match reader.read() {
                Err(Error::Io(error)) if is_pause(&error) && waits => {}
                read => {
                    break read.map_err(|error| format!("it sent no hello: {error}"))?;
                }
            }
        };
        let hello = hello.ok_or_else(|| "it closed before it sent a hello".to_owned())?;
        let Frame::Hello { role, token, application, endpoint, .. } = hello else {
            return Err(format!("{} comes before Hello", hello.name()));
        };
        let fits = |asked: &str, is: &str| asked.is_empty() || asked == is;
        if !self.token.fits(token) {
            return Err("the token is another one: give that of the source's address".to_owned());
        }
        if role != Role::Source {
            return Err("it is the client of a sink, and this is a source".to_owned());
        }
        if !fits(application, &self.application) || !fits(endpoint, &self.source) {
            let (is, source) = (&self.application, &self.source);
            return Err(format!(
                "it requests source `{endpoint}` of `{application}`, this is `{source}` of `{is}`"
            ));
        }
        let place = self.clients.try_take().ok_or_else(|| {
            let max = self.clients.max();
            format!("{max} clients are connected to this source, which is the limit: end some")
        })?;
        let mut out = Vec::new();
        Frame::Welcome { version: VERSION, last: 0 }.encode(&mut out);
        self.write(&out, stream).map_err(failed)?;
        stream.set_read_timeout(None).map_err(failed)?;
        reader.welcome();
        Ok(place)
    }

    /// Sends `answers` to a client, until nothing follows; then closes the connection.
    fn answer(&self, answers: &Answers, stream: &TcpStream) {
        let look = if self.streams.checkpoints() { BEAT } else { LOOK };
        let (mut out, mut said) = (Vec::new(), Instant::now());
        loop {
            let last = answers.take(&mut out, look);
            if out.is_empty() && said.elapsed() >= BEAT {
                answers.keep_alive(&mut out);
            }
            if !out.is_empty() {
                said = Instant::now();
            }
            if self.write(&out, stream).is_err() || last {
                // The thread that reads notices.
                let _ = stream.shutdown(Shutdown::Both);
                return;
            }
            out.clear();
            self.streams.acknowledge_taken();
        }
    }

    /// Writes all of it, unless that takes too long, or nothing is taken when the server stops: no
    /// client may keep the application from its end.
    fn write(&self, mut out: &[u8], mut stream: &TcpStream) -> io::Result<()> {
        let until = Instant::now() + LISTEN_MAX;
        while !out.is_empty() {
            match stream.write(out) {
                Err(error) if !is_pause(&error) || self.stop.has_begun() => {
                    return Err(error);
                }
                written => out = &out[written.unwrap_or(0)..],
            }
            if Instant::now() > until {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "it does not listen"));
            }
        }
        Ok(())
    }
}

fn no_thread(error: &io::Error) -> String {
    format!(
        "the application has no thread for this client: {error}; raise its limit of threads \
         (`ulimit -u`, TasksMax=, pids.max), or end other clients"
    )
}

/// Handles what the client sends until it has gone.
fn receive(
    client: &mut Client,
    answers: &Answers,
    reader: &mut FrameReader<&TcpStream>,
) -> Result<(), ServiceEnd> {
    loop {
        if !reader.has_frame() {
            client.flush()?;
        }
        let frame = match reader.read() {
            Ok(Some(frame)) => frame,
            Ok(None) | Err(Error::Io(_)) => return Ok(()),
            Err(error) => return Err(ServiceEnd::Refused(error.to_string())),
        };
        let mut until = None;
        while !client.handle(frame, STOP_CHECK)? {
            if answers.is_over() {
                return Err(ServiceEnd::Ending);
            }
            let late = Instant::now() > *until.get_or_insert_with(|| Instant::now() + RELEASE_MAX);
            if let Frame::Open { name, .. } = frame
                && late
            {
                let name = one_line(name);
                let text = format!("stream `{name}` is open on another connection: end that");
                return Err(ServiceEnd::Refused(text));
            }
        }
    }
}
