//! Timers: what fires, when, and in which order for each key.

use std::collections::BTreeMap;

use potoroo_sdk::prelude::*;

use super::{TimedTrial, script, which};
use crate::workload::LATENESS_MS;

impl TimedTrial {
    /// Timers of one source, whose rows expire in every third case. What comes of a key is
    /// determined, and its order.
    pub fn timers(seed: u64) -> Self {
        let expires = which(seed, 3) == 0;
        Self {
            seed,
            describe: Box::new(move || timers(expires)),
            scripts: vec![script((0, seed), (500, 60), order)],
            sinks: &["out"],
            difference,
        }
    }
}

/// One order to the timer of a key.
#[event]
struct Step {
    time: i64,
    key: u64,
    /// What to do: 0 nothing, 1 set it, 2 clear it, 3 remove the row, 4 set it again when it fires.
    what: u8,
    after: u64,
    load: String,
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
    let (key, what, after) = (key.unsigned_abs(), what as u8, after.unsigned_abs());
    Some(Step { time, key, what, after, load: words.next()?.to_owned() })
}

fn order(_: u64, random: &mut Random) -> String {
    let longest = 1 + random.below(120);
    format!("{} {}", random.below(5), random.below(longest))
}

/// Timers of one source, whose keys expire when they should.
fn timers(expires: bool) -> Application {
    let app = Application::new("timers");
    let mut rows = app.table::<u64, Row>("rows").timers();
    if expires {
        rows = rows.expire_after(millis(300));
    }
    let steps = app
        .source("s0", LineText::new())
        .map(parse)
        .event_time(|step| EventTime::from_millis(step.time), within(millis(LATENESS_MS)))
        .key_by(|step| step.key);
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
