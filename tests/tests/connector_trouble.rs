//! Sources of connectors in trouble: clients that are strangers or send what they may not, and
//! addresses that cannot work. Each gets a clear word, and nothing that was acknowledged is lost.

mod support;

use std::fs::Permissions;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;

use potoroo_connector::{Error, Frame, FrameReader, Options, Role, Source, VERSION};
use rustix::process::Signal;
use support::{App, Scratch, connect, named, wait_for_status};

const WINDOWS: &str = "sequence_windows";

/// An application with one source for connectors, which know the token `hush`.
struct Subject {
    app: App,
    address: SocketAddr,
}

impl Subject {
    fn start(more: &str) -> Self {
        let mut app = App::start(
            WINDOWS,
            &format!(
                "--source numbers=potoroo://127.0.0.1:0?token=hush --sink windows=null: --cores \
                 0,0 --report json {more}"
            ),
        );
        let address = app.listening("numbers");
        Self { app, address }
    }

    fn client(&self) -> Client {
        let mut client = Client::connect(self.address);
        client.say(hello("hush"));
        match client.receive() {
            Some(Frame::Welcome { version: VERSION, .. }) => {}
            other => panic!("{other:?} instead of a welcome"),
        }
        client.reader.welcome();
        client
    }

    /// A good client is still served.
    fn check_alive(&self) {
        let options = Options { token: "hush".into(), ..Options::new(self.address.to_string()) };
        let mut source = Source::connect(options).expect("it is let in");
        let (stream, after) = source.open("good", 0).expect("it is opened");
        source.send(stream, after + 1, b"1\n").expect("it is taken");
        source.wait(stream, after + 1).expect("it is acknowledged");
    }

    /// Stops it; returns its log.
    fn stop(self) -> String {
        self.app.signal(Signal::TERM);
        let ended = self.app.finish();
        ended.report();
        assert!(!ended.log.contains("hush"), "a token in the log: {}", ended.log);
        assert!(!ended.log.contains("panicked"), "{}", ended.log);
        ended.log
    }
}

fn hello(token: &str) -> Frame<'_> {
    let (application, endpoint) = ("", "");
    Frame::Hello { version: VERSION, role: Role::Source, token, application, endpoint }
}

/// A client that sends any frame that a test wants.
struct Client {
    to: TcpStream,
    reader: FrameReader<TcpStream>,
}

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let to = connect(address);
        let reader = FrameReader::new(to.try_clone().expect("a descriptor"));
        Self { to, reader }
    }

    fn say(&mut self, frame: Frame<'_>) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        self.send(&bytes);
    }

    /// Sends bytes; a connection that is closed meanwhile is noticed by the next `receive`.
    fn send(&mut self, bytes: &[u8]) {
        let _ = self.to.write_all(bytes);
    }

    fn receive(&mut self) -> Option<Frame<'_>> {
        self.reader.read().expect("it is the protocol")
    }

    fn open(&mut self, stream: u32, name: &str, from: u64) {
        self.say(Frame::Open { stream, name, from });
    }

    fn message(&mut self, id: u64) {
        self.say(Frame::Message { stream: 0, id, payload: b"1\n" });
    }

    /// Reads until the refusal, and returns its reason.
    #[track_caller]
    fn refusal(mut self) -> String {
        loop {
            match self.reader.read() {
                Ok(Some(Frame::Refused { reason })) => return reason.to_owned(),
                Ok(Some(_)) => {}
                other => panic!("{other:?} instead of a refusal"),
            }
        }
    }
}

#[track_caller]
fn check(text: &str, parts: &[&str]) {
    parts.iter().for_each(|part| assert!(text.contains(part), "`{part}` is not in: {text}"));
}

#[test]
fn strangers_are_refused_with_a_reason() {
    let mut subject = Subject::start("--admin 127.0.0.1:0 --connections-max 2");
    let admin = subject.app.admin();
    for (bytes, parts) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], &["a frame says", "4096"][..]),
        (&[5, 0, 0, 0, 1, b'H', b'T', b'T', b'P'], &["PTRO"]),
        (&[1, 0, 0, 0, 99], &["no frame of kind 99"]),
        (&[5, 0, 0, 0, 9, 0, 0, 0, 0], &["End comes before Hello"]),
    ] {
        let mut client = Client::connect(subject.address);
        client.send(bytes);
        check(&client.refusal(), parts);
    }
    let refused = |frame: Frame<'_>| {
        let mut client = Client::connect(subject.address);
        client.say(frame);
        client.refusal()
    };
    let of = |version, role, application, endpoint| {
        refused(Frame::Hello { version, role, token: "hush", application, endpoint })
    };
    for token in ["", "hus", "hush!", "HUSH"] {
        check(&refused(hello(token)), &["the token is another one"]);
    }
    check(&of(2, Role::Source, "", ""), &["version 2 of the protocol, this is 1"]);
    check(&of(VERSION, Role::Sink, "", ""), &["this is a source"]);
    let other = of(VERSION, Role::Source, "word-count", "lines");
    check(&other, &["`lines` of `word-count`", "`numbers` of `sequence-windows`"]);
    // Clients that send nothing disturb no other client, and take no room of theirs.
    let _silent = [Client::connect(subject.address), Client::connect(subject.address)];
    subject.check_alive();
    let status =
        wait_for_status(admin, |status| named(status, "sources", "numbers")["events"] == 1);
    assert!(!status.to_string().contains("hush"), "a token in {status}");
    check(&subject.stop(), &["refused 127.0.0.1", "the token is another one"]);
}

