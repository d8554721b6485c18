//! The frame: the one representation of an event in rings, links and logs.
//!
//! ```text
//!    0        4        5       6        8         16        24           32          40
//!    ├────────┼────────┼───────┼────────┼─────────┼─────────┼────────────┼───────────┼─ ─ ─
//!    │ length │ source │ flags │  edge  │  hash   │ ingress │ connection │ position  │ body
//!    └────────┴────────┴───────┴────────┴─────────┴─────────┴────────────┴───────────┴─ ─ ─
//!      u32      u8       u8      u16      u64       u64       u64          u64
//!
//!    with TIME, between position and body, in nanoseconds since 1970:
//!    │ time i64 │ watermark i64 │ own watermark i64 │
//!                 with STAMP      with OWN
//! ```
//!
//! The origin, connection and position, travels with each frame: a reply finds its way by it, and
//! dead letters and the report of a panic name it. Frames of older checkpoints may have none; then
//! the flag ORIGIN is not set.
//!
//! The time of an event travels only through exchanges after which something uses it; where that
//! uses watermarks, the frame is stamped with one: nothing on time at or before it follows from the
//! core that has sent it. The own watermark of its connection stands beside it where some event of
//! the batch that was sent is late; an event without it is on time.
//!
//! Little-endian. `length` counts the whole frame; the ring writes it, last. `edge` is an
//! exchange, or a sink with OUTPUT; the body is the archived event, or the encoded bytes.

use potoroo_runtime::Nanos;
use potoroo_sdk::host::{Cause, Origin, SourceId, Timing};
use potoroo_sdk::time::EventTime;

/// Bytes of a header without its origin.
pub const HEADER_BYTES: usize = 24;

/// Bytes of the length word at its front.
pub const LENGTH_BYTES: usize = 4;

/// Bytes that an origin adds.
pub const ORIGIN_BYTES: usize = 16;

const SOURCE_AT: usize = 4;
const FLAGS_AT: usize = 5;
const EDGE_AT: usize = 6;
const INGRESS_AT: usize = 16;

const FLAG_ORIGIN: u8 = 1;
const FLAG_OUTPUT: u8 = 2;
const FLAG_TIME: u8 = 4;
const FLAG_OWN: u8 = 8;
const FLAG_STAMP: u8 = 16;

/// The flags of frames of events that travel without time, as most do.
const FLAGS_PLAIN: u8 = FLAG_ORIGIN;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameEdge {
    /// An archived event after an exchange.
    Exchange(u16),
    /// Encoded bytes for a sink or reply.
    Output(u16),
}

/// What stands before a frame's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the frame is for.
    pub edge: FrameEdge,
    /// Hash of the key; 0 for outputs.
    pub hash: u64,
    /// Where the frame came from. Its origin is zero when the frame carries none.
    pub cause: Cause,
}

/// What a frame says of the time of its event: flags of its header, and eight bytes for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeFields(u8);

impl TimeFields {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Its time; it is on time.
    pub const TIME: Self = Self(FLAG_TIME);
    /// All that there may be.
    pub const ALL: Self = Self(FLAG_TIME | FLAG_STAMP | FLAG_OWN);

    /// What frames of `timings` have to say, one for each event and none if they have no time,
    /// through an exchange with a watermark if they are to be `stamped`.
    #[inline(always)]
    pub fn of(timings: &[Timing], stamped: bool) -> Self {
        let stamp = if stamped { FLAG_STAMP } else { 0 };
        match timings {
            [] => Self::NONE,
            timings if timings.iter().any(Timing::is_late) => Self(FLAG_TIME | FLAG_OWN | stamp),
            _ => Self(FLAG_TIME | stamp),
        }
    }

    /// Bytes that it adds to a frame.
    #[inline(always)]
    pub const fn bytes(self) -> usize {
        8 * self.0.count_ones() as usize
    }

    #[inline(always)]
    const fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }

    /// Those of a frame with these flags.
    #[inline(always)]
    const fn of_flags(flags: u8) -> Self {
        Self(flags & Self::ALL.0)
    }
}

impl Header {
    /// Bytes of a frame with this body.
    #[inline(always)]
    pub fn frame_bytes(body_bytes: usize) -> usize {
        HEADER_BYTES + ORIGIN_BYTES + body_bytes
    }

