//! All interleavings of a small ring.
//!
//! The sources of the ring stand here as they are, beside memory and synchronisation of the model
//! checker: it explores every order of the two ends and every value that the memory model lets
//! them see, and reports bytes that are read and written without an order between.
//!
//! The two ends do what those of a core do: frames are appended and filled, published once per
//! batch, walked several at a time and given back together. Each check runs with both numbers of
//! lines that a producer takes ahead, whatever the processor.
#![allow(dead_code, unreachable_pub, missing_docs)]

#[path = "../../runtime/src/ring/ahead.rs"]
mod ahead;
#[path = "../../runtime/src/ring/consumer.rs"]
mod consumer;
#[path = "../../runtime/src/ring/cursor.rs"]
mod cursor;
#[path = "../../runtime/src/ring/markers.rs"]
mod markers;
#[path = "../../runtime/src/ring/producer.rs"]
mod producer;
#[path = "../../runtime/src/ring/words.rs"]
mod words;

use ahead::Ahead;
use consumer::Consumer;
use cursor::{FRAME_ALIGN_BYTES, FRAME_LENGTH_BYTES};
use markers::markers;
use memory::RingMemory;
use producer::Producer;
use sync::{Arc, AtomicU64, CachePadded, Ordering};
use words::words;

/// What the ring shares, as seen by the model checker.
mod sync {
    pub(super) use loom::sync::atomic::{AtomicU64, Ordering};
    pub(super) use std::sync::Arc;

    /// Padding means nothing to the model.
    pub(super) struct CachePadded<T>(T);

    impl<T> CachePadded<T> {
        pub(super) fn new(value: T) -> Self {
            Self(value)
        }
    }

    impl<T> std::ops::Deref for CachePadded<T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.0
        }
    }
}

/// Memory in which each aligned eight bytes are one length word and one tracked cell.
mod memory {
    use super::cursor::{FRAME_ALIGN_BYTES, FRAME_LENGTH_BYTES, Placement};
    use loom::cell::UnsafeCell;
    use loom::sync::atomic::{AtomicU32, Ordering};

    pub(super) struct RingMemory {
        words: Vec<AtomicU32>,
        /// Stands for the bytes of its place: the checker sees who touches them when.
        touches: Vec<UnsafeCell<()>>,
        bytes: *mut u8,
        capacity: usize,
        /// Release, unless the alarm itself is tested.
        publishing: Ordering,
    }

    // SAFETY: the two ends share it as they do the real one; the checker watches `touches`.
    unsafe impl Send for RingMemory {}
    // SAFETY: as above.
    unsafe impl Sync for RingMemory {}

    impl RingMemory {
        pub(super) fn allocate(capacity: usize, publishing: Ordering) -> Self {
            let places = capacity / FRAME_ALIGN_BYTES;
            Self {
                words: (0..places).map(|_| AtomicU32::new(0)).collect(),
                touches: (0..places).map(|_| UnsafeCell::new(())).collect(),
                bytes: Box::into_raw(vec![0; capacity].into_boxed_slice()).cast(),
                capacity,
                publishing,
            }
        }

        pub(super) fn capacity(&self) -> u64 {
            self.capacity as u64
        }

        pub(super) fn load_length(&self, at: u64) -> u32 {
            self.word(at).load(Ordering::Acquire)
        }

        pub(super) fn store_length(&self, at: u64, length: u32) {
            self.touches[self.offset(at) / FRAME_ALIGN_BYTES].with_mut(|_| ());
            self.word(at).store(length, Ordering::Relaxed);
        }

        /// A hint, which no order of events depends on.
        pub(super) fn prefetch(&self, _: u64) {}

        pub(super) fn publish_length(&self, at: u64, length: u32) {
            self.word(at).store(length, self.publishing);
        }

