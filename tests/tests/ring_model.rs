//! The ring against a queue that is plainly right, and between two real threads; with both numbers
//! of lines that a producer takes ahead, whatever the processor.

use std::collections::VecDeque;

use potoroo_runtime::ring::{Ahead, FRAME_ALIGN_BYTES, FRAME_LENGTH_BYTES, Position, ring_ahead};
use potoroo_runtime::{Consumer, Producer, ring};

#[test]
fn random_operations_agree_with_a_queue() {
    for seed in 0..seeds() {
        Ahead::ALL.into_iter().for_each(|ahead| Model::new(seed, ahead).run(4000));
    }
}

#[test]
fn a_million_frames_cross_two_threads_unharmed() {
    for (seed, ahead) in [(1, Ahead::Near), (2, Ahead::Far), (3, Ahead::Near), (4, Ahead::Far)] {
        let frames = if cfg!(debug_assertions) { 200_000 } else { 1_000_000 };
        let (mut producer, mut consumer) = ring_ahead(4096, ahead);
        let sender = std::thread::spawn(move || send(&mut producer, seed, frames));
        let received = receive(&mut consumer, seed, frames);
        assert_eq!(sender.join().expect("sending does not panic"), received, "seed {seed}");
    }
}

#[test]
fn a_drained_ring_takes_a_frame_of_the_greatest_length_wherever_it_stands() {
    for ahead in Ahead::ALL {
        let (mut producer, mut consumer) = ring_ahead(4096, ahead);
        for step in 0..2000 {
            for bytes in [4 + 8 * (step % 50), producer.frame_bytes_max()] {
                assert!(producer.try_append(bytes).is_some(), "step {step}, {bytes} bytes");
                producer.publish();
                let (frame, next) = consumer.frame_at(consumer.head()).expect("published");
                assert_eq!(frame.len(), bytes);
                consumer.consume_to(next);
            }
            assert!(consumer.is_empty(), "a drained ring is given back whole");
            assert_eq!(producer.bytes_in_use(), 0);
        }
    }
}

/// A consumer that looks to the end of what is there and takes one frame of it gives little back
/// with each look: a producer that sleeps until it is woken for room is woken all the same.
#[test]
fn a_producer_that_waits_for_room_is_woken() {
    for ahead in Ahead::ALL {
        for bytes in [16, 24, 64, 100, 256] {
            let (mut producer, mut consumer) = ring_ahead(4096, ahead);
            for round in 0..50 {
                while producer.try_append(bytes).is_some() {}
                producer.publish();
                let long = if round % 2 == 0 { bytes } else { producer.frame_bytes_max() };
                let mut woken = false;
                while let Some((_, next)) = consumer.frame_at(consumer.head()) {
                    let mut end = next;
                    while let Some((_, next)) = consumer.frame_at(end) {
                        end = next;
                    }
                    if consumer.consume_to(next) && producer.try_append(long).is_some() {
                        woken = true;
                        break;
                    }
                }
                assert!(woken, "{bytes} bytes, round {round}: there is room, and it was not woken");
            }
        }
    }
}

/// Where there is room a run is as long as the lines that are taken ahead, or whole.
#[test]
fn a_run_has_as_many_frames_as_fit() {
    for (ahead, second) in [(Ahead::Near, 64), (Ahead::Far, 30)] {
        let (mut producer, mut consumer) = ring_ahead(1 << 16, ahead);
        assert_eq!(producer.append_run(100, 64, |_, _| {}), 64);
        producer.publish();
        let sent = producer.append_run(100, 64, |_, _| {});
        assert!(sent >= second, "{ahead:?}: {sent}");
        producer.publish();
        let mut taken = 0;
        while let Some((frame, next)) = consumer.frame_at(consumer.head()) {
            assert_eq!(frame.len(), 100);
            consumer.consume_to(next);
            taken += 1;
        }
        assert_eq!(taken, 64 + sent);
    }
}

#[test]
#[should_panic(expected = "a run has frames")]
fn a_run_without_frames_is_refused() {
    let (mut producer, _consumer) = ring(4096);
    producer.append_run(40, 0, |_, _| {});
}

#[test]
#[should_panic(expected = "belongs to another ring")]
fn a_position_of_another_ring_is_refused() {
    let (_one_producer, one) = ring(4096);
    let (_other_producer, other) = ring(4096);
    let _ = one.frame_at(other.head());
}

#[test]
#[should_panic(expected = "consumed already")]
fn a_position_before_the_head_is_refused() {
    let (mut producer, mut consumer) = ring(4096);
    producer.try_append(8).expect("room");
    producer.publish();
    let old = consumer.head();
    let (_, next) = consumer.frame_at(old).expect("published");
    consumer.consume_to(next);
    let _ = consumer.frame_at(old);
}

/// A ring on one thread and what it should hold.
struct Model {
    seed: u64,
    random: Random,
    producer: Producer,
    consumer: Consumer,
    committed: VecDeque<Vec<u8>>,
    published: VecDeque<Vec<u8>>,
}

impl Model {
    fn new(seed: u64, ahead: Ahead) -> Self {
        let (producer, consumer) = ring_ahead(4096, ahead);
        let (committed, published) = (VecDeque::new(), VecDeque::new());
        Self { seed, random: Random(seed), producer, consumer, committed, published }
    }

    fn run(mut self, steps: usize) {
        for _ in 0..steps {
            match self.random.below(10) {
                0..4 => self.append(),
                4 => self.append_run(),
                5..7 => self.publish(),
                _ => self.read(),
            }
        }
        self.publish();
        while !self.published.is_empty() {
            self.read();
        }
        assert!(self.consumer.is_empty(), "seed {}", self.seed);
        assert_eq!(self.producer.bytes_in_use(), 0, "seed {}", self.seed);
    }

