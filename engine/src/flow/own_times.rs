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

use potoroo_sdk::host::{SourceId, TimeId};
use potoroo_sdk::plan::Plan;
use potoroo_sdk::time::EventTime;

use super::least::Least;
use super::own_watermarks::OwnWatermarks;

/// Stands for a source that is left out: it holds nothing, and may bring events later.
pub(super) const LEFT_OUT: EventTime = EventTime::from_nanos(i64::MAX - 1);

/// The moments up to which the sources of one core have come.
pub(super) struct OwnTimes {
    /// By `event_time`: first one place for each source, then one for each inlet.
    times: Vec<Least>,
    /// By source: the seat that reads it, if that is one.
    readers: Vec<Option<usize>>,
    /// By `event_time`: the least that a connection had come to that has ended.
    ended_at: Vec<EventTime>,
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
        let ended_at = vec![EventTime::MAX; times.len()];
        Self { times, readers: readers.to_vec(), ended_at, stopped: false }
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

    /// An inlet was opened that has these own watermarks. If it has brought nothing and its source
    /// has connections, it holds no time before it does.
    // cold: once per connection
    pub(super) fn open(
        &mut self,
        source: SourceId,
        inlet: usize,
        own: &OwnWatermarks,
        is_new: bool,
    ) {
        let is_read = self.readers[usize::from(source.0)].is_some();
        if is_read || !is_new {
            return self.set(source, Some(inlet), own);
        }
        let place = self.place(source, Some(inlet));
        own.each().for_each(|(id, _)| self.times[usize::from(id.0)].set(place, LEFT_OUT));
    }

    /// Whether an inlet holds no time yet.
    #[inline]
    pub(super) fn is_left_out(&self, id: TimeId, source: SourceId, inlet: Option<usize>) -> bool {
        self.times[usize::from(id.0)].at(self.place(source, inlet)) >= LEFT_OUT
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
        for at in 0..self.readers.len() {
            if self.readers[at].is_none() && !self.stopped {
                self.set_all(plan, SourceId(at as u8), at, EventTime::MAX);
            }
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
