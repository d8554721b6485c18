//! The own watermarks of a connection or generator: one for each `event_time` through which its
//! events may come.
//!
//! Promises: what is [saved](OwnWatermarks::saved) beside its position and restored judges the
//! events that follow as if there had been no end between. Must never do: look at another
//! connection.

use potoroo_sdk::host::TimeId;
use potoroo_sdk::plan::Plan;
use potoroo_sdk::time::EventTime;

/// The own watermarks of one connection or generator.
pub struct OwnWatermarks {
    /// By `event_time` of the application: its stages take them as they are.
    all: Box<[EventTime]>,
    /// Those that are its own.
    of_source: Box<[TimeId]>,
}

impl OwnWatermarks {
    /// Of what has brought no event through any of these `event_time`s, of `count` that the
    /// application has.
    // cold: once per connection; takes no memory where no event has a time
    pub fn new(count: usize, of_source: &[TimeId]) -> Self {
        let all = vec![EventTime::MIN; count].into_boxed_slice();
        Self { all, of_source: of_source.into() }
    }

    /// By source of `plan`: those of a connection that has brought nothing.
    // cold: once per connection
    pub(super) fn of(plan: &Plan, source: usize) -> Self {
        Self::new(plan.times.len(), &plan.sources[source].times)
    }

    /// All of them, for a stage.
    #[inline(always)]
    pub(super) fn all(&mut self) -> &mut [EventTime] {
        &mut self.all
    }

    /// Each with its `event_time`.
    #[inline]
    pub(super) fn each(&self) -> impl Iterator<Item = (TimeId, EventTime)> {
        self.of_source.iter().map(|id| (*id, self.all[usize::from(id.0)]))
    }

    /// Raises all of them to `least`, by `event_time`.
    // cold: once per connection
    pub(super) fn raise(&mut self, least: impl Fn(TimeId) -> EventTime) {
        for id in &self.of_source {
            let own = &mut self.all[usize::from(id.0)];
            *own = least(*id).max(*own);
        }
    }

    /// What is stored of them.
    // cold: once per checkpoint
    pub(super) fn saved(&self) -> Vec<EventTime> {
        self.of_source.iter().map(|id| self.all[usize::from(id.0)]).collect()
    }

    /// Goes on from what was stored. Where the program has changed so that its events come through
    /// more or fewer `event_time`s, all of them go on from the least that was stored: nothing that
    /// would have been on time is late.
    // cold: at start
    pub(super) fn restore(&mut self, saved: &[EventTime]) {
        let same = saved.len() == self.of_source.len();
        let least = saved.iter().min();
        for (at, id) in self.of_source.iter().enumerate() {
            let own = if same { saved.get(at) } else { least };
            self.all[usize::from(id.0)] = own.copied().unwrap_or(EventTime::MIN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_restored_by_its_order() {
        let [a, b, c] = [1, 2, 3].map(EventTime::from_seconds);
        let mut own = OwnWatermarks::new(4, &[TimeId(0), TimeId(3)]);
        assert_eq!(own.saved(), [EventTime::MIN; 2]);
        own.all().copy_from_slice(&[a, b, b, c]);
        assert_eq!(own.saved(), [a, c]);
        // The program has another `event_time` before, of another source.
        let mut changed = OwnWatermarks::new(5, &[TimeId(1), TimeId(4)]);
        changed.restore(&own.saved());
        assert_eq!(changed.saved(), [a, c]);
        for count in [1, 3] {
            let ids: Vec<TimeId> = (0..count).map(TimeId).collect();
            let mut changed = OwnWatermarks::new(3, &ids);
            changed.restore(&own.saved());
            assert!(changed.saved().iter().all(|own| *own == a), "the least: {count}");
        }
        own.restore(&[]);
        assert_eq!(own.saved(), [EventTime::MIN; 2], "an older checkpoint has none");
    }
}
