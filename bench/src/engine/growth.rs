//! State growth: the longest turn while millions of new keys come in, and the bytes they take.
//!
//! Drives [`Core`] on a pinned thread as the engine's host does, one core, everything in place:
//! a running engine has no counter for the length of a single turn.
//!
//! The n-th turn inserts the same keys in each round, but what the operating system and its host
//! take from it falls on other turns each time. So each turn counts with its median over the
//! rounds, and the longest of these is what the engine itself makes an event wait; page faults,
//! which belong to the engine, come in every round and stay. Beside it stand the plain longest
//! turn, and the longest gap of a loop that only reads the clock, run just before it.

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use potoroo::Config;
use potoroo::flow::{Core, CoreConfig, PartitionMap, SharedCounts as Counters, Start};
use potoroo::prelude::*;
use potoroo::sdk::host::SourceId;
use potoroo_runtime::{Nanos, mesh};
use serde_json::{Value, json};

use super::load::{Item, ItemCodec, Load, Tally};
use crate::effort::Scale;
use crate::interrupt;
use crate::place::Gate;
use crate::progress::Progress;
use crate::report::{Goal, Report};
use crate::spread::median;
use crate::stamp;

/// Bytes per key at a million keys. Comes first in a process, before freed memory is used again.
///
/// # Errors
/// Not all keys came in, or the memory of the process cannot be read.
pub fn memory(report: &mut Report) -> Result<()> {
    let keys = report.scale().keys_max.min(1_000_000);
    let _progress = Progress::new(&format!("memory of {keys} keys"), 1);
    let grown = report.place().alone(|gate| grow(gate, keys))?;
    let per_key = |bytes: u64| bytes as f64 / keys as f64;
    report.goal("bytes_per_key", per_key(grown.resident_bytes), 0.0, Goal::AtMost(130.0));
    report.figure("bytes_per_key_counted", per_key(grown.table_bytes), 0.0);
    Ok(())
}

/// The longest turn while new keys come in: a number of rounds, fewer if the time is over before.
///
/// # Errors
/// As [`memory`].
pub fn bench(report: &mut Report, need: f64) -> Result<()> {
    let end = report.budget().begin(need);
    let Scale { growth_keys: keys, rounds: count, .. } = report.scale();
    let progress = Progress::new(&format!("growth by {keys} keys"), count);
    interrupt::check()?;
    let mut rounds = Vec::new();
    for round in 0..count {
        let is_late = report.scale().windows_max.is_none() && Instant::now() >= end;
        if round > 0 && (is_late || interrupt::asked()) {
            break;
        }
        progress.begin(format_args!("round {} of {count}", round + 1));
        rounds.push(report.place().alone(|gate| grow(gate, keys))?);
        progress.end();
    }
    let lengths: Vec<&[u32]> = rounds.iter().map(|grown| &grown.turns[..]).collect();
    let mut own = turns_of_engine(&lengths);
    report.detail("growth_longest_turns", longest_turns(&own));
    own.sort_unstable();
    let own_max = own.last().copied().unwrap_or(0);
    report.goal("growth_worst_us", micros(own_max), 0.0, Goal::AtMost(20.0));
    report.figure("growth_p9999_us", micros(own[(own.len() - 1) * 9999 / 10_000]), 0.0);
    report.figure("growth_p99_us", micros(own[(own.len() - 1) * 99 / 100]), 0.0);
    report.figure("growth_p50_us", micros(own[own.len() / 2]), 0.0);
    let of_rounds = |value: &dyn Fn(&Growth) -> u32| {
        median(rounds.iter().map(|grown| micros(value(grown))).collect())
    };
    let turn_max = |grown: &Growth| grown.turns.iter().copied().max().unwrap_or(0);
    report.figure("growth_worst_with_gaps_us", of_rounds(&turn_max), 0.0);
    report.figure("system_gap_worst_us", of_rounds(&|grown| grown.gap_ns), 0.0);
    report.detail("growth", json!({ "keys": keys, "turns": own.len() }));
    Ok(())
}

/// What one insertion of all keys took.
struct Growth {
    /// Length of each turn in nanoseconds.
    turns: Vec<u32>,
    /// Longest gap of a loop that did nothing for as long.
    gap_ns: u32,
    /// By how much the process grew.
    resident_bytes: u64,
    /// What the table and its index count.
    table_bytes: u64,
}

fn grow(gate: &Gate, keys: u64) -> Result<Growth> {
    let mut core = core(keys)?;
    // Written once, and not with zeros, so that its own page faults do not fall into turns.
    let mut turns = vec![u32::MAX; (keys / TURN_EVENTS_MIN) as usize];
    turns.clear();
    let resident = resident_bytes()?;
    let (mut taken_ns, mut gap_ns, mut working) = (0, 0, true);
    while working {
        let sprint = gate.enter();
        gap_ns = gap_ns.max(longest_gap(SPRINT_NS / 4));
        working = insert(&mut core, &mut turns, SPRINT_NS);
        drop(sprint);
        taken_ns += SPRINT_NS;
        ensure!(taken_ns < 100 * SPRINT_NS, "{keys} keys do not come in");
        std::thread::sleep(Duration::from_nanos(SPRINT_NS / 2));
    }
    let resident_bytes = resident_bytes()?.saturating_sub(resident);
    let (rows, table_bytes) = core.counts().tables[0];
    ensure!(rows == keys, "the table has {rows} rows instead of {keys}");
    Ok(Growth { turns, gap_ns, resident_bytes, table_bytes })
}