        #[allow(clippy::mut_from_ref)]
        pub(super) fn body_mut(&self, place: &Placement) -> &mut [u8] {
            for place in self.places(place.start, place.bytes) {
                self.touches[place].with_mut(|_| ());
            }
            let offset = self.offset(place.start) + FRAME_LENGTH_BYTES;
            let bytes = place.bytes as usize - FRAME_LENGTH_BYTES;
            // SAFETY: inside the allocation; the checker has just seen no other access here.
            unsafe { std::slice::from_raw_parts_mut(self.bytes.add(offset), bytes) }
        }

        /// Unlike the real one the frame's length word is not in the bytes but beside them.
        pub(super) fn frame(&self, start: u64, bytes: u32) -> &[u8] {
            for place in self.places(start, bytes) {
                self.touches[place].with(|_| ());
            }
            // SAFETY: inside the allocation; the checker has just seen that no thread writes here.
            unsafe {
                std::slice::from_raw_parts(self.bytes.add(self.offset(start)), bytes as usize)
            }
        }

        fn places(&self, start: u64, bytes: u32) -> std::ops::Range<usize> {
            let first = self.offset(start) / FRAME_ALIGN_BYTES;
            first..first + (bytes as usize).div_ceil(FRAME_ALIGN_BYTES)
        }

        fn word(&self, at: u64) -> &AtomicU32 {
            &self.words[self.offset(at) / FRAME_ALIGN_BYTES]
        }

        fn offset(&self, at: u64) -> usize {
            at as usize & (self.capacity - 1)
        }
    }

    impl Drop for RingMemory {
        fn drop(&mut self) {
            let bytes = std::ptr::slice_from_raw_parts_mut(self.bytes, self.capacity);
            // SAFETY: made by `Box::into_raw` with this length, and both ends are gone.
            drop(unsafe { Box::from_raw(bytes) });
        }
    }
}

/// The last frame does not fit the 8 bytes left at the end: the marker stands first in its batch.
#[test]
fn a_batch_that_begins_with_the_marker_arrives_across_the_end() {
    check(64, &[&[8, 16], &[16, 16], &[12]]);
}

/// The same with the marker behind another frame of the batch, which cannot be there before the
/// head has moved: the producer waits too.
#[test]
fn a_batch_with_the_marker_inside_arrives_across_the_end() {
    check(64, &[&[8, 16, 16], &[16, 12]]);
}

/// With room for three frames: the free word behind the tail is used to the last.
#[test]
fn single_frames_arrive_in_a_full_ring() {
    check(32, &[&[8], &[8, 8], &[8]]);
}

/// Large enough that lines are taken ahead of the frames, which must never be ones still read.
#[test]
fn lines_are_taken_ahead_only_when_given_back() {
    check(256, &[&[64, 64], &[64], &[64]]);
}

/// The same for runs of frames.
#[test]
fn runs_of_frames_arrive_after_lines_were_taken_ahead() {
    check(256, &[&[16], &[16, 16, 16], &[64, 64]]);
}

/// A marker is seen before the frames that were published after it, at its place; and of two the
/// newest. That is all that a checkpoint asks of the order of memory.
#[test]
fn a_marker_is_seen_before_what_lies_behind_it() {
    Ahead::ALL.into_iter().for_each(|ahead| check_markers(true, ahead));
}

/// The alarm is tested too: a late marker must be found.
#[test]
#[should_panic]
fn a_marker_that_comes_late_is_found() {
    check_markers(false, Ahead::Near);
}

#[test]
#[should_panic]
fn a_marker_that_comes_late_is_found_with_many_lines_ahead() {
    check_markers(false, Ahead::Far);
}

