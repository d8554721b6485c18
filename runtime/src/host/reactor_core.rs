//! One core's thread: turn after turn, and what happens when there is nothing to do.
//!
//! Owns the reactor and its poller. Promises that turns follow each other as plain calls from the
//! first to the last, and that a core never parks with work at hand. Must never give way to the
//! executor: nothing else is there to run, and this version of it can take itself for idle and
//! sleep although our task is runnable.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::config::{HostConfig, Idle};
use super::port::{BuildOrder, Port, StartRefusal};
use super::priority::{self, RealTime};
use super::reactor::{Reactor, Turn};
use super::signals::{BEATS_ENDED, BEATS_NONE, Signals};
use crate::clock::{Clock, Nanos};
use crate::gaps::GapDetector;
use crate::poller::{Poller, PollerKind, Waker};

/// How a core ended.
pub(super) enum CoreOutcome<Report> {
    Finished(Report),
    /// With what the panic said.
    Panicked(String),
    /// Asked to, or never begun.
    Stopped,
}

/// A core's place in the host.
pub(super) struct Seat {
    pub(super) core: usize,
    pub(super) policy: IdlePolicy,
    pub(super) signals: Arc<Signals>,
    /// How its poller is to ask the kernel.
    pub(super) poller: PollerKind,
    /// The real-time priority that it must have, if it is not the inherited one.
    pub(super) priority: Option<i32>,
}

/// When an idle core parks.
#[derive(Clone, Copy)]
pub(super) struct IdlePolicy {
    /// A core parks after this idle time in nanoseconds; `None` for never.
    park_after_ns: Option<u64>,
    /// Others wait for this CPU, so even a spinning core gives way.
    shared_cpu: bool,
    /// They would wait for ever while the core is busy: a real-time policy takes no CPU away.
    gives_way_busy: bool,
}

impl IdlePolicy {
    pub(super) fn new(config: &HostConfig, cpu: usize) -> Self {
        let shared_cpu = config.cpus.iter().filter(|&&other| other == cpu).count() > 1;
        let park_after_ns = match config.idle {
            Idle::Spin => None,
            Idle::Adaptive if !shared_cpu => Some(config.spin.as_nanos() as u64),
            Idle::Adaptive | Idle::Park => Some(0),
        };
        let gives_way_busy = shared_cpu && RealTime::inherited().is_some();
        Self { park_after_ns, shared_cpu, gives_way_busy }
    }

    /// How long to park when something is due in `due_ns`. A thread wakes up to 100 µs late, and
    /// what was due then has waited for that long; so a core that may spin wakes that much early
    /// and spins for the rest.
    fn park_for(self, due_ns: Option<u64>) -> Duration {
        let spin_ns = self.park_after_ns.unwrap_or(0);
        let until = |due_ns: u64| Duration::from_nanos(due_ns.saturating_sub(spin_ns));
        due_ns.map_or(PARK_MAX, |due_ns| until(due_ns).min(PARK_MAX))
    }
}

/// What a core's thread does from its start to its end, inside its executor.
pub(super) fn run<R, B>(seat: Seat, port: Port<B>) -> CoreOutcome<R::Report>
where
    R: Reactor,
    B: FnOnce(&mut Poller) -> R,
{
    let Some((mut poller, BuildOrder { build, wakers })) = connect(&seat, port) else {
        return CoreOutcome::Stopped;
    };
    let signals = Arc::clone(&seat.signals);
    let index = seat.core;
    let outcome = match caught(|| build(&mut poller)) {
        Ok(reactor) => Core::new(reactor, poller, seat).live(),
        Err(message) => CoreOutcome::Panicked(message),
    };
    signals.beats[index].store(BEATS_ENDED, Ordering::Relaxed);
    if matches!(outcome, CoreOutcome::Panicked(_)) {
        // The others would serve a part of the data for ever.
        signals.stop.store(true, Ordering::Release);
        wakers.iter().for_each(Waker::wake_if_parked);
    }
    outcome
}

/// Makes the poller, which the kernel ties to this thread, and waits until all cores have theirs.
/// `None` if the start has failed.
fn connect<B>(seat: &Seat, port: Port<B>) -> Option<(Poller, BuildOrder<B>)> {
    match prepare(seat) {
        Ok(poller) => {
            port.waker.send(Ok((poller.waker(), poller.kind()))).ok()?;
            port.build.recv().ok().map(|build| (poller, build))
        }
        Err(refusal) => {
            let _ = port.waker.send(Err(refusal));
            None
        }
    }
}

/// Gives this thread its priority and its poller.
fn prepare(seat: &Seat) -> Result<Poller, StartRefusal> {
    seat.priority.map_or(Ok(()), priority::set).map_err(StartRefusal::Priority)?;
    let other = |_| Poller::with_kind(PollerKind::Epoll);
    Poller::with_kind(seat.poller).or_else(other).map_err(StartRefusal::Poller)
}

struct Core<R: Reactor> {
    reactor: R,
    poller: Poller,
    clock: Clock,
    seat: Seat,
    /// Heartbeats so far.
    beats: u64,
    /// When the first of the latest idle turns began.
    idle_since: Option<Nanos>,
    /// Idle since the beginning of the turn before, if that found nothing and the core spun on.
    gaps: GapDetector,
}

/// Why a core stopped turning.
enum End {
    /// The reactor is done.
    Done,
    /// The host wants an end.
    Stopped,
}

/// How the loop goes on after one turn.
enum Pace {
    On,
    /// Time has passed: look at everything that is looked at once in a while.
    Look,
    Done,
}

