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

/// All that there is.
const ANY: LaneLimits = LaneLimits { epoch: u32::MAX, end: None };

impl WayAccount {
    /// Of a link whose lanes have `capacity_bytes`.
    pub(super) fn new(levels: usize, capacity_bytes: usize) -> Self {
        Self {
            written: RecordReader::default(),
            read: RecordReader::default(),
            credit: CreditAccount::new(levels, capacity_bytes),
            frames: FrameAccount::new(levels),
            markers: MarkerAccount::new(levels),
            lanes: LinkedLanes::new(levels, LANE_BYTES),
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
                Item::Credit(_) => {}
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
            credit.extend(match item {
                Item::Credit(words) => Some(words),
                _ => None,
            });
        }
        let mut bytes = self.filter.others(bytes);
        let taken = self.lanes.receiver.take(&mut bytes, |_, _| Ok(()));
        taken.map_err(|fault| format!("what a link has sent is refused: {fault}"))?;
        self.give_credit();
        (0..self.frames.levels()).try_for_each(|level| self.drain(level))?;
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
