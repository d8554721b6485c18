//! What positions in bytes mean to the clients of streams, and which answers they are sent.

use super::*;

fn at(position: u64) -> Start {
    Start { position, ..Start::default() }
}

fn check(stream: &ClientStream, position: u64, id: u64, into: u64) {
    let found = stream.position(position);
    assert_eq!((found.id, found.into), (id, into), "at byte {position}");
}

#[test]
fn a_position_in_bytes_is_one_behind_a_message() {
    let recovered = StreamPosition {
        name: "a".into(),
        id: 40,
        into: 3,
        several: false,
        first: None,
        ended: false,
    };
    let mut stream = ClientStream::recovered(at(103), &recovered);
    check(&stream, 103, 40, 3);
    let notes = [(50, 110), (51, 110), (60, 125)];
    stream.notes.extend(notes.map(|(id, end)| Note::new(id, end)));
    stream.passed = Note::new(60, 125);
    check(&stream, 109, 40, 9);
    check(&stream, 110, 51, 0);
    check(&stream, 124, 51, 14);
    check(&stream, 125, 60, 0);
    let committed = stream.position(124);
    stream.acknowledge(&committed, Limits::default());
    assert_eq!((stream.base, stream.notes.len()), (Note::new(51, 110), 1));
    check(&stream, 124, 51, 14);
}

#[test]
fn an_end_counts_behind_the_last_byte() {
    let mut stream = ClientStream::new("a");
    stream.notes.push_back(Note::new(8, 10));
    stream.passed = Note::new(8, 10);
    stream.end = StreamEnd::Ended;
    assert!(!stream.position(9).ended);
    let committed = stream.position(10);
    assert!(committed.ended);
    stream.acknowledge(&committed, Limits::default());
    assert_eq!(stream.end, StreamEnd::Acknowledged);
}

#[test]
fn a_client_that_leaves_something_out_is_refused() {
    let mut stream = ClientStream::new("a");
    stream.passed.id = 10;
    assert_eq!(stream.resume_after(10), Ok(10));
    let refused = stream.resume_after(11).expect_err("11 is missing");
    assert!(refused.contains("after message 10") && refused.contains("after 11"), "{refused}");
}

/// Every checkpoint has a position of every stream, also where nothing comes.
#[test]
fn what_is_acknowledged_is_sent_once() {
    let answers = Arc::new(Answers::default());
    let mut stream = ClientStream::new("a");
    stream.client = Some((answers.clone(), 0));
    stream.notes.push_back(Note::new(8, 10));
    stream.passed = Note::new(8, 10);
    let committed = stream.position(10);
    for is_sent in [true, false] {
        stream.acknowledge(&committed, Limits::default());
        let mut out = Vec::new();
        answers.take(&mut out, Duration::ZERO);
        assert_eq!(!out.is_empty(), is_sent, "{out:?}");
    }
}

/// Otherwise a client that ends streams as fast as it opens them takes room without limit.
#[test]
fn a_stream_counts_as_open_until_its_end_is_acknowledged() {
    let streams = Streams::new(SourceId(0), true, Vec::new(), &[], Arc::default());
    let mut all = streams.lock();
    for name in 0..STREAMS_MAX {
        let at = streams.find(&mut all, &name.to_string()).expect("there is room");
        all[at].end = StreamEnd::Ended;
    }
    let refused = streams.find(&mut all, "more").expect_err("it is one too many");
    assert!(refused.contains("64 streams are open"), "{refused}");
    assert_eq!(streams.find(&mut all, "5"), Ok(5), "it is no new one");
    all[5].end = StreamEnd::Acknowledged;
    assert_eq!(streams.find(&mut all, "more"), Ok(STREAMS_MAX));
}

/// Otherwise one client with too great a first id decides for ever what others can send.
#[test]
fn a_stream_of_which_nothing_was_taken_has_no_beginning() {
    let mut stream = ClientStream::new("a");
    assert_eq!((stream.resume_after(1000), stream.resume_after(0)), (Ok(1000), Ok(0)));
    stream.begin_after(1000);
    assert_eq!(stream.resume_after(0), Ok(0), "its first message has not come through");
    let stored = stream.position(0);
    assert_eq!((stored.id, stored.first), (0, None));
    assert_eq!(ClientStream::recovered(at(0), &stored).resume_after(5), Ok(5));
    stream.skip = ResentBytes { bytes: 3, several: false };
    assert_eq!(stream.resume_after(0), Ok(1000), "it has a part of the message after 1000");
    let stored = stream.position(3);
    assert_eq!((stored.id, stored.into, stored.first), (0, 3, Some(1000)));
    let recovered = ClientStream::recovered(at(3), &stored);
    assert_eq!((recovered.resume_after(1000), recovered.skip.bytes), (Ok(1000), 3));
    assert!(recovered.resume_after(1001).is_err());
}

#[test]
fn a_beginning_that_an_earlier_version_stored_for_nothing_does_not_count() {
    let old = |ended| StreamPosition {
        name: "a".into(),
        id: 1000,
        into: 0,
        several: false,
        first: None,
        ended,
    };
    assert_eq!(ClientStream::recovered(at(0), &old(false)).resume_after(0), Ok(0));
    assert!(ClientStream::recovered(at(0), &old(true)).end == StreamEnd::Acknowledged);
    assert!(ClientStream::recovered(at(7), &old(false)).resume_after(1001).is_err());
}

/// What was acknowledged since the older checkpoint is not at the client any more.
#[test]
fn a_stream_that_began_after_the_checkpoint_that_was_restored_is_needed_from_there() {
    let begun = StreamPosition {
        name: "a".into(),
        id: 0,
        into: 0,
        several: false,
        first: Some(10),
        ended: false,
    };
    let stream = ClientStream::recovered(at(0), &begun);
    assert_eq!((stream.resume_after(0), stream.resume_after(10)), (Ok(0), Ok(10)));
    let refused = stream.resume_after(11).expect_err("11 is missing");
    assert!(refused.contains("began after 10") && refused.contains("restored"), "{refused}");
    assert_eq!(stream.position(0), begun, "it stays so until something comes");
}

/// One event may span any number of messages, and nothing of it is acknowledged before it is whole.
#[test]
fn more_messages_than_can_be_noted_keep_their_last_end_and_a_part_of_the_others() {
    let limits = Limits { notes: 8, ..Limits::default() };
    let mut stream = ClientStream::new("a");
    for id in 1..=1000 {
        stream.note(&mut vec![Note::new(id, 10 * id)], limits);
        assert!(stream.notes.len() <= 8 && stream.notes.back() == Some(&stream.passed));
    }
    check(&stream, 10_000, 1000, 0);
    let within = stream.position(5_003);
    assert!(within.several && within.id < 500 && 10 * within.id + within.into == 5_003);
    let mut recovered = ClientStream::recovered(at(5_003), &within);
    assert_eq!(recovered.skip, ResentBytes { bytes: within.into, several: true });
    recovered.note(&mut vec![Note::new(500, 5_000)], limits);
    check(&recovered, 5_003, 500, 3);
    stream.acknowledge(&within, limits);
    assert_eq!(stream.base.id, within.id);
    check(&stream, 5_003, within.id, within.into);
}