    fn append(&mut self) {
        let bytes = self.bytes();
        let frame = self.random.frame(bytes);
        let Some(body) = self.producer.try_append(bytes) else {
            let held = self.committed.len() + self.published.len();
            assert!(held > 0, "an empty ring has room, seed {}", self.seed);
            return;
        };
        body.copy_from_slice(&frame[FRAME_LENGTH_BYTES..]);
        self.committed.push_back(frame);
    }

    fn append_run(&mut self) {
        let (bytes, count) = (self.bytes(), 1 + self.random.below(12) as usize);
        let frames: Vec<_> = (0..count).map(|_| self.random.frame(bytes)).collect();
        let stride = bytes.next_multiple_of(FRAME_ALIGN_BYTES);
        let mut promised = 0;
        let sent = self.producer.append_run(bytes, count, |run, room| {
            promised = run;
            for (place, frame) in frames[..run].iter().enumerate() {
                let room = &mut room[place * stride..][..bytes - FRAME_LENGTH_BYTES];
                room.copy_from_slice(&frame[FRAME_LENGTH_BYTES..]);
            }
            assert_eq!(room.len(), (run - 1) * stride + bytes - FRAME_LENGTH_BYTES);
            // Length words come after it, whatever is written there.
            for next in 1..run {
                room[next * stride - FRAME_LENGTH_BYTES..][..FRAME_LENGTH_BYTES].fill(0xff);
            }
        });
        assert_eq!(sent, promised, "seed {}", self.seed);
        let held = self.committed.len() + self.published.len();
        assert!(sent > 0 || held > 0, "an empty ring has room, seed {}", self.seed);
        self.committed.extend(frames.into_iter().take(sent));
    }

    fn publish(&mut self) {
        let something = !self.committed.is_empty();
        assert_eq!(self.producer.has_unpublished(), something, "seed {}", self.seed);
        assert_eq!(self.producer.publish(), something, "seed {}", self.seed);
        self.published.append(&mut self.committed);
    }

    /// Looks at some frames, all held at once, and gives some of them back.
    fn read(&mut self) {
        let looks = self.random.below(6) as usize;
        let (frames, positions) = walk(&self.consumer, looks);
        let expected: Vec<&[u8]> = self.published.iter().take(looks).map(Vec::as_slice).collect();
        assert_eq!(frames, expected, "seed {}", self.seed);
        assert_eq!(self.consumer.is_empty(), self.published.is_empty());
        let taken = self.random.below(positions.len() as u64) as usize;
        self.consumer.consume_to(positions[taken]);
        self.published.drain(..taken);
    }

    /// Mostly short, sometimes the greatest length, never aligned on purpose.
    fn bytes(&mut self) -> usize {
        let longest = self.producer.frame_bytes_max();
        match self.random.below(20) {
            0 => longest,
            1 => FRAME_LENGTH_BYTES,
            2..6 => FRAME_LENGTH_BYTES + self.random.below(longest as u64 - 4) as usize,
            _ => FRAME_LENGTH_BYTES + self.random.below(100) as usize,
        }
    }
}

/// Up to `looks` frames from the head on, and the positions before, between and behind them.
fn walk(consumer: &Consumer, looks: usize) -> (Vec<&[u8]>, Vec<Position>) {
    let (mut frames, mut positions) = (Vec::new(), vec![consumer.head()]);
    while frames.len() < looks {
        let Some((frame, next)) = consumer.frame_at(positions[frames.len()]) else { break };
        frames.push(frame);
        positions.push(next);
    }
    (frames, positions)
}

fn send(producer: &mut Producer, seed: u64, frames: usize) -> u64 {
    let mut random = Random(seed);
    let mut sum = 0;
    for _ in 0..frames {
        let frame = random.short_frame();
        sum = checksum(sum, &frame);
        loop {
            if let Some(body) = producer.try_append(frame.len()) {
                body.copy_from_slice(&frame[FRAME_LENGTH_BYTES..]);
                break;
            }
            producer.publish();
            std::thread::yield_now();
        }
        if random.below(16) == 0 {
            producer.publish();
        }
    }
    producer.publish();
    sum
}

fn receive(consumer: &mut Consumer, seed: u64, frames: usize) -> u64 {
    let mut random = Random(!seed);
    let (mut sum, mut received) = (0, 0);
    while received < frames {
        let mut position = consumer.head();
        for _ in 0..=random.below(64) {
            let Some((frame, next)) = consumer.frame_at(position) else { break };
            sum = checksum(sum, frame);
            received += 1;
            position = next;
        }
        if position == consumer.head() {
            std::thread::yield_now();
        }
        consumer.consume_to(position);
    }
    sum
}

fn checksum(sum: u64, frame: &[u8]) -> u64 {
    frame.iter().fold(sum, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3))
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A frame of `bytes` that begins with its length, as the ring will deliver it.
    fn frame(&mut self, bytes: usize) -> Vec<u8> {
        let mut frame = (bytes as u32).to_le_bytes().to_vec();
        frame.extend((FRAME_LENGTH_BYTES..bytes).map(|_| self.next() as u8));
        frame
    }

    fn short_frame(&mut self) -> Vec<u8> {
        let bytes = FRAME_LENGTH_BYTES + self.below(60) as usize;
        self.frame(bytes)
    }
}

/// How many seeds are tried; more by an environment variable.
fn seeds() -> u64 {
    std::env::var("POTOROO_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(200)
}
