//! Tampering: mistakes that a link could make, made on the records between its ends.

use std::collections::VecDeque;
use std::mem::replace;

use super::kind::WireSabotage;
use super::records::{CREDIT, FRAMES, HEADER_BYTES, MARK, WORD};
use crate::frames::each_stamp;

/// What of one direction is done wrongly.
pub(super) struct Tamper {
    sabotage: WireSabotage,
    written: VecDeque<u8>,
    /// A part of the record with which it begins came before the rest.
    cut: bool,
    /// Records that are kept back, of which the first is a marker; frames that a word overtakes.
    held: VecDeque<Vec<u8>>,
    /// Looks since then.
    looks: u32,
}

/// Looks after which a marker is passed on although no frames follow it.
const LATE_MAX: u32 = 40;

/// Credit for more than a run sends.
const AMPLE: u64 = 1 << 40;

impl Tamper {
    pub(super) fn new(sabotage: WireSabotage) -> Self {
        Self { sabotage, written: VecDeque::new(), cut: false, held: VecDeque::new(), looks: 0 }
    }

    /// Takes what the sender has written.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.written.extend(bytes);
    }

    /// Passes on what may be. The sender is `short` of credit.
    pub(super) fn pass(&mut self, to: &mut VecDeque<u8>, short: bool) {
        while let Some(mut record) = self.next() {
            let cut = replace(&mut self.cut, false);
            let (kind, level) = (record[0], record[1]);
            match (self.sabotage, kind) {
                (WireSabotage::CreditIgnored, CREDIT) => {
                    let words = record[HEADER_BYTES..].chunks_exact_mut(8);
                    words.for_each(|word| word.copy_from_slice(&AMPLE.to_le_bytes()));
                }
                (WireSabotage::FrameLost, FRAMES) if cut => lose_last_frame(&mut record),
                (WireSabotage::StampsLost, FRAMES) => {
                    each_stamp(&mut record[HEADER_BYTES..], |_, _| i64::MIN);
                }
                (WireSabotage::WordsEarly, MARK) => self.release(to),
                (_, CREDIT) => {}
                _ if self.holds(kind, level, short) => {
                    self.held.push_back(record);
                    continue;
                }
                _ => {}
            }
            to.extend(record);
            if self.follows(kind, level) {
                self.release(to);
            }
        }
        self.cut = !self.written.is_empty();
        self.looks += u32::from(!self.held.is_empty());
        let waits = self.sabotage == WireSabotage::MarkerWaits;
        if if waits { !short } else { self.looks > LATE_MAX } {
            self.release(to);
        }
    }

    /// Whether a record is kept back.
    fn holds(&self, kind: u8, level: u8, short: bool) -> bool {
        let holds = !self.held.is_empty();
        match self.sabotage {
            WireSabotage::MarkerLate => kind == MARK,
            WireSabotage::MarkerLevel => kind == MARK || holds && level != 0,
            WireSabotage::MarkerWaits => kind == MARK && short || holds,
            WireSabotage::WordsEarly => kind == FRAMES,
            _ => false,
        }
    }

    /// Whether what is kept back follows a record of this kind and level.
    fn follows(&self, kind: u8, level: u8) -> bool {
        match self.sabotage {
            WireSabotage::MarkerLate => kind == FRAMES,
            WireSabotage::MarkerLevel => kind == FRAMES && level == 0,
            WireSabotage::WordsEarly => kind == WORD,
            _ => false,
        }
    }

    fn release(&mut self, to: &mut VecDeque<u8>) {
        self.looks = 0;
        self.held.drain(..).for_each(|record| to.extend(record));
    }

    /// The next record, if all of it was written.
    fn next(&mut self) -> Option<Vec<u8>> {
        let header: Vec<u8> = self.written.iter().take(HEADER_BYTES).copied().collect();
        let length = header.get(4..HEADER_BYTES)?.first_chunk()?;
        let bytes = HEADER_BYTES + u32::from_le_bytes(*length) as usize;
        (self.written.len() >= bytes).then(|| self.written.drain(..bytes).collect())
    }
}

/// A record of one frame is lost as a whole.
fn lose_last_frame(record: &mut Vec<u8>) {
    let (mut last, mut at) = (HEADER_BYTES, HEADER_BYTES);
    while let Some(length) = record.get(at..at + 4) {
        last = at;
        let length = u32::from_le_bytes(length.try_into().expect("four bytes"));
        at += (length as usize).next_multiple_of(8);
    }
    record.truncate(if last == HEADER_BYTES { 0 } else { last });
    if let Some(length) = record.get_mut(4..HEADER_BYTES) {
        length.copy_from_slice(&((last - HEADER_BYTES) as u32).to_le_bytes());
    }
}
