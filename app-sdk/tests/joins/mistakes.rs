//! What a plan refuses.

use potoroo_sdk::prelude::*;

use super::input::side;

/// Describes an application, which must have a mistake whose message holds `part`.
fn check(part: &str, describe: impl FnOnce(&Application)) {
    let app = Application::new("mistaken");
    describe(&app);
    let message = app.plan().err().expect("it is mistaken").to_string();
    assert!(message.contains(part), "no `{part}` in: {message}");
}

fn lines(app: &Application, source: &str) -> Keyed<String, u64> {
    app.source(source, LineText::new()).key_by(|line| line.len() as u64)
}

fn show(lines: &Keyed<u64, u64>) {
    lines.map(|number| number.to_string()).sink("out", LineText::new());
}

#[test]
fn a_stream_without_a_time() {
    check("`keys` needs the time of `lines → key_by`: say `.event_time(", |app| {
        lines(app, "lines").first("keys", seconds(1)).sink("out", LineText::new());
    });
    check("`versions` needs the time of `lines → key_by`: say", |app| {
        let as_of = side(app, 0, 0).as_of("versions", &lines(app, "lines"), |left, _| left.number);
        show(&as_of);
    });
    check("`pairs` needs the time of `lines → key_by`: say", |app| {
        let other = lines(app, "lines");
        show(
            &other.join("pairs", &side(app, 0, 0), Interval::after(seconds(1)), |_, right| {
                right.number
            }),
        );
    });
}

#[test]
fn durations_and_intervals_that_cannot_be_used() {
    for keep in [Duration::ZERO, Duration::from_nanos((1 << 60) + 1)] {
        check("`first` of `keys` needs a duration from 1 ns to 36 years", |app| {
            show(&side(app, 0, 0).first("keys", keep).map(|arrival| arrival.number));
        });
    }
    for interval in [Interval::new(1, 0), Interval::after(Duration::MAX)] {
        check("the interval of `pairs` holds no moment, or one beyond 36 years", |app| {
            let [left, right] = [0, 1].map(|at| side(app, at, 0));
            show(&left.join("pairs", &right, interval, |left, _| left.number));
        });
    }
}

#[test]
fn a_name_that_another_has() {
    check("two tables are named `keys`", |app| {
        let first = side(app, 0, 0).first("keys", seconds(1));
        show(&first.first("keys", seconds(1)).map(|arrival| arrival.number));
    });
    check("the table name `a key` cannot be used on a command line", |app| {
        show(&side(app, 0, 0).first("a key", seconds(1)).map(|arrival| arrival.number));
    });
}

#[test]
fn a_stream_of_another_application() {
    check("and a stream of another application meet in a `as_of`", |app| {
        let foreign = side(&Application::new("other"), 1, 0);
        show(&side(app, 0, 0).as_of("versions", &foreign, |left, _| left.number));
    });
}

#[test]
fn results_that_go_nowhere() {
    let pairs = "the events of `left → map → event_time → key_by → join `pairs`` go nowhere";
    check(pairs, |app| {
        let [left, right] = [0, 1].map(|at| side(app, at, 0));
        left.join("pairs", &right, Interval::after(seconds(1)), |left, _| left.number);
    });
    check("key_by → first `keys`` go nowhere", |app| {
        _ = side(app, 0, 0).first("keys", seconds(1));
    });
}

#[test]
fn a_reply_to_what_was_due() {
    check("what was due was asked for by no connection", |app| {
        let table = app.table::<u64, u64>("rows").timers();
        let [left, right] = [0, 1].map(|at| side(app, at, 0));
        left.update_row(&table, |row, _| row.set_timer_in(seconds(1)));
        let due = table.on_timer(|row| *row.key());
        let pairs = due.join("pairs", &right, Interval::after(seconds(1)), |due, _| due);
        pairs.map(|due| due.to_string()).reply(LineText::new());
    });
}

#[test]
fn what_rows_mean_is_a_part_of_the_plan() {
    let of = |keep, interval, is_left: bool| {
        let app = Application::new("fingerprint");
        let [left, right] = [0, 1].map(|at| side(&app, at, 0));
        let left = left.first("keys", keep);
        show(&match is_left {
            true => left.join_left("pairs", &right, interval, |left, _| left.number),
            false => left.join("pairs", &right, interval, |left, _| left.number),
        });
        app.plan().expect("it is sound").fingerprint
    };
    let (one, two) = (seconds(1), seconds(2));
    let base = of(one, Interval::after(one), false);
    assert_eq!(of(one, Interval::after(one), false), base);
    assert_ne!(of(two, Interval::after(one), false), base);
    assert_ne!(of(one, Interval::after(two), false), base);
    assert_ne!(of(one, Interval::after(one), true), base);
}
