//! Accounts: the checkers of one direction of a link, one file for each promise.
//!
//! ```text
//!   written ─► credit    no level has more under way than its reader has given it room for
//!      │
//!      ▼
//!   read ────► a second receiver, which takes the same pieces as the link's own, and its lanes:
//!              frames    at each level those that were written, in order, each once
//!              markers   at each level between the frames between which they were set
//! ```
//!
//! The second receiver is the engine's code, too; what it must find is read by
//! [`RecordReader`](super::records), which is not. The link's own receiver has to count as many
//! frames. A wrong marker is left to those who restore checkpoints, where it is a mistake on
//! purpose: they have to notice it, too.

mod credit;
mod frames;
mod markers;

use potoroo_runtime::{LaneLimits, LinkedLanes};

use credit::CreditAccount;
use frames::FrameAccount;
use markers::MarkerAccount;

use super::records::{CreditFilter, Item, RecordReader};

/// What one direction has carried.
pub(super) struct WayAccount {
    written: RecordReader,
    read: RecordReader,
    credit: CreditAccount,
    frames: FrameAccount,
    markers: MarkerAccount,
    lanes: LinkedLanes,
    /// The second receiver gets no credit: it sends nothing.
    filter: CreditFilter,
    /// The wire is broken, or something was wrong: nothing is looked at any more.
    closed: bool,
}

/// Bytes of a lane of the second receiver: its windows are longer than a wire, since it gives
/// credit later than the link's own.
const LANE_BYTES: usize = 1 << 14;

/// Longest record of a link whose lanes have four times as many bytes. Longer ones need a second
/// receiver with lanes as long as the link's.
const RECORD_BYTES: usize = 1 << 16;

/// All that there is.
const ANY: LaneLimits = LaneLimits { epoch: u32::MAX, end: None };

impl WayAccount {
    /// Of a link whose lanes have `capacity_bytes`, with words beside these of them.
    pub(super) fn new(levels: usize, words: &[usize], capacity_bytes: usize) -> Self {
        let long = capacity_bytes > 4 * RECORD_BYTES;
        let lane_bytes = if long { capacity_bytes } else { LANE_BYTES };
        Self {
            written: RecordReader::default(),
            read: RecordReader::default(),
            credit: CreditAccount::new(levels, capacity_bytes),
            frames: FrameAccount::new(levels),
            markers: MarkerAccount::new(levels),
            lanes: LinkedLanes::with_words(levels, words, lane_bytes),
            filter: CreditFilter::default(),
            closed: false,
        }
    }

