//! Where events enter: the bytes of one connection, file or channel that wait for the core.
//!
//! An inlet is memory only. The driver of the core reads into [`Inlet::room`] between turns.
//!
//! ```text
//!   bytes:  │ taken │ waiting: whole frames, then a partial one │ room │
//!           0       start                                       end    capacity
//! ```

use potoroo_runtime::Nanos;
use potoroo_sdk::codec::Reason;
use potoroo_sdk::host::{
    Cause, Feed, Host, Ingested, Origin, SourceId, SourceStage, Stop, UnderWay,
};
use potoroo_sdk::time::EventTime;

use super::connection::stream_origin;
use super::counts::SourceCounts;
use super::own_watermarks::OwnWatermarks;
use super::positions::{Ending, ReadPosition, Start};
use super::skip::{SKIPPED, Skips};
use super::stamps::Stamps;
use crate::checkpoint::PositionUnit;

/// The unread bytes of one connection, file or channel.
pub struct Inlet {
    source: SourceId,
    connection: u64,
    /// What its events say that they come from.
    origin: u64,
    /// It can be read again from any position.
    replays: bool,
    /// Which of the streams of its source it is, if that has some.
    stream: Option<u32>,
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
    /// Position of `start` since the beginning of the connection.
    position: u64,
    /// When the waiting bytes were read.
    stamps: Stamps,
    /// When the bytes in front were completed to an event.
    ingress: Nanos,
    /// Whole archives of events instead of codec bytes: length u32 in front of each.
    archives: bool,
    /// The waiting bytes are a partial frame: only more bytes help.
    starved: bool,
    ended: bool,
    /// Nothing more is read, though more might come.
    stopped: bool,
    /// It has brought an event.
    fruitful: bool,
    /// What comes next belongs to a frame above the limit that was refused.
    skipping: bool,
    /// See [`Start::grows`].
    grows: bool,
    /// Positions whose events are skipped, and the next of them.
    skips: Skips,
    skip: Option<u64>,
    ending: Option<Ending>,
    own: OwnWatermarks,
}

/// Most events that one inlet may bring into one turn: bounds a turn to a few microseconds.
const INLET_EVENTS_PER_TURN: u64 = 128;

impl Inlet {
    /// An empty inlet of `connection` with a buffer of `capacity` bytes, which bounds a frame, and
    /// with own watermarks that have seen nothing.
    pub fn new(source: SourceId, connection: u64, capacity: usize, own: OwnWatermarks) -> Self {
        Self {
            source,
            connection,
            origin: connection,
            replays: false,
            stream: None,
            bytes: vec![0; capacity].into_boxed_slice(), // cold: once per connection
            start: 0,
            end: 0,
            position: 0,
            stamps: Stamps::new(),
            ingress: Nanos(0),
            archives: false,
            starved: true,
            ended: false,
            stopped: false,
            fruitful: false,
            skipping: false,
            grows: false,
            skips: Skips::default(),
            skip: None,
            ending: None,
            own,
        }
    }

    /// Its bytes are archives of the source's event, each after its length (u32, little-endian),
    /// as made within the process.
    pub fn of_archives(mut self) -> Self {
        self.archives = true;
        self
    }

    /// It begins at `start` and can be read again: its events come from the source itself, which
    /// has this origin in this run and in any that follows.
    pub fn replayed_from(mut self, origin: u64, start: Start) -> Self {
        self.origin = origin;
        self.replays = true;
        self.own.restore(&start.own);
        Start { position: self.position, skipping: self.skipping, grows: self.grows, .. } = start;
        self
    }

    /// As [`replayed_from`](Self::replayed_from), for the stream of this number in this run, and of
    /// a name with this hash in all of them.
    pub fn of_stream(mut self, origin: u64, stream: u32, name_hash: u64, start: Start) -> Self {
        self = self.replayed_from(stream_origin(origin, name_hash), start);
        self.stream = Some(stream);
        self
    }

    /// Whether it is a stream that goes on from a checkpoint.
    pub(super) fn goes_on(&self) -> bool {
        self.stream.is_some() && self.position > 0
    }

    /// Events at these positions are skipped, if it can be read again.
    pub(super) fn with_skips(mut self, skips: &Skips) -> Self {
        if self.replays {
            self.skips = skips.clone();
            self.skip_next(self.position);
        }
        self
    }

    /// Where it would go on, if it can be read again.
    pub(super) fn replay_position(&self) -> Option<ReadPosition> {
        let Self { source, stream, position, skipping, .. } = *self;
        let (unit, own) = (PositionUnit::Bytes, || self.own.saved());
        self.replays.then(|| ReadPosition { source, stream, unit, position, skipping, own: own() })
    }

    /// Its own watermarks.
    pub(super) fn own(&mut self) -> &mut OwnWatermarks {
        &mut self.own
    }

    /// When the bytes that it took last were completed to an event.
    pub(super) fn ingress(&self) -> Nanos {
        self.ingress
    }

    /// Bytes that were taken since its beginning.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The connection's id, never used again.
    pub fn connection(&self) -> u64 {
        self.connection
    }

