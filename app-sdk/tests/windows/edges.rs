//! Edges: the limits of time, of windows per key and of rows.

use potoroo_sdk::prelude::*;
use potoroo_sdk::stream::TOO_MANY_WINDOWS;

use super::{Numbers, lines, nanos, numbered, run, show};

#[test]
fn windows_are_half_open_and_begin_at_multiples_below_zero_too() {
    let input = "1 -11 1\n1 -10 2\n1 -1 3\n1 0 4\n1 9 5\n1 10 6\n";
    let shown = run(tumbling(nanos(10)), |windows| windows, 0, input);
    let expected = [
        "1 -20 -10 Closed [1] at -11",
        "1 -10 0 Closed [2, 3] at -1",
        "1 0 10 Closed [4, 5] at 9",
        "1 10 20 Closed [6] at 19",
    ];
    assert_eq!(shown, expected);
    let shown = run(tumbling(nanos(10)).offset(nanos(23)), |windows| windows, 0, input);
    assert_eq!(shown[0], "1 -17 -7 Closed [1, 2] at -8");
}

#[test]
fn exactly_the_gap_apart_is_apart() {
    let shown = run(sessions(nanos(10)), |windows| windows, 20, "1 0 1\n1 19 3\n1 9 2\n");
    assert_eq!(shown, ["1 0 19 Closed [1, 2] at 18", "1 19 29 Closed [3] at 28"]);
    // An event between two of them reaches both.
    let shown = run(sessions(nanos(10)), |windows| windows, 20, "1 0 1\n1 18 2\n1 9 3\n");
    assert_eq!(shown, ["1 0 28 Closed [1, 2, 3] at 27"]);
}

#[test]
fn a_session_that_has_closed_is_not_joined_again() {
    let input = "1 0 1\n2 10 2\n1 9 3\n1 10 4\n";
    let mut shown = run(sessions(nanos(10)), |windows| windows, 0, input);
    shown.sort();
    assert_eq!(
        shown,
        ["1 0 10 Closed [1] at 9", "1 10 20 Closed [4] at 19", "2 10 20 Closed [2] at 19"]
    );
}

#[test]
fn the_last_window_closes_at_the_end_of_the_input_and_counts_at_the_end_of_time() {
    let shown = run(counted(3), |windows| windows, 0, "1 0 1\n2 1 9\n1 2 2\n1 1 3\n1 3 4\n");
    let last = i64::MAX;
    let expected = [
        "1 0 3 Closed [1, 2, 3] at 1".to_string(),
        format!("2 1 2 Closed [9] at {last}"),
        format!("1 3 4 Closed [4] at {last}"),
    ];
    assert_eq!(shown[0], expected[0]);
    assert!(expected[1..].iter().all(|line| shown.contains(line)), "{shown:?}");
    let after = counted(3).or_after(nanos(10));
    let shown = run(after, |windows| windows, 0, "1 0 1\n1 4 2\n1 11 3\n");
    assert_eq!(shown, ["1 0 5 Closed [1, 2] at 10", "1 11 12 Closed [3] at 21"]);
}

#[test]
fn a_late_event_that_begins_a_count_does_not_close_it_in_the_past() {
    let after = counted(3).or_after(nanos(10));
    let shown = run(after, |windows| windows, 0, "2 100 0\n1 5 1\n2 101 2\n");
    assert_eq!(shown[0], "1 5 6 Closed [1] at 100");
}

