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
    /// By epoch less one: how many frames of each level lie before the marker.
    marked: Vec<[u64; LEVELS]>,
    /// By level: the epoch of the marker after which frames were taken.
    passed: [u32; LEVELS],
    link: LinkedLanes,
    /// Bytes that the system has, and the peer not.
    wire: Vec<u8>,
    sent: [u64; LEVELS],
    received: [u64; LEVELS],
}

impl OneEnd {
    fn new() -> Self {
        let link = LinkedLanes::new(LEVELS, CAPACITY);
        let numbers = [0; LEVELS];
        Self {
            marked: Vec::new(),
            passed: [0; LEVELS],
            link,
            wire: Vec::new(),
            sent: numbers,
            received: numbers,
        }
    }

    /// Sets a marker: before the frames that are unsent.
    fn mark(&mut self) {
        let Self { marked, link, sent, .. } = self;
        link.outbound.mark(marked.len() as u32 + 1);
        let mut before = *sent;
        for (level, before) in before.iter_mut().enumerate() {
            let mut unsent = Vec::new();
            link.outbound.each_unsent(level, |frame| unsent.push(frame.to_vec()));
            *before -= unsent.len() as u64;
            for (number, frame) in (*before..).zip(unsent) {
                assert_eq!(frame.len(), length(level, number), "frame {number} of {level}");
                assert!(frame[4..].iter().all(|byte| *byte == content(level, number)));
            }
        }
        marked.push(before);
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
        let sender = self.link.outbound.link().expect("it is a link");
        if !sender.plan(&mut self.link.receiver) {
            return;
        }
        let mut slices = [IoSlice::new(&[]); 2 * RECORDS_MAX];
        let count = sender.gather(&mut slices);
        let bytes: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
        let taken = dice.below(bytes.len() as u64 + 1) as usize;
        self.wire.extend_from_slice(&bytes[..taken]);
        sender.sent(taken);
    }

    fn bytes_sent(&mut self, level: usize) -> u64 {
        self.link.outbound.link().expect("it is a link").bytes_sent(level)
    }

    /// Takes some bytes of `from`.
    fn take(&mut self, from: &mut Self, dice: &mut Dice) {
        let count = dice.below(from.wire.len() as u64 + 1) as usize;
        let mut bytes: Vec<u8> = from.wire.drain(..count).collect();
        self.link.receiver.take(&mut bytes, |_, _| Ok(())).expect("they are as they were sent");
    }

    /// Takes some frames out of the lanes, which `from` has appended. Each lies where it should to
    /// the newest marker.
    fn drain(&mut self, from: &Self, dice: &mut Dice) {
        for level in 0..LEVELS {
            for _ in 0..dice.below(8) {
                let head = self.link.inbound.head(level);
                let Some((frame, _)) = self.link.inbound.frame_at(level, head) else { break };
                let number = self.received[level];
                let (epoch, passed) = self.link.inbound.marker(level, head);
                // Its place is known as long as nothing after it was taken.
                if epoch > self.passed[level] {
                    let before = from.marked[epoch as usize - 1][level];
                    assert_eq!(passed, number >= before, "frame {number}, marker at {before}");
                    self.passed[level] = if passed { epoch } else { self.passed[level] };
                }
                assert_eq!(frame.len(), length(level, number), "frame {number} of {level}");
                assert!(frame[4..].iter().all(|byte| *byte == content(level, number)));
                self.received[level] += 1;
                let mut lane = self.link.inbound.drain(level, ANY);
                let (_, next) = lane.frame_at(head).expect("it was seen");
                lane.consume_to(next);
            }
        }
    }

