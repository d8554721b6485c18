//! Windows of three kinds over two sources, windows of those, and late events aside.

use potoroo_sdk::prelude::*;

use super::{TimedTrial, difference_in_any_order, script, which};
use crate::workload::LATENESS_MS;

impl TimedTrial {
    /// Windows of one of three kinds, by the seed: what they hold is determined.
    pub fn windows(seed: u64) -> Self {
        Self {
            seed,
            describe: Box::new(move || windows(which(seed, 3))),
            scripts: [0, 1].map(|source| script((source, seed), (500, 120), amount)).into(),
            sinks: &["out", "late", "all"],
            difference: difference_in_any_order,
        }
    }
}

#[event]
struct Trade {
    time: i64,
    key: u64,
    amount: u64,
    load: String,
}

/// What came out of one window.
#[event]
struct Closed {
    key: u64,
    amount: u64,
}

type Sums = (Count, Sum<u64>);

fn parse(line: &str) -> Option<Trade> {
    let mut words = line.split(' ');
    let mut next = || words.next()?.parse::<i64>().ok();
    let (time, key, amount) = (next()?, next()?.unsigned_abs(), next()?.unsigned_abs());
    Some(Trade { time, key, amount, load: words.next()?.to_owned() })
}

fn amount(_: u64, random: &mut Random) -> String {
    random.below(1000).to_string()
}

/// Three kinds of windows over two sources, windows of those, and late events aside.
fn windows(which: u64) -> Application {
    let app = Application::new("windows");
    let [left, right] = ["s0", "s1"].map(|name| {
        app.source(name, LineText::new())
            .map(parse)
            .event_time(|trade| EventTime::from_millis(trade.time), within(millis(LATENESS_MS)))
    });
    let trades = left.merge(&right).key_by(|trade| trade.key);
    let open = match which {
        0 => app.windows::<u64, Sums>("open", tumbling(millis(50))).wait(millis(10)),
        1 => app.windows::<u64, Sums>("open", sliding(millis(60), millis(20))),
        _ => app.windows::<u64, Sums>("open", sessions(millis(15))),
    };
    let late = trades
        .window(&open, |sums, trade| {
            sums.0.add(1);
            sums.1.add(trade.amount);
        })
        .late();
    late.map(|trade| format!("{} {} {}", trade.key, trade.time, trade.amount))
        .sink("late", LineText::new());
    let all = app.windows::<(), Sums>("all", tumbling(millis(200)));
    let closed = open.closed(|sums, window| {
        (
            Closed { key: *window.key(), amount: sums.1.get() },
            format!(
                "{} {} {} {} {}",
                window.key(),
                window.start(),
                window.end(),
                sums.0.get(),
                sums.1.get()
            ),
        )
    });
    closed.map(|(_, line)| String::from(line)).sink("out", LineText::new());
    closed.map(|(closed, _)| closed).unkeyed().collect().window(&all, |sums, closed| {
        sums.0.add(1);
        sums.1.add(closed.amount ^ closed.key << 20);
    });
    all.closed(|sums, window| format!("{} {} {}", window.end(), sums.0.get(), sums.1.get()))
        .sink("all", LineText::new());
    app
}