impl<R: Reactor> Core<R> {
    fn new(reactor: R, poller: Poller, seat: Seat) -> Self {
        Self {
            reactor,
            poller,
            clock: Clock::new(),
            seat,
            beats: 0,
            idle_since: None,
            gaps: GapDetector::new(),
        }
    }

    // cold: once per core
    fn live(mut self) -> CoreOutcome<R::Report> {
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        self.seat.signals.threads[self.seat.core].store(thread, Ordering::Relaxed);
        // From now on it is watched: its first turn may be the one that never ends.
        self.beat();
        loop {
            match caught(|| self.turn_on()) {
                Ok(End::Done) => match caught(|| self.renew()) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(message) => return CoreOutcome::Panicked(message),
                },
                Ok(End::Stopped) => return CoreOutcome::Stopped,
                Err(message) => return CoreOutcome::Panicked(message),
            }
        }
        caught(|| self.reactor.finish()).map_or_else(CoreOutcome::Panicked, CoreOutcome::Finished)
    }

    /// Has the reactor become something else, if it does; returns whether it goes on.
    #[cold]
    fn renew(&mut self) -> bool {
        self.seat.signals.beats[self.seat.core].store(BEATS_NONE, Ordering::Relaxed);
        let goes_on = self.reactor.renew();
        // It may have waited: that is no gap.
        (self.idle_since, self.gaps) = (None, GapDetector::new());
        self.beat();
        goes_on
    }

    /// Turns until it ends. Never inlined into the code around it, so that the loop keeps its state
    /// in registers.
    #[inline(never)]
    fn turn_on(&mut self) -> End {
        loop {
            for _ in 0..TURNS_PER_LOOK {
                match self.turn() {
                    Pace::On => {}
                    Pace::Look => break,
                    Pace::Done => return End::Done,
                }
            }
            self.beat();
            if self.seat.signals.stop.load(Ordering::Acquire) {
                return End::Stopped;
            }
            if self.seat.policy.gives_way_busy {
                std::thread::yield_now();
            }
        }
    }

    #[inline]
    fn turn(&mut self) -> Pace {
        // After a turn that worked, this time ends the latencies of what that did.
        let worked = self.gaps.idle_since() == Nanos::MAX;
        let now = if worked { self.clock.settled() } else { self.clock.now() };
        if let Some(gap) = self.gaps.look(now) {
            self.reactor.gap(gap);
        }
        self.gaps.work();
        match self.reactor.turn(now, &mut self.poller) {
            Turn::Worked => {
                self.idle_since = None;
                Pace::On
            }
            Turn::Idle => self.idle(now),
            Turn::Done => Pace::Done,
        }
    }

    #[inline]
    fn idle(&mut self, now: Nanos) -> Pace {
        let Some(park_after_ns) = self.seat.policy.park_after_ns else {
            if self.seat.policy.shared_cpu {
                std::thread::yield_now();
            } else {
                self.gaps.idle(now);
            }
            return Pace::On;
        };
        let since = *self.idle_since.get_or_insert(now);
        let due_soon = || self.reactor.due(now).is_some_and(|due| due - now < park_after_ns);
        if now - since < park_after_ns || due_soon() {
            self.gaps.idle(now);
            return Pace::On;
        }
        self.park()
    }

    /// Announces the parking, has one more turn look at everything, and parks if that found
    /// nothing either.
    #[cold]
    #[inline(never)]
    fn park(&mut self) -> Pace {
        self.poller.prepare_park();
        let now = self.clock.now();
        // A stop that was requested before the announcement wakes no core.
        let stop = self.seat.signals.stop.load(Ordering::Acquire);
        match self.reactor.turn(now, &mut self.poller) {
            Turn::Idle if !stop => {
                let due_ns = self.reactor.due(now).map(|due| due - now);
                self.poller.park(self.seat.policy.park_for(due_ns));
                // Idle since then still: without work the next turn parks again at once.
                Pace::Look
            }
            turn => {
                self.poller.cancel_park();
                if matches!(turn, Turn::Worked) {
                    self.idle_since = None;
                }
                if matches!(turn, Turn::Done) { Pace::Done } else { Pace::Look }
            }
        }
    }

    #[inline]
    fn beat(&mut self) {
        self.beats += 1;
        self.seat.signals.beats[self.seat.core].store(self.beats, Ordering::Relaxed);
    }
}

/// Runs `work`; a panic becomes its message, where panics unwind at all.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    // Whatever a panic leaves broken is dropped without being used again.
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| message_of(&*panic))
}

// cold: the core has panicked
fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}

/// Looking costs a few nanoseconds; this many turns make that vanish and are over in microseconds.
const TURNS_PER_LOOK: usize = 16;
/// Wakers and readiness end a park earlier. It only bounds what comes without a wake-up: heartbeat
/// and stop. 100 wake-ups a second are nothing even for a laptop.
const PARK_MAX: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_that_may_spin_wakes_before_something_is_due() {
        let policy = |idle| IdlePolicy::new(&HostConfig { idle, ..HostConfig::new(vec![0]) }, 0);
        let (adaptive, parking) = (policy(Idle::Adaptive), policy(Idle::Park));
        let micros = Duration::from_micros;
        assert_eq!(adaptive.park_for(Some(1_000_000)), micros(900));
        assert_eq!(adaptive.park_for(Some(50_000)), Duration::ZERO);
        assert_eq!(parking.park_for(Some(1_000_000)), micros(1000));
        for policy in [adaptive, parking] {
            assert_eq!(policy.park_for(Some(u64::MAX)), PARK_MAX);
            assert_eq!(policy.park_for(None), PARK_MAX);
        }
    }
}
