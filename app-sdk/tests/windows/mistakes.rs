//! Mistakes that are found before windows run, and what their messages say; and what belongs to the
//! identity of windows.

use potoroo_sdk::plan::Plan;
use potoroo_sdk::prelude::*;
use potoroo_sdk::windows::WindowKind;

use super::{Numbers, nanos, numbered};

/// Describes an application, which must have a mistake whose message holds `part`.
#[track_caller]
fn check(part: &str, describe: impl FnOnce(&Application)) {
    let app = Application::new("mistaken");
    describe(&app);
    let message = app.plan().err().expect("it is mistaken").to_string();
    assert!(message.contains(part), "no `{part}` in: {message}");
}

/// The same with windows that are used as they should be, except for what `say` says.
#[track_caller]
fn check_windows(
    part: &str,
    kind: impl WindowKind<Numbers>,
    say: impl FnOnce(Windows<u64, Numbers>) -> Windows<u64, Numbers>,
) {
    check(part, |app| describe(app, kind, say));
}

fn describe(
    app: &Application,
    kind: impl WindowKind<Numbers>,
    say: impl FnOnce(Windows<u64, Numbers>) -> Windows<u64, Numbers>,
) {
    let windows = say(app.windows("bars", kind));
    numbered(app, 0).window(&windows, |numbers, (.., number)| numbers.0.push(number));
    windows.closed(|numbers, _| format!("{numbers:?}")).sink("out", LineText::new());
}

fn plan(
    kind: impl WindowKind<Numbers>,
    say: impl FnOnce(Windows<u64, Numbers>) -> Windows<u64, Numbers>,
) -> Plan {
    let app = Application::new("planned");
    describe(&app, kind, say);
    app.plan().expect("it is sound")
}

#[test]
fn nothing_takes_the_windows() {
    check("nothing takes the windows of `bars`: add `.closed(…)`", |app| {
        let windows: Windows<u64, u64> = app.windows("bars", tumbling(nanos(10)));
        numbered(app, 0).window(&windows, |count, _| *count += 1);
    });
}

#[test]
fn windows_that_are_closed_twice_or_before_anything_adds_to_them() {
    check("`bars` is closed twice: give the second use windows of its own", |app| {
        let windows: Windows<u64, u64> = app.windows("bars", tumbling(nanos(10)));
        numbered(app, 0).window(&windows, |count, _| *count += 1);
        for sink in ["a", "b"] {
            windows.closed(|count, _| count.to_string()).sink(sink, LineText::new());
        }
    });
    check("`bars` is closed before anything adds to it", |app| {
        let windows: Windows<u64, u64> = app.windows("bars", tumbling(nanos(10)));
        windows.closed(|count, _| count.to_string()).sink("out", LineText::new());
        numbered(app, 0).unkeyed().map(|_| String::new()).sink("in", LineText::new());
    });
    check("`bars` gets events after it is `closed`", |app| {
        let windows: Windows<u64, u64> = app.windows("bars", tumbling(nanos(10)));
        let events = numbered(app, 0);
        events.window(&windows, |count, _| *count += 1);
        windows.closed(|count, _| count.to_string()).sink("out", LineText::new());
        events.window(&windows, |count, _| *count += 1);
    });
}

#[test]
fn events_without_a_time() {
    check("`bars` needs the time of `in → key_by`: say `.event_time(", |app| {
        let windows: Windows<u64, u64> = app.windows("bars", tumbling(nanos(10)));
        let lines = app.source("in", LineText::new()).key_by(|line| line.len() as u64);
        lines.window(&windows, |count, _| *count += 1);
        windows.closed(|count, _| count.to_string()).sink("out", LineText::new());
    });
}

#[test]
fn lengths_that_cannot_be_meant() {
    let (none, long) = (Duration::ZERO, Duration::from_nanos((1 << 60) + 1));
    let length = "they need a length from 1 ns to 36 years";
    check_windows(length, tumbling(none), |windows| windows);
    check_windows(length, tumbling(long), |windows| windows);
    check_windows(length, tumbling(nanos(1)).offset(long), |windows| windows);
    check_windows(length, sliding(nanos(1), none), |windows| windows);
    check_windows(length, sessions(none), |windows| windows);
    check_windows(length, counted(3).or_after(none), |windows| windows);
    check_windows("are of no event: say a number from 1", counted(0), |windows| windows);
    let duration = "of `bars` needs a duration from 1 ns to 36 years";
    check_windows(duration, tumbling(nanos(1)), |windows| windows.wait(long));
    check_windows(duration, tumbling(nanos(1)), |windows| windows.early(none));
}