    /// Writes a header after the length word of a frame, into `room`; returns the room for
    /// the body. The fields come one by one: a [`Cause`] copied whole would wait for the stores
    /// that just made it.
    #[inline(always)]
    pub fn write<'a>(
        edge: FrameEdge,
        hash: u64,
        cause: &Cause,
        room: &'a mut [u8],
    ) -> &'a mut [u8] {
        let (edge, flags) = match edge {
            FrameEdge::Exchange(id) => (id, FLAG_ORIGIN),
            FrameEdge::Output(id) => (id, FLAG_ORIGIN | FLAG_OUTPUT),
        };
        let (header, body) = room
            .split_first_chunk_mut::<{ HEADER_BYTES + ORIGIN_BYTES - LENGTH_BYTES }>()
            .expect("the room of a frame includes its header");
        let word = u32::from(cause.source.0) | u32::from(flags) << 8 | u32::from(edge) << 16;
        header[..4].copy_from_slice(&word.to_le_bytes());
        header[4..12].copy_from_slice(&hash.to_le_bytes());
        header[12..20].copy_from_slice(&cause.ingress.to_le_bytes());
        header[20..28].copy_from_slice(&cause.origin.connection.to_le_bytes());
        header[28..].copy_from_slice(&cause.origin.position.to_le_bytes());
        body
    }

    /// As [`write`](Self::write), with `fields` of the time of an event, which are not none, to an
    /// exchange.
    #[inline]
    pub fn write_timed<'a>(
        exchange: u16,
        hash: u64,
        (cause, timing): (&Cause, &Timing),
        fields: TimeFields,
        room: &'a mut [u8],
    ) -> &'a mut [u8] {
        let (header, mut room) = room.split_at_mut(HEADER_BYTES + ORIGIN_BYTES - LENGTH_BYTES);
        Self::write(FrameEdge::Exchange(exchange), hash, cause, header);
        header[FLAGS_AT - LENGTH_BYTES] |= fields.0;
        let moments =
            [(FLAG_TIME, timing.time), (FLAG_STAMP, timing.watermark), (FLAG_OWN, timing.own)];
        for (_, moment) in moments.into_iter().filter(|(flag, _)| fields.has(*flag)) {
            let (field, rest) = room.split_at_mut(size_of::<i64>());
            field.copy_from_slice(&moment.nanos().to_le_bytes());
            room = rest;
        }
        room
    }

    /// Reads the header of a whole frame and returns it with the body.
    #[inline(always)]
    pub fn read(frame: &[u8]) -> (Self, &[u8]) {
        let (header, body) =
            frame.split_first_chunk::<HEADER_BYTES>().expect("frames have headers");
        let [_, _, _, _, source, flags, edge @ ..] = header;
        let edge = u16::from_le_bytes([edge[0], edge[1]]);
        let edge = match flags & FLAG_OUTPUT {
            0 => FrameEdge::Exchange(edge),
            _ => FrameEdge::Output(edge),
        };
        let (origin, body) = match flags & !FLAG_OUTPUT {
            FLAGS_PLAIN => Self::read_origin(body),
            flags => Self::read_others(flags, body),
        };
        let cause = Cause { ingress: word(&header[16..24]), origin, source: SourceId(*source) };
        (Self { edge, hash: word(&header[8..16]), cause }, body)
    }

    /// What a whole frame says of the time of its event, if it does. Apart from
    /// [`read`](Self::read), since most frames do not.
    #[inline]
    pub fn timing(frame: &[u8]) -> Option<Timing> {
        let (flags, rest) = (frame[FLAGS_AT], &frame[HEADER_BYTES..]);
        let fields = TimeFields::of_flags(flags);
        if !fields.has(FLAG_TIME) {
            return None;
        }
        let mut at = if flags & FLAG_ORIGIN == 0 { 0 } else { ORIGIN_BYTES };
        let mut moment = |flag| {
            if !fields.has(flag) {
                return EventTime::MIN;
            }
            at += size_of::<i64>();
            EventTime::from_nanos(word(&rest[at - size_of::<i64>()..at]).cast_signed())
        };
        let [time, watermark, own] = [FLAG_TIME, FLAG_STAMP, FLAG_OWN].map(&mut moment);
        Some(Timing { time, own, watermark })
    }

    /// Whether a whole frame is stamped with a watermark.
    pub fn is_stamped(frame: &[u8]) -> bool {
        frame[FLAGS_AT] & FLAG_STAMP != 0
    }

    /// Lowers the watermark with which a whole frame is stamped to `most`, if it is stamped.
    // cold: while a checkpoint is under way
    pub fn limit_stamp(frame: &mut [u8], most: EventTime) {
        if !Self::is_stamped(frame) {
            return;
        }
        let origin = if frame[FLAGS_AT] & FLAG_ORIGIN == 0 { 0 } else { ORIGIN_BYTES };
        let at = HEADER_BYTES + origin + TimeFields::TIME.bytes();
        let stamp = &mut frame[at..at + size_of::<i64>()];
        let now = EventTime::from_nanos(word(stamp).cast_signed());
        stamp.copy_from_slice(&now.min(most).nanos().to_le_bytes());
    }

    /// The origin and the body of a frame that has a time, or is of an older checkpoint.
    fn read_others(flags: u8, body: &[u8]) -> (Origin, &[u8]) {
        let (origin, body) = match flags & FLAG_ORIGIN {
            0 => (Origin::default(), body),
            _ => Self::read_origin(body),
        };
        (origin, &body[TimeFields::of_flags(flags).bytes()..])
    }

    /// As [`read`](Self::read), of bytes that may be no whole frame.
    pub fn try_read(frame: &[u8]) -> Option<(Self, &[u8])> {
        let flags = *frame.get(FLAGS_AT)?;
        let has = |flag| flags & flag != 0;
        let fields = TimeFields::of_flags(flags);
        let known = FLAG_ORIGIN | FLAG_OUTPUT | TimeFields::ALL.0;
        let without_time = fields != TimeFields::NONE && !has(FLAG_TIME);
        if flags & !known != 0 || without_time || has(FLAG_OUTPUT) && has(FLAG_TIME) {
            return None;
        }
        let origin_bytes = if has(FLAG_ORIGIN) { ORIGIN_BYTES } else { 0 };
        if frame.len() < HEADER_BYTES + origin_bytes + fields.bytes() {
            return None;
        }
        let times = EventTime::EVENT_MIN..=EventTime::EVENT_MAX;
        let possible = Self::timing(frame).is_none_or(|timing| times.contains(&timing.time));
        possible.then(|| Self::read(frame))
    }

    /// Makes a whole frame one that entered at `now`.
    pub fn enter_again(frame: &mut [u8], now: Nanos) {
        frame[INGRESS_AT..HEADER_BYTES].copy_from_slice(&now.0.to_le_bytes());
    }

    /// Makes a whole frame one for the exchange or sink `edge` that `source` caused.
    pub fn renumber(frame: &mut [u8], edge: u16, source: SourceId) {
        frame[SOURCE_AT] = source.0;
        frame[EDGE_AT..EDGE_AT + 2].copy_from_slice(&edge.to_le_bytes());
    }

    #[inline]
    fn read_origin(body: &[u8]) -> (Origin, &[u8]) {
        let (origin, body) =
            body.split_first_chunk::<ORIGIN_BYTES>().expect("the flag says that it is there");
        (Origin { connection: word(&origin[..8]), position: word(&origin[8..]) }, body)
    }
}