    /// The source to which it belongs.
    pub fn source(&self) -> SourceId {
        self.source
    }

    /// Whether it has brought an event, so that something may be under way because of it.
    pub(super) fn fruitful(&self) -> bool {
        self.fruitful
    }

    /// Whether its bytes are archives made within the process.
    pub(super) fn archives(&self) -> bool {
        self.archives
    }

    /// Room for more bytes. Empty while the core has not taken enough of the earlier ones.
    #[inline]
    pub fn room(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.bytes.len() && self.start > 0 {
            self.make_room();
        }
        &mut self.bytes[self.end..]
    }

    /// The buffer is used to its end: what waits moves to its beginning, if that gains much or if
    /// nothing else helps.
    fn make_room(&mut self) {
        if self.starved || self.start > self.bytes.len() / 2 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
    }

    /// The first `bytes` of [`room`](Self::room) were filled with what was read at `now`.
    #[inline]
    pub fn filled(&mut self, bytes: usize, now: Nanos) {
        assert!(bytes <= self.bytes.len() - self.end, "no more is filled than there was room");
        if bytes == 0 {
            return;
        }
        if self.starved {
            // What waits is the beginning of an event that is not complete before now.
            self.stamps.clear();
        }
        self.end += bytes;
        self.stamps.add(self.position + (self.end - self.start) as u64, now);
        self.starved = false;
    }

    /// No byte will follow.
    pub fn end(&mut self) {
        self.ended = true;
        self.starved = false;
    }

    /// Nothing more is read: it ends after its last whole frame. The beginning of another is
    /// neither an event nor refused, but not yet read.
    pub fn stop(&mut self) {
        self.stopped = true;
        self.starved = false;
    }

    /// How it ended, when it has; then it can be removed.
    pub fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// Whether the core can do something with it.
    #[inline(always)]
    pub(super) fn ready(&self) -> bool {
        !self.starved && self.ending.is_none()
    }

    /// Runs waiting events, those of each read by themselves; returns what was done.
    pub(super) fn ingest(
        &mut self,
        stage: &dyn SourceStage,
        under_way: &UnderWay,
        host: &mut dyn Host,
    ) -> SourceCounts {
        let mut counts = SourceCounts::default();
        let mut left = INLET_EVENTS_PER_TURN;
        while left > 0 {
            let (last, done) = self.ingest_read(left, stage, under_way, host);
            counts.events += done.events;
            counts.bytes += done.bytes as u64;
            counts.refused += done.refused;
            left = left.saturating_sub(done.events + done.refused);
            match done.stop {
                Stop::More(_) if !last => {
                    self.stamps.pass();
                    continue;
                }
                Stop::Limit | Stop::Blocked => {}
                Stop::More(_) if self.stopped => self.ending = Some(Ending::Ended),
                Stop::More(_) if self.ended && self.grows => self.ending = Some(self.unfinished()),
                Stop::More(_) if self.ended => counts.refused += self.cut_off(host),
                Stop::More(needed) => counts.refused += self.starve(needed, host),
                Stop::Broken(reason) => self.ending = Some(Ending::Broken(reason)),
            }
            break;
        }
        counts
    }

    /// Runs up to `events_max` of the events that the oldest read completed. Returns whether it was
    /// also the last one.
    fn ingest_read(
        &mut self,
        events_max: u64,
        stage: &dyn SourceStage,
        under_way: &UnderWay,
        host: &mut dyn Host,
    ) -> (bool, Ingested) {
        let (mut end, mut last) = (self.end, true);
        if let Some((at, position, newest)) = self.stamps.at(self.position) {
            (self.ingress, last) = (at, newest);
            end = self.start + (position - self.position) as usize;
        }
        let feed = self.feed(last, events_max);
        let done = match self.skip {
            None => self.ingest_to(end, feed, stage, under_way, host),
            Some(at) => {
                let before = self.position;
                let skipped = self.ingest_skip(at, end, feed, stage, under_way, host);
                let Some(done) = skipped else {
                    // It may have passed over bytes of a frame that was refused.
                    let passed = (self.position - before) as usize;
                    let (last, done) = self.ingest_read(events_max, stage, under_way, host);
                    return (last, Ingested { bytes: passed + done.bytes, ..done });
                };
                done
            }
        };
        (last, done)
    }

    /// What enters at the front, before more bytes unless it is the last read.
    fn feed(&self, last: bool, events_max: u64) -> Feed {
        Feed {
            cause: self.cause(),
            ended: self.ended && !self.grows && last,
            events_max,
            frame_bytes_max: self.bytes.len(),
            skipping: self.skipping,
        }
    }

    /// Runs waiting events up to `end` in the buffer.
    #[inline(always)]
    fn ingest_to(
        &mut self,
        end: usize,
        feed: Feed,
        stage: &dyn SourceStage,
        under_way: &UnderWay,
        host: &mut dyn Host,
    ) -> Ingested {
        let bytes = &self.bytes[self.start..end];
        let done = match self.archives {
            false => stage.ingest(bytes, feed, self.own.all(), under_way, host),
            true => ingest_archives(stage, bytes, feed, self.own.all(), under_way, host),
        };
        under_way.end();
        self.take(&done);
        done
    }

