//! `rtrb` and a bare hash map: what one would write by hand for exactly this job.
//!
//! At a fixed rate each event is pushed and popped alone, which is what keeps latency low; at
//! full speed both sides work in chunks of 64.

use std::hint::spin_loop;

use anyhow::Result;
use rtrb::chunks::ChunkError;
use rtrb::{Consumer, Producer, RingBuffer};

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
    let (producer, consumer) = RingBuffer::new(CAPACITY_EVENTS);
    let watch = Watch::new(2);
    let done = match job.pace {
        Pace::Rate(rate) => job.place.pair(
            |gate| produce_paced(gate, job, rate, producer, watch.log(LOAD, "load")),
            |gate| own_paced(gate, consumer, Owner::new(job, &watch, table)),
        ),
        Pace::Full => job.place.pair(
            move |gate| produce_full(gate, job, producer),
            |gate| own_full(gate, consumer, Owner::new(job, &watch, table)),
        ),
    };
    Ok(with_load(done?))
}

fn produce_paced(
    gate: &Gate,
    job: &Job,
    rate: u32,
    mut producer: Producer<Line>,
    mut log: GapLog,
) -> CoreGaps {
    let mut load = Load::new(job.keys);
    let sprint = gate.enter();
    log.begin(stamp::now());
    let mut departures = job.departures(rate);
    while let Some(intended_ns) = departures.wait(&mut log) {
        let line = Line(load.next(intended_ns));
        while producer.push(line).is_err() {
            log.idle();
            spin_loop();
        }
    }
    drop(sprint);
    log.finish()
}

fn own_paced(
    gate: &Gate,
    mut consumer: Consumer<Line>,
    mut owner: Owner,
) -> (MeasuredWindow, PlainTable) {
    let sprint = gate.enter();
    let start = stamp::now();
    owner.begin(start);
    loop {
        match consumer.pop() {
            Ok(line) => owner.update_timed(&line.0),
            Err(_) if consumer.is_abandoned() && consumer.is_empty() => break,
            Err(_) => {
                owner.idle();
                spin_loop();
            }
        }
    }
    let nanos = stamp::now() - start;
    drop(sprint);
    owner.finish(nanos)
}

/// Nothing is timed at full speed.
fn produce_full(gate: &Gate, job: &Job, mut producer: Producer<Line>) -> CoreGaps {
    let mut load = Load::new(job.keys);
    let _sprint = gate.enter();
    let end = stamp::now() + job.slice.as_nanos() as u64;
    while stamp::now() < end {
        produce_chunk(&mut producer, &mut load);
    }
    CoreGaps::default()
}

#[inline]
fn produce_chunk(producer: &mut Producer<Line>, load: &mut Load) {
    loop {
        if let Ok(chunk) = producer.write_chunk_uninit(CHUNK_EVENTS) {
            chunk.fill_from_iter(std::iter::repeat_with(|| Line(load.next(0))));
            return;
        }
        spin_loop();
    }
}

fn own_full(
    gate: &Gate,
    mut consumer: Consumer<Line>,
    mut owner: Owner,
) -> (MeasuredWindow, PlainTable) {
    let sprint = gate.enter();
    let start = stamp::now();
    loop {
        match own_chunk(&mut owner, &mut consumer) {
            Ok(()) => {}
            Err(_) if consumer.is_abandoned() && consumer.is_empty() => break,
            Err(_) => spin_loop(),
        }
    }
    let nanos = stamp::now() - start;
    drop(sprint);
    owner.finish(nanos)
}

/// All chunks are full: the producer writes nothing smaller.
#[inline]
fn own_chunk(owner: &mut Owner, consumer: &mut Consumer<Line>) -> Result<(), ChunkError> {
    let chunk = consumer.read_chunk(CHUNK_EVENTS)?;
    let (first, second) = chunk.as_slices();
    first.iter().chain(second).for_each(|line| owner.update(&line.0));
    chunk.commit_all();
    Ok(())
}

/// One event per cache line, so that no pop touches two.
#[repr(align(64))]
#[derive(Clone, Copy)]
struct Line(Item);

/// 256 KiB; between 64 KiB and 2 MiB the size made no difference.
const CAPACITY_EVENTS: usize = 4096;
/// Events per publication at full speed.
const CHUNK_EVENTS: usize = 64;
