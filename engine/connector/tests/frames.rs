//! Frames: what was written is read however it is cut, and anything else is refused with bounded
//! memory.

use std::io::{self, Read};
use std::time::Instant;

use potoroo_connector::{
    Error, FRAME_BYTES_MAX, Frame, FrameReader, HELLO_BYTES_MAX, Malformed, Role, VERSION,
};
use proptest::prelude::*;

fn frames() -> Vec<Frame<'static>> {
    vec![
        Frame::Hello {
            version: VERSION,
            role: Role::Source,
            token: "t",
            application: "",
            endpoint: "ü",
        },
        Frame::Hello {
            version: VERSION,
            role: Role::Sink,
            token: "",
            application: "a",
            endpoint: "b",
        },
        Frame::Welcome { version: VERSION, last: u128::MAX },
        Frame::Refused { reason: "no" },
        Frame::Open { stream: 1, name: "orders", from: 1 << 40 },
        Frame::Resume { stream: u32::MAX, after: 3 },
        Frame::Credit { stream: 0, messages: 4096 },
        Frame::Message { stream: 2, id: 9, payload: b"" },
        Frame::Message { stream: 2, id: 10, payload: b"payload" },
        Frame::Ack { stream: 2, id: 10 },
        Frame::End { stream: 2 },
        Frame::Ended { stream: 2 },
        Frame::Begin { transaction: 1 << 90, length: 5 },
        Frame::Data { payload: b"hello" },
        Frame::Commit { transaction: 1 << 33 },
        Frame::Committed { transaction: 1 << 33 },
    ]
}

/// Gives its bytes in pieces of these sizes, over and over.
struct Pieces<'a> {
    bytes: &'a [u8],
    sizes: &'a [usize],
    next: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let size = self.sizes[self.next % self.sizes.len()].max(1);
        self.next += 1;
        let bytes = size.min(into.len()).min(self.bytes.len());
        into[..bytes].copy_from_slice(&self.bytes[..bytes]);
        self.bytes = &self.bytes[bytes..];
        Ok(bytes)
    }
}

#[test]
fn the_layout_is_as_documented() {
    let mut out = Vec::new();
    Frame::Message { stream: 2, id: 258, payload: b"x" }.encode(&mut out);
    assert_eq!(out, [14, 0, 0, 0, 7, 2, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, b'x']);
    out.clear();
    let (token, application, endpoint) = ("t", "", "e");
    Frame::Hello { version: 1, role: Role::Sink, token, application, endpoint }.encode(&mut out);
    assert_eq!(out, *b"\x10\0\0\0\x01PTRO\x01\0\x02\x01\0t\0\0\x01\0e");
}

#[test]
fn a_length_is_refused_before_memory_is_taken_for_it() {
    let refused = |bytes: &[u8], welcome: bool| {
        let mut reader = FrameReader::new(bytes);
        if welcome {
            reader.welcome();
        }
        match reader.read() {
            Err(Error::Malformed(Malformed::Length { bytes, most })) => (bytes, most),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(&[0, 0, 0, 0], false), (0, HELLO_BYTES_MAX));
    assert_eq!(refused(&[255; 4], true), (u32::MAX as usize, FRAME_BYTES_MAX));
    let above = (HELLO_BYTES_MAX as u32 + 1).to_le_bytes();
    assert_eq!(refused(&above, false), (HELLO_BYTES_MAX + 1, HELLO_BYTES_MAX));
}

/// Byte by byte, each in time, without end: that ends at the deadline all the same.
#[test]
fn a_stranger_is_read_until_its_time_is_over() {
    let mut bytes = Vec::new();
    Frame::End { stream: 1 }.encode(&mut bytes);
    let mut over = FrameReader::new(&bytes[..]).until(Instant::now());
    match over.read() {
        Err(Error::Io(error)) => assert_eq!(error.kind(), io::ErrorKind::TimedOut),
        other => panic!("{other:?}"),
    }
    over.welcome();
    assert!(matches!(over.read(), Ok(Some(Frame::End { stream: 1 }))), "nothing is lost");
}

#[test]
fn an_end_within_a_frame_differs_from_one_between_two() {
    let mut bytes = Vec::new();
    Frame::End { stream: 1 }.encode(&mut bytes);
    let whole = bytes.len();
    Frame::End { stream: 1 }.encode(&mut bytes);
    for end in whole..bytes.len() {
        let mut reader = FrameReader::new(&bytes[..end]);
        assert!(matches!(reader.read(), Ok(Some(Frame::End { stream: 1 }))));
        match reader.read() {
            Ok(None) => assert_eq!(end, whole),
            Err(Error::Io(error)) => {
                assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "cut at {end}");
            }
            other => panic!("cut at {end}: {other:?}"),
        }
    }
}

#[test]
fn every_frame_that_is_cut_or_longer_is_malformed() {
    for frame in frames() {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        assert_eq!(Frame::decode(&bytes[4..]), Ok(frame));
        let has_bytes = matches!(frame, Frame::Message { .. } | Frame::Data { .. });
        for end in 4..bytes.len() {
            let decoded = Frame::decode(&bytes[4..end]);
            assert!(decoded.is_err() || has_bytes, "{frame:?} cut at {end}: {decoded:?}");
        }
        bytes.push(0);
        assert!(Frame::decode(&bytes[4..]).is_err() || has_bytes, "{frame:?} with more");
    }
}

/// Not taken for a malformed frame, whatever bytes stand behind its version.
#[test]
fn another_version_of_the_protocol_is_named() {
    for bytes in [&b"\x01PTRO\x02\0and whatever"[..], b"\x01PTRO\x02\0", b"\x02\x02\0more"] {
        assert_eq!(Frame::decode(bytes), Err(Malformed::Version(2)), "{bytes:?}");
    }
}

/// A reason may quote what the other side said: that is no cause to panic.
#[test]
fn a_reason_is_cut_off_between_two_characters() {
    let reason = "ü".repeat(40_000);
    let mut bytes = Vec::new();
    Frame::Refused { reason: &reason }.encode(&mut bytes);
    let mut reader = FrameReader::new(&bytes[..]);
    match reader.read() {
        Ok(Some(Frame::Refused { reason: cut })) => assert_eq!(cut, "ü".repeat(1024)),
        other => panic!("{other:?}"),
    }
}

proptest! {
    /// However the bytes come: the same frames, and none lost to an interruption.
    #[test]
    fn frames_are_read_however_they_are_cut(
        order in prop::collection::vec(0_usize..16, 1..60),
        sizes in prop::collection::vec(1_usize..40, 1..20),
    ) {
        let all = frames();
        let mut bytes = Vec::new();
        order.iter().for_each(|at| all[*at].encode(&mut bytes));
        let mut reader = FrameReader::new(Pieces { bytes: &bytes, sizes: &sizes, next: 0 });
        for at in &order {
            prop_assert_eq!(reader.read().expect("they are frames"), Some(all[*at]));
        }
        prop_assert!(reader.read().expect("it ends").is_none());
    }

    /// Garbage is an error or frames, never a panic, and what is decoded encodes to the same bytes.
    #[test]
    fn whatever_comes_is_a_frame_or_an_error(
        kind in 0_u8..20,
        rest in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let bytes = [&[kind], &rest[..]].concat();
        if let Ok(frame) = Frame::decode(&bytes) {
            let mut again = Vec::new();
            frame.encode(&mut again);
            prop_assert_eq!(&again[4..], &bytes[..]);
        }
        let mut reader = FrameReader::new(&rest[..]);
        while let Ok(Some(_)) = reader.read() {}
    }
}
