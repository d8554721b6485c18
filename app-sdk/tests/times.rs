//! Times of events: what may be one, and where a stream gets it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use potoroo_sdk::prelude::*;
use potoroo_sdk::time::{OUT_OF_RANGE, TOO_FAR_AHEAD};

/// Reads a number of nanoseconds from each line.
fn numbers(app: &Application) -> Stream<i64> {
    app.source("in", LineText::new()).map(|line| line.parse::<i64>().ok())
}

fn show(numbers: &Stream<i64>, sink: &str) {
    numbers.map(|number| number.to_string()).sink(sink, LineText::new());
}

/// Describes an application, which must have a mistake whose message holds `part`.
fn check(part: &str, describe: impl FnOnce(&Application)) {
    let app = Application::new("mistaken");
    describe(&app);
    let message = app.plan().err().expect("it is mistaken").to_string();
    assert!(message.contains(part), "no `{part}` in: {message}");
}

#[test]
fn an_event_whose_time_is_out_of_range_is_refused_and_no_other() {
    let app = Application::new("range");
    let numbers = numbers(&app);
    show(&numbers.event_time(EventTime::from_nanos, IN_ORDER), "kept");
    show(&numbers, "all");
    let mut reference = Reference::new(app).expect("it is sound");
    let (least, most) = (-(1_i64 << 62), (1_i64 << 62) - 1);
    let lines: Vec<String> = [0, least, least - 1, most, most + 1, i64::MIN, i64::MAX, 7]
        .iter()
        .map(|number| format!("{number}\n"))
        .collect();
    reference.feed("in", lines.concat().as_bytes());
    let kept = format!("0\n{least}\n{most}\n7\n");
    assert_eq!(String::from_utf8(reference.output("kept")).expect("it is text"), kept);
    assert_eq!(reference.outputs("all").len(), 8, "another stream of them has no time");
    let refused = reference.refused();
    assert_eq!(refused.len(), 4);
    assert!(refused.iter().all(|refused| refused.reason == OUT_OF_RANGE));
}

#[test]
fn every_event_of_a_line_has_a_time_of_its_own() {
    let app = Application::new("several");
    let numbers = app.source("in", LineText::new()).flat_map(|line, out| {
        line.split(' ').filter_map(|word| word.parse().ok()).for_each(|number| out.emit(number));
    });
    let timed = numbers.event_time(EventTime::from_seconds, IN_ORDER);
    show(&timed.filter(|number| number % 2 == 1), "odd");
    let mut reference = Reference::new(app).expect("it is sound");
    reference.feed("in", b"1 2 9000000000 3\n5 9000000001\n");
    assert_eq!(reference.output("odd"), b"1\n3\n5\n");
    assert_eq!(reference.refused().len(), 2);
}

#[test]
fn moments_and_durations() {
    assert_eq!(EventTime::MAX + hours(1), EventTime::MAX);
    assert_eq!(EventTime::MIN - hours(1), EventTime::MIN);
    let (early, late) = (EventTime::from_millis(-3), EventTime::from_millis(4));
    assert_eq!((early - late, late - early), (millis(7), millis(7)));
    assert_eq!(EventTime::MAX - EventTime::MIN, Duration::from_nanos(u64::MAX));
    assert!(EventTime::MIN < EventTime::EVENT_MIN && EventTime::EVENT_MAX < EventTime::MAX);
    assert_eq!(EventTime::from_nanos(-5).to_string(), "-0.000000005");
    assert_eq!(EventTime::from_micros(i64::MIN), EventTime::MIN);
}

#[test]
fn a_time_after_a_key() {
    check("`in → map → key_by → map` gets its time after a `key_by`: say it before", |app| {
        let keyed = numbers(app).key_by(|number| number).map(|number| number).unkeyed();
        show(&keyed.event_time(EventTime::from_nanos, IN_ORDER), "out");
    });
}

#[test]
fn two_times_on_one_way() {
    check("`in → map → event_time → filter → event_time` has two times: keep one", |app| {
        let first = numbers(app).event_time(EventTime::from_nanos, IN_ORDER);
        let second = first.filter(|_| true).event_time(|_| EventTime::MIN, within(millis(1)));
        show(&second, "out");
    });
    // Two ways of one stream may each have a time.
    let app = Application::new("two-ways");
    let numbers = numbers(&app);
    show(&numbers.event_time(EventTime::from_nanos, IN_ORDER), "nanos");
    show(&numbers.event_time(EventTime::from_millis, IN_ORDER), "millis");
    let plan = app.plan().expect("it is sound");
    assert_eq!(plan.times.len(), 2);
    assert_eq!(plan.times[0].label, "in → map → event_time");
}

