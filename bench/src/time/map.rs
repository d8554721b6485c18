//! Tumbling windows as one would write them by hand: a hash map of (key, window), on one thread.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use anyhow::{Result, ensure};

use super::core_window::CoreJob;
use super::input::SECOND_NS;
use crate::engine::load::{Load, Tally};
use crate::engine::window::MeasuredWindow;
use crate::stamp;
use crate::take::Take;

/// Measures one window.
///
/// # Errors
/// The states do not add up to what was made.
pub fn run(job: &CoreJob) -> Result<MeasuredWindow> {
    job.place.alone(|gate| {
        let mut contender = ByHand::new(job);
        contender.pass_second();
        let sprint = gate.enter();
        let begun = stamp::now();
        let mut seconds = 0;
        while stamp::now() - begun < job.slice.as_nanos() as u64 {
            contender.pass_second();
            seconds += 1;
        }
        let nanos = stamp::now() - begun;
        drop(sprint);
        contender.close();
        let expected = Load::checksum(job.input.keys, contender.load.sent());
        ensure!(contender.sum == expected, "the windows do not add up to the events made");
        let events = seconds * job.input.per_second;
        Ok(MeasuredWindow { latency: Take::default(), events, nanos })
    })
}

struct ByHand<'a> {
    job: &'a CoreJob,
    load: Load,
    open: HashMap<(u64, u64), Tally, BuildHasherDefault<WindowHasher>>,
    /// The second that is open.
    second: u64,
    sum: u64,
}

impl<'a> ByHand<'a> {
    fn new(job: &'a CoreJob) -> Self {
        let keys = job.input.keys;
        let open = HashMap::with_capacity_and_hasher(keys as usize, BuildHasherDefault::default());
        Self { job, load: Load::new(keys), open, second: job.input.time_ns(0) / SECOND_NS, sum: 0 }
    }

    fn pass_second(&mut self) {
        for _ in 0..self.job.input.per_second {
            let event = self.load.next(self.job.input.time_ns(self.load.sent()));
            let second = event.intended_ns / SECOND_NS;
            if second > self.second {
                self.close();
                self.second = second;
            }
            let tally = self.open.entry((event.key, second)).or_default();
            tally.update(event.value, event.intended_ns);
        }
    }

    /// Events are in order: all that is open is of one second.
    #[inline(never)]
    fn close(&mut self) {
        for ((key, _), tally) in self.open.drain() {
            self.sum = self.sum.wrapping_add(tally.checksum(key));
        }
    }
}

/// As [`KeyHasher`](crate::engine::owner::KeyHasher), of two numbers.
#[derive(Default)]
struct WindowHasher(u64);

impl Hasher for WindowHasher {
    #[inline]
    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(32);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("keys and windows are u64 and hash themselves with write_u64");
    }
}
