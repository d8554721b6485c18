//! What the sources of a core say of time: the least of the own watermarks of its connections.
//!
//! A source is read in one place, from its beginning, or has connections that come and go:
//!
//! ```text
//!   read in one place   holds time until it has ended, on the core that reads it
//!   connections         each holds time from its first event until it is closed; without any, the
//!                       source is left out: it holds nothing, and has not ended either
//! ```
//!
//! Must never do: look at another core.

use potoroo_runtime::Nanos;
use potoroo_sdk::host::{SourceId, TimeId};
use potoroo_sdk::plan::{Plan, PlannedTime};
use potoroo_sdk::time::EventTime;

use super::least::Least;
use super::own_watermarks::OwnWatermarks;
use super::silence::{LEFT_OUT, Silences};

/// What holds time on a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SourceOrInlet {
    /// A source that the core reads from its beginning to its end.
    Source(SourceId),
    /// The slot of a connection.
    Inlet(usize),
}

/// The moments up to which the sources of one core have come.
pub(super) struct OwnTimes {
    /// By `event_time`: first one place for each source, then one for each inlet.
    times: Vec<Least>,
    /// By source: the seat that reads it, if that is one.
    readers: Vec<Option<usize>>,
    /// By source: how many connections go on here from a checkpoint that are not open yet.
    awaited: Vec<usize>,
    /// By `event_time`: the least that a connection had come to that has ended.
    ended_at: Vec<EventTime>,
    silences: Silences,
    /// By `event_time`: how far above the watermark a connection may be and is still read, in
    /// nanoseconds; `i64::MAX` without a limit.
    ahead_max: Vec<i64>,
    /// Sources have been stopped: what they said stays.
    stopped: bool,
}

impl OwnTimes {
    /// Of the core at `seat`, before anything was opened.
    // cold: at start
    pub(super) fn new(plan: &Plan, seat: usize, readers: &[Option<usize>]) -> Self {
        let mut times: Vec<Least> = plan.times.iter().map(|_| Least::new()).collect();
        for (at, source) in plan.sources.iter().enumerate() {
            let moment = match readers[at] {
                Some(reader) if reader == seat => EventTime::MIN,
                Some(_) => EventTime::MAX,
                None => LEFT_OUT,
            };
            source.times.iter().for_each(|id| times[usize::from(id.0)].set(at, moment));
        }
        let ahead = |time: &PlannedTime| time.lateness.ahead_max_ns();
        let ahead = plan.times.iter().map(ahead);
        Self {
            readers: readers.to_vec(),
            awaited: vec![0; readers.len()],
            ended_at: vec![EventTime::MAX; times.len()],
            silences: Silences::new(plan),
            ahead_max: ahead.map(|ns| ns.map_or(i64::MAX, u64::cast_signed)).collect(),
            stopped: false,
            times,
        }
    }

    /// Whether the core at `seat` reads a source, and no other core does.
    // cold: when nodes come or go
    pub(super) fn is_read_by(&self, source: SourceId, seat: usize) -> bool {
        self.readers[usize::from(source.0)] == Some(seat)
    }

    fn place(&self, source: SourceId, inlet: Option<usize>) -> usize {
        match (self.readers[usize::from(source.0)], inlet) {
            (None, Some(inlet)) => self.readers.len() + inlet,
            _ => usize::from(source.0),
        }
    }

    /// An inlet, or the generator, of a source has these own watermarks now.
    #[inline]
    pub(super) fn set(&mut self, source: SourceId, inlet: Option<usize>, own: &OwnWatermarks) {
        let place = self.place(source, inlet);
        own.each().for_each(|(id, own)| self.times[usize::from(id.0)].set(place, own));
    }

    /// An inlet, or the generator, of a source brought something at this moment.
    #[inline]
    pub(super) fn brought(&mut self, source: SourceId, inlet: Option<usize>, at: u64) {
        self.silences.brought(self.place(source, inlet), at);
    }

    /// Raises own watermarks to where their time has come that went on without events.
    #[inline]
    pub(super) fn catch_up(&self, source: SourceId, inlet: Option<usize>, own: &mut OwnWatermarks) {
        if self.silences.run_on() {
            own.raise(|id| match self.at(id, source, inlet) {
                moment if moment < LEFT_OUT => moment,
                _ => EventTime::MIN,
            });
        }
    }

    /// Sources are not read at `now`.
    pub(super) fn pause(&mut self, now: Nanos) {
        self.silences.pause(now);
    }

    /// An inlet, or the generator, of a source holds no time.
    pub(super) fn leave_out(
        &mut self,
        source: SourceId,
        inlet: Option<usize>,
        own: &OwnWatermarks,
    ) {
        let place = self.place(source, inlet);
        own.each().for_each(|(id, _)| self.times[usize::from(id.0)].set(place, LEFT_OUT));
    }

    /// Looks at `now` what has been silent for long, unless sources have been stopped.
    #[inline]
    pub(super) fn look(&mut self, now: Nanos) {
        if !self.stopped {
            self.silences.look(now, &mut self.times);
        }
    }