    fn take(&mut self, done: &Ingested) {
        self.start += done.bytes;
        self.position += done.bytes as u64;
        self.skipping = done.skipping;
        self.fruitful |= done.events > 0;
    }

    /// Runs waiting events up to `end` and before the position `at`, or refuses the one that begins
    /// there. `None` when no event was, and something is to be done.
    #[cold]
    fn ingest_skip(
        &mut self,
        at: u64,
        end: usize,
        feed: Feed,
        stage: &dyn SourceStage,
        under_way: &UnderWay,
        host: &mut dyn Host,
    ) -> Option<Ingested> {
        if at == self.position && self.skipping {
            // Within a frame that was refused: no event begins there.
            self.skip_next(at + 1);
            return None;
        }
        if at == self.position {
            let done = stage.refuse(&self.bytes[self.start..end], feed, SKIPPED, under_way, host);
            under_way.end();
            self.take(&done);
            if done.refused > 0 {
                self.skips.meet(&feed.cause);
                self.skip_next(at + 1);
            }
            return Some(done);
        }
        let until = self.start.saturating_add((at - self.position) as usize);
        if until >= end {
            return Some(self.ingest_to(end, feed, stage, under_way, host));
        }
        let feed = Feed { ended: false, ..feed };
        let done = self.ingest_to(until, feed, stage, under_way, host);
        let Stop::More(_) = done.stop else { return Some(done) };
        if self.start < until {
            // What is left begins a frame around the position: no event begins there.
            self.skip_next(at + 1);
        }
        (done.events + done.refused > 0).then_some(Ingested { stop: Stop::Limit, ..done })
    }

    fn skip_next(&mut self, position: u64) {
        self.skip = self.skips.next(self.source, Origin { connection: self.origin, position });
    }

    /// What the bytes in front come from.
    fn cause(&self) -> Cause {
        let origin = Origin { connection: self.origin, position: self.position };
        Cause { ingress: self.ingress.0, origin, source: self.source }
    }

    /// How it ends where a later run may find more.
    fn unfinished(&self) -> Ending {
        match self.end - self.start {
            0 => Ending::Ended,
            bytes => Ending::Unfinished { position: self.position, bytes: bytes as u64 },
        }
    }

    /// Nothing follows, and the codec has not decided what the rest is. Of a stream, whose end its
    /// client has sent, it counts as read: the end can be acknowledged. A file may still grow, and
    /// is read again from there. Returns how many frames were refused.
    fn cut_off(&mut self, host: &mut dyn Host) -> u64 {
        self.ending = Some(Ending::Ended);
        if self.start == self.end {
            return 0;
        }
        let reason = Reason::new("cut off by the end of the stream");
        host.refuse(&self.cause(), reason, &self.bytes[self.start..self.end]);
        if self.stream.is_some() {
            self.position += (self.end - self.start) as u64;
            self.start = self.end;
        }
        1
    }

    /// Only a partial frame is left. One that can never fit the buffer breaks the connection.
    /// Returns how many frames were refused.
    fn starve(&mut self, needed: usize, host: &mut dyn Host) -> u64 {
        self.starved = true;
        let whole = self.end - self.start == self.bytes.len();
        if needed <= self.bytes.len() && !whole {
            return 0;
        }
        let reason = Reason::new("the frame is longer than the receive buffer (--inlet-bytes)");
        host.refuse(&self.cause(), reason, &self.bytes[self.start..self.end]);
        self.ending = Some(Ending::Broken(reason));
        1
    }
}

/// As [`SourceStage::ingest`], for archives after their lengths.
fn ingest_archives(
    stage: &dyn SourceStage,
    bytes: &[u8],
    feed: Feed,
    own: &mut [EventTime],
    under_way: &UnderWay,
    host: &mut dyn Host,
) -> Ingested {
    let (stop, skipping) = (Stop::Limit, false);
    let mut done = Ingested { bytes: 0, events: 0, refused: 0, stop, skipping };
    while done.events + done.refused < feed.events_max {
        if host.blocked() {
            done.stop = Stop::Blocked;
            break;
        }
        let rest = &bytes[done.bytes..];
        let whole = rest.split_first_chunk::<4>().and_then(|(length, rest)| {
            let length = u32::from_le_bytes(*length) as usize;
            rest.get(..length)
        });
        let Some(archive) = whole else {
            done.stop = Stop::More(0);
            break;
        };
        let mut cause = feed.cause;
        cause.origin.position += done.bytes as u64;
        let ran = stage.ingest_archive(archive, cause, own, under_way, host);
        under_way.end();
        match ran {
            Ok(()) => done.events += 1,
            Err(reason) => {
                host.refuse(&cause, reason, archive);
                done.refused += 1;
            }
        }
        done.bytes += 4 + archive.len();
    }
    done
}
