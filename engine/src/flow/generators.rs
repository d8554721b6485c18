//! The generators of one core, served in turn.

use potoroo_runtime::Nanos;
use potoroo_sdk::host::{Host, SourceId, UnderWay};

use super::generated::Generated;
use super::positions::ReadPosition;
use super::route::Router;

/// The generators of one core that have not ended.
#[derive(Default)]
pub(super) struct CoreGenerators(Vec<Generated>);

impl CoreGenerators {
    // cold: at start
    pub(super) fn add(&mut self, generated: Generated) {
        self.0.push(generated);
    }

    /// That of `source`, if it has not ended.
    // cold: when nodes come or go
    pub(super) fn of(&mut self, source: SourceId) -> Option<&mut Generated> {
        self.0.iter_mut().find(|generated| generated.source() == source)
    }

    /// Whether no generator is left.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Runs the events that are due at `now`, up to a limit for each generator, until the router is
    /// blocked. Returns how many.
    pub(super) fn emit(&mut self, now: Nanos, under_way: &UnderWay, router: &mut Router) -> u64 {
        let mut work = 0;
        for _ in 0..self.0.len() {
            if router.blocked() {
                break;
            }
            if self.0.len() > 1 {
                self.0.rotate_left(1);
            }
            let Some(generated) = self.0.last_mut() else { break };
            if !generated.is_due(now) {
                continue;
            }
            if generated.is_ahead(router) {
                router.watermarks.hold(generated.source(), None);
                continue;
            }
            router.gauges.begin(generated.source().into());
            let timed = !router.watermarks.is_unused();
            if timed {
                generated.begin_times(router);
            }
            let emitted = generated.emit(now, under_way, router);
            if timed {
                generated.end_times(emitted, now, router);
            }
            router.counts.sources[generated.source().0 as usize].events += emitted;
            work += emitted;
        }
        work
    }

    /// Whether one has ended and was not taken away.
    #[inline]
    pub(super) fn any_ended(&self) -> bool {
        self.0.iter().any(Generated::ended)
    }

    /// Takes those away that have ended, and adds where they would continue to `positions`. Returns
    /// their sources.
    #[cold]
    pub(super) fn take_ended(
        &mut self,
        positions: &mut Vec<ReadPosition>,
    ) -> impl Iterator<Item = SourceId> + use<> {
        let ended = self.0.extract_if(.., |generated| generated.ended());
        let first = positions.len();
        positions.extend(ended.map(|generated| generated.replay_position()));
        let sources: Vec<SourceId> = positions[first..].iter().map(|it| it.source).collect();
        sources.into_iter()
    }

    /// Says what each has seen of time.
    // cold: when nodes come or go
    pub(super) fn set_times(&self, router: &mut Router) {
        self.0.iter().for_each(|generated| generated.set_times(router));
    }

    /// Ends all of them.
    pub(super) fn end(&mut self) {
        self.0.iter_mut().for_each(Generated::end);
    }

    /// Where each would continue.
    pub(super) fn positions(&self) -> impl Iterator<Item = ReadPosition> {
        self.0.iter().map(Generated::replay_position)
    }

    /// When the next event is due that may be made.
    pub(super) fn due(&self, router: &Router) -> Option<Nanos> {
        self.0.iter().filter(|of| !of.is_ahead(router)).filter_map(Generated::due).min()
    }

    /// Counts the events that are due at `now` and were not generated.
    pub(super) fn count_overdue(&self, now: Nanos, router: &mut Router) {
        for generated in &self.0 {
            let counts = &mut router.counts.sources[generated.source().0 as usize];
            counts.overdue += generated.overdue(now);
        }
    }
}
