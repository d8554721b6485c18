//! Random input over one connection and over several: contents, order and moments of all windows.

use std::collections::BTreeMap;

use potoroo_sdk::prelude::*;
use potoroo_sdk::stream::LATE_FOR_WINDOWS;

use super::oracle::{Lateness, Shape};
use super::{Numbered, Numbers, lines, nanos, numbered, show};

/// What is drawn for one run.
#[derive(Debug)]
pub struct Drawn {
    pub shape: Shape,
    pub lateness: Lateness,
    within: i64,
    wait: i64,
    pub connections: usize,
    /// Each with the connection that brings it.
    pub events: Vec<(usize, Numbered)>,
}

/// Draws a run over at most `connections_max` connections.
pub fn draw(seed: u64, connections_max: u64) -> Drawn {
    let mut random = Random::new(seed);
    let mut below = |limit: u64| random.below(limit) as i64;
    let size = 1 + below(20);
    let shape = match below(3) {
        0 => Shape::Sliding { size, slide: size, offset: below(30) },
        1 => Shape::Sliding { size, slide: 1 + below(size as u64), offset: below(30) },
        _ => Shape::Sessions { gap: size },
    };
    let policies = [Lateness::Drop, Lateness::Fire, Lateness::Aside, Lateness::Oldest];
    let last = if matches!(shape, Shape::Sessions { .. }) { 3 } else { 4 };
    let lateness = policies[below(last) as usize];
    let (within, connections) = (below(3) * below(10), 1 + below(connections_max) as usize);
    let wait = below(3) * below(10);
    let mut clocks = vec![-100; connections];
    let event = |number| {
        let connection = below(connections as u64) as usize;
        let pace = if below(15) == 0 { 80 } else { 6 };
        clocks[connection] += below(pace);
        let disorder = if below(10) == 0 { 40 } else { 8 };
        let time = clocks[connection] - below(disorder);
        (connection, (below(3) as u64, time, number))
    };
    let events = (0..120).map(event).collect();
    Drawn { shape, lateness, within, wait, connections, events }
}

/// The application that shows the drawn windows, and late events at the sink `late`.
pub fn describe(drawn: &Drawn) -> Application {
    let app = Application::new("random");
    let windows = windows_of(&app, drawn);
    show(&app, &windows);
    app
}

/// The drawn windows, which get the events of the source `in`.
pub fn windows_of(app: &Application, drawn: &Drawn) -> Windows<u64, Numbers> {
    let duration = |length: i64| nanos(length.unsigned_abs());
    let windows: Windows<u64, Numbers> = match drawn.shape {
        Shape::Sliding { size, slide, offset } if size == slide => {
            app.windows("windows", tumbling(duration(size)).offset(duration(offset)))
        }
        Shape::Sliding { size, slide, offset } => {
            let kind = sliding(duration(size), duration(slide)).offset(duration(offset));
            app.windows("windows", kind)
        }
        Shape::Sessions { gap } => app.windows("windows", sessions(duration(gap))),
    };
    let windows = windows.wait(duration(drawn.wait)).late(match drawn.lateness {
        Lateness::Drop | Lateness::Aside => Late::Drop,
        Lateness::Fire => Late::Fire,
        Lateness::Oldest => Late::Oldest,
    });
    let windowed = numbered(app, drawn.within)
        .window(&windows, |numbers, (.., number)| numbers.0.push(number));
    if drawn.lateness == Lateness::Aside {
        let texts = windowed.late().map(|(_, _, number)| format!("late {number}"));
        texts.sink("late", LineText::new());
    }
    windows
}

/// An event, with what it does to its connection.
struct Judged {
    event: Numbered,
    /// The least own watermark of all connections, after it.
    watermark: i64,
    is_late: bool,
    /// The time as which it counts; `None` if it is late.
    counts_as: Option<i64>,
}

fn judge(drawn: &Drawn) -> Vec<Judged> {
    let Drawn { shape, lateness, within, wait, connections, events } = drawn;
    let mut own = vec![i64::MIN; *connections];
    let judge = |(connection, event): &(usize, Numbered)| {
        let (_, time, _) = *event;
        let own_now = own[*connection].max(time - within - 1);
        own[*connection] = own_now;
        let watermark = *own.iter().min().expect("there is a connection");
        let is_late = shape.closing(time) + wait <= own_now;
        let counts_as = match (is_late, lateness) {
            (false, _) => Some(time),
            (true, Lateness::Oldest) => Some(own_now - wait + 1),
            (true, _) => None,
        };
        Judged { event: *event, watermark, is_late, counts_as }
    };
    events.iter().map(judge).collect()
}