fn check_markers(in_time: bool, ahead: Ahead) {
    loom::model(move || {
        let (mut producer, mut consumer) = ring(64, Ordering::Release, ahead);
        let (mut writer, reader) = markers(1);
        let sender = loom::thread::spawn(move || {
            for epoch in 1..=2 {
                if in_time {
                    writer.mark(0, &producer, epoch);
                }
                send(&mut producer, &[&[8]]);
                if !in_time {
                    writer.mark(0, &producer, epoch);
                }
            }
        });
        // The frame of epoch n is the n-th, eight bytes behind the one before.
        for epoch in 1..=2 {
            let next = loop {
                if let Some((_, next)) = consumer.frame_at(consumer.head()) {
                    break next;
                }
                loom::thread::yield_now();
            };
            let marker = reader.read(0, &consumer);
            assert!(marker.epoch >= epoch, "frame {epoch} was seen and not the marker before it");
            assert_eq!(marker.at, u64::from(marker.epoch - 1) * 8, "its place");
            consumer.consume_to(next);
        }
        sender.join().expect("the sender does not panic");
    });
}

/// A number is taken only after the frames that were sent before it, and the last one is taken.
#[test]
fn a_word_holds_after_what_was_sent_before_it() {
    check_words(true, 1);
    check_words(true, 2);
}

/// The alarm is tested too: a number that can be seen before its place must be found.
#[test]
#[should_panic]
fn a_number_that_comes_before_its_place_is_found() {
    check_words(false, 1);
}

/// The two ends with this many numbers. They change places three times at most: more than one
/// number takes too long otherwise.
fn check_words(place_first: bool, numbers: i64) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let (mut producer, mut consumer) = ring(64, Ordering::Release, Ahead::Near);
        let (mut writer, reader) = words(1);
        let sender = loom::thread::spawn(move || {
            for number in 1..=numbers {
                send(&mut producer, &[&[8]]);
                if place_first {
                    writer.write(0, &producer, number, number as u64);
                } else {
                    writer.set_number(0, number);
                    writer.set_place(0, &producer, number as u64);
                    writer.set_version(0, number as u64);
                }
            }
        });
        // Number n was written after frame n.
        let (mut consumed, mut taken) = (0, i64::MIN);
        while taken < numbers {
            let word = reader.read(0, &consumer);
            assert!(word.number >= taken, "numbers rise");
            let seen = u64::try_from(word.number).unwrap_or(0);
            assert!(word.version <= seen, "no number is counted before it is seen");
            if word.holds && word.number > taken {
                assert!(consumed >= word.number, "the number was taken before the frame");
                assert!(word.beside >= word.number as u64, "its time, or a later one");
                taken = word.number;
            } else if let Some((_, next)) = consumer.frame_at(consumer.head()) {
                consumer.consume_to(next);
                consumed += 1;
            } else {
                loom::thread::yield_now();
            }
        }
        sender.join().expect("the sender does not panic");
    });
}

/// Who sees a number sees the marker that was set before it: it takes its snapshot first.
#[test]
fn a_word_is_not_seen_before_the_marker_that_it_follows() {
    check_word_after_marker(true);
}

/// The alarm is tested too: a number that comes before the marker must be found.
#[test]
#[should_panic(expected = "the number was seen and not the marker before it")]
fn a_word_that_comes_before_its_marker_is_found() {
    check_word_after_marker(false);
}

fn check_word_after_marker(in_time: bool) {
    loom::model(move || {
        let (mut producer, consumer) = ring(64, Ordering::Release, Ahead::Near);
        let ((mut writer, reader), (mut marker, marks)) = (words(1), markers(1));
        let sender = loom::thread::spawn(move || {
            send(&mut producer, &[&[8]]);
            if in_time {
                marker.mark(0, &producer, 1);
            }
            writer.write(0, &producer, 7, 0);
            if !in_time {
                marker.mark(0, &producer, 1);
            }
        });
        // As a core does: the number first, then the newest marker.
        let number = reader.read(0, &consumer).number;
        let is_marked = marks.epoch(0) == 1;
        assert!(number != 7 || is_marked, "the number was seen and not the marker before it");
        sender.join().expect("the sender does not panic");
    });
}

