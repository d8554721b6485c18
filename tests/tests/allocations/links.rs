//! A link allocates and frees nothing after it was made, however its bytes are cut: so the bill of
//! memory, which counts the rings that are made with it, has all of it.

use std::io::IoSlice;

use potoroo_runtime::link::RECORDS_MAX;
use potoroo_runtime::{LaneLimits, LinkedLanes};

use crate::counting;

const LEVELS: usize = 2;
const LANE_BYTES: usize = 4096;
const ANY: LaneLimits = LaneLimits { epoch: u32::MAX, end: None };

/// Fills the lanes up, with a marker now and then.
fn append(link: &mut LinkedLanes, turn: usize) {
    for level in 0..LEVELS {
        while let Some((room, _)) = link.outbound.try_append(level, 50 + turn % 900) {
            room.fill(turn as u8);
        }
        link.outbound.publish(level);
    }
    if turn.is_multiple_of(10) {
        link.outbound.mark(turn as u32);
    }
}

/// Appends to `wire` what a link sends now.
fn send(link: &mut LinkedLanes, wire: &mut Vec<u8>) {
    let sender = link.outbound.link().expect("it is a link");
    if sender.plan(&mut link.receiver) {
        let mut slices = [IoSlice::new(&[]); 2 * RECORDS_MAX];
        let count = sender.gather(&mut slices);
        let before = wire.len();
        slices[..count].iter().for_each(|slice| wire.extend_from_slice(slice));
        sender.sent(wire.len() - before);
    }
}

/// Takes all of `wire` in pieces of `piece` bytes, and drains the lanes. Returns how many frames
/// came.
fn take(link: &mut LinkedLanes, wire: &mut Vec<u8>, piece: usize) -> u64 {
    for bytes in wire.chunks_mut(piece) {
        link.receiver.take(bytes, |_, _| Ok(())).expect("they are as they were sent");
    }
    wire.clear();
    let mut frames = 0;
    for level in 0..LEVELS {
        let mut lane = link.inbound.drain(level, ANY);
        while let Some((_, next)) = lane.frame_at(lane.head()) {
            lane.consume_to(next);
            frames += 1;
        }
    }
    frames
}

#[test]
fn a_link_allocates_nothing_after_it_was_made() {
    let [mut left, mut right] = [(); 2].map(|()| LinkedLanes::new(LEVELS, LANE_BYTES));
    let mut wire = Vec::with_capacity(1 << 16);
    let (mut frames, before) = (0, counting::calls());
    for turn in 1..3_000 {
        append(&mut left, turn);
        send(&mut left, &mut wire);
        frames += take(&mut right, &mut wire, 1 + turn % 1_100);
        send(&mut right, &mut wire);
        take(&mut left, &mut wire, 1 + turn % 7);
    }
    let calls = counting::calls() - before;
    assert!(frames > 10_000, "{frames} frames came");
    assert_eq!(calls, 0, "allocations and frees for {frames} frames");
}
