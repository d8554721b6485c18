//! Step by step: what depends on the order in which events come. Early results and counted windows
//! of one connection, beside a simulation that lives through every nanosecond.

use potoroo_sdk::prelude::*;

use super::random::by_key;
use super::{Numbered, Numbers, lines, nanos, numbered, show};

#[derive(Clone, Copy, Debug)]
enum Shape {
    Tumbling { size: i64 },
    Sessions { gap: i64 },
    Counted { count: usize, after: Option<i64> },
}

#[derive(Debug)]
struct Drawn {
    shape: Shape,
    within: i64,
    wait: i64,
    early: Option<i64>,
    events: Vec<Numbered>,
}

fn draw(seed: u64) -> Drawn {
    let mut random = Random::new(seed);
    let mut below = |limit: u64| random.below(limit) as i64;
    let size = 1 + below(25);
    let shape = match below(3) {
        0 => Shape::Tumbling { size },
        1 => Shape::Sessions { gap: size },
        _ => {
            let after = (below(2) == 0).then_some(size);
            Shape::Counted { count: 1 + below(4) as usize, after }
        }
    };
    let (within, wait) = (below(3) * below(10), below(3) * below(10));
    let early = (below(3) > 0).then(|| 1 + below(12));
    let mut clock = -100;
    let event = |number| {
        let pace = if below(15) == 0 { 60 } else { 6 };
        clock += below(pace);
        (below(3) as u64, clock - below(8), number)
    };
    let events = (0..100).map(event).collect();
    Drawn { shape, within, wait, early, events }
}

struct OpenWindow {
    key: u64,
    start: i64,
    end: i64,
    numbers: Vec<u64>,
    /// When a counted window closes.
    limit: i64,
    is_shown: bool,
}

struct Simulation<'a> {
    drawn: &'a Drawn,
    watermark: i64,
    /// In the order of their starts.
    open: Vec<OpenWindow>,
    shown: Vec<String>,
}

impl Simulation<'_> {
    /// The last moment of a window, without the wait.
    fn last(&self, window: &OpenWindow) -> i64 {
        match self.drawn.shape {
            Shape::Counted { .. } => window.limit,
            _ => window.end - 1,
        }
    }

    fn show(&mut self, at: usize, firing: &str, time: i64) {
        let OpenWindow { key, start, end, numbers, .. } = &self.open[at];
        self.shown.push(format!("{key} {start} {end} {firing} {numbers:?} at {time}"));
    }

    /// Lives through the time up to this watermark.
    fn pass(&mut self, watermark: i64) {
        while self.watermark < watermark && !self.open.is_empty() {
            self.watermark += 1;
            let (now, wait) = (self.watermark, self.drawn.wait);
            while let Some(at) = self.open.iter().position(|it| self.last(it) + wait == now) {
                self.show(at, "Closed", now - wait);
                self.open.remove(at);
            }
            for at in 0..self.open.len() {
                let window = &self.open[at];
                let passed = now - window.start;
                let every = self.drawn.early.unwrap_or(i64::MAX);
                if !window.is_shown && passed > 0 && passed % every == 0 {
                    let time = now.min(self.last(window));
                    self.show(at, "Early", time);
                    self.open[at].is_shown = true;
                }
            }
        }
        self.watermark = self.watermark.max(watermark);
    }

    fn add(&mut self, (key, time, number): Numbered) {
        let wait = self.drawn.wait;
        let new = |start, end, limit| {
            let numbers = vec![number];
            OpenWindow { key, start, end, numbers, limit, is_shown: false }
        };
        match self.drawn.shape {
            Shape::Tumbling { size } => {
                let start = time.div_euclid(size) * size;
                if start + size - 1 + wait > self.watermark {
                    self.put(new(start, start + size, 0), |one, other| one.start == other.start);
                }
            }
            Shape::Sessions { gap } => {
                if time + wait > self.watermark {
                    let meet = |one: &OpenWindow, other: &OpenWindow| {
                        one.start < other.end && other.start < one.end
                    };
                    self.put(new(time, time + gap, 0), meet);
                }
            }
            Shape::Counted { count, after } => {
                let limit = after.map_or(i64::MAX - 1 - wait, |after| time + after);
                let limit = limit.max(self.watermark + 1);
                self.put(new(time, time + 1, limit), |_, _| true);
                let full = |it: &OpenWindow| it.key == key && it.numbers.len() == count;
                if let Some(at) = self.open.iter().position(full) {
                    self.show(at, "Closed", time);
                    self.open.remove(at);
                }
            }
        }
    }

    /// Makes one window of a new one and all that it meets.
    fn put(&mut self, new: OpenWindow, meet: impl Fn(&OpenWindow, &OpenWindow) -> bool) {
        let (mut met, mut others) = (Vec::new(), Vec::new());
        for window in self.open.drain(..) {
            let meets = window.key == new.key && meet(&window, &new);
            if meets { met.push(window) } else { others.push(window) }
        }
        met.push(new);
        let numbers = met.iter().flat_map(|it| it.numbers.clone()).collect();
        let start = met.iter().map(|it| it.start).min().expect("there is one");
        let end = met.iter().map(|it| it.end).max().expect("there is one");
        let OpenWindow { key, limit, .. } = met[0];
        others.push(OpenWindow { key, start, end, numbers, limit, is_shown: false });
        others.sort_by_key(|window| window.start);
        self.open = others;
    }
}

