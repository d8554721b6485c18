//! What became of the events of a load, part by part.

use serde_json::{Value, json};

use crate::gaps::{CoreGaps, GapLog, Watch};
use crate::recorder::Recorder;
use crate::stamp;

/// The account of a part of a run; events of the warm-up are not in it.
#[derive(Clone, Debug, Default)]
pub struct RunPart {
    /// From the moment an event was due until its answer was read.
    pub latency: Recorder,
    /// Those of them during which the load's own loop stood still.
    pub inside: Recorder,
    /// Times in which it did.
    pub gaps: CoreGaps,
    /// From that moment until the event was handed to the socket.
    pub lag: Recorder,
    /// When the part began, on the clock of `stamp`.
    pub start_ns: u64,
    /// How long it was.
    pub nanos: u64,
    /// Events that left.
    pub sent: u64,
    /// Answers that came.
    pub answered: u64,
    /// Answers that had not come by the end of the run.
    pub unanswered: u64,
    /// Sum of the answered sequence numbers: the same for the same load, however it was answered.
    pub checksum: u64,
}

impl RunPart {
    /// Adds another part's counts.
    pub fn merge(&mut self, other: &Self) {
        self.latency.merge(&other.latency);
        self.inside.merge(&other.inside);
        self.lag.merge(&other.lag);
        self.nanos += other.nanos;
        self.sent += other.sent;
        self.answered += other.answered;
        self.unanswered += other.unanswered;
        self.checksum = self.checksum.wrapping_add(other.checksum);
    }

    /// The usual percentiles and counts.
    pub fn json(&self) -> Value {
        let mut object = self.latency.summary();
        object["seconds"] = json!(self.nanos as f64 / 1e9);
        object["sent"] = json!(self.sent);
        object["lag_p999"] = json!(self.lag.quantile(0.999));
        object
    }

    /// One line for people.
    pub fn line(&self) -> String {
        let micros = |recorder: &Recorder, fraction| recorder.quantile(fraction) / 1000.0;
        format!(
            "{} answers, p50 {:.1} us, p99.9 {:.1} us; the load was late by {:.1} us (p99.9)",
            self.answered,
            micros(&self.latency, 0.5),
            micros(&self.latency, 0.999),
            micros(&self.lag, 0.999),
        )
    }
}

/// The hot side: counts, and watches its own loop.
#[derive(Debug)]
pub struct Account {
    part: RunPart,
    /// What was due before does not count.
    counts_from_ns: u64,
    watch: Watch,
    log: GapLog,
}

impl Account {
    /// Counts events that are due from a moment on.
    pub fn new(counts_from_ns: u64) -> Self {
        let watch = Watch::new(1);
        let mut log = watch.log(0, "load");
        log.begin(stamp::now());
        let part = RunPart { start_ns: counts_from_ns, ..RunPart::default() };
        Self { part, counts_from_ns, watch, log }
    }

    /// The loop is running.
    #[inline]
    pub fn see(&mut self, now_ns: u64) {
        self.log.see(now_ns);
    }

    /// The loop was in the system for as long as it wanted: that is no gap.
    #[inline]
    pub fn skip(&mut self) {
        self.log.skip(stamp::now());
    }

    /// An event was handed to the socket.
    #[inline]
    pub fn depart(&mut self, due_ns: u64, now_ns: u64) {
        if due_ns >= self.counts_from_ns {
            self.part.lag.record(now_ns.saturating_sub(due_ns));
            self.part.sent += 1;
        }
    }

    /// An answer was read.
    #[inline]
    pub fn arrive(&mut self, due_ns: u64, now_ns: u64, sequence: u64) {
        if due_ns >= self.counts_from_ns {
            self.latency(due_ns, now_ns);
            self.part.answered += 1;
            self.part.checksum = self.part.checksum.wrapping_add(sequence);
        }
    }

    /// The wait for an answer ends without it.
    pub fn end_unanswered(&mut self, due_ns: u64, now_ns: u64) {
        if due_ns >= self.counts_from_ns {
            self.latency(due_ns, now_ns);
            self.part.unanswered += 1;
        }
    }

    #[inline]
    fn latency(&mut self, due_ns: u64, now_ns: u64) {
        let latency_ns = now_ns.saturating_sub(due_ns);
        self.part.latency.record(latency_ns);
        if self.watch.covers(due_ns, now_ns) {
            self.part.inside.record(latency_ns);
        }
    }

    /// Ends a part and begins the next one.
    pub fn turn_over(&mut self, now_ns: u64) -> RunPart {
        let start_ns = now_ns.max(self.part.start_ns);
        let next = RunPart { start_ns, ..RunPart::default() };
        let mut part = std::mem::replace(&mut self.part, next);
        part.nanos = start_ns - part.start_ns;
        part.gaps = self.log.turn_over();
        part
    }
}
