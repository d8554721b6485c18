//! Events that a generator makes, on schedule.
//!
//! Owns the schedule and where it stands. Promises that an event is made in the first turn after it
//! was due, as many per turn as are bounded. It must never read a clock.

use std::mem::replace;

use potoroo_runtime::Nanos;
use potoroo_sdk::host::{Cause, Generate, Host, Origin, Schedule, SourceId, UnderWay};

use super::own_watermarks::OwnWatermarks;
use super::positions::ReadPosition;
use super::route::Router;
use super::skip::{SKIPPED, Skips};
use crate::checkpoint::PositionUnit;

/// A source of generated events with its schedule.
pub struct Generated {
    source: SourceId,
    /// What stands for it in the origins of its events.
    connection: u64,
    generate: Box<dyn Generate>,
    schedule: Schedule,
    next: u64,
    count: u64,
    /// When the next event is due; nothing is asked of the schedule before.
    due: Nanos,
    /// Indices of events that are skipped, and the next of them.
    skips: Skips,
    skip: Option<u64>,
    own: OwnWatermarks,
}

/// Most events that a generator may bring into one turn.
const GENERATED_EVENTS_PER_TURN: u64 = 128;

impl Generated {
    /// The events of `generate` from `first` to `count` from now on, `rate` per second (0: as fast
    /// as possible), with these own watermarks before the first. Those of `skips` are not even
    /// made: it may be the generator that panics.
    pub(super) fn new(
        (source, connection): (SourceId, u64),
        generate: Box<dyn Generate>,
        (rate, first, count): (u64, u64, u64),
        own: OwnWatermarks,
        skips: &Skips,
        under_way: &UnderWay,
    ) -> Self {
        // The start is the first turn's time: see `emit`.
        let schedule = Schedule { start: 0, rate, first };
        let count = count.max(first);
        let skip = skips.next(source, Origin { connection, position: first });
        let skips = skips.clone();
        let mut generated = Self {
            source,
            connection,
            generate,
            schedule,
            next: first,
            count,
            due: Nanos::ZERO,
            skips,
            skip,
            own,
        };
        generated.skip_to_next(under_way);
        generated
    }

    /// Goes on with its events by `generate`, which is the same one on another core.
    // cold: when nodes come or go
    pub(super) fn renew(&mut self, generate: Box<dyn Generate>) {
        let before = replace(&mut self.generate, generate);
        self.generate.take_over(before);
    }

    /// Has the generator, which is at its beginning, go to the next event.
    // cold: at start
    fn skip_to_next(&mut self, under_way: &UnderWay) {
        let Self { source, connection, generate, skips, next, .. } = self;
        let origin = Origin { connection: *connection, position: 0 };
        let cause = Cause { ingress: 0, origin, source: *source };
        let mut from = 0;
        let earlier =
            skips.positions(*source, *connection).into_iter().take_while(|skip| skip < next);
        for skip in earlier {
            generate.skip(from..skip, cause, under_way);
            from = skip + 1;
        }
        generate.skip(from..*next, cause, under_way);
        under_way.end();
    }

    /// Where it would go on.
    pub(super) fn replay_position(&self) -> ReadPosition {
        let &Self { source, next: position, .. } = self;
        let (unit, own) = (PositionUnit::Events, self.own.saved());
        ReadPosition { source, stream: None, unit, position, skipping: false, own }
    }

    pub(super) fn source(&self) -> SourceId {
        self.source
    }

    pub(super) fn ended(&self) -> bool {
        self.next == self.count
    }

    pub(super) fn end(&mut self) {
        self.count = self.next;
    }

    /// Events that are due at `now` and not generated.
    pub(super) fn overdue(&self, now: Nanos) -> u64 {
        // As fast as possible means due when made; and nothing is due before the first turn.
        if self.schedule.start == 0 || self.schedule.rate == 0 {
            return 0;
        }
        self.schedule.count_due(now.0).min(self.count).saturating_sub(self.next)
    }

    /// When the next event is due.
    pub(super) fn due(&self) -> Option<Nanos> {
        (!self.ended()).then(|| Nanos(self.schedule.due(self.next)))
    }

    /// Whether [`emit`](Self::emit) may have something to do.
    pub(super) fn is_due(&self, now: Nanos) -> bool {
        now >= self.due
    }

