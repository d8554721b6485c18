//! A client of a source whose stream is taken from it: it takes it back once, and gives way to
//! the client that takes it again.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use potoroo_connector::{Error, Frame, FrameReader, Options, Source, VERSION};

/// Nothing that works takes so long, even on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// The engine's side of a connection, which has got the message and not acknowledged it.
struct Engine {
    to: TcpStream,
    reader: FrameReader<TcpStream>,
}

impl Engine {
    fn accept(listener: &TcpListener) -> Self {
        let (to, _) = listener.accept().expect("it connects");
        to.set_read_timeout(Some(LIMIT)).expect("a limit");
        let reader = FrameReader::new(to.try_clone().expect("a descriptor"));
        let mut engine = Self { to, reader };
        assert!(matches!(engine.receive(), Frame::Hello { .. }));
        engine.send(Frame::Welcome { version: VERSION, last: 0 });
        engine.reader.welcome();
        assert_eq!(engine.receive(), Frame::Open { stream: 0, name: "one", from: 0 });
        engine.send(Frame::Resume { stream: 0, after: 0 });
        engine.send(Frame::Credit { stream: 0, messages: 10 });
        assert_eq!(engine.receive(), Frame::Message { stream: 0, id: 1, payload: b"1" });
        engine
    }

    fn send(&mut self, frame: Frame<'_>) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        self.to.write_all(&bytes).expect("it is connected");
    }

    fn receive(&mut self) -> Frame<'_> {
        self.reader.read().expect("it is the protocol").expect("it goes on")
    }

    fn refuse(mut self, reason: &str) {
        self.send(Frame::Refused { reason });
    }
}

/// Sends one message to the engine that `serve` plays, and waits until it is acknowledged.
fn send(serve: impl FnOnce(&TcpListener) + Send + 'static) -> Result<(), Error> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    std::thread::spawn(move || serve(&listener));
    let mut source = Source::connect(Options { patience: LIMIT, ..Options::new(address) })?;
    let (one, _) = source.open("one", 0)?;
    source.send(one, 1, b"1")?;
    source.wait(one, 1)
}

#[test]
fn a_stream_is_taken_back_from_a_connection_that_was_lost_before() {
    let sent = send(|listener| {
        Engine::accept(listener).refuse("another connection has it");
        Engine::accept(listener).send(Frame::Ack { stream: 0, id: 1 });
    });
    sent.expect("it has connected again");
}

#[test]
fn a_stream_is_left_to_a_client_that_takes_it_again() {
    let sent = send(|listener| {
        Engine::accept(listener).refuse("another connection has it");
        Engine::accept(listener).refuse("it has it again");
    });
    match sent {
        Err(Error::Refused(reason)) => assert_eq!(reason, "it has it again"),
        other => panic!("{other:?}"),
    }
}