    /// The newest epoch that it has seen, which is the same at all levels.
    fn epoch(&self) -> u32 {
        let epochs = [0, 1, 2].map(|level| {
            let head = self.link.inbound.head(level);
            self.link.inbound.marker(level, head).0
        });
        assert!(epochs.iter().all(|epoch| *epoch == epochs[0]), "{epochs:?}");
        epochs[0]
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
fn every_frame_and_marker_comes_once_in_its_place_however_the_bytes_are_cut() {
    let mut markers = 0;
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let (mut left, mut right) = (OneEnd::new(), OneEnd::new());
        let frames = 300;
        for step in 0.. {
            assert!(step < 200_000, "seed {seed}: it does not go on");
            match dice.below(9) {
                0 => left.append(&mut dice, frames),
                1 => right.append(&mut dice, frames),
                2 => left.send(&mut dice),
                3 => right.send(&mut dice),
                4 => left.take(&mut right, &mut dice),
                5 => right.take(&mut left, &mut dice),
                6 => left.drain(&right, &mut dice),
                7 => right.drain(&left, &mut dice),
                _ if dice.below(30) == 0 => [&mut left, &mut right][step % 2].mark(),
                _ => {}
            }
            let marked = |end: &OneEnd| end.marked.len() as u32;
            if [&left, &right].iter().all(|end| end.received == [frames; LEVELS])
                && (left.epoch(), right.epoch()) == (marked(&right), marked(&left))
            {
                break;
            }
        }
        markers += left.marked.len() + right.marked.len();
    }
    assert!(markers > 1_000, "{markers} markers");
}

/// Else a receiver that takes nothing would hold every checkpoint up.
#[test]
fn a_marker_passes_what_waits_for_credit() {
    let mut dice = Dice(1);
    let (mut left, mut right) = (OneEnd::new(), OneEnd::new());
    let exchange = |left: &mut OneEnd, right: &mut OneEnd, dice: &mut Dice| {
        for _ in 0..200 {
            left.append(dice, 400);
            left.send(dice);
            right.take(left, dice);
        }
    };
    exchange(&mut left, &mut right, &mut dice);
    left.mark();
    let before = left.marked[0];
    assert!((0..LEVELS).all(|level| before[level] < left.sent[level]), "some frames wait");
    exchange(&mut left, &mut right, &mut dice);
    assert_eq!(right.epoch(), 1);
    while right.received != before {
        right.drain(&left, &mut dice);
    }
    assert!(!(0..LEVELS).any(|level| right.link.inbound.waits(level)), "no room was given back");
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
    assert!(left.bytes_sent(0) <= CAPACITY as u64 / 2, "no more than a window");
}

#[test]
fn what_admits_a_frame_may_change_it() {
    let frames = [1, 0, 0, 0, 16, 0, 0, 0, 7, 0, 0, 0, 1, 2, 3, 0, 7, 0, 0, 0, 4, 5, 6, 0];
    for cut in 0..frames.len() {
        let LinkedLanes { inbound, mut receiver, .. } = LinkedLanes::new(2, CAPACITY);
        let (mut first, mut second) = (frames[..cut].to_vec(), frames[cut..].to_vec());
        for bytes in [&mut first, &mut second] {
            let admit = |level: usize, frame: &mut [u8]| {
                assert_eq!((level, frame.len(), frame[0]), (0, 7, 7), "whole frames");
                frame[5] *= 10;
                Ok(())
            };
            receiver.take(bytes, admit).expect("nothing is wrong");
        }
        let (frame, next) = inbound.frame_at(0, inbound.head(0)).expect("it came");
        assert_eq!(frame, [7, 0, 0, 0, 1, 20, 3]);
        assert_eq!(inbound.frame_at(0, next).expect("it came").0, [7, 0, 0, 0, 4, 50, 6]);
    }
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
        left.mark();
        left.send(&mut dice);
        let mut bytes = std::mem::take(&mut left.wire);
        for _ in 0..=dice.below(3) {
            if !bytes.is_empty() {
                let at = dice.below(bytes.len() as u64) as usize;
                bytes[at] = dice.below(256) as u8;
            }
        }
        let mut right = OneEnd::new();
        let mut longest = 0;
        let admit = |level: usize, frame: &mut [u8]| {
            assert!(level < LEVELS);
            longest = frame.len().max(longest);
            Ok(())
        };
        faults += u32::from(right.link.receiver.take(&mut bytes, admit).is_err());
        assert!(longest <= CAPACITY / 4);
    }
    assert!(faults > 100, "{faults} faults");
}

#[test]
fn what_is_wrong_is_named() {
    let take = |bytes: &[u8]| {
        let mut receiver = LinkedLanes::new(2, CAPACITY).receiver;
        let taken = receiver.take(&mut bytes.to_vec(), |_, _| Err("no number".into()));
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
    let mut credit = [2, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    let less = receiver.take(&mut credit, |_, _| Ok(()));
    assert_eq!(less, Err(LinkFault::LessCredit { level: 0, before: 2048, now: 1 }));
    assert_eq!(take(&[3, 0, 0, 0, 16, 0, 0, 0]), "a record of kind 3 has 16 bytes");
    let mark = |epoch: u64| [&[3, 0, 0, 0, 8, 0, 0, 0], &epoch.to_le_bytes()[..]].concat();
    for (first, second) in [(0, 1), (5, 5), (5, 4), (5, 1 << 32)] {
        let (before, now) = if first == 0 { (0, 0) } else { (first, second) };
        let mut marks = [mark(first), mark(second)].concat();
        let taken = LinkedLanes::new(1, CAPACITY).receiver.take(&mut marks, |_, _| Ok(()));
        assert_eq!(taken, Err(LinkFault::Epoch { before: before as u32, now }));
    }
    let frame = [&[0, 4, 0, 0][..], &[7; 1020]].concat();
    let mut more = [&[1, 0, 0, 0, 0, 12, 0, 0][..], &frame, &frame, &frame].concat();
    let beyond = LinkedLanes::new(1, CAPACITY).receiver.take(&mut more, |_, _| Ok(()));
    assert_eq!(beyond, Err(LinkFault::Credit { level: 0 }), "a window has two of them");
}
