//! Timely dataflow with two workers: fed on worker 0, all keys owned by worker 1.
//!
//! Kept as fast as we know how: at a fixed rate an epoch for what is due (only the end of an epoch
//! sends a partly filled buffer on), at full speed one epoch for the whole slice, typed channels
//! instead of serialised ones, workers that spin instead of parking, flow control by a bare
//! counter instead of a probe.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, anyhow};
use crossbeam_utils::CachePadded;
use timely::dataflow::InputHandle;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Input;
use timely::dataflow::operators::generic::Operator;
use timely::worker::Worker;

use super::job::{Job, LOAD, Pace};
use super::load::{Item, Load};
use super::owner::{Owner, PlainTable};
use super::window::{MeasuredWindow, with_load};
use crate::gaps::{CoreGaps, Watch};
use crate::place::{self, Gate};
use crate::stamp;

/// Produces on the left core, owns on the right one.
///
/// # Errors
/// The library cannot start its workers, or one of them failed.
pub fn window(job: &Job, table: PlainTable) -> Result<(MeasuredWindow, PlainTable)> {
    let shared = Arc::new(Shared::new(job, table));
    let job = *job;
    let workers = timely::execute(timely::Config::process(2), move |worker| {
        let cpu = if worker.index() == 0 { job.place.left } else { job.place.right };
        place::pin(cpu).expect("a CPU of the start's affinity stays allowed");
        work(worker, &job, &shared)
    });
    let results = workers.map_err(|error| anyhow!(error))?.join();
    let worked: Result<Vec<_>, _> = results.into_iter().collect();
    let (mut fed, mut owned) = (None, None);
    for worked in worked.map_err(|error| anyhow!(error))? {
        match worked {
            Worked::Fed(gaps) => fed = Some(gaps),
            Worked::Owned(window, table) => owned = Some((window, table)),
        }
    }
    let both = fed.zip(owned).map(with_load);
    both.ok_or_else(|| anyhow!("no worker fed the keys, or none owned them"))
}

/// What a worker did.
enum Worked {
    Fed(CoreGaps),
    Owned(MeasuredWindow, PlainTable),
}

/// What the two workers tell each other outside the dataflow.
struct Shared {
    gate: Gate,
    /// Number of all events; unknown (the maximum) until the producer has ended.
    total: CachePadded<AtomicU64>,
    /// Events taken in by the owner, stored once per batch.
    taken: CachePadded<AtomicU64>,
    watch: Watch,
    /// Taken by the owner.
    table: Mutex<PlainTable>,
}

impl Shared {
    fn new(job: &Job, table: PlainTable) -> Self {
        Self {
            gate: Gate::new(2, job.place.fifo),
            total: CachePadded::new(AtomicU64::new(u64::MAX)),
            taken: CachePadded::new(AtomicU64::new(0)),
            watch: Watch::new(2),
            table: Mutex::new(table),
        }
    }

    fn take_table(&self) -> PlainTable {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut table)
    }
}

type Feed = InputHandle<u64, timely::container::CapacityContainerBuilder<Vec<Item>>>;

/// A step of a worker is the library's own work: where it takes long it counts as a gap, which is
/// to the advantage of this contender.
fn work(worker: &mut Worker, job: &Job, shared: &Arc<Shared>) -> Worked {
    let table = if worker.index() == 0 { PlainTable::default() } else { shared.take_table() };
    let owner = Rc::new(RefCell::new(Owner::new(job, &shared.watch, table)));
    let feed = build(worker, job.pace, shared, &owner);
    let sprint = shared.gate.enter();
    if worker.index() == 0 {
        return Worked::Fed(match job.pace {
            Pace::Rate(rate) => feed_paced(worker, job, rate, feed, shared),
            Pace::Full => feed_full(worker, job, feed, shared),
        });
    }
    drop(feed);
    let start = stamp::now();
    owner.borrow_mut().begin(start);
    while owner.borrow().events() < shared.total.load(Ordering::Acquire) {
        worker.step();
        owner.borrow_mut().look();
    }
    let nanos = stamp::now() - start;
    drop(sprint);
    let owner = owner.replace(Owner::new(job, &shared.watch, PlainTable::default()));
    let (window, table) = owner.finish(nanos);
    Worked::Owned(window, table)
}

/// The dataflow: input, exchange by key, keyed count.
fn build(
    worker: &mut Worker,
    pace: Pace,
    shared: &Arc<Shared>,
    owner: &Rc<RefCell<Owner>>,
) -> Feed {
    let mut feed = Feed::new();
    let (shared, owner) = (Arc::clone(shared), Rc::clone(owner));
    worker.dataflow::<u64, _, _>(|scope| {
        let by_key = Exchange::new(|event: &Item| event.key | RIGHT_WORKER);
        scope.input_from(&mut feed).sink(by_key, "count", move |(input, _)| {
            let mut owner = owner.borrow_mut();
            input.for_each(|_, events: &mut Vec<Item>| {
                take(&mut owner, pace, events);
                shared.taken.store(owner.events(), Ordering::Release);
            });
        });
    });
    feed
}

#[inline]
fn take(owner: &mut Owner, pace: Pace, events: &mut Vec<Item>) {
    match pace {
        Pace::Rate(_) => events.drain(..).for_each(|event| owner.update_timed(&event)),
        Pace::Full => events.drain(..).for_each(|event| owner.update(&event)),
    }
}

fn feed_paced(
    worker: &mut Worker,
    job: &Job,
    rate: u32,
    mut feed: Feed,
    shared: &Shared,
) -> CoreGaps {
    let mut log = shared.watch.log(LOAD, "load");
    log.begin(stamp::now());
    let mut load = Load::new(job.keys);
    let mut departures = job.departures(rate);
    let mut epoch = 0;
    while !departures.is_over() {
        let mut due = false;
        while load.sent() - shared.taken.load(Ordering::Acquire) < OUTSTANDING_EVENTS
            && let Some(intended_ns) = departures.due(stamp::now())
        {
            feed.send(load.next(intended_ns));
            due = true;
        }
        if due {
            epoch += 1;
            feed.advance_to(epoch);
        }
        worker.step();
        log.see(stamp::now());
    }
    shared.total.store(load.sent(), Ordering::Release);
    log.finish()
}

/// Nothing is timed at full speed.
fn feed_full(worker: &mut Worker, job: &Job, mut feed: Feed, shared: &Shared) -> CoreGaps {
    let mut load = Load::new(job.keys);
    let end = stamp::now() + job.slice.as_nanos() as u64;
    while stamp::now() < end {
        if load.sent() - shared.taken.load(Ordering::Acquire) < IN_FLIGHT_EVENTS {
            (0..STEP_EVENTS).for_each(|_| feed.send(load.next(0)));
            feed.flush();
        }
        worker.step();
    }
    shared.total.store(load.sent(), Ordering::Release);
    CoreGaps::default()
}

/// With two workers an odd number means worker 1.
const RIGHT_WORKER: u64 = 1;
/// At a fixed rate nothing more is sent while this many events are under way: a system that cannot
/// keep up then works in batches instead of falling behind for good. It changes nothing below.
const OUTSTANDING_EVENTS: u64 = 64;
/// Events between two steps of the feeding worker.
const STEP_EVENTS: u64 = 1024;
/// The library's queues have no bound: this keeps them in the cache.
const IN_FLIGHT_EVENTS: u64 = 16_384;
