//! Strangers that connect to a sink and are no engine: they keep none out, and disturb none.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;

use potoroo_connector::{Error, Frame, FrameReader, Options, Piece, Role, Sink, Source, VERSION};

/// Nothing that works takes so long, even on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// More than are listened to at once, and than could say nothing one after the other within the
/// limit.
const STRANGERS: usize = 20;

/// Who connects to the sink.
struct Peer {
    to: TcpStream,
    reader: FrameReader<TcpStream>,
}

impl Peer {
    fn connect(address: SocketAddr) -> Self {
        let to = TcpStream::connect(address).expect("it listens");
        to.set_read_timeout(Some(LIMIT)).expect("a limit");
        to.set_nodelay(true).expect("a flag");
        let reader = FrameReader::new(to.try_clone().expect("a descriptor"));
        Self { to, reader }
    }

    fn engine(address: SocketAddr) -> Self {
        let mut engine = Self::connect(address);
        let (token, application, endpoint) = ("hush", "", "");
        let hello =
            Frame::Hello { version: VERSION, role: Role::Sink, token, application, endpoint };
        engine.send(hello);
        engine
    }

    fn send(&mut self, frame: Frame<'_>) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        self.to.write_all(&bytes).expect("it is connected");
    }

    #[track_caller]
    fn check_welcome(&mut self) {
        let answer = self.reader.read().expect("it is answered");
        assert_eq!(answer, Some(Frame::Welcome { version: VERSION, last: 0 }));
    }

    /// Brings one empty transaction.
    #[track_caller]
    fn check_served(&mut self, transaction: u128) {
        self.send(Frame::Begin { transaction, length: 0 });
        self.send(Frame::Commit { transaction });
        let answer = self.reader.read().expect("it is answered");
        assert_eq!(answer, Some(Frame::Committed { transaction }));
    }
}

/// A sink that takes everything. Ends when it is dropped.
struct Taker {
    address: SocketAddr,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Taker {
    /// Begins when `others` have connected.
    fn start(others: impl FnOnce(SocketAddr)) -> Self {
        let mut sink = Sink::listen("127.0.0.1:0", "hush", 0).expect("a free port");
        let address = sink.address().expect("it is bound");
        others(address);
        let over = Arc::new(AtomicBool::new(false));
        let asked = over.clone();
        let run = move || {
            while !asked.load(Ordering::Relaxed) {
                if let Some(Piece::End { transaction }) = sink.try_next().expect("it listens") {
                    sink.commit(transaction);
                }
            }
        };
        Self { address, over, thread: Some(std::thread::spawn(run)) }
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let joined = self.thread.take().expect("only once").join();
        assert!(joined.is_ok() || std::thread::panicking(), "it panicked");
    }
}

/// They are silent, or have begun to say something.
fn strangers(address: SocketAddr) -> Vec<Peer> {
    let mut all: Vec<Peer> = (0..STRANGERS).map(|_| Peer::connect(address)).collect();
    for stranger in all.iter_mut().skip(1).step_by(2) {
        stranger.to.write_all(&[40, 0, 0, 0, 1]).expect("it is connected");
    }
    all
}

#[test]
fn strangers_that_say_nothing_keep_no_engine_out_that_comes_behind_them() {
    let mut silent = Vec::new();
    let taker = Taker::start(|address| silent = strangers(address));
    let mut engine = Peer::engine(taker.address);
    engine.check_welcome();
    engine.check_served(1);
}

#[test]
fn strangers_that_say_nothing_keep_no_engine_out_that_was_there_before_them() {
    let mut engine = None;
    let mut silent = Vec::new();
    let taker = Taker::start(|address| {
        engine = Some(Peer::engine(address));
        silent = strangers(address);
    });
    let mut engine = engine.expect("it connected");
    engine.check_welcome();
    engine.check_served(1);
    silent.extend(strangers(taker.address));
    (2..100).for_each(|transaction| engine.check_served(transaction));
}

#[test]
fn the_engine_that_comes_last_is_served() {
    let taker = Taker::start(|_| ());
    let mut first = Peer::engine(taker.address);
    first.check_welcome();
    let mut second = Peer::engine(taker.address);
    second.check_welcome();
    second.check_served(1);
    assert!(!matches!(first.reader.read(), Ok(Some(_))), "it is hung up on");
}

#[test]
fn strangers_are_sent_why_they_are_refused() {
    let taker = Taker::start(|_| ());
    let (token, application, endpoint) = ("hash", "", "");
    for (version, role, token, reason) in [
        (VERSION, Role::Sink, token, "the token is another one"),
        (VERSION, Role::Source, "hush", "this is a sink"),
        (9, Role::Sink, "hush", "it speaks version 9 of the protocol, this is 1"),
    ] {
        let mut stranger = Peer::connect(taker.address);
        stranger.send(Frame::Hello { version, role, token, application, endpoint });
        let answer = stranger.reader.read().expect("it is answered");
        assert_eq!(answer, Some(Frame::Refused { reason }));
    }
}

/// A listener that sends nothing: patience ends.
#[test]
fn a_client_of_a_source_is_not_held_up_by_one_that_says_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let (sender, answer) = channel();
    std::thread::spawn(move || {
        let options = Options { patience: Duration::from_millis(50), ..Options::new(address) };
        sender.send(Source::connect(options).map(drop)).expect("the test waits");
    });
    let outcome = answer.recv_timeout(LIMIT).expect("an outcome");
    assert!(matches!(outcome, Err(Error::Io(_))), "{outcome:?}");
}
