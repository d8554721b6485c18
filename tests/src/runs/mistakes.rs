//! Mistakes on purpose in what a core hands out for a checkpoint.

use potoroo::checkpoint::{Chunk, Section};

use super::process::Process;
use super::troubles::Sabotage;
use crate::frames::each_stamp;
use crate::workload::LATENESS_MS;

/// Does to a chunk of the part of `core` what a sabotage does. Returns whether it is stored.
pub(super) fn mistake(
    sabotage: Option<Sabotage>,
    (process, core): (&Process, usize),
    chunk: &mut Chunk,
) -> bool {
    match (sabotage, chunk.section) {
        (Some(Sabotage::LanesLost), Section::Lanes(_)) => return false,
        (Some(Sabotage::OutboxesLost), Section::Outboxes(_)) => return false,
        (Some(Sabotage::RemovedLost), Section::Removed(_)) => return false,
        (Some(Sabotage::UnsentLost), Section::Outboxes(_)) => {
            lose_frames(&mut chunk.bytes, |frame| process.is_linked(core, owner(process, frame)));
            return !chunk.bytes.is_empty();
        }
        (Some(Sabotage::StampsRaised), Section::Lanes(_) | Section::Outboxes(_)) => {
            let lateness_ns = LATENESS_MS as i64 * 1_000_000;
            each_stamp(&mut chunk.bytes, |time, stamp| stamp.max(time - lateness_ns - 1));
        }
        // All that comes to a core which is alone on its node comes over links.
        (Some(Sabotage::LinkFramesLast), Section::Lanes(level)) if process.is_alone(core) => {
            chunk.section = Section::Outboxes(level);
        }
        (Some(Sabotage::LinkFramesLast), Section::Outboxes(level)) => {
            chunk.section = Section::Lanes(level);
        }
        _ => {}
    }
    true
}

/// The core for which a frame is, by its header.
fn owner(process: &Process, frame: &[u8]) -> usize {
    const OUTPUT: u8 = 2;
    let hash = frame[8..16].first_chunk().expect("a header has a hash");
    match frame[5] & OUTPUT {
        0 => process.map.owner(u64::from_le_bytes(*hash)),
        _ => process.sink_owner(u16::from_le_bytes([frame[6], frame[7]])),
    }
}

/// Takes the frames out of `bytes` that are lost.
fn lose_frames(bytes: &mut Vec<u8>, is_lost: impl Fn(&[u8]) -> bool) {
    let (mut left, mut rest) = (Vec::new(), bytes.as_slice());
    while let Some(length) = rest.first_chunk() {
        let length = (u32::from_le_bytes(*length) as usize).next_multiple_of(8);
        let (frame, after) = rest.split_at(length);
        if !is_lost(frame) {
            left.extend_from_slice(frame);
        }
        rest = after;
    }
    *bytes = left;
}
