//! Joins of two sources: `as_of`, `join_left`, `join`, and `first` of one of them.

use potoroo_sdk::prelude::*;

use super::{TimedTrial, difference_in_any_order, script, which};
use crate::workload::LATENESS_MS;

impl TimedTrial {
    /// One of four operators, by the seed: its pairs and answers are determined.
    pub fn joins(seed: u64) -> Self {
        Self {
            seed,
            describe: Box::new(move || joins(which(seed, 4))),
            scripts: [0, 1].map(|source| script((source, seed), (200, 60), number)).into(),
            sinks: &["out"],
            difference: difference_in_any_order,
        }
    }
}

#[event]
struct Arrival {
    time: i64,
    key: u64,
    number: u64,
}

fn parse(line: &str) -> Option<Arrival> {
    let mut words = line.split(' ');
    let mut next = || words.next()?.parse::<i64>().ok();
    let (time, key, number) = (next()?, next()?.unsigned_abs(), next()?.unsigned_abs());
    // Without its load: rows have room for a few of them only.
    Some(Arrival { time, key, number })
}

fn number(number: u64, _: &mut Random) -> String {
    number.to_string()
}

/// Two sources, and one of the operators in which their streams meet, or `first` of one of them.
fn joins(which: u64) -> Application {
    let app = Application::new("joins");
    let [left, right] = ["s0", "s1"].map(|name| {
        app.source(name, LineText::new())
            .map(parse)
            .event_time(|arrival| EventTime::from_millis(arrival.time), within(millis(LATENESS_MS)))
            .key_by(|arrival| arrival.key)
    });
    let pair = |left: Arrival, right: Option<Arrival>| {
        let right = right.map_or("none".to_owned(), |right| right.number.to_string());
        format!("{} {} {right}", left.key, left.number)
    };
    let pairs = match which {
        0 => left.as_of("rows", &right, pair),
        1 => left.join_left("rows", &right, Interval::new(-5_000_000, 30_000_000), pair),
        2 => left.join("rows", &right, Interval::around(millis(25)), move |left, right| {
            pair(left, Some(right))
        }),
        _ => {
            right.sink("others", Numbers);
            left.first("rows", millis(40)).map(move |arrival| pair(arrival, None))
        }
    };
    let counts = app.table::<u64, Count>("counts");
    let again = pairs.key_by(|line| line.len() as u64);
    again.update(&counts, |count, _| count.add(1));
    pairs.sink("out", LineText::new());
    app
}

struct Numbers;

impl Encode for Numbers {
    type Event = Arrival;

    fn encode(&self, arrival: Arrival, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{}\n", arrival.number).as_bytes());
    }
}
