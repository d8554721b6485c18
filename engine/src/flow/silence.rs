//! Connections that bring nothing for long, by the clock of the machine: where an application says
//! so, they hold time no longer, or their time goes on with that clock.
//!
//! Costs a compare per look where no connection has been silent for long enough.

use potoroo_runtime::Nanos;
use potoroo_sdk::plan::{Plan, PlannedTime};
use potoroo_sdk::time::{Duration, EventTime};

use super::least::Least;

/// In which steps the time of a silent connection goes on.
const STEP_NS: u64 = 1_000_000;

/// Stands for a source that is left out: it holds nothing, and may bring events later.
pub(super) const LEFT_OUT: EventTime = EventTime::from_nanos(i64::MAX - 1);

/// For how long the connections of a core have been silent.
pub(super) struct Silences {
    /// By `event_time`.
    of_times: Vec<SilenceOfTime>,
    /// By place: when it last brought something; 0 before it was looked at.
    since: Vec<u64>,
    /// Sources were not read before this moment: nothing counts as silence by then.
    not_before: u64,
    /// Nothing changes before this moment.
    next: u64,
    /// The shortest silence that changes something; `u64::MAX` if none does.
    shortest: u64,
}

/// What becomes of a silent connection for one `event_time`, in nanoseconds.
struct SilenceOfTime {
    /// When it is left out; `u64::MAX` for never.
    idle_after: u64,
    /// When its time goes on; `u64::MAX` for never.
    runs_on_after: u64,
    /// By place: up to when its time has gone on.
    ran_to: Vec<u64>,
}

impl Silences {
    // cold: at start
    pub(super) fn new(plan: &Plan) -> Self {
        let of_time = |time: &PlannedTime| SilenceOfTime {
            idle_after: time.lateness.idle_after_ns().unwrap_or(u64::MAX),
            runs_on_after: time.lateness.runs_on_after_ns().unwrap_or(u64::MAX),
            ran_to: Vec::new(),
        };
        let of_times: Vec<SilenceOfTime> = plan.times.iter().map(of_time).collect();
        let shortest = of_times.iter().map(|of| of.idle_after.min(of.runs_on_after)).min();
        let shortest = shortest.unwrap_or(u64::MAX);
        let next = if shortest < u64::MAX { 0 } else { u64::MAX };
        Self { of_times, since: Vec::new(), not_before: 0, next, shortest }
    }

    /// Whether the time of some connection may have gone on without events.
    #[inline]
    pub(super) fn run_on(&self) -> bool {
        self.shortest < u64::MAX && self.of_times.iter().any(|of| of.runs_on_after < u64::MAX)
    }

    /// What is at `place` brought something at this moment; 0 for what begins there.
    #[inline]
    pub(super) fn brought(&mut self, place: usize, at: u64) {
        if self.shortest == u64::MAX {
            return;
        }
        if place >= self.since.len() {
            self.since.resize(place + 1, 0); // cold: when there are more places than ever
        }
        self.since[place] = at;
        if at == 0 {
            // From when on it is silent is set by the next look.
            self.next = 0;
        }
    }

    /// Sources are not read at `now`, whatever they bring.
    pub(super) fn pause(&mut self, now: Nanos) {
        self.not_before = now.0;
    }

    /// When something may change although nothing comes.
    pub(super) fn next(&self) -> Option<Nanos> {
        (self.next < u64::MAX).then_some(Nanos(self.next))
    }

    /// Leaves out of `times`, by `event_time`, what has been silent for too long by `now`, and has
    /// the time of what runs on go on.
    #[inline]
    pub(super) fn look(&mut self, now: Nanos, times: &mut [Least]) {
        if now.0 >= self.next {
            self.look_at_all(now.0, times);
        }
    }

    #[cold]
    fn look_at_all(&mut self, now: u64, times: &mut [Least]) {
        // What begins to hold time meanwhile is looked at in time, too.
        let mut next = now.saturating_add(self.shortest);
        for (of, times) in self.of_times.iter_mut().zip(times) {
            if of.idle_after.min(of.runs_on_after) == u64::MAX {
                continue;
            }
            let places = times.places();
            self.since.resize(self.since.len().max(places), 0); // cold: when there are more
            of.ran_to.resize(of.ran_to.len().max(places), 0);
            for place in 0..places {
                let since = &mut self.since[place];
                if *since == 0 {
                    *since = now;
                }
                next = next.min(of.look_at((place, self.not_before.max(*since)), now, times));
            }
        }
        self.next = next.max(now + STEP_NS);
    }
}

