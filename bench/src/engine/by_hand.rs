//! The same work written by hand, and nothing else: the floor under the engine.
//!
//! ```text
//!   generate ─ hash ─ partition ─┬─ own ───────────────────────┬─ index lines ─ rows ─ update
//!                                └─ other: frame ─ ring ─ walk ┘                        └ record
//! ```
//!
//! The generator, hash, partition map, ring, index, archive and cells of latency are those of the
//! engine, through its public interface. The frame has a header of 24 bytes and the archived event.
//! Left out: plan, stages, host, origins, dead letters, outbox, turn, counters, checkpoints. Events
//! of one batch that departed together are recorded together, as the engine does.

mod tallies;

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use arrayvec::ArrayVec;
use potoroo::flow::PartitionMap;
use potoroo::prelude::*;
use potoroo::sdk::value::{access, archived_bytes, write};
use potoroo_runtime::ring::FRAME_LENGTH_BYTES;
use potoroo_runtime::{Consumer, LatencyArray, Producer, ring};

pub use self::tallies::Tallies;
use super::job::{Job, LOAD, OWN, Pace};
use super::load::{Item, Load};
use super::window::{MeasuredWindow, with_load};
use crate::gaps::{CoreGaps, GapLog, Watch};
use crate::place::Gate;
use crate::stamp;
use crate::take::{Take, Tape};

/// Produces and owns on the left core.
///
/// # Errors
/// The system gives no further thread.
pub fn window_in_place(job: &Job, table: Tallies) -> Result<(MeasuredWindow, Tallies)> {
    job.place.alone(|gate| Ok(in_place(gate, job, table)))
}

/// Produces on the left core, owns on the right one.
///
/// # Errors
/// The system gives no further thread.
pub fn window(job: &Job, table: Tallies) -> Result<(MeasuredWindow, Tallies)> {
    let (producer, consumer) = ring(RING_BYTES);
    let (watch, ended) = (Watch::new(2), AtomicBool::new(false));
    let done = job.place.pair(
        |gate| produce(gate, job, Lanes::new(producer), watch.log(LOAD, "load"), &ended),
        |gate| own(gate, job, (consumer, table), &watch, &ended),
    );
    done.map(with_load)
}

/// Generates a batch, then takes it in: one clock reading before, one after.
fn in_place(gate: &Gate, job: &Job, mut table: Tallies) -> (MeasuredWindow, Tallies) {
    let mut load = Load::new(job.keys);
    let owners = PartitionMap::spread(PARTITIONS, &[0]);
    let mut latency = LatencyArray::new();
    let sprint = gate.enter();
    let start = stamp::now();
    let mut now = start;
    while now - start < job.slice.as_nanos() as u64 {
        let mut batches = [ArrayVec::<_, BATCH_EVENTS>::new()];
        for _ in 0..BATCH_EVENTS {
            let item = load.next(now);
            let hash = item.key.hash();
            batches[owners.owner(hash)].push((item, hash, table.look_up(hash)));
        }
        let [batch] = &mut batches;
        batch.iter_mut().for_each(|(_, hash, at)| *at = table.look_ahead(*hash, *at));
        batch.iter().for_each(|(item, hash, slot)| table.update(item, *hash, *slot));
        let after = stamp::settled();
        latency.record_n(after - now, batch.len() as u64);
        now = after;
    }
    drop(sprint);
    let (events, nanos) = (latency.count(), now - start);
    (MeasuredWindow { latency: Take::default(), events, nanos }, table)
}

/// The way to the cores that own partitions: here one.
struct Lanes {
    owners: PartitionMap,
    lanes: [Producer; 1],
}

impl Lanes {
    fn new(lane: Producer) -> Self {
        Self { owners: PartitionMap::spread(PARTITIONS, &[0]), lanes: [lane] }
    }

    /// Writes one event behind its header; publishes early only when the ring is full.
    #[inline]
    fn send(&mut self, item: &Item, ingress: u64, log: &mut GapLog) {
        let hash = item.key.hash();
        let lane = &mut self.lanes[self.owners.owner(hash)];
        loop {
            if let Some(room) = lane.try_append(FRAME_BYTES) {
                let (header, archive) = room.split_at_mut(HEADER_BYTES - FRAME_LENGTH_BYTES);
                header[..4].copy_from_slice(&EDGE.to_le_bytes());
                header[4..12].copy_from_slice(&hash.to_le_bytes());
                header[12..].copy_from_slice(&ingress.to_le_bytes());
                write(item, archive).expect("the room is as long as the archive");
                return;
            }
            lane.publish();
            log.idle();
            spin_loop();
        }
    }