#[test]
fn events_are_late_by_what_their_own_connection_brought() {
    let app = Application::new("late");
    let (a, b) = (numbers(&app), app.source("other", LineText::new()));
    let b = b.map(|line| line.parse::<i64>().ok());
    let timed =
        |numbers: &Stream<i64>, lateness| numbers.event_time(EventTime::from_nanos, lateness);
    let lateness = within(Duration::from_nanos(3));
    let (on_time, late) = timed(&a, lateness).merge(&timed(&b, IN_ORDER)).split_late();
    show(&on_time, "on-time");
    show(&late.map(|number| -number), "late");
    let mut reference = Reference::new(app).expect("it is sound");
    reference.feed("in", b"10\n7\n6\n");
    reference.feed("other", b"5\n5\n4\n");
    reference.feed("in", b"12\n8\n9\n");
    reference.end("in");
    reference.feed("in", b"1\n");
    assert_eq!(reference.output("on-time"), b"10\n7\n5\n5\n12\n9\n1\n");
    assert_eq!(reference.output("late"), b"-6\n-4\n-8\n");
}

#[test]
fn a_need_for_a_time_that_is_not_there() {
    check("`split_late` needs the time of `in → map`: say `.event_time(", |app| {
        let (on_time, late) = numbers(app).split_late();
        show(&on_time.merge(&late), "out");
    });
    let merged = "`in → map → event_time` is merged with `in → map`, and only the first has a time";
    check(merged, |app| {
        let numbers = numbers(app);
        let timed = numbers.event_time(EventTime::from_nanos, IN_ORDER);
        let (on_time, late) = timed.merge(&numbers).filter(|_| true).split_late();
        show(&on_time.merge(&late), "out");
    });
    check("`split_late` needs the time of `in → map → key_by`", |app| {
        let (on_time, late) = numbers(app).key_by(|number| number).split_late();
        show(&on_time.merge(&late), "out");
    });
}

#[test]
fn times_go_with_events_through_exchanges_that_need_them_and_no_others() {
    let app = Application::new("through");
    let timed = numbers(&app).event_time(EventTime::from_nanos, IN_ORDER);
    let keyed = timed.key_by(|number| number % 2);
    let (on_time, late) = keyed.map(|number| [number; 2]).key_by(|number| number).split_late();
    show(&on_time.unkeyed(), "on-time");
    show(&late.unkeyed().key_by(|_| ()).unkeyed(), "late");
    show(&timed.key_by(|number| number).unkeyed(), "all");
    let plan = app.plan().expect("it is sound");
    let of = plan.exchanges.iter().map(|exchange| (exchange.label.as_str(), exchange.time));
    let of: Vec<(&str, bool)> = of.collect();
    assert_eq!(
        of,
        [
            ("in → map → event_time → key_by", true),
            ("in → map → event_time → key_by → map → key_by", true),
            ("in → map → event_time → key_by → map → key_by → split_late[1] → key_by", false),
            ("in → map → event_time → key_by", false),
        ]
    );
}

#[test]
fn a_lateness_of_centuries() {
    let nanos = 1 << 60;
    let [decades, centuries] = [nanos, nanos + 1].map(Duration::from_nanos);
    let wrong = [
        within(centuries),
        IN_ORDER.jump_max(centuries),
        IN_ORDER.idle_after(centuries),
        IN_ORDER.idle_after(Duration::ZERO),
        IN_ORDER.runs_on_after(Duration::ZERO),
        IN_ORDER.ahead_max(Duration::ZERO),
    ];
    for lateness in wrong {
        check(
            "`in → map → event_time` needs durations of at most 36 years in `within(…)`",
            |app| {
                show(&numbers(app).event_time(EventTime::from_nanos, lateness), "out");
            },
        );
    }
    let app = Application::new("decades");
    let lateness = within(decades).jump_max(decades);
    show(&numbers(&app).event_time(EventTime::from_nanos, lateness), "out");
    // Nothing overflows at the edges.
    let mut reference = Reference::new(app).expect("it is sound");
    let (least, most) = (EventTime::EVENT_MIN.nanos(), EventTime::EVENT_MAX.nanos());
    reference.feed("in", format!("{most}\n{most}\n").as_bytes());
    reference.end("in");
    let decade = nanos as i64;
    reference.feed("in", format!("{least}\n{}\n", least + decade + 1).as_bytes());
    reference.feed("in", format!("{}\n{most}\n", least + decade).as_bytes());
    assert_eq!((reference.outputs("out").len(), reference.refused().len()), (4, 2));
}