#[test]
fn windows_at_the_edges_of_time_do_not_overflow() {
    let (least, most) = (EventTime::EVENT_MIN.nanos(), EventTime::EVENT_MAX.nanos());
    let input = format!("1 {least} 1\n1 {most} 2\n1 {least} 3\n");
    let long = nanos(1 << 60);
    let shown = run(tumbling(long), |it| it.wait(long).early(long), 0, &input);
    assert_eq!(shown.len(), 4, "{shown:?}");
    assert!(shown[0].contains("Early [1]") && shown[3].contains("Closed [2]"), "{shown:?}");
    let shown = run(tumbling(long).offset(long), |it| it.late(Late::Oldest), 0, &input);
    assert!(shown[1].contains("Closed [2, 3]"), "{shown:?}");
    let shown = run(sessions(long), |it| it.wait(long).late(Late::Fire), 1 << 60, &input);
    assert_eq!(shown.len(), 3, "{shown:?}");
    let shown = run(sliding(long, nanos(1 << 55)), |it| it.wait(long), 0, &input);
    assert_eq!(shown.len(), 64, "{shown:?}");
    let shown = run(counted(2).or_after(long), |it| it.wait(long), 0, &input);
    assert_eq!(shown.len(), 2, "{shown:?}");
}

#[test]
fn a_key_has_1024_open_windows_and_not_one_more() {
    let app = Application::new("many");
    let windows: Windows<u64, Numbers> = app.windows("windows", tumbling(nanos(10)));
    numbered(&app, 100_000).window(&windows, |numbers, (.., number)| numbers.0.push(number));
    show(&app, &windows);
    let mut reference = Reference::new(app).expect("it is sound");
    let line = |(key, window)| format!("{key} {} {window}\n", window * 10);
    let input: String = (0..1024).map(|window| line((1, window))).collect();
    reference.feed("in", input.as_bytes());
    assert_eq!(reference.refused(), []);
    // One more on either side; what is open takes more, and so do other keys.
    reference.feed("in", b"1 10240 0\n1 -1 0\n1 0 7777\n1 10239 8888\n2 10240 0\n");
    let refused = reference.refused();
    assert_eq!(refused.len(), 2);
    assert!(refused.iter().all(|refused| refused.reason == TOO_MANY_WINDOWS));
    // The first one closes, and makes room for one.
    reference.feed("in", b"3 100010 0\n1 10240 0\n");
    assert_eq!(lines(&reference, 0), ["1 0 10 Closed [0, 7777] at 9"]);
    assert_eq!(reference.refused().len(), 2);
    reference.end("in");
    assert_eq!(reference.outputs("out").len(), 1 + 1024 + 2);
}

#[test]
fn as_many_sessions_and_parts_are_open_as_windows() {
    let refused = |describe: fn(&Application) -> Windows<u64, Numbers>, events: u64| {
        let app = Application::new("many");
        let windows = describe(&app);
        numbered(&app, 100_000).window(&windows, |numbers, (.., number)| numbers.0.push(number));
        show(&app, &windows);
        let mut reference = Reference::new(app).expect("it is sound");
        let input: String = (0..events).map(|event| format!("1 {} 0\n", event * 10)).collect();
        reference.feed("in", input.as_bytes());
        reference.refused().len()
    };
    assert_eq!(refused(|app| app.windows("windows", sessions(nanos(10))), 1025), 1);
    // All parts of the first window, and those of 1023 more.
    assert_eq!(refused(|app| app.windows("windows", sliding(nanos(30), nanos(10))), 1030), 4);
}

#[test]
fn an_empty_row_waits_for_its_key_for_one_period() {
    let app = Application::new("rows");
    let windows: Windows<u64, Numbers> = app.windows("windows", tumbling(nanos(10)));
    numbered(&app, 0).window(&windows, |numbers, (.., number)| numbers.0.push(number));
    show(&app, &windows);
    let mut reference = Reference::new(app).expect("it is sound");
    let keys = |reference: &Reference| {
        let mut keys = Vec::new();
        reference.table("windows", |key, _| keys.push(format!("{key:?}")));
        keys.sort();
        keys
    };
    reference.feed("in", b"1 5 0\n2 10 0\n");
    assert_eq!(lines(&reference, 0).len(), 1, "the window of 1 has closed");
    assert_eq!(keys(&reference), ["1", "2"]);
    reference.feed("in", b"2 19 0\n");
    assert_eq!(keys(&reference), ["1", "2"]);
    reference.feed("in", b"2 20 0\n");
    assert_eq!(keys(&reference), ["2"]);
    reference.feed("in", b"1 21 0\n1 31 0\n1 39 0\n");
    assert_eq!(keys(&reference), ["1", "2"]);
    reference.feed("in", b"1 40 0\n");
    assert_eq!(keys(&reference), ["1"]);
    reference.end("in");
    assert_eq!(keys(&reference), Vec::<String>::new());
}