    /// When something may change although nothing comes.
    pub(super) fn next_look(&self) -> Option<Nanos> {
        self.silences.next().filter(|_| !self.stopped)
    }

    /// How far above the watermark a connection may be and is still read; `None` without a limit.
    #[inline]
    pub(super) fn ahead_max(&self, id: TimeId) -> Option<i64> {
        // What was read before a stop goes on to its end.
        let longest = Some(self.ahead_max[usize::from(id.0)]).filter(|_| !self.stopped);
        longest.filter(|longest| *longest < i64::MAX)
    }

    /// How far an inlet, or the generator, of a source has come.
    #[inline]
    pub(super) fn at(&self, id: TimeId, source: SourceId, inlet: Option<usize>) -> EventTime {
        self.times[usize::from(id.0)].at(self.place(source, inlet))
    }

    /// `count` connections of a source go on here from a checkpoint, and hold time before they are
    /// open.
    // cold: at start
    pub(super) fn await_connections(&mut self, plan: &Plan, source: SourceId, count: usize) {
        self.awaited[usize::from(source.0)] = count;
        if count > 0 {
            self.set_all(plan, source, usize::from(source.0), EventTime::MIN);
        }
    }

    /// An inlet was opened that has these own watermarks. If its source has connections, and it is
    /// not one that goes on, it holds no time before it brings something.
    // cold: once per connection
    pub(super) fn open(
        &mut self,
        source: SourceId,
        inlet: usize,
        own: &OwnWatermarks,
        goes_on: bool,
    ) {
        self.brought(source, Some(inlet), 0);
        let at = usize::from(source.0);
        if goes_on || self.readers[at].is_some() {
            self.set(source, Some(inlet), own);
            if self.awaited[at] > 0 {
                self.awaited[at] -= 1;
                if self.awaited[at] == 0 {
                    self.leave_out(source, None, own);
                }
            }
            return;
        }
        self.leave_out(source, Some(inlet), own);
    }

    /// Whether an inlet holds no time.
    #[inline]
    pub(super) fn is_left_out(&self, id: TimeId, source: SourceId, inlet: Option<usize>) -> bool {
        self.at(id, source, inlet) >= LEFT_OUT
    }

    /// An inlet, or the generator, of a source brings nothing more.
    // cold: once per connection
    pub(super) fn end(&mut self, plan: &Plan, source: SourceId, inlet: Option<usize>) {
        let place = self.place(source, inlet);
        if self.stopped {
            return;
        }
        for id in &plan.sources[usize::from(source.0)].times {
            let at = usize::from(id.0);
            let own = self.times[at].at(place);
            if own < LEFT_OUT {
                self.ended_at[at] = self.ended_at[at].min(own);
            }
        }
        self.set_all(plan, source, place, EventTime::MAX);
    }

    /// The least that a connection had come to that has ended; the end of time if none has.
    pub(super) fn ended_at(&self, id: TimeId) -> EventTime {
        self.ended_at[usize::from(id.0)]
    }

    /// No source will have another connection.
    // cold: once
    pub(super) fn complete(&mut self, plan: &Plan) {
        (0..self.readers.len()).for_each(|at| self.complete_one(plan, SourceId(at as u8)));
    }

    /// A source will have no other connection.
    // cold: once per source
    pub(super) fn complete_one(&mut self, plan: &Plan, source: SourceId) {
        let at = usize::from(source.0);
        if self.readers[at].is_none() && !self.stopped {
            self.set_all(plan, source, at, EventTime::MAX);
        }
    }

    fn set_all(&mut self, plan: &Plan, source: SourceId, place: usize, moment: EventTime) {
        let times = &plan.sources[usize::from(source.0)].times;
        times.iter().for_each(|id| self.times[usize::from(id.0)].set(place, moment));
    }

    /// Sources are stopped, which is no end: nothing that waits for the end comes now.
    // cold: once
    pub(super) fn stop(&mut self) {
        self.stopped = true;
    }

    /// Nothing on time at or before this moment comes from the connections of this core.
    #[inline]
    pub(super) fn least(&self, id: TimeId) -> EventTime {
        self.times[usize::from(id.0)].least()
    }

    /// What holds that: how far it has come, and the source that is read here or the inlet of a
    /// connection. `None` if nothing holds it.
    // cold: for gauges
    pub(super) fn holder(&self, id: TimeId) -> Option<(EventTime, SourceOrInlet)> {
        let times = &self.times[usize::from(id.0)];
        let place = times.place();
        let of = match place.checked_sub(self.readers.len()) {
            Some(inlet) => SourceOrInlet::Inlet(inlet),
            None => SourceOrInlet::Source(SourceId(place as u8)),
        };
        (times.least() < LEFT_OUT).then_some((times.least(), of))
    }

    /// The same without an inlet or generator.
    #[inline]
    pub(super) fn least_but(
        &self,
        id: TimeId,
        source: SourceId,
        inlet: Option<usize>,
    ) -> EventTime {
        self.times[usize::from(id.0)].least_but(self.place(source, inlet))
    }
}
