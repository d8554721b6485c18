//! The application of each construct.

use potoroo_sdk::prelude::*;
use serde_json::Value as Json;

use super::{Arrival, ArrivalView, Shown, duration, nanos, source, text, windows};

/// The application that runs a case; `None` for one that asks for the windows of times.
pub fn of(case: &Json) -> Option<Application> {
    let describe = match text(&case["construct"]) {
        "timers" => timers,
        "ttl" => ttl,
        "first" => first,
        "join" => join,
        "as_of" => as_of,
        "tumbling" => windows::tumbling_windows,
        "sliding" => windows::sliding_windows,
        "session" => windows::session_windows,
        "count" => windows::counted_windows,
        "chain" => windows::chain,
        "assign" => return None,
        other => panic!("no application for `{other}`"),
    };
    let app = Application::new("case");
    describe(&app, case);
    Some(app)
}

/// Values are commands to the row's one timer; its state is the period of one that sets itself.
fn timers(app: &Application, case: &Json) {
    let table = app.table::<String, Option<u64>>("rows").timers();
    let arrivals = source(app, case, "in").key_by(|arrival| arrival.key.to_owned());
    arrivals.update_row(&table, |row, arrival| {
        let command = arrival.value.trim_matches('"');
        let (verb, number) = command.split_once(':').unwrap_or((command, "0"));
        let number: i64 = number.parse().expect("a number");
        **row = (verb == "every").then_some(number.unsigned_abs());
        match verb {
            "set" | "every" => row.set_timer_in(Duration::from_nanos(number.unsigned_abs())),
            "at" => row.set_timer(EventTime::from_nanos(number)),
            "clear" => row.clear_timer(),
            "note" => {}
            other => panic!("no command `{other}`"),
        }
    });
    let fired = table.on_timer(|row| {
        let due = row.time().nanos();
        if let Some(period) = **row {
            row.set_timer_in(Duration::from_nanos(period));
        }
        Shown::new(row.key(), format!("\"due\":{due}"))
    });
    Shown::show(app, &fired);
}

/// A table that counts; each event gives the count.
fn ttl(app: &Application, case: &Json) {
    let table = app.table::<String, u64>("rows").expire_after(duration(case, "ttl"));
    let arrivals = source(app, case, "in").key_by(|arrival| arrival.key.to_owned());
    let counts = arrivals.update_row(&table, |row, _| {
        **row += 1;
        Shown::new(row.key(), format!("\"count\":{}", **row))
    });
    Shown::show(app, &counts);
}

/// Repeats are dropped.
fn first(app: &Application, case: &Json) {
    let arrivals = source(app, case, "in").key_by(|arrival| arrival.key.to_owned());
    let first = arrivals.first("rows", duration(case, "keep"));
    let shown =
        first.map(|arrival| Shown::new(arrival.key, format!("\"value\":{}", arrival.value)));
    Shown::show(app, &shown);
}

/// Events by their keys.
fn by_key(app: &Application, case: &Json, name: &str) -> Keyed<Arrival, String> {
    source(app, case, name).key_by(|arrival| arrival.key.to_owned())
}

/// A pair, or one event alone.
fn pair(left: ArrivalView<'_>, right: Option<ArrivalView<'_>>) -> Shown {
    let right = right.map_or("null", |right| right.value);
    Shown::new(left.key, format!("\"left\":{},\"right\":{right}", left.value))
}

/// Pairs; with `left` also left events without a partner.
fn join(app: &Application, case: &Json) {
    let parameters = &case["parameters"];
    let interval = Interval::new(nanos(&parameters["lower"]), nanos(&parameters["upper"]));
    let [left, right] = ["left", "right"].map(|name| by_key(app, case, name));
    let pairs = match parameters["left"].as_bool().unwrap_or_default() {
        true => left.join_left("rows", &right, interval, pair),
        false => left.join("rows", &right, interval, |left, right| pair(left, Some(right))),
    };
    Shown::show(app, &pairs);
}

/// Probes with the versions that prevailed.
fn as_of(app: &Application, case: &Json) {
    let [probes, versions] = ["probes", "versions"].map(|name| by_key(app, case, name));
    Shown::show(app, &probes.as_of("rows", &versions, pair));
}