/// Takes turns until nothing is left to do or the time is over. Returns whether there is more.
fn insert(core: &mut Core, turns: &mut Vec<u32>, slice_ns: u64) -> bool {
    let start = stamp::now();
    let mut before = start;
    while before - start < slice_ns {
        let work = core.turn(Nanos(before), |_| {});
        let after = stamp::now();
        if work == 0 {
            return false;
        }
        turns.push((after - before) as u32);
        before = after;
    }
    true
}

/// The longest time between two looks at the clock, by a loop that does nothing else.
fn longest_gap(slice_ns: u64) -> u32 {
    let start = stamp::now();
    let (mut before, mut longest) = (start, 0);
    while before - start < slice_ns {
        let after = stamp::now();
        longest = longest.max(after - before);
        before = after;
    }
    longest as u32
}

/// Each turn's median over the rounds, given the lengths of their turns.
pub fn turns_of_engine(rounds: &[&[u32]]) -> Vec<u32> {
    let turns = rounds.iter().map(|lengths| lengths.len()).min().unwrap_or(0);
    let middle = |turn: usize| {
        let mut lengths: Vec<u32> = rounds.iter().map(|lengths| lengths[turn]).collect();
        lengths.sort_unstable();
        lengths[lengths.len() / 2]
    };
    (0..turns).map(middle).collect()
}

/// Number and length in nanoseconds of the longest turns: where they lie tells what they do.
pub fn longest_turns(turns: &[u32]) -> Value {
    let mut numbered: Vec<(usize, u32)> = turns.iter().copied().enumerate().collect();
    numbered.sort_unstable_by_key(|(_, length)| std::cmp::Reverse(*length));
    numbered.truncate(LONGEST_TURNS);
    json!(numbered)
}

/// One core that owns everything, with a generator of `keys` different keys.
///
/// # Errors
/// The application is not sound.
pub fn core(keys: u64) -> Result<Core> {
    core_of(application(keys), "keys", (0, keys))
}

/// One core that owns everything, sinks too, with the generator of this name for its first source:
/// `rate` events per second, 0 for as fast as possible, and `events` in all.
///
/// # Errors
/// The application is not sound.
pub fn core_of(
    application: Application,
    generator: &str,
    (rate, events): (u64, u64),
) -> Result<Core> {
    let plan = application.plan()?;
    let Config { lane_bytes, inlet_bytes, outlet_bytes, partitions, .. } = Config::default();
    let lanes = mesh(1, plan.levels() + 1, lane_bytes).pop().context("one core")?;
    let generate = plan.sources[0].stage.generator(generator, 0);
    let generate = generate.map_err(|mistake| anyhow::anyhow!("{mistake}"))?;
    let config = CoreConfig {
        core: 0,
        lanes,
        map: PartitionMap::spread(partitions as u32, &[0]),
        sink_owners: vec![0; plan.sinks.len()],
        inlet_bytes,
        outlet_bytes,
        local_bytes: lane_bytes,
        keep_letters: false,
        readers: Vec::new(),
        tally: Arc::new(Counters::new(&plan)),
    };
    let mut core = Core::new(plan, config);
    core.add_generator(SourceId(0), generate, rate, &Start::default(), events);
    Ok(core)
}

/// Different keys, into one table.
pub fn application(keys: u64) -> Application {
    let app = Application::new("growth");
    let tallies = app.table::<u64, Tally>("tallies");
    app.generator("keys", move |_| {
        let mut keys = Load::keys(keys);
        move |value| {
            let item = |key| Item { key, value, intended_ns: 0, rest: [0; 5] };
            keys.next().map(item)
        }
    });
    app.source("keys", ItemCodec)
        .key_by(|item| item.key)
        .update(&tallies, |tally, item| tally.update(item.value, item.intended_ns));
    app
}

/// Bytes of this process that lie in memory.
///
/// # Errors
/// The system does not say.
pub fn resident_bytes() -> Result<u64> {
    let text = fs::read_to_string("/proc/self/smaps_rollup").context("no memory figures")?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(1024 * kibibytes.context("no memory figures")?.parse::<u64>()?)
}

fn micros(ns: u32) -> f64 {
    f64::from(ns) / 1000.0
}

/// Turns that are named one by one.
const LONGEST_TURNS: usize = 8;
/// Fewest events of a turn that is not the last: for the room that lengths need.
const TURN_EVENTS_MIN: u64 = 16;
/// The kernel throttles real-time threads that take more than 0.95 s out of one second.
const SPRINT_NS: u64 = 400_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_that_fall_on_other_turns_do_not_count() {
        let rounds: [&[u32]; 3] = [&[900, 20, 30], &[10, 900, 31], &[11, 21, 900, 12]];
        assert_eq!(turns_of_engine(&rounds), [11, 21, 31]);
    }
}