    /// Runs the events that are due at `now`. Returns how many.
    pub(super) fn emit(&mut self, now: Nanos, under_way: &UnderWay, host: &mut dyn Host) -> u64 {
        if self.schedule.start == 0 || self.schedule.rate == 0 {
            self.schedule.start = now.0;
        }
        let due = self.schedule.count_due(now.0).min(self.count);
        let origin = Origin { connection: self.connection, position: 0 };
        let cause = Cause { ingress: now.0, origin, source: self.source };
        if self.skip == Some(self.next) && due > self.next {
            self.refuse(cause, host);
            if host.blocked() {
                return 0;
            }
        }
        let until = due.min(self.next + GENERATED_EVENTS_PER_TURN).min(self.skip.unwrap_or(due));
        if until <= self.next {
            return 0;
        }
        let Self { generate, schedule, own, .. } = self;
        let (next, more) =
            generate.emit(self.next..until, schedule, cause, own.all(), under_way, host);
        under_way.end();
        let made = next - self.next;
        self.next = next;
        self.due = Nanos(self.schedule.due(next));
        if !more {
            self.count = next;
        }
        made
    }

    /// Says what it has seen of time.
    // cold: at start
    pub(super) fn set_times(&self, router: &mut Router) {
        router.watermarks.times().set(self.source, None, &self.own);
    }

    /// Whether its time is too far above the watermark for further events.
    pub(super) fn is_ahead(&self, router: &Router) -> bool {
        router.watermarks.is_ahead(&self.own)
    }

    /// It makes events now.
    pub(super) fn begin_times(&mut self, router: &mut Router) {
        router.watermarks.begin_input(self.source, None, &mut self.own);
    }

    /// It has made this many.
    pub(super) fn end_times(&self, events: u64, now: Nanos, router: &mut Router) {
        router.watermarks.end_input((self.source, None), &self.own, (events, now.0));
    }

    /// The next event is skipped.
    #[cold]
    fn refuse(&mut self, mut cause: Cause, host: &mut dyn Host) {
        cause.origin.position = self.next;
        host.refuse(&cause, SKIPPED, &[]);
        self.skips.meet(&cause);
        self.next += 1;
        let next = Origin { position: self.next, ..cause.origin };
        self.skip = self.skips.next(self.source, next);
        self.due = Nanos(self.schedule.due(self.next));
    }
}

#[cfg(test)]
mod tests {
    use std::any::Any;
    use std::ops::Range;

    use potoroo_sdk::time::EventTime;

    use super::*;

    struct Nothing;

    impl Generate for Nothing {
        fn skip(&mut self, _: Range<u64>, _: Cause, _: &UnderWay) {}

        fn emit(
            &mut self,
            indices: Range<u64>,
            _: &Schedule,
            _: Cause,
            _: &mut [EventTime],
            _: &UnderWay,
            _: &mut dyn Host,
        ) -> (u64, bool) {
            (indices.end, true)
        }

        fn take_over(&mut self, _: Box<dyn Generate>) {}

        fn into_maker(self: Box<Self>) -> Box<dyn Any> {
            self
        }
    }

    fn generated(rate: u64, count: u64, start: u64, next: u64) -> Generated {
        let (skips, under_way) = (Skips::default(), UnderWay::default());
        let (pace, own) = ((rate, 0, count), OwnWatermarks::new(0, &[]));
        let mut generated =
            Generated::new((SourceId(0), 1), Box::new(Nothing), pace, own, &skips, &under_way);
        generated.schedule.start = start;
        generated.next = next;
        generated
    }

    #[test]
    fn overdue_is_what_was_due_and_not_made() {
        let second = Nanos(1_000_000_001);
        assert_eq!(generated(1000, u64::MAX, 1, 100).overdue(second), 901);
        assert_eq!(generated(1000, u64::MAX, 1, 1001).overdue(second), 0);
        assert_eq!(generated(1000, 500, 1, 100).overdue(second), 400, "no more than its count");
        assert_eq!(
            generated(0, u64::MAX, 1, 100).overdue(second),
            0,
            "due when they are generated"
        );
        assert_eq!(generated(1000, u64::MAX, 0, 0).overdue(second), 0, "it has not begun");
    }
}