    /// The sender has written `bytes`.
    ///
    /// # Errors
    /// What it has done wrong.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        if self.closed {
            return Ok(());
        }
        self.written.add(bytes);
        while let Some(item) = self.written.next()? {
            match item {
                Item::Frame { level, bytes } => {
                    self.credit.send(level, bytes.len())?;
                    self.frames.write(level, bytes);
                }
                Item::Mark(epoch) => self.markers.set(epoch, self.frames.written())?,
                Item::Credit(_) | Item::Word => {}
            }
        }
        Ok(())
    }

    /// The receiver gets `bytes`. Returns the credit that came with them, oldest first.
    ///
    /// # Errors
    /// What a receiver makes of them is wrong.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u64>>, String> {
        let mut credit = Vec::new();
        if self.closed {
            return Ok(credit);
        }
        self.read.add(bytes);
        while let Some(item) = self.read.next()? {
            match item {
                Item::Frame { level, .. } => self.markers.count_frame(level),
                Item::Mark(epoch) => self.markers.come(epoch)?,
                Item::Credit(words) => credit.push(words),
                Item::Word => {}
            }
        }
        let mut bytes = self.filter.others(bytes);
        let taken = self.lanes.receiver.take(&mut bytes, |_, _| Ok(()));
        taken.map_err(|fault| format!("what a link has sent is refused: {fault}"))?;
        (0..self.frames.levels()).try_for_each(|level| self.drain(level))?;
        self.give_credit();
        Ok(credit)
    }

    /// The sender got credit.
    ///
    /// # Errors
    /// It is for other levels.
    pub(super) fn allow(&mut self, words: &[u64]) -> Result<(), String> {
        self.credit.allow(words)
    }

    /// Whether some level may have to wait for credit.
    pub(super) fn is_short(&self) -> bool {
        self.credit.is_short()
    }

    /// Frames that were read.
    pub(super) fn frames_read(&self) -> u64 {
        self.frames.read()
    }

    /// Whether the next byte to be read is the first one of a record.
    pub(super) fn is_between_records(&self) -> bool {
        !self.closed && self.read.is_between_records()
    }

    /// Whether nothing more is looked at.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// What comes from now on is wrong on purpose, or does not come.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// # Errors
    /// Something was written and not read.
    pub(super) fn check_empty(&self) -> Result<(), String> {
        if self.closed { Ok(()) } else { self.frames.check_empty() }
    }

    /// The second receiver drains its lanes at once.
    fn drain(&mut self, level: usize) -> Result<(), String> {
        let Self { lanes: LinkedLanes { inbound, .. }, frames, markers, .. } = self;
        loop {
            let head = inbound.head(level);
            let frame = inbound.frame_at(level, head);
            let frame = frame.map(|(frame, next)| (frame.to_vec(), next));
            markers.look(level, frames.read_at(level), inbound.marker(level, head))?;
            let Some((frame, next)) = frame else { return Ok(()) };
            frames.take(level, &frame)?;
            let mut lane = inbound.drain(level, ANY);
            lane.frame_at(head).expect("it was seen");
            lane.consume_to(next);
        }
    }

    fn give_credit(&mut self) {
        let LinkedLanes { outbound, receiver, .. } = &mut self.lanes;
        let sender = outbound.link().expect("it is a link");
        if sender.plan(receiver) {
            let mut slices = [std::io::IoSlice::new(&[]); 2 * potoroo_runtime::link::RECORDS_MAX];
            let count = sender.gather(&mut slices);
            let bytes = slices[..count].iter().map(|slice| slice.len()).sum();
            sender.sent(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEVELS: usize = 2;
    const CAPACITY: usize = 4096;

    fn record(kind: u8, level: u8, content: &[u8]) -> Vec<u8> {
        let header = [kind, level, 0, 0];
        [&header[..], &(content.len() as u32).to_le_bytes(), content].concat()
    }

    /// A record of one frame of 16 bytes.
    fn frame(level: u8, content: u8) -> Vec<u8> {
        record(1, level, &[&[16, 0, 0, 0], &[content; 12][..]].concat())
    }

    fn mark(epoch: u64) -> Vec<u8> {
        record(3, 0, &epoch.to_le_bytes())
    }

    /// What is wrong if `written` was sent and `read` comes, in pieces of `piece` bytes.
    fn wrong(written: &[Vec<u8>], read: &[Vec<u8>], piece: usize) -> Option<String> {
        let mut account = WayAccount::new(LEVELS, &[], CAPACITY);
        let sent = written.concat().chunks(piece).try_for_each(|bytes| account.write(bytes));
        let come = |bytes: &[u8]| account.read(bytes).map(drop);
        let come = sent.and_then(|()| read.concat().chunks(piece).try_for_each(come));
        come.and_then(|()| account.check_empty()).err()
    }

    #[track_caller]
    fn finds(written: &[Vec<u8>], read: &[Vec<u8>], text: &str) {
        for piece in 1..100 {
            let wrong = wrong(written, read, piece).expect("it is wrong");
            assert!(wrong.contains(text), "{wrong}, in pieces of {piece}");
        }
    }

    #[test]
    fn a_direction_that_is_right_passes_however_it_is_cut() {
        let credit = record(2, 0, &[0; 8 * LEVELS]);
        let records =
            [frame(0, 1), mark(1), frame(1, 2), credit, frame(0, 3), mark(4), frame(0, 4)];
        (1..200).for_each(|piece| assert_eq!(wrong(&records, &records, piece), None));
    }

    #[test]
    fn a_frame_that_is_lost_doubled_or_out_of_order_is_found() {
        let [a, b, c] = [frame(0, 1), frame(0, 2), frame(0, 3)];
        let sent = [a.clone(), b.clone(), c.clone()];
        finds(&sent, &[a.clone(), c.clone()], "frame 1 of level 0");
        finds(&sent, &[b.clone(), a.clone(), c.clone()], "frame 0 of level 0");
        finds(&sent, &[a.clone(), a.clone(), b.clone(), c.clone()], "frame 1 of level 0");
        finds(&sent, &[a.clone(), b.clone()], "1 frames of level 0 were sent and never came");
        finds(&sent, &[a, b, c.clone(), c], "none was sent there");
    }

    #[test]
    fn a_marker_that_comes_elsewhere_is_found_at_each_level() {
        let sent = |level| [frame(level, 1), mark(5), frame(level, 2)];
        for level in [0, 1] {
            let [before, marker, after] = sent(level);
            let early = [marker.clone(), before.clone(), after.clone()];
            finds(&sent(level), &early, "the marker of 5 was set after");
            let late = [before, after, marker];
            finds(&sent(level), &late, "the marker of 5 was set after");
        }
        finds(&[mark(2), mark(2)], &[], "a marker of 2 follows one of 2");
        finds(&[mark(1)], &[mark(2)], "no marker of 2 was sent");
    }

    /// As a lane would have it that its receiver marks wrongly.
    #[test]
    fn a_marker_that_lies_elsewhere_in_a_lane_is_found() {
        let marker = || {
            let mut markers = MarkerAccount::new(1);
            markers.set(5, vec![1]).expect("it is the first one");
            markers.count_frame(0);
            markers.come(5).expect("it comes where it was set");
            markers
        };
        assert_eq!(marker().look(0, 0, (5, false)), Ok(()));
        assert_eq!(marker().look(0, 1, (5, true)), Ok(()));
        assert!(marker().look(0, 0, (5, true)).is_err(), "before the frame that it follows");
        assert!(marker().look(0, 1, (5, false)).is_err(), "after the frame that follows it");
        assert!(marker().look(0, 1, (0, true)).is_err(), "nowhere");
    }

    #[test]
    fn more_than_there_is_credit_for_is_found() {
        let frames: Vec<_> = (0..=CAPACITY / 2 / 16).map(|_| frame(1, 0)).collect();
        assert_eq!(wrong(&frames[1..], &frames[1..], 64), None);
        finds(&frames, &[], "level 1 has sent 2064 bytes with a credit of 2048");
        let mut account = WayAccount::new(LEVELS, &[], CAPACITY);
        assert_eq!(account.allow(&[2048, 2064]), Ok(()));
        assert_eq!(account.write(&frames.concat()), Ok(()));
        assert!(account.allow(&[2047, 2064]).is_err(), "credit is not taken back");
    }
}