#[test]
fn a_jump_is_refused_and_moves_no_clock() {
    let app = Application::new("jumps");
    let lateness = within(Duration::from_nanos(2)).jump_max(Duration::from_nanos(10));
    let timed = numbers(&app).event_time(EventTime::from_nanos, lateness);
    let (on_time, late) = timed.split_late();
    show(&on_time, "on-time");
    show(&late, "late");
    let mut reference = Reference::new(app).expect("it is sound");
    reference.feed("in", b"100\n111\n110\n108\n107\n121\n120\n");
    assert_eq!(reference.output("on-time"), b"100\n110\n108\n120\n");
    assert_eq!(reference.output("late"), b"107\n");
    let refused = reference.refused();
    assert_eq!(refused.len(), 2);
    assert!(refused.iter().all(|refused| refused.reason == TOO_FAR_AHEAD));
    reference.end("in");
    reference.feed("in", b"7000\n");
    assert!(reference.output("on-time").ends_with(b"7000\n"), "another connection");
}

#[test]
fn what_would_expire_stays_at_the_end_of_the_input() {
    let app = Application::new("counts");
    let counts = app.table::<i64, u64>("counts").expire_after(Duration::from_nanos(5));
    let timed = numbers(&app).event_time(EventTime::from_nanos, IN_ORDER);
    timed.key_by(|number| number % 10).update(&counts, |count, _| *count += 1);
    let mut reference = Reference::new(app).expect("it is sound");
    reference.feed("in", b"1\n4\n9\n");
    reference.end("in");
    let mut left = Vec::new();
    reference.table("counts", |key, count| left.push(format!("{key:?} {count:?}")));
    left.sort();
    assert_eq!(left, ["4 1", "9 1"], "time went on to 8 with the last one");
}

#[test]
fn the_row_of_a_new_key_is_made_once() {
    let app = Application::new("counts");
    let made = Arc::new(AtomicU64::new(0));
    let counts = made.clone();
    let create = move |_: &i64| counts.fetch_add(1, Ordering::Relaxed);
    let counts = app.table_with("counts", create).expire_after(Duration::from_nanos(5));
    let timed = numbers(&app).event_time(EventTime::from_nanos, IN_ORDER);
    timed.key_by(|number| number % 10).update(&counts, |_, _| ());
    let mut reference = Reference::new(app).expect("it is sound");
    reference.feed("in", b"1\n2\n3\n");
    assert_eq!(made.load(Ordering::Relaxed), 3);
}

/// Events with a time and a key.
fn timed(app: &Application) -> Keyed<i64, i64> {
    numbers(app).event_time(EventTime::from_nanos, IN_ORDER).key_by(|number| number)
}

/// Sets the timers of a table.
fn set(numbers: &Keyed<i64, i64>, table: &TimedTable<i64, u64>) {
    numbers.update_row(table, |row, _| row.set_timer_in(seconds(1)));
}

#[test]
fn timers_without_a_time_or_without_a_use() {
    check("`rows` needs the time of `in → map → key_by`: say `.event_time(", |app| {
        let rows = app.table::<i64, u64>("rows").timers();
        set(&numbers(app).key_by(|number| number), &rows);
        show(&rows.on_timer(|row| *row.key()).unkeyed(), "out");
    });
    let unused = "nothing takes the timers of `rows`: add `.on_timer(…)` to the table, or leave \
                  `.timers()` out";
    check(unused, |app| set(&timed(app), &app.table::<i64, u64>("rows").timers()));
    let text = "`expire_after` of `rows` needs a duration from 1 ns to 36 years";
    for never in [Duration::ZERO, Duration::MAX] {
        check(text, |app| set(&timed(app), &app.table("rows").expire_after(never)));
    }
}

#[test]
fn timers_that_are_taken_twice_or_at_the_wrong_place() {
    let take = |rows: &TimedTable<i64, u64>, sink: &str| {
        show(&rows.on_timer(|row| *row.key()).unkeyed(), sink);
    };
    check("the timers of `rows` are taken twice: take them once, and use that stream", |app| {
        let rows = app.table("rows").timers();
        set(&timed(app), &rows);
        take(&rows, "one");
        take(&rows, "other");
    });
    check("the timers of `rows` are taken before anything sets them: describe the upda", |app| {
        take(&app.table("rows").timers(), "out");
        show(&numbers(app), "in");
    });
    check("`rows` is updated after what takes its timers: describe the updates first", |app| {
        let (numbers, rows) = (timed(app), app.table("rows").timers());
        set(&numbers, &rows);
        take(&rows, "out");
        set(&numbers, &rows);
    });
}

#[test]
fn a_table_that_is_timed_twice_or_too_late() {
    let late = "`rows` gets timers, or expires, after its first update: say it where it is made";
    check(late, |app| {
        let rows = app.table::<i64, u64>("rows");
        timed(app).update(&rows, |_, _| ());
        _ = rows.expire_after(seconds(1));
    });
    check("`rows` is made a timed table twice: make it once, and clone it", |app| {
        let rows = app.table::<i64, u64>("rows");
        _ = rows.clone().expire_after(seconds(1));
        timed(app).update(&rows.expire_after(seconds(1)), |_, _| ());
    });
}
