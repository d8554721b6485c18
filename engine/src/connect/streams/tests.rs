//! What positions in bytes mean to the clients of streams, and what they are told.

use super::*;

fn check(stream: &Stream, position: u64, id: u64, into: u64) {
    let found = stream.position(position);
    assert_eq!((found.id, found.into), (id, into), "at byte {position}");
}

#[test]
fn a_position_in_bytes_is_one_behind_a_message() {
    let recovered = StreamPosition { name: "a".into(), id: 40, into: 3, ended: false };
    let mut stream = Stream::recovered(Start { position: 103, ..Start::default() }, &recovered);
    check(&stream, 103, 40, 3);
    let notes = [(50, 110), (51, 110), (60, 125)];
    stream.notes.extend(notes.map(|(id, end)| Note { id, end }));
    stream.passed = Note { id: 60, end: 125 };
    check(&stream, 109, 40, 9);
    check(&stream, 110, 51, 0);
    check(&stream, 124, 51, 14);
    check(&stream, 125, 60, 0);
    let committed = stream.position(124);
    stream.acknowledge(&committed, Limits::default());
    assert_eq!((stream.base, stream.notes.len()), (Note { id: 51, end: 110 }, 1));
    check(&stream, 124, 51, 14);
}

#[test]
fn an_end_counts_behind_the_last_byte() {
    let mut stream = Stream::new("a", 7);
    stream.notes.push_back(Note { id: 8, end: 10 });
    stream.passed = Note { id: 8, end: 10 };
    stream.end = End::Ended;
    assert!(!stream.position(9).ended);
    let committed = stream.position(10);
    assert!(committed.ended);
    stream.acknowledge(&committed, Limits::default());
    assert_eq!(stream.end, End::Acknowledged);
}

#[test]
fn a_client_that_leaves_something_out_is_refused() {
    let mut stream = Stream::new("a", 0);
    stream.passed.id = 10;
    assert_eq!(stream.check_from(10), Ok(()));
    let refused = stream.check_from(11).expect_err("11 is missing");
    assert!(refused.contains("behind 10") && refused.contains("behind 11"), "{refused}");
}

/// Every checkpoint has a position of every stream, also where nothing comes.
#[test]
fn what_is_acknowledged_is_told_once() {
    let answers = Arc::new(Answers::default());
    let mut stream = Stream::new("a", 7);
    stream.client = Some((answers.clone(), 0));
    stream.notes.push_back(Note { id: 8, end: 10 });
    stream.passed = Note { id: 8, end: 10 };
    let committed = stream.position(10);
    for is_told in [true, false] {
        stream.acknowledge(&committed, Limits::default());
        let mut out = Vec::new();
        answers.take(&mut out, Some(Duration::ZERO));
        assert_eq!(!out.is_empty(), is_told, "{out:?}");
    }
}

/// Else whoever ends streams as fast as it opens them takes room for as many as there are names.
#[test]
fn a_stream_counts_as_open_until_its_end_is_acknowledged() {
    let streams = Streams::new(SourceId(0), true, Vec::new(), &[], Arc::default());
    let mut all = streams.lock();
    for name in 0..STREAMS_MAX {
        let at = streams.find(&mut all, &name.to_string(), 0).expect("there is room");
        all[at].end = End::Ended;
    }
    let refused = streams.find(&mut all, "more", 0).expect_err("it is one too many");
    assert!(refused.contains("64 streams are open"), "{refused}");
    assert_eq!(streams.find(&mut all, "5", 0), Ok(5), "it is no new one");
    all[5].end = End::Acknowledged;
    assert_eq!(streams.find(&mut all, "more", 0), Ok(STREAMS_MAX));
}
