//! Chain: windows of windows, in one stage and after another key.

use std::collections::BTreeMap;

use potoroo_sdk::prelude::*;

use super::nanos;
use super::oracle::{Lateness, Shape};
use super::random::{Drawn, draw, on_time, windows_of};

/// Size of the second windows.
const SIZE: i64 = 13;

/// How many first windows end in each second one, whose starts it sends to `out`.
fn describe(drawn: &Drawn, in_one_stage: bool) -> Application {
    let app = Application::new("chain");
    let firsts = windows_of(&app, drawn);
    let seconds = app.windows::<u64, u64>("seconds", tumbling(nanos(SIZE.unsigned_abs())));
    let closed = firsts.closed(|_, window| (*window.key(), window.start()));
    let closed = match in_one_stage {
        true => closed,
        false => closed.collect().filter(|_| true).key_by(|(key, _)| key),
    };
    closed.window(&seconds, |count, _| *count += 1);
    let shown = seconds
        .closed(|count, window| format!("{} {} {count}", window.key(), window.start().nanos()));
    shown.sink("out", LineText::new());
    app
}

fn check(seed: u64) {
    let drawn = draw(seed, 3);
    if drawn.lateness == Lateness::Fire {
        // What late events cause may be late, too.
        return;
    }
    let mut counts = BTreeMap::<(u64, i64), u64>::new();
    for (key, events) in on_time(&drawn) {
        for (_, end, _) in drawn.shape.windows(&events) {
            let start = (end - 1).div_euclid(SIZE) * SIZE;
            *counts.entry((key, start)).or_default() += 1;
        }
    }
    let line = |((key, start), count): (&(u64, i64), &u64)| format!("{key} {start} {count}");
    let expected: Vec<String> = counts.iter().map(line).collect();
    for in_one_stage in [false, true] {
        let mut reference = Reference::new(describe(&drawn, in_one_stage)).expect("it is sound");
        let connections: Vec<_> = (0..drawn.connections).map(|_| reference.connect("in")).collect();
        reference.end("in");
        for (connection, (key, time, number)) in &drawn.events {
            let line = format!("{key} {time} {number}\n");
            reference.feed_to(&connections[*connection], line.as_bytes());
        }
        connections.iter().for_each(|connection| reference.end_of(connection));
        let mut shown: Vec<(u64, i64, String)> = Vec::new();
        for line in super::lines(&reference, 0) {
            let mut words = line.split(' ').map(|word| word.parse::<i64>().expect("a number"));
            let (key, start) = (words.next().expect("a key"), words.next().expect("a start"));
            shown.push((key.unsigned_abs(), start, line));
        }
        // Those of a key come in order.
        shown.sort_by_key(|(key, ..)| *key);
        let shown: Vec<String> = shown.into_iter().map(|(.., line)| line).collect();
        assert_eq!(shown, expected, "seed {seed}, one stage: {in_one_stage}, {drawn:?}");
    }
}

#[test]
fn every_window_is_in_the_window_of_windows_that_contains_its_last_moment() {
    (0..400).for_each(check);
}

#[test]
fn the_greatest_of_each_window() {
    let app = Application::new("top");
    let sums = app.windows::<u64, u64>("sums", tumbling(nanos(10)));
    let top = app.windows::<(), (u64, u64)>("top", tumbling(nanos(10)));
    super::numbered(&app, 0).window(&sums, |sum, (.., number)| *sum += number);
    let sums = sums.closed(|sum, window| (*sum, *window.key()));
    sums.collect().window(&top, |top, sum| *top = sum.max(*top));
    top.closed(|(sum, key), window| format!("{} of {key} at {}", sum, window.end().nanos()))
        .sink("out", LineText::new());
    let mut reference = Reference::new(app).expect("it is sound");
    reference.feed("in", b"1 1 5\n2 2 7\n3 3 6\n1 4 3\n");
    assert_eq!(super::lines(&reference, 0), Vec::<String>::new());
    reference.feed("in", b"9 10 1\n");
    assert_eq!(super::lines(&reference, 0), ["8 of 1 at 10"]);
    reference.end("in");
    assert_eq!(super::lines(&reference, 1), ["1 of 9 at 20"]);
}

/// Not more than a check of the oracle itself.
#[test]
fn the_oracle_finds_sessions_and_windows() {
    let windows = Shape::Sliding { size: 10, slide: 5, offset: 0 }.windows(&[(1, 1), (6, 2)]);
    assert_eq!(windows, [(-5, 5, vec![1]), (0, 10, vec![1, 2]), (5, 15, vec![2])]);
    let sessions = Shape::Sessions { gap: 10 }.windows(&[(19, 3), (0, 1), (9, 2)]);
    assert_eq!(sessions, [(0, 19, vec![1, 2]), (19, 29, vec![3])]);
}