#[test]
fn a_state_is_made_from_its_key_for_each_window() {
    let app = Application::new("made");
    let windows = app.windows_with("windows", tumbling(nanos(10)), |key: &u64| 100 * key);
    numbered(&app, 0).window(&windows, |sum: &mut u64, (.., number)| *sum += number);
    windows.closed(|sum, _| sum.to_string()).sink("out", LineText::new());
    let mut reference = Reference::new(app).expect("it is sound");
    reference.feed("in", b"1 0 7\n2 1 8\n1 10 9\n");
    reference.end("in");
    assert_eq!(lines(&reference, 0), ["107", "208", "109"]);
}

#[test]
fn late_events_go_aside_with_their_time() {
    let app = Application::new("aside");
    let windows: Windows<u64, Numbers> = app.windows("windows", tumbling(nanos(10)));
    let again: Windows<u64, Numbers> = app.windows("again", tumbling(nanos(10)).offset(nanos(5)));
    let windowed =
        numbered(&app, 0).window(&windows, |numbers, (.., number)| numbers.0.push(number));
    let (late, same) = (windowed.late(), windowed.late());
    same.map(|(.., number)| number.to_string()).sink("late", LineText::new());
    late.window(&again, |numbers, (.., number)| numbers.0.push(number));
    again.closed(|numbers, _| format!("{:?}", numbers.0)).sink("again", LineText::new());
    show(&app, &windows);
    let mut reference = Reference::new(app).expect("it is sound");
    reference.feed("in", b"1 5 1\n1 12 2\n1 9 3\n1 4 4\n1 15 5\n");
    assert_eq!(reference.output("late"), b"3\n4\n");
    // 9 is on time for the window up to 15, 4 is not for that up to 5.
    assert_eq!(reference.output("again"), b"[3]\n");
}

#[test]
fn counts_that_close_at_the_end_of_time_are_in_the_last_window() {
    let app = Application::new("last");
    let counts: Windows<u64, Numbers> = app.windows("counts", counted(3));
    let windows: Windows<u64, Numbers> = app.windows("windows", tumbling(nanos(10)));
    numbered(&app, 0).window(&counts, |numbers, (.., number)| numbers.0.push(number));
    counts
        .closed(|numbers, _| numbers.0.len() as u64)
        .window(&windows, |numbers, number| numbers.0.push(number));
    show(&app, &windows);
    let mut reference = Reference::new(app).expect("it is sound");
    reference.feed("in", b"1 0 1\n1 2 2\n1 12 3\n1 13 4\n");
    reference.end("in");
    let last = i64::MAX;
    let start = last / 10 * 10;
    let expected = [
        "1 10 20 Closed [3] at 19".to_string(),
        format!("1 {start} {last} Closed [1] at {}", last - 1),
    ];
    assert_eq!(lines(&reference, 0), expected);
}

#[test]
fn events_after_the_end_are_late() {
    let app = Application::new("after");
    let windows: Windows<u64, Numbers> = app.windows("windows", tumbling(nanos(10)));
    let windows = windows.late(Late::Fire);
    numbered(&app, 0).window(&windows, |numbers, (.., number)| numbers.0.push(number));
    show(&app, &windows);
    let mut reference = Reference::new(app).expect("it is sound");
    reference.feed("in", b"1 5 1\n");
    reference.end("in");
    reference.feed("in", b"1 6 2\n");
    assert_eq!(lines(&reference, 0), ["1 0 10 Closed [1] at 9", "1 0 10 Late [2] at 6"]);
}
