//! Both ends of a link in memory, with bytes that are cut anywhere, and bytes that were changed.

use std::io::IoSlice;

use super::*;
use crate::lanes::LaneLimits;

/// A seeded source of decisions: this crate has no other.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

const LEVELS: usize = 3;
const CAPACITY: usize = 4096;
const ANY: LaneLimits = LaneLimits { epoch: 0, end: None };

/// One end, with what it has sent and received: the n-th frame of a level is known by n.
struct OneEnd {
    link: LinkedLanes,
    /// Bytes that the system has, and the peer not.
    wire: Vec<u8>,
    sent: [u64; LEVELS],
    received: [u64; LEVELS],
}

impl OneEnd {
    fn new() -> Self {
        let link = LinkedLanes::new(LEVELS, CAPACITY);
        Self { link, wire: Vec::new(), sent: [0; LEVELS], received: [0; LEVELS] }
    }

    /// Appends some frames; those that find no room come later.
    fn append(&mut self, dice: &mut Dice, limit: u64) {
        for level in 0..LEVELS {
            for _ in 0..dice.below(8) {
                let number = self.sent[level];
                if number == limit {
                    break;
                }
                let bytes = length(level, number);
                let Some((room, _)) = self.link.outbound.try_append(level, bytes) else { break };
                room.fill(content(level, number));
                self.sent[level] += 1;
            }
            self.link.outbound.publish(level);
        }
    }

    /// Hands some bytes to the system.
    fn send(&mut self, dice: &mut Dice) {
        if !self.link.sender.plan(&mut self.link.receiver) {
            return;
        }
        let mut slices = [IoSlice::new(&[]); 2 * RECORDS_MAX];
        let count = self.link.sender.gather(&mut slices);
        let bytes: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
        let taken = dice.below(bytes.len() as u64 + 1) as usize;
        self.wire.extend_from_slice(&bytes[..taken]);
        self.link.sender.sent(taken);
    }

    /// Takes some bytes of `from`.
    fn take(&mut self, from: &mut Self, dice: &mut Dice) {
        let count = dice.below(from.wire.len() as u64 + 1) as usize;
        let bytes: Vec<u8> = from.wire.drain(..count).collect();
        self.link.receiver.take(&bytes, |_, _| Ok(())).expect("they are as they were sent");
    }

    /// Takes some frames out of the lanes.
    fn drain(&mut self, dice: &mut Dice) {
        for level in 0..LEVELS {
            let mut lane = self.link.inbound.drain(level, ANY);
            for _ in 0..dice.below(8) {
                let Some((frame, next)) = lane.frame_at(lane.head()) else { break };
                let number = self.received[level];
                assert_eq!(frame.len(), length(level, number), "frame {number} of {level}");
                assert!(frame[4..].iter().all(|byte| *byte == content(level, number)));
                self.received[level] += 1;
                lane.consume_to(next);
            }
        }
    }
}

/// From a length word to a quarter of a ring.
fn length(level: usize, number: u64) -> usize {
    let spread = Dice(number * 31 + level as u64).below(CAPACITY as u64 / 4 - 3) as usize;
    if number.is_multiple_of(5) { 4 + spread } else { 4 + spread % 90 }
}

fn content(level: usize, number: u64) -> u8 {
    (number * 7 + level as u64) as u8
}

#[test]
fn every_frame_comes_once_in_order_however_the_bytes_are_cut() {
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let (mut left, mut right) = (OneEnd::new(), OneEnd::new());
        let frames = 300;
        for step in 0.. {
            assert!(step < 200_000, "seed {seed}: it does not go on");
            match dice.below(8) {
                0 => left.append(&mut dice, frames),
                1 => right.append(&mut dice, frames),
                2 => left.send(&mut dice),
                3 => right.send(&mut dice),
                4 => left.take(&mut right, &mut dice),
                5 => right.take(&mut left, &mut dice),
                6 => left.drain(&mut dice),
                _ => right.drain(&mut dice),
            }
            if [&left, &right].iter().all(|end| end.received == [frames; LEVELS]) {
                break;
            }
        }
    }
}