fn describe(drawn: &Drawn) -> Application {
    let app = Application::new("steps");
    let duration = |length: i64| nanos(length.unsigned_abs());
    let windows: Windows<u64, Numbers> = match drawn.shape {
        Shape::Tumbling { size } => app.windows("windows", tumbling(duration(size))),
        Shape::Sessions { gap } => app.windows("windows", sessions(duration(gap))),
        Shape::Counted { count, after: None } => app.windows("windows", counted(count as u64)),
        Shape::Counted { count, after: Some(after) } => {
            app.windows("windows", counted(count as u64).or_after(duration(after)))
        }
    };
    let windows = windows.wait(duration(drawn.wait));
    let windows = match drawn.early {
        None => windows,
        Some(every) => windows.early(duration(every)),
    };
    numbered(&app, drawn.within).window(&windows, |numbers, (.., number)| numbers.0.push(number));
    show(&app, &windows);
    app
}

fn check(seed: u64) {
    let drawn = draw(seed);
    let mut reference = Reference::new(describe(&drawn)).expect("it is sound");
    let mut simulation =
        Simulation { drawn: &drawn, watermark: i64::MIN, open: Vec::new(), shown: Vec::new() };
    let (mut seen, mut own) = (0, i64::MIN);
    for (key, time, number) in &drawn.events {
        own = own.max(time - drawn.within - 1);
        simulation.pass(own);
        simulation.add((*key, *time, *number));
        reference.feed("in", format!("{key} {time} {number}\n").as_bytes());
        let new = lines(&reference, seen);
        seen += new.len();
        let simulated = by_key(core::mem::take(&mut simulation.shown));
        assert_eq!(by_key(new), simulated, "seed {seed}, event {number}: {drawn:?}");
    }
    // What closes at the end only is no matter of nanoseconds.
    let is_endless = matches!(drawn.shape, Shape::Counted { after: None, .. });
    simulation.pass(own + if is_endless { 100 } else { 1000 });
    let mut expected = by_key(simulation.shown);
    for OpenWindow { key, start, end, numbers, .. } in simulation.open {
        let text = format!("{key} {start} {end} Closed {numbers:?} at {}", i64::MAX);
        expected.entry(key).or_default().push(text);
    }
    reference.end("in");
    let new = by_key(lines(&reference, seen));
    assert_eq!(new, expected, "seed {seed}, at the end: {drawn:?}");
}

#[test]
fn early_results_and_counts_are_what_the_simulation_says() {
    (0..600).for_each(check);
}

#[test]
fn windows_of_two_streams_wait_for_both() {
    let app = Application::new("co-windows");
    let counts = app.windows::<u64, (u64, u64)>("counts", tumbling(nanos(10)));
    let others = app.source("others", LineText::new());
    let others = others.map(|line| line.parse::<i64>().ok());
    let others = others.event_time(EventTime::from_nanos, IN_ORDER).key_by(|_| 1_u64);
    numbered(&app, 0).window(&counts, |counts, _| counts.0 += 1);
    others.window(&counts, |counts, _| counts.1 += 1);
    let shown = counts.closed(|counts, window| format!("{counts:?} at {}", window.end().nanos()));
    shown.sink("out", LineText::new());
    let mut reference = Reference::new(app).expect("it is sound");
    reference.feed("in", b"1 1 0\n1 30 0\n");
    reference.feed("others", b"2\n9\n");
    assert_eq!(lines(&reference, 0), Vec::<String>::new());
    reference.feed("others", b"10\n");
    assert_eq!(lines(&reference, 0), ["(1, 2) at 10"]);
    reference.feed("in", b"1 19 0\n1 31 0\n");
    reference.end("others");
    assert_eq!(lines(&reference, 1), ["(0, 1) at 20"], "19 is late by its own connection");
    reference.end("in");
    assert_eq!(lines(&reference, 2), ["(2, 0) at 40"]);
}