#[test]
fn clients_that_break_a_rule_are_refused_and_keep_what_was_acknowledged() {
    let mut subject = Subject::start("--admin 127.0.0.1:0");
    let admin = subject.app.admin();
    let refused = |send: &dyn Fn(&mut Client)| {
        let mut client = subject.client();
        send(&mut client);
        client.refusal()
    };
    check(&refused(&|client| client.message(1)), &["stream 0 is not open"]);
    check(&refused(&|client| client.say(Frame::Commit { transaction: 1 })), &["Commit is not for"]);
    check(&refused(&|client| client.send(&[0, 0, 32, 0])), &["2097152 bytes", "1048576"]);
    check(&refused(&|client| client.open(0, "", 0)), &["1 to 255"]);
    let newlines = refused(&|client| {
        let text = [&(u16::MAX - 5).to_le_bytes()[..], &[b'\n'; u16::MAX as usize - 5]].concat();
        client.send(&[&(1 + text.len() as u32).to_le_bytes()[..], &[3], &text].concat());
    });
    check(&newlines, &["it refused: \\n\\n"]);
    let zero = refused(&|client| {
        client.open(0, "zero", 0);
        client.message(0);
    });
    check(&zero, &["message 0 of stream 0", "begin at 1"]);
    let twice = refused(&|client| {
        client.open(0, "twice", 0);
        client.open(0, "again", 0);
    });
    check(&twice, &["stream 0 is open already"]);
    let disorder = refused(&|client| {
        client.open(0, "disorder", 0);
        [3, 5, 5].into_iter().for_each(|id| client.message(id));
    });
    check(&disorder, &["message 5 of stream 0 comes after 5", "ids rise"]);
    let after = refused(&|client| client.open(0, "disorder", 6));
    check(&after, &["continues after message 5", "after 6", "would be lost"]);
    let ended = refused(&|client| {
        client.open(0, "ended", 0);
        client.message(1);
        client.say(Frame::End { stream: 0 });
        client.message(2);
    });
    check(&ended, &["stream 0 has ended"]);
    // What came in order has stayed: a client that begins again goes on after it, and what it
    // sends again is passed over.
    let mut client = subject.client();
    client.open(0, "disorder", 0);
    loop {
        match client.receive().expect("it is served") {
            Frame::Resume { after, .. } => assert_eq!(after, 5),
            Frame::Ack { id: 5, .. } => break,
            _ => {}
        }
    }
    [3, 5].into_iter().for_each(|id| client.message(id));
    wait_for_status(admin, |status| named(status, "sources", "numbers")["repeated"] == 2);
    drop(client);
    subject.check_alive();
    subject.stop();
}

/// Until one of them has gone.
#[test]
fn a_client_too_many_is_refused() {
    let subject = Subject::start("");
    let mut clients: Vec<Client> = (0..128).map(|_| subject.client()).collect();
    let attempt = || {
        let mut one_more = Client::connect(subject.address);
        one_more.say(hello("hush"));
        match one_more.receive() {
            Some(Frame::Welcome { .. }) => None,
            Some(Frame::Refused { reason }) => Some(reason.to_owned()),
            other => panic!("{other:?}"),
        }
    };
    check(&attempt().expect("it is refused"), &["128 clients are connected", "end some"]);
    clients.pop();
    while let Some(reason) = attempt() {
        check(&reason, &["128 clients are connected"]);
    }
    subject.stop();
}

/// The client that had it may have vanished.
#[test]
fn a_stream_belongs_to_the_last_that_opened_it() {
    let subject = Subject::start("");
    let mut itself = subject.client();
    itself.open(0, "itself", 0);
    itself.open(1, "itself", 0);
    check(&itself.refusal(), &["`itself` is open on this connection already"]);
    let mut first = subject.client();
    first.open(0, "one", 0);
    assert!(matches!(first.receive(), Some(Frame::Resume { after: 0, .. })));
    let mut second = subject.client();
    second.open(0, "one", 0);
    assert!(matches!(second.receive(), Some(Frame::Resume { after: 0, .. })));
    check(&first.refusal(), &["`one` was opened on another connection"]);
    subject.stop();
}