/// By key, times and numbers of the events that are on time.
pub fn on_time(drawn: &Drawn) -> BTreeMap<u64, Vec<(i64, u64)>> {
    let mut on_time = BTreeMap::<u64, Vec<(i64, u64)>>::new();
    for Judged { event: (key, _, number), counts_as, .. } in judge(drawn) {
        let times = counts_as.map(|time| (time, number));
        on_time.entry(key).or_default().extend(times);
    }
    on_time
}

/// What each step has to bring, in this order for each key: the steps of the events, and one for
/// the end of the input.
fn expect(drawn: &Drawn) -> Vec<BTreeMap<u64, Vec<String>>> {
    let judged = judge(drawn);
    let mut steps = vec![BTreeMap::<u64, Vec<String>>::new(); judged.len() + 1];
    for (key, events) in &on_time(drawn) {
        for (start, end, numbers) in drawn.shape.windows(events) {
            let due = end - 1 + drawn.wait;
            let step = judged.iter().position(|judged| judged.watermark >= due);
            let text = format!("{key} {start} {end} Closed {numbers:?} at {}", end - 1);
            steps[step.unwrap_or(judged.len())].entry(*key).or_default().push(text);
        }
    }
    for (step, judged) in steps.iter_mut().zip(&judged) {
        if drawn.lateness == Lateness::Fire && judged.counts_as.is_none() {
            let (key, time, _) = judged.event;
            let (start, end, numbers) = drawn.shape.alone(judged.event);
            let text = format!("{key} {start} {end} Late {numbers:?} at {time}");
            step.entry(key).or_default().push(text);
        }
    }
    steps
}

fn late(drawn: &Drawn) -> Vec<u64> {
    let late = judge(drawn).into_iter().filter(|judged| judged.counts_as.is_none());
    late.map(|Judged { event: (.., number), .. }| number).collect()
}

/// The lines of each key in order; the numbers of a window ascending.
pub fn by_key(lines: Vec<String>) -> BTreeMap<u64, Vec<String>> {
    let mut by_key = BTreeMap::<u64, Vec<String>>::new();
    for line in lines {
        let (key, _) = line.split_once(' ').expect("a key");
        let (before, rest) = line.split_once('[').expect("a list");
        let (numbers, after) = rest.split_once(']').expect("a list");
        let mut numbers: Vec<u64> =
            numbers.split(", ").map(|number| number.parse().expect("a number")).collect();
        numbers.sort_unstable();
        let line = format!("{before}{numbers:?}{after}");
        by_key.entry(key.parse().expect("a number")).or_default().push(line);
    }
    by_key
}

fn check(seed: u64) {
    let drawn = draw(seed, 3);
    let expected = expect(&drawn);
    let mut reference = Reference::new(describe(&drawn)).expect("it is sound");
    let first = reference.connect("in");
    let mut connections = vec![first];
    connections.extend((1..drawn.connections).map(|_| reference.connect("in")));
    // The one that is there from the beginning brings nothing.
    reference.end("in");
    let mut seen = 0;
    for (step, expected) in expected.iter().enumerate() {
        match drawn.events.get(step) {
            Some((connection, (key, time, number))) => {
                let line = format!("{key} {time} {number}\n");
                reference.feed_to(&connections[*connection], line.as_bytes());
            }
            None => connections.iter().for_each(|connection| reference.end_of(connection)),
        }
        let new = lines(&reference, seen);
        seen += new.len();
        assert_eq!(by_key(new), *expected, "seed {seed}, step {step}: {drawn:?}");
    }
    if drawn.lateness == Lateness::Aside {
        let late: Vec<String> =
            late(&drawn).iter().map(|number| format!("late {number}\n")).collect();
        assert_eq!(reference.output("late"), late.concat().as_bytes(), "seed {seed}: {drawn:?}");
    }
    let late = judge(&drawn).iter().filter(|judged| judged.is_late).count();
    assert_eq!(reference.late("windows"), late as u64, "seed {seed}: {drawn:?}");
    let refused = reference.refused();
    assert!(refused.iter().all(|refused| refused.reason == LATE_FOR_WINDOWS), "{refused:?}");
    let dropped = if drawn.lateness == Lateness::Drop { late } else { 0 };
    assert_eq!(refused.len(), dropped, "seed {seed}: {drawn:?}");
    reference.table("windows", |key, _| panic!("seed {seed}: the row of {key:?} is left"));
}

#[test]
fn windows_are_what_the_oracle_says() {
    (0..600).for_each(check);
}

#[test]
fn the_drawn_input_has_everything_in_it() {
    let all: Vec<Drawn> = (0..600).map(|seed| draw(seed, 3)).collect();
    let late = all.iter().filter(|drawn| !late(drawn).is_empty()).count();
    assert!(late > 100, "{late} with late events");
    let sessions = all.iter().filter(|drawn| matches!(drawn.shape, Shape::Sessions { .. }));
    assert!(sessions.count() > 100);
    assert!(all.iter().filter(|drawn| drawn.connections == 3 && drawn.wait > 0).count() > 50);
}