impl SilenceOfTime {
    /// Returns when something may change there.
    fn look_at(&mut self, (place, since): (usize, u64), now: u64, times: &mut Least) -> u64 {
        let moment = times.at(place);
        if moment >= LEFT_OUT {
            return u64::MAX;
        }
        let idle_at = since.saturating_add(self.idle_after);
        if now >= idle_at {
            times.set(place, LEFT_OUT);
            return u64::MAX;
        }
        let runs_from = since.saturating_add(self.runs_on_after).max(self.ran_to[place]);
        if moment == EventTime::MIN {
            // It has no time that could go on.
            return idle_at;
        }
        if now <= runs_from {
            return idle_at.min(runs_from);
        }
        times.set(place, moment + Duration::from_nanos(now - runs_from));
        self.ran_to[place] = now;
        now
    }
}

#[cfg(test)]
mod tests {
    use potoroo_sdk::prelude::*;

    use super::*;

    const MS: u64 = 1_000_000;

    fn of(lateness: Lateness) -> (Silences, [Least; 1]) {
        let app = Application::new("lines");
        let millis = app.source("lines", LineText::new()).map(|line| line.parse::<i64>().ok());
        let millis = millis.event_time(EventTime::from_millis, lateness);
        millis.map(|millis| millis.to_string()).sink("copies", LineText::new());
        (Silences::new(&app.plan().expect("it is sound")), [Least::new()])
    }

    #[test]
    fn what_is_silent_for_long_is_left_out() {
        let (mut silences, mut times) = of(IN_ORDER.idle_after(millis(10)));
        let moment = EventTime::from_millis(5);
        times[0].set(1, moment);
        silences.brought(1, 100 * MS);
        for (at, then) in [(100, moment), (109, moment), (111, LEFT_OUT)] {
            silences.look(Nanos(at * MS), &mut times);
            assert_eq!(times[0].at(1), then, "{at}");
        }
        // It brings something, and another one begins that has brought nothing.
        times[0].set(1, moment);
        silences.brought(1, 115 * MS);
        times[0].set(2, EventTime::MIN);
        silences.brought(2, 0);
        for (at, left_out) in [(118, [false; 2]), (126, [true, false]), (130, [true; 2])] {
            silences.look(Nanos(at * MS), &mut times);
            assert_eq!([1, 2].map(|place| times[0].at(place) == LEFT_OUT), left_out, "{at}");
        }
    }

    #[test]
    fn time_goes_on_with_the_clock_after_the_silence_and_until_idle() {
        let (mut silences, mut times) =
            of(IN_ORDER.runs_on_after(millis(10)).idle_after(millis(50)));
        times[0].set(1, EventTime::from_millis(1000));
        silences.brought(1, 100 * MS);
        for (at, then) in [(105, 1000), (110, 1000), (113, 1003), (120, 1010), (149, 1039)] {
            silences.look(Nanos(at * MS), &mut times);
            assert_eq!(times[0].at(1), EventTime::from_millis(then), "{at}");
        }
        silences.look(Nanos(150 * MS), &mut times);
        assert_eq!(times[0].at(1), LEFT_OUT);
        // Before anything came there is no time that could go on.
        times[0].set(2, EventTime::MIN);
        silences.brought(2, 160 * MS);
        silences.look(Nanos(180 * MS), &mut times);
        assert_eq!(times[0].at(2), EventTime::MIN);
        assert_eq!(silences.next(), Some(Nanos(190 * MS)));
    }

    #[test]
    fn what_is_not_read_is_not_silent() {
        let (mut silences, mut times) = of(IN_ORDER.idle_after(millis(10)));
        let moment = EventTime::from_millis(5);
        times[0].set(1, moment);
        silences.brought(1, 100 * MS);
        silences.pause(Nanos(130 * MS));
        for (at, then) in [(131, moment), (139, moment), (142, LEFT_OUT)] {
            silences.look(Nanos(at * MS), &mut times);
            assert_eq!(times[0].at(1), then, "{at}");
        }
    }

    #[test]
    fn without_an_option_nothing_is_looked_at() {
        let (mut silences, mut times) = of(IN_ORDER);
        times[0].set(1, EventTime::MIN);
        silences.brought(1, 1);
        silences.look(Nanos(u64::MAX - 1), &mut times);
        assert_eq!((times[0].at(1), silences.next()), (EventTime::MIN, None));
    }
}