/// A source that cannot find the end of a frame any more says so, and what follows stays at the
/// client.
#[test]
fn a_stream_that_the_codec_does_not_understand_is_refused_by_name() {
    let mut app = App::start(
        "market_spread",
        "--source quotes=gen:quotes?count=1 --source orders=potoroo://127.0.0.1:0 --sink \
         rejections=null: --cores 0 --report json",
    );
    let address = app.listening("orders");
    let mut source = Source::connect(Options::new(address.to_string())).expect("it is let in");
    let (orders, _) = source.open("orders", 0).expect("it is opened");
    let refused = (1..).find_map(|id| {
        let sent = source.send(orders, id, &[255; 64]).and_then(|()| source.flush());
        sent.err()
    });
    let Some(Error::Refused(reason)) = refused else { panic!("{refused:?}") };
    check(&reason, &["cannot be read any further", "codec"]);
    app.signal(Signal::TERM);
    app.finish().report();
}

/// What cannot be an event is refused, and the end of the stream counts all the same.
#[test]
fn a_stream_that_ends_within_a_frame_is_acknowledged_to_its_end() {
    let scratch = Scratch::new("connector-cut-off");
    for state in [String::new(), format!("--state {} --checkpoint-ms 10", scratch.path("state"))] {
        let mut app = App::start(
            "market_spread",
            &format!(
                "--source quotes=gen:quotes?count=1 --source orders=potoroo://127.0.0.1:0 --sink \
                 rejections=null: --cores 0 --seconds 60 --report json {state}"
            ),
        );
        let address = app.listening("orders");
        let mut source = Source::connect(Options::new(address.to_string())).expect("it is let in");
        let (orders, _) = source.open("orders", 0).expect("it is opened");
        source.send(orders, 1, &[0; 3]).expect("it is taken");
        source.end(orders);
        source.finish().expect("all of it is acknowledged");
        app.signal(Signal::TERM);
        let report = app.finish().report();
        assert_eq!(named(&report, "sources", "orders")["refused"], 1, "{report}");
    }
}

#[test]
fn addresses_that_cannot_work_are_refused_before_anything_runs() {
    let refuse = |arguments: &str, parts: &[&str]| {
        let ended = App::start(WINDOWS, arguments).finish();
        ended.refused(1, parts);
        assert!(!ended.log.contains("hush"), "a token in {}", ended.log);
    };
    refuse(
        "--source numbers=potoroo://0.0.0.0:0 --sink windows=null:",
        &["any process could connect", "?token="],
    );
    refuse(
        "--source numbers=gen:numbers --sink windows=potoroo://127.0.0.1:9?token=hush",
        &["--state DIR", "tcp:"],
    );
    refuse(
        "--source numbers=potoroo://127.0.0.1?token=hush --sink windows=null:",
        &["names no port", "token=…"],
    );
}

#[test]
fn a_token_is_read_from_a_file_that_is_named_if_others_can_read_it() {
    let scratch = Scratch::new("connector-token");
    let file = scratch.write("token", b"hush\n");
    let allow = |mode| std::fs::set_permissions(&file, Permissions::from_mode(mode)).expect("ours");
    for (mode, warns) in [(0o644, true), (0o600, false)] {
        allow(mode);
        let arguments = format!(
            "--source numbers=potoroo://127.0.0.1:0?token-file={file} --sink windows=null: \
             --cores 0 --report json"
        );
        let mut app = App::start(WINDOWS, &arguments);
        let address = app.listening("numbers");
        let subject = Subject { app, address };
        subject.check_alive();
        let mut stranger = Client::connect(address);
        stranger.say(hello("hush\n"));
        check(&stranger.refusal(), &["the token is another one"]);
        let log = subject.stop();
        assert_eq!(log.contains("every user of this host"), warns, "{log}");
    }
}

#[test]
fn tokens_that_no_client_could_send_are_refused() {
    let scratch = Scratch::new("connector-no-token");
    let refuse = |source: &str, sink: &str, parts: &[&str]| {
        let state = scratch.path("state");
        let arguments = format!("--source numbers={source} --sink windows={sink} --state {state}");
        let ended = App::start(WINDOWS, &arguments).finish();
        ended.refused(1, parts);
    };
    let gone = scratch.path("gone");
    let from = |file: &str| format!("potoroo://127.0.0.1:1?token-file={file}");
    refuse(&from(&gone), "null:", &["source `numbers`", "token-file `", "gone`: No such file"]);
    let empty = scratch.write("empty", b"\n");
    refuse("gen:numbers", &from(&empty), &["sink `windows`", "empty` is empty"]);
    let long = format!("potoroo://127.0.0.1:1?token={}", "x".repeat(70_000));
    refuse(&long, "null:", &["source `numbers`", "over 1024 bytes"]);
    refuse("gen:numbers", &long, &["sink `windows`", "over 1024 bytes"]);
}