#[test]
fn windows_that_slide_by_too_much_or_too_little() {
    let text = "`bars` are sliding 1s by 2s: the slide is longer than its windows";
    check_windows(text, sliding(seconds(1), seconds(2)), |windows| windows);
    let text = "`bars` are sliding 3600s by 1ms, which are of 3600000 parts: at most 1024";
    check_windows(text, sliding(hours(1), millis(1)), |windows| windows);
    plan(sliding(nanos(1024), nanos(1)), |windows| windows);
    plan(sliding(seconds(1), seconds(1)), |windows| windows);
    check("which are of 1024 parts: at most 1024, and 64 KiB of state per key", |app| {
        #[state]
        struct Large([u64; 9]);
        impl Merge for Large {
            fn merge(&mut self, later: &Self) {
                self.0[0] += later.0[0];
            }
        }
        let windows: Windows<u64, Large> = app.windows("bars", sliding(nanos(1024), nanos(1)));
        numbered(app, 0).window(&windows, |large, _| large.0[0] += 1);
        windows.closed(|large, _| large.0[0]).map(|_| String::new()).sink("o", LineText::new());
    });
}

#[test]
fn results_that_a_kind_cannot_have() {
    let text = "`bars`: sessions have no oldest window: choose `Late::Drop`, `Late::Fire`";
    check_windows(text, sessions(nanos(1)), |windows| windows.late(Late::Oldest));
    let text = "`bars`: sliding windows have no early results";
    check_windows(text, sliding(nanos(2), nanos(1)), |windows| windows.early(nanos(1)));
}

#[test]
fn a_reply_that_no_connection_asked_for() {
    let text = "`in → map → event_time → key_by → window `bars` → closed of `bars` → reply`: what \
                was due was asked for by no connection: end in a sink";
    check(text, |app| {
        let windows: Windows<u64, u64> = app.windows("bars", tumbling(nanos(10)));
        numbered(app, 0).window(&windows, |count, _| *count += 1);
        windows.closed(|count, _| count.to_string()).reply(LineText::new());
    });
    // A late event was sent by a connection.
    let app = Application::new("late");
    let windows: Windows<u64, u64> = app.windows("bars", tumbling(nanos(10)));
    let windowed = numbered(&app, 0).window(&windows, |count, _| *count += 1);
    windowed.late().map(|_| String::from("late")).reply(LineText::new());
    windows.closed(|count, _| count.to_string()).sink("out", LineText::new());
    app.plan().expect("it is sound");
}

#[test]
fn late_events_that_go_nowhere() {
    check("`in → map → event_time → key_by → window `bars` → late` go nowhere", |app| {
        let windows: Windows<u64, u64> = app.windows("bars", tumbling(nanos(10)));
        numbered(app, 0).window(&windows, |count, _| *count += 1).late();
        windows.closed(|count, _| count.to_string()).sink("out", LineText::new());
    });
}

#[test]
fn kinds_and_lengths_are_the_identity_of_windows_and_nothing_else_is() {
    let of = |plan: Plan| (plan.fingerprint, plan.tables[0].rows.shape().state_shape);
    let same = of(plan(tumbling(seconds(1)), |windows| windows));
    assert_eq!(of(plan(tumbling(seconds(1)), |it| it.wait(seconds(5)))), same);
    assert_eq!(of(plan(tumbling(seconds(1)), |it| it.early(millis(5)))), same);
    assert_eq!(of(plan(tumbling(seconds(1)), |it| it.late(Late::Oldest))), same);
    let others = [
        of(plan(tumbling(seconds(2)), |windows| windows)),
        of(plan(tumbling(seconds(1)).offset(nanos(1)), |windows| windows)),
        of(plan(sliding(seconds(1), seconds(1)), |windows| windows)),
        of(plan(sliding(seconds(1), millis(500)), |windows| windows)),
        of(plan(sessions(seconds(1)), |windows| windows)),
        of(plan(counted(1), |windows| windows)),
        of(plan(counted(1).or_after(seconds(1)), |windows| windows)),
    ];
    for (at, (fingerprint, shape)) in others.iter().enumerate() {
        assert!(*fingerprint != same.0 && *shape != same.1, "{at}");
        let later = &others[at + 1..];
        assert!(later.iter().all(|(other, of)| other != fingerprint && of != shape), "{at}");
    }
}

#[test]
fn what_a_plan_says_of_windows() {
    let plan = plan(tumbling(seconds(1)), |windows| windows.wait(millis(5)));
    let [due] = &plan.dues[..] else { panic!("one table has something due") };
    assert_eq!((due.wait, due.level), (millis(5), 0));
    assert_eq!(plan.exchanges[0].watermark, Some(0));
    assert!(plan.exchanges[0].time);
}