/// The alarm is tested too: without its release order the ring must fail.
#[test]
#[should_panic(expected = "Causality violation")]
fn a_frame_published_without_order_is_found() {
    check_publishing(64, &[&[12]], Ordering::Relaxed, Ahead::Near);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_frame_published_without_order_is_found_with_many_lines_ahead() {
    check_publishing(64, &[&[12]], Ordering::Relaxed, Ahead::Far);
}

fn check(capacity: usize, batches: &'static [&'static [usize]]) {
    for ahead in Ahead::ALL {
        check_publishing(capacity, batches, Ordering::Release, ahead);
    }
}

/// Sends `batches` of frames with these lengths on one thread and takes them on another. Frame
/// number `n` is filled with `n`, so that order, length and content are seen at once.
fn check_publishing(
    capacity: usize,
    batches: &'static [&'static [usize]],
    publishing: Ordering,
    ahead: Ahead,
) {
    loom::model(move || {
        let (mut producer, mut consumer) = ring(capacity, publishing, ahead);
        let sender = loom::thread::spawn(move || send(&mut producer, batches));
        let expected = batches.concat();
        let mut taken = 0;
        while taken < expected.len() {
            match drain(&mut consumer, &expected[taken..], taken) {
                0 => loom::thread::yield_now(),
                frames => taken += frames,
            }
        }
        assert!(consumer.is_empty());
        sender.join().expect("the sender does not panic");
    });
}

fn ring(capacity: usize, publishing: Ordering, ahead: Ahead) -> (Producer, Consumer) {
    let memory = Arc::new(RingMemory::allocate(capacity, publishing));
    let head = Arc::new(CachePadded::new(AtomicU64::new(0)));
    let producer = Producer::new(Arc::clone(&memory), Arc::clone(&head), ahead);
    (producer, Consumer::new(memory, head, 0))
}

fn send(producer: &mut Producer, batches: &[&[usize]]) {
    let mut number = 0;
    for batch in batches {
        // What has one length is added as a run, as far as there is room for one.
        let mut left = *batch;
        while let Some(&bytes) = left.first() {
            let equal = left.iter().take_while(|other| **other == bytes).count();
            let sent = append(producer, bytes, equal, number);
            if sent == 0 {
                // As at the end of a turn: only what is published can make room.
                producer.publish();
                loom::thread::yield_now();
            }
            left = &left[sent..];
            number += sent as u8;
        }
        producer.publish();
    }
}

/// Adds up to `count` frames of `bytes` each, filled with the numbers after `before`. Returns how
/// many.
fn append(producer: &mut Producer, bytes: usize, count: usize, before: u8) -> usize {
    if count == 1 {
        return producer.try_append(bytes).map_or(0, |body| {
            body.fill(before + 1);
            1
        });
    }
    producer.append_run(bytes, count, |_, room| {
        let stride = bytes.next_multiple_of(FRAME_ALIGN_BYTES);
        for (number, room) in (before + 1..).zip(room.chunks_mut(stride)) {
            room[..bytes - FRAME_LENGTH_BYTES].fill(number);
        }
    })
}

/// As a core drains a lane: walks over the frames that are there, up to `RUN_FRAMES`, reads them
/// while it holds all of them, and gives them back together. Returns how many.
fn drain(consumer: &mut Consumer, expected: &[usize], before: usize) -> usize {
    if consumer.is_empty() {
        return 0;
    }
    let mut run = Vec::new();
    let mut position = consumer.head();
    while run.len() < RUN_FRAMES
        && let Some((frame, next)) = consumer.frame_at(position)
    {
        run.push(frame);
        position = next;
    }
    for (at, frame) in run.iter().enumerate() {
        assert_eq!(frame.len(), expected[at]);
        assert!(frame[4..].iter().all(|&byte| usize::from(byte) == before + at + 1));
    }
    let frames = run.len();
    consumer.consume_to(position);
    frames
}

/// Several, and fewer than the tests send.
const RUN_FRAMES: usize = 2;
