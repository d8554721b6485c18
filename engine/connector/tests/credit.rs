//! A client of a source that waits for credit: it goes on as soon as it has some.

use std::io::Write;
use std::net::{TcpListener, TcpStream};

use potoroo_connector::{Frame, FrameReader, Options, Source, VERSION};

fn say(mut to: &TcpStream, frame: Frame<'_>) {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    to.write_all(&bytes).expect("it is connected");
}

/// The engine sends nothing after the credit: what it got is less than a frame of its codec, and
/// the client wants to send the rest.
#[test]
fn a_message_that_waited_for_credit_is_sent_without_waiting_for_more() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let engine = std::thread::spawn(move || {
        let (to, _) = listener.accept().expect("it connects");
        let mut reader = FrameReader::new(&to);
        let mut expect = |expected: Option<Frame<'_>>| {
            let frame = reader.read().expect("it is the protocol").expect("it goes on");
            assert!(expected.is_none_or(|expected| frame == expected), "{frame:?}");
        };
        expect(None);
        say(&to, Frame::Welcome { version: VERSION, last: 0 });
        expect(Some(Frame::Open { stream: 0, name: "one", from: 0 }));
        // Credit first: it has come when the stream is open.
        say(&to, Frame::Credit { stream: 0, messages: 1 });
        say(&to, Frame::Resume { stream: 0, after: 0 });
        expect(Some(Frame::Message { stream: 0, id: 1, payload: b"1" }));
        say(&to, Frame::Credit { stream: 0, messages: 1 });
        expect(Some(Frame::Message { stream: 0, id: 2, payload: b"2" }));
        expect(Some(Frame::End { stream: 0 }));
        say(&to, Frame::Ack { stream: 0, id: 2 });
        say(&to, Frame::Ended { stream: 0 });
    });
    let mut source = Source::connect(Options::new(address)).expect("it is let in");
    let (one, _) = source.open("one", 0).expect("it is opened");
    source.send(one, 1, b"1").expect("it is taken");
    source.send(one, 2, b"2").expect("it is taken");
    source.end(one);
    source.finish().expect("all of it is acknowledged");
    engine.join().expect("it received what it should");
}

/// The engine has gone back and sends nothing before it has everything again: its next checkpoint
/// may take seconds.
#[test]
fn what_comes_again_is_sent_without_waiting_for_answers() {
    const COUNT: u64 = 200;
    let payload = [7; 2048];
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let engine = std::thread::spawn(move || {
        for last in [false, true] {
            let (to, _) = listener.accept().expect("it connects");
            let mut reader = FrameReader::new(&to);
            let mut expect = |expected: Option<Frame<'_>>| {
                let frame = reader.read().expect("it is the protocol").expect("it goes on");
                assert!(expected.is_none_or(|expected| frame == expected), "{}", frame.name());
            };
            expect(None);
            say(&to, Frame::Welcome { version: VERSION, last: 0 });
            expect(Some(Frame::Open { stream: 0, name: "one", from: 0 }));
            say(&to, Frame::Credit { stream: 0, messages: 4096 });
            say(&to, Frame::Resume { stream: 0, after: 0 });
            for id in 1..=COUNT {
                expect(Some(Frame::Message { stream: 0, id, payload: &payload }));
            }
            if last {
                expect(Some(Frame::End { stream: 0 }));
                say(&to, Frame::Ack { stream: 0, id: COUNT });
                say(&to, Frame::Ended { stream: 0 });
            }
        }
    });
    let mut source = Source::connect(Options::new(address)).expect("it is let in");
    let (one, _) = source.open("one", 0).expect("it is opened");
    for id in 1..=COUNT {
        source.send(one, id, &payload).expect("it is taken");
    }
    source.flush().expect("it is written");
    source.end(one);
    source.finish().expect("all of it is acknowledged");
    engine.join().expect("it received what it should");
}