    #[inline]
    fn publish(&mut self) {
        for lane in &mut self.lanes {
            lane.publish();
        }
    }
}

fn produce(
    gate: &Gate,
    job: &Job,
    mut lanes: Lanes,
    mut log: GapLog,
    ended: &AtomicBool,
) -> CoreGaps {
    let mut load = Load::new(job.keys);
    let sprint = gate.enter();
    let start = stamp::now();
    log.begin(start);
    match job.pace {
        Pace::Rate(rate) => {
            let mut departures = job.departures(rate);
            while let Some(due) = departures.wait(&mut log) {
                lanes.send(&load.next(due), due, &mut log);
                lanes.publish();
            }
        }
        Pace::Full => {
            let mut now = start;
            while now - start < job.slice.as_nanos() as u64 {
                for _ in 0..BATCH_EVENTS {
                    lanes.send(&load.next(now), now, &mut log);
                }
                lanes.publish();
                now = stamp::now();
            }
        }
    }
    ended.store(true, Ordering::Release);
    drop(sprint);
    log.finish()
}

fn own(
    gate: &Gate,
    job: &Job,
    (mut consumer, mut table): (Consumer, Tallies),
    watch: &Watch,
    ended: &AtomicBool,
) -> (MeasuredWindow, Tallies) {
    let mut tape = Tape::new(job.slice.as_nanos() as u64, watch);
    let (mut latency, mut log) = (LatencyArray::new(), watch.log(OWN, "own"));
    let sprint = gate.enter();
    let start = stamp::now();
    tape.begin(start);
    log.begin(start);
    loop {
        // In this order: what was published before the end is seen.
        let over = ended.load(Ordering::Acquire);
        let taken = match job.pace {
            Pace::Rate(_) => own_batch(&mut consumer, &mut table, |departed, now, count| {
                log.see(now);
                (0..count).for_each(|_| tape.record(departed, now));
                latency.record_n(0, count);
            }),
            Pace::Full => own_batch(&mut consumer, &mut table, |departed, now, count| {
                latency.record_n(now - departed, count);
            }),
        };
        if taken == 0 {
            if over {
                break;
            }
            log.idle();
            spin_loop();
        }
    }
    let nanos = stamp::now() - start;
    drop(sprint);
    let events = latency.count();
    let latency = match job.pace {
        Pace::Rate(_) => tape.finish().with_gaps([log.finish()]),
        Pace::Full => Take::default(),
    };
    (MeasuredWindow { latency, events, nanos }, table)
}

/// Takes in what has arrived, up to a batch; returns how many events. `record` gets when a run of
/// events departed, when all of the batch was done, and how many there are.
#[inline]
fn own_batch(
    consumer: &mut Consumer,
    table: &mut Tallies,
    mut record: impl FnMut(u64, u64, u64),
) -> usize {
    let mut batch = ArrayVec::<_, BATCH_EVENTS>::new();
    let mut place = consumer.head();
    while !batch.is_full()
        && let Some((frame, next)) = consumer.frame_at(place)
    {
        let (header, archive) = frame.split_at(HEADER_BYTES);
        let hash = word(&header[8..16]);
        batch.push((archive, hash, word(&header[16..]), table.look_up(hash)));
        place = next;
    }
    batch.iter_mut().for_each(|(_, hash, _, at)| *at = table.look_ahead(*hash, *at));
    for (archive, hash, _, slot) in &batch {
        let item = Item::view(access::<Item>(archive).expect("it was written as an archive"));
        table.update(&item, *hash, *slot);
    }
    let taken = batch.len();
    if taken > 0 {
        let now = stamp::settled();
        for run in batch.chunk_by(|(_, _, one, _), (_, _, other, _)| one == other) {
            record(run[0].2, now, run.len() as u64);
        }
        drop(batch);
        consumer.consume_to(place);
    }
    taken
}

#[inline]
fn word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("a word has eight bytes"))
}

/// As many as an application of the engine has by itself.
const PARTITIONS: u32 = 1024;
/// Events of a batch: enough to hide the latency of memory.
const BATCH_EVENTS: usize = 64;
/// Length (the ring's), source, flags and edge, hash, time of departure.
const HEADER_BYTES: usize = 24;
const FRAME_BYTES: usize = HEADER_BYTES + archived_bytes::<Item>();
/// The only edge: source, flags and number are 0.
const EDGE: u32 = 0;
/// 256 KiB, as the contenders' rings.
const RING_BYTES: usize = 256 << 10;