/// The first of the stored frames in `bytes`, each at a multiple of eight bytes, and what follows
/// it; `None` if no whole one is there.
pub fn split_stored(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = bytes.first_chunk::<LENGTH_BYTES>()?;
    let length = u32::from_le_bytes(*length) as usize;
    Some((bytes.get(..length)?, bytes.get(length.next_multiple_of(8)..)?))
}

#[inline(always)]
fn word(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(edge: FrameEdge) -> (Header, Vec<u8>) {
        let cause = Cause {
            ingress: u64::MAX - 1,
            origin: Origin { connection: 3, position: 6 },
            source: SourceId(255),
        };
        let header = Header { edge, hash: 0x0123_4567_89ab_cdef, cause };
        let mut frame = vec![0; Header::frame_bytes(5)];
        let room = Header::write(edge, header.hash, &cause, &mut frame[LENGTH_BYTES..]);
        room.copy_from_slice(b"hello");
        (header, frame)
    }

    #[test]
    fn reads_what_it_wrote() {
        for edge in [FrameEdge::Exchange(7), FrameEdge::Output(65535)] {
            let (header, frame) = frame(edge);
            assert_eq!(Header::read(&frame), (header, &b"hello"[..]));
            assert_eq!(Header::timing(&frame), None);
        }
    }

    #[test]
    fn reads_frames_of_older_checkpoints_without_an_origin() {
        let (mut header, mut frame) = frame(FrameEdge::Exchange(7));
        frame[FLAGS_AT] &= !FLAG_ORIGIN;
        frame.drain(HEADER_BYTES..HEADER_BYTES + ORIGIN_BYTES);
        header.cause.origin = Origin::default();
        assert_eq!(Header::try_read(&frame), Some((header, &b"hello"[..])));
    }

    fn timed_frame(fields: TimeFields, timing: Timing) -> (Header, Vec<u8>) {
        let (plain, _) = frame(FrameEdge::Exchange(7));
        let mut frame = vec![0; Header::frame_bytes(fields.bytes() + 5)];
        let of = (&plain.cause, &timing);
        let room = &mut frame[LENGTH_BYTES..];
        Header::write_timed(7, plain.hash, of, fields, room).copy_from_slice(b"hello");
        assert_eq!(Header::timing(&frame), Some(timing));
        (plain, frame)
    }

    #[test]
    fn reads_times_that_it_wrote() {
        let (time, watermark) = (EventTime::from_nanos(-7), EventTime::MIN);
        let [late, on_time] = [EventTime::from_nanos(-7), EventTime::MIN];
        let [late, on_time] = [late, on_time].map(|own| Timing { time, own, watermark });
        let stamped = Timing { watermark: EventTime::from_nanos(-9), ..on_time };
        let late_stamped = Timing { watermark: stamped.watermark, ..late };
        let all = [(1, late), (0, on_time), (0, stamped), (1, late_stamped)];
        for (lates, timing) in all {
            let is_stamped = timing.watermark != EventTime::MIN;
            let fields = TimeFields::of(&[on_time, timing], is_stamped);
            assert_eq!(fields.bytes(), 8 * (1 + lates + usize::from(is_stamped)));
            let (header, mut frame) = timed_frame(fields, timing);
            assert_eq!(Header::read(&frame), (header, &b"hello"[..]));
            assert_eq!(Header::try_read(&frame), Some((header, &b"hello"[..])));
            for end in 0..frame.len() - 5 {
                assert_eq!(Header::try_read(&frame[..end]), None, "{end} bytes");
            }
            frame[FLAGS_AT] |= FLAG_OUTPUT;
            assert_eq!(Header::try_read(&frame), None, "outputs have no time");
        }
        let never = Timing { time: EventTime::MAX, ..on_time };
        assert_eq!(Header::try_read(&timed_frame(TimeFields::TIME, never).1), None);
        assert_eq!(TimeFields::of(&[], true), TimeFields::NONE);
    }

    #[test]
    fn a_stamp_is_lowered_where_there_is_one() {
        let nanos = EventTime::from_nanos;
        let timing = Timing { time: nanos(9), own: nanos(9), watermark: nanos(5) };
        let (_, mut frame) = timed_frame(TimeFields::ALL, timing);
        for (most, stamp) in [(7, 5), (3, 3), (4, 3)] {
            Header::limit_stamp(&mut frame, nanos(most));
            let now = Header::timing(&frame).expect("it has a time");
            assert_eq!(now, Timing { watermark: nanos(stamp), ..timing });
        }
        let unstamped = Timing { own: EventTime::MIN, watermark: EventTime::MIN, ..timing };
        let (_, mut frame) = timed_frame(TimeFields::TIME, unstamped);
        let before = frame.clone();
        Header::limit_stamp(&mut frame, nanos(3));
        assert_eq!(frame, before);
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let (header, frame) = frame(FrameEdge::Output(7));
        assert_eq!(Header::try_read(&frame), Some((header, &b"hello"[..])));
        for end in 0..Header::frame_bytes(0) {
            assert_eq!(Header::try_read(&frame[..end]), None, "{end} bytes");
        }
        let mut unknown = frame;
        for flag in [FLAG_OWN, FLAG_STAMP, 1 << 5] {
            unknown[FLAGS_AT] |= flag;
            assert_eq!(Header::try_read(&unknown), None, "its kind is unknown");
            unknown[FLAGS_AT] &= !flag;
        }
    }
}
