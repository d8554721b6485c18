//! Timers of the engine, in the simulator: what fires, when, and in which order for each key.

use std::collections::BTreeMap;

use potoroo_sdk::prelude::*;
use potoroo_tests::runs::{Subject, Troubles, World, live};
use potoroo_tests::seeds::{Concern, each_seed, random};
use potoroo_tests::simulator::{Deployment, Outcome, Script, Simulation};

/// One order to the timer of a key.
#[event]
struct Step {
    time: i64,
    key: u64,
    /// What to do: 0 nothing, 1 set it, 2 clear it, 3 remove the row, 4 set it again when it fires.
    what: u8,
    after: u64,
}

#[state]
struct Row {
    steps: u64,
    again: u64,
}

fn parse(line: &str) -> Option<Step> {
    let mut words = line.split(' ');
    let mut next = || words.next()?.parse::<i64>().ok();
    let (time, key, what, after) = (next()?, next()?, next()?, next()?);
    Some(Step { time, key: key as u64, what: what as u8, after: after as u64 })
}

/// Timers of `sources` sources, whose keys expire when they should.
fn timers(sources: usize, expires: bool) -> Application {
    let app = Application::new("timers");
    let mut rows = app.table::<u64, Row>("rows").timers();
    if expires {
        rows = rows.expire_after(millis(300));
    }
    let mut all: Option<Stream<Step>> = None;
    for source in 0..sources {
        let steps = app
            .source(&format!("s{source}"), LineText::new())
            .map(parse)
            .event_time(|step| EventTime::from_millis(step.time), within(millis(20)));
        all = Some(match all {
            None => steps,
            Some(before) => before.merge(&steps),
        });
    }
    let steps = all.expect("there is a source").key_by(|step| step.key);
    let noted = steps.update_row(&rows, |row, step| {
        row.steps += 1;
        let after = millis(step.after);
        match step.what {
            0 => {}
            1 => row.set_timer_in(after),
            2 => row.clear_timer(),
            3 => row.remove(),
            _ => {
                row.again = step.after;
                row.set_timer_in(after);
            }
        }
        let late = if row.is_late() { " late" } else { "" };
        format!("{} step {} at {}{late}", row.key(), row.steps, row.time())
    });
    let fired = rows.on_timer(|row| {
        if row.again > 0 {
            let after = millis(row.again);
            row.again -= row.again.min(7);
            row.set_timer_in(after);
        }
        format!("{} fired after {} at {}", row.key(), row.steps, row.time())
    });
    noted.merge(&fired).sink("out", LineText::new());
    app
}

fn script(source: u8, seed: u64) -> Script {
    let mut random = random(seed ^ u64::from(source) << 40, Concern::Workload);
    let (mut bytes, mut now) = (String::new(), 0);
    let keys = 1 + random.below(12);
    for _ in 0..1 + random.below(150) {
        now += random.below(20) as i64;
        let jitter = if random.chance(0.1) { random.below(60) } else { random.below(20) };
        let (time, key) = (now - jitter as i64, random.below(keys));
        let longest = 1 + random.below(120);
        let (what, after) = (random.below(5), random.below(longest));
        bytes.push_str(&format!("{time} {key} {what} {after}\n"));
    }
    Script { source, bytes: bytes.into_bytes(), ..Script::default() }
}

fn lines(bytes: &[u8]) -> BTreeMap<String, Vec<String>> {
    let mut by_key: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in str::from_utf8(bytes).expect("lines are text").lines() {
        let (key, rest) = line.split_once(' ').expect("a line begins with its key");
        by_key.entry(key.to_owned()).or_default().push(rest.to_owned());
    }
    by_key
}

/// The first key of which something else came than should have, and where that begins.
fn difference(seen: &[u8], expected: &[u8]) -> Option<String> {
    let (seen, expected) = (lines(seen), lines(expected));
    let keys = seen.keys().chain(expected.keys());
    keys.into_iter().find_map(|key| {
        let of = |all: &BTreeMap<String, Vec<String>>| all.get(key).cloned().unwrap_or_default();
        let (seen, expected) = (of(&seen), of(&expected));
        let longest = seen.len().max(expected.len());
        let at = (0..longest).find(|at| seen.get(*at) != expected.get(*at))?;
        let around = at.saturating_sub(2)..at + 4;
        let part = |all: &[String]| {
            all.iter()
                .enumerate()
                .filter(|(at, _)| around.contains(at))
                .map(|(_, it)| it.clone())
                .collect::<Vec<_>>()
        };
        Some(format!("key {key}, line {at}: {:?} instead of {:?}", part(&seen), part(&expected)))
    })
}

fn run(seed: u64, expires: bool, deployment: &Deployment, scripts: &[Script]) -> Outcome {
    let describe = || timers(scripts.len(), expires);
    Simulation::new(seed, deployment, &describe, scripts.to_vec()).run()
}

/// One connection: what comes of a key is exactly what the reference says, in its order.
#[test]
fn timers_of_one_connection_are_those_of_the_reference() {
    let mut fired = 0;
    each_seed("timers_of_one_connection_are_those_of_the_reference", 300, |seed| {
        let (cores, expires) = (1 + seed as usize % 4, seed % 3 == 0);
        let scripts = [script(0, seed)];
        let outcome = run(seed, expires, &Deployment::any(cores, seed), &scripts);
        let mut reference = Reference::new(timers(1, expires)).expect("it is sound");
        reference.feed("s0", &scripts[0].bytes);
        reference.end("s0");
        let (expected, seen) = (reference.output("out"), &outcome.sinks["out"]);
        assert_eq!(difference(seen, &expected), None, "seed {seed}");
        fired += lines(seen).values().flatten().filter(|line| line.starts_with("fired")).count();
    });
    assert!(fired > 1000, "{fired} timers fired");
}

/// Killed at any step and started again on other numbers of cores: the same, each once.
#[test]
fn timers_survive_whatever_is_killed() {
    let (mut recoveries, mut replayed, mut seeds) = (0, 0, 0);
    each_seed("timers_survive_whatever_is_killed", 200, |seed| {
        let expires = seed % 3 == 0;
        let script = script(0, seed);
        let mut world = World { inputs: vec![script.bytes.clone()], ..World::default() };
        let describe = || timers(1, expires);
        let generators = Vec::new();
        let subject = Subject { describe: &describe, partitions: 16, cores_max: 4, generators };
        let troubles = Troubles::any(seed);
        let chronicle = live(seed, &subject, &troubles, &mut world);
        let chronicle = chronicle.unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
        let mut reference = Reference::new(timers(1, expires)).expect("it is sound");
        reference.feed("s0", &script.bytes);
        reference.end("s0");
        let (expected, seen) = (reference.output("out"), world.history("out"));
        assert_eq!(difference(&seen, &expected), None, "seed {seed}, {troubles:?}");
        recoveries += chronicle.recoveries;
        replayed += chronicle.frames_replayed;
        seeds += 1;
    });
    assert!(seeds == 1 || recoveries > seeds / 2 && replayed > 0, "{recoveries}, {replayed}");
}