/// A level whose frames are not taken does not hold up another one.
#[test]
fn a_level_that_is_not_drained_does_not_stop_others() {
    let mut dice = Dice(1);
    let (mut left, mut right) = (OneEnd::new(), OneEnd::new());
    for _ in 0..2_000 {
        left.append(&mut dice, 400);
        left.send(&mut dice);
        right.take(&mut left, &mut dice);
        right.send(&mut dice);
        left.take(&mut right, &mut dice);
        let mut lane = right.link.inbound.drain(2, ANY);
        while let Some((_, next)) = lane.frame_at(lane.head()) {
            right.received[2] += 1;
            lane.consume_to(next);
        }
    }
    assert_eq!(right.received, [0, 0, 400]);
    assert!(left.link.sender.bytes_sent(0) <= CAPACITY as u64 / 2, "no more than a window");
}

/// Whatever a peer sends: a fault, or frames that pass the check.
#[test]
fn bytes_that_were_changed_are_a_fault_or_whole_frames() {
    let mut faults = 0;
    for seed in 0..2_000 {
        let mut dice = Dice(seed);
        let mut left = OneEnd::new();
        left.append(&mut dice, 20);
        for _ in 0..4 {
            left.send(&mut dice);
        }
        let mut bytes = std::mem::take(&mut left.wire);
        for _ in 0..=dice.below(3) {
            if !bytes.is_empty() {
                let at = dice.below(bytes.len() as u64) as usize;
                bytes[at] = dice.below(256) as u8;
            }
        }
        let mut right = OneEnd::new();
        let mut longest = 0;
        let check = |level: usize, frame: &[u8]| {
            assert!(level < LEVELS);
            longest = frame.len().max(longest);
            Ok(())
        };
        faults += u32::from(right.link.receiver.take(&bytes, check).is_err());
        assert!(longest <= CAPACITY / 4);
    }
    assert!(faults > 100, "{faults} faults");
}

#[test]
fn what_is_wrong_is_named() {
    let take = |bytes: &[u8]| {
        let taken =
            LinkedLanes::new(2, CAPACITY).receiver.take(bytes, |_, _| Err("no number".into()));
        taken.expect_err("it is wrong").to_string()
    };
    assert_eq!(take(&[9, 0, 0, 0, 8, 0, 0, 0]), "a record has the unknown kind 9");
    let level = "a record is for level 2, and the link has 2 levels";
    assert_eq!(take(&[1, 2, 0, 0, 8, 0, 0, 0]), level);
    assert_eq!(take(&[1, 0, 0, 0, 9, 0, 0, 0]), "a record of kind 1 has 9 bytes");
    assert_eq!(take(&[1, 0, 0, 0, 0, 0, 0, 1]), "a record of kind 1 has 16777216 bytes");
    assert_eq!(take(&[2, 0, 0, 0, 8, 0, 0, 0]), "a record of kind 2 has 8 bytes");
    let frames = |length: u8| [1, 0, 0, 0, 8, 0, 0, 0, length, 0, 0, 0, 7, 7, 7, 7];
    let frame = "a frame of 9 bytes stands where a record has 8 bytes left";
    assert_eq!(take(&frames(9)), frame);
    assert_eq!(take(&frames(3)), frame.replace("of 9", "of 3"));
    assert_eq!(take(&frames(8)), "a frame cannot be used: no number");
    let mut receiver = LinkedLanes::new(1, CAPACITY).receiver;
    let less = receiver.take(&[2, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0], |_, _| Ok(()));
    assert_eq!(less, Err(LinkFault::LessCredit { level: 0, before: 2048, now: 1 }));
    let frame = [&[0, 4, 0, 0][..], &[7; 1020]].concat();
    let more = [&[1, 0, 0, 0, 0, 12, 0, 0][..], &frame, &frame, &frame].concat();
    let beyond = LinkedLanes::new(1, CAPACITY).receiver.take(&more, |_, _| Ok(()));
    assert_eq!(beyond, Err(LinkFault::Credit { level: 0 }), "a window has two of them");
}
