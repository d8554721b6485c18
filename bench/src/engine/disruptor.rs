//! `disruptor` and a bare hash map: one producer, an event poller that never rests, and batches at
//! full speed, as its documentation wants it for latency.
//!
//! Only the ring differs from the contender `rtrb`: events, state and recording are the same.

use std::hint::spin_loop;

use anyhow::Result;
use disruptor::{
    BusySpin, EventPoller, Polling, Producer, SingleProducerBarrier, build_single_producer,
};

use super::job::{Job, LOAD, Pace};
use super::load::{Item, Load};
use super::owner::{Owner, PlainTable};
use super::window::{MeasuredWindow, with_load};
use crate::gaps::{CoreGaps, GapLog, Watch};
use crate::place::Gate;
use crate::stamp;

/// Produces on the left core, owns on the right one.
///
/// # Errors
/// None; the signature is that of all contenders.
pub fn window(job: &Job, table: PlainTable) -> Result<(MeasuredWindow, PlainTable)> {
    let empty = || Line(Item { key: 0, value: 0, intended_ns: 0, rest: [0; 5] });
    let builder = build_single_producer(CAPACITY_EVENTS, empty, BusySpin);
    let (poller, builder) = builder.new_event_poller();
    let producer = builder.build();
    let watch = Watch::new(2);
    let done = match job.pace {
        Pace::Rate(rate) => job.place.pair(
            |gate| produce_paced(gate, job, rate, producer, watch.log(LOAD, "load")),
            |gate| own(gate, poller, Owner::new(job, &watch, table), Owner::update_timed),
        ),
        Pace::Full => job.place.pair(
            move |gate| produce_full(gate, job, producer),
            |gate| own(gate, poller, Owner::new(job, &watch, table), Owner::update),
        ),
    };
    Ok(with_load(done?))
}

fn produce_paced(
    gate: &Gate,
    job: &Job,
    rate: u32,
    mut producer: impl Producer<Line>,
    mut log: GapLog,
) -> CoreGaps {
    let mut load = Load::new(job.keys);
    let sprint = gate.enter();
    log.begin(stamp::now());
    let mut departures = job.departures(rate);
    while let Some(intended_ns) = departures.wait(&mut log) {
        // It waits inside while the ring is full, which is no gap of this loop.
        producer.publish(|line| *line = Line(load.next(intended_ns)));
        log.skip(stamp::now());
    }
    drop(sprint);
    log.finish()
}

/// Nothing is timed at full speed.
fn produce_full(gate: &Gate, job: &Job, mut producer: impl Producer<Line>) -> CoreGaps {
    let mut load = Load::new(job.keys);
    let _sprint = gate.enter();
    let end = stamp::now() + job.slice.as_nanos() as u64;
    while stamp::now() < end {
        producer.batch_publish(CHUNK_EVENTS, |lines| {
            lines.for_each(|line| *line = Line(load.next(0)));
        });
    }
    CoreGaps::default()
}

fn own(
    gate: &Gate,
    mut poller: EventPoller<Line, SingleProducerBarrier>,
    mut owner: Owner,
    update: impl Fn(&mut Owner, &Item),
) -> (MeasuredWindow, PlainTable) {
    let sprint = gate.enter();
    let start = stamp::now();
    owner.begin(start);
    loop {
        match poller.take(CHUNK_EVENTS as u64) {
            Ok(mut lines) => (&mut lines).for_each(|line| update(&mut owner, &line.0)),
            Err(Polling::NoEvents) => {
                owner.idle();
                spin_loop();
            }
            Err(Polling::Shutdown) => break,
        }
    }
    let nanos = stamp::now() - start;
    drop(sprint);
    owner.finish(nanos)
}

/// One event per cache line, as for `rtrb`.
#[repr(align(64))]
struct Line(Item);

/// 256 KiB, as for `rtrb`.
const CAPACITY_EVENTS: usize = 4096;
/// Events per publication at full speed, and most per release of room.
const CHUNK_EVENTS: usize = 64;
