//! Input: the load of all contenders, each event with a time of its own.
//!
//! ```text
//!   past: each key once per second │ load: until the bench ends it │ audit: each key once
//! ```
//!
//! Events of the past and of the audit are marks, which change no state: after the past all rows
//! exist, and as much is open as in an application that has run for as long. The time of an event
//! lies in the field `intended_ns`, so that all contenders carry the same bytes.

use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use potoroo::prelude::*;

use crate::effort::Scale;
use crate::engine::load::{Item, Load};

/// How many keys there are, and how fast time passes.
#[derive(Clone, Copy, Debug)]
pub struct Input {
    /// Number of keys.
    pub keys: u64,
    /// Events of the load per second of their time.
    pub per_second: u64,
    /// Seconds of the past.
    pub past: u64,
    /// Events of the load that are of the last of these seconds.
    pub lead: u64,
}

impl Input {
    /// A million events per second, fewer at toy size.
    pub fn new(keys: u64, past: u64, scale: Scale) -> Self {
        Self { keys, per_second: scale.keys_max.min(1_000_000), past, lead: 0 }
    }

    /// The time of the event of the load with this number.
    #[inline]
    pub fn time_ns(self, number: u64) -> u64 {
        self.past * SECOND_NS + number * self.step_ns() - self.lead * self.step_ns()
    }

    /// From the time of an event to that of the next one.
    #[inline]
    fn step_ns(self) -> u64 {
        SECOND_NS / self.per_second
    }

    /// Each key once per second, before the load.
    fn past_events(self) -> impl Iterator<Item = Item> {
        let second = move |second| iter::repeat(second * SECOND_NS).zip(Load::keys(self.keys));
        (0..self.past).flat_map(second).map(|(time_ns, key)| marked(key, time_ns, MARK_PAST))
    }
}

/// What the generator, the handlers and the bench share: all of them run on one thread.
#[derive(Debug, Default)]
pub struct InputControl {
    /// Whole seconds of the load.
    seconds: AtomicU64,
    is_over: AtomicBool,
    /// Events of the load, known when it is over.
    sent: AtomicU64,
    sum: AtomicU64,
}

impl InputControl {
    /// Registers the generator `load` of this input.
    pub fn generator(self: &Arc<Self>, app: &Application, input: Input) {
        let control = Arc::clone(self);
        app.generator("load", move |_| {
            let mut feed = Feed::new(input, Arc::clone(&control));
            move |_| feed.next()
        });
    }

    /// Whole seconds of the load that have passed.
    pub fn seconds(&self) -> u64 {
        self.seconds.load(Ordering::Relaxed)
    }

    /// Ends the load.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// Events of the load, once it has ended.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Adds the checksum of a state.
    #[inline]
    pub fn add(&self, checksum: u64) {
        // There is no other writer.
        self.sum.store(self.sum().wrapping_add(checksum), Ordering::Relaxed);
    }

    /// The checksums of all states.
    pub fn sum(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }
}

/// Whether an event is none of the load.
#[inline]
pub fn is_mark(item: &Item) -> bool {
    item.rest[0] >= MARK_PAST
}

/// Whether an event asks for the checksum of its key.
pub fn is_audit(item: &Item) -> bool {
    item.rest[0] == MARK_AUDIT
}

/// The time of an event.
#[inline]
pub fn time(item: &Item) -> EventTime {
    EventTime::from_nanos(item.intended_ns.cast_signed())
}

/// Makes `event` of each index the generator `load`, which counts in `made` what it has made.
pub fn generate(
    app: &Application,
    made: &Arc<AtomicU64>,
    event: impl Fn(u64) -> Item + Copy + Send + Sync + 'static,
) {
    let made = Arc::clone(made);
    app.generator("load", move |_| {
        let made = Arc::clone(&made);
        move |index| {
            made.store(index + 1, Ordering::Relaxed);
            Some(event(index))
        }
    });
}

struct Feed {
    input: Input,
    load: Load,
    /// `None` when it is over: one compare per event of the load.
    past: Option<Box<dyn Iterator<Item = Item>>>,
    audit: Box<dyn Iterator<Item = u64>>,
    control: Arc<InputControl>,
    /// Events until the next whole second.
    left: u64,
}

impl Feed {
    fn new(input: Input, control: Arc<InputControl>) -> Self {
        let (load, audit) = (Load::new(input.keys), Box::new(Load::keys(input.keys)));
        let past: Box<dyn Iterator<Item = Item>> = Box::new(input.past_events());
        Self { input, load, past: Some(past), audit, control, left: input.per_second }
    }

    #[inline]
    fn next(&mut self) -> Option<Item> {
        if self.past.is_some() || self.control.is_over.load(Ordering::Relaxed) {
            return self.next_mark();
        }
        self.left -= 1;
        if self.left == 0 {
            self.left = self.input.per_second;
            self.control.seconds.store(self.control.seconds() + 1, Ordering::Relaxed);
        }
        Some(self.load.next(self.input.time_ns(self.load.sent())))
    }

    #[cold]
    fn next_mark(&mut self) -> Option<Item> {
        if let Some(past) = &mut self.past {
            let event = past.next();
            if event.is_none() {
                self.past = None;
                return self.next();
            }
            return event;
        }
        let sent = self.load.sent();
        self.control.sent.store(sent, Ordering::Relaxed);
        self.audit.next().map(|key| marked(key, self.input.time_ns(sent), MARK_AUDIT))
    }
}

fn marked(key: u64, time_ns: u64, mark: u64) -> Item {
    Item { key, value: 0, intended_ns: time_ns, rest: [mark; 5] }
}

/// Nanoseconds of a second.
pub const SECOND_NS: u64 = 1_000_000_000;
/// Indices of keys are smaller.
const MARK_PAST: u64 = u64::MAX - 1;
const MARK_AUDIT: u64 = u64::MAX;
