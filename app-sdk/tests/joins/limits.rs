//! How much a key may have, and who gets an answer.

use potoroo_sdk::prelude::*;

use super::input::{Fed, Given, Shape, side};

fn given(side: usize, time: i64, number: u64) -> Given {
    Given { side, connection: 0, key: 7, time, number, own: 0 }
}

/// Ends in a reply, and in the sink `out`.
fn answered(lines: &Keyed<String, u64>) {
    lines.reply(LineText::new());
    lines.sink("out", LineText::new());
}

#[test]
fn a_key_has_64_kib_of_events_and_more_are_refused() {
    for which in 0..3 {
        let app = Application::new("limits");
        let [left, right] = [0, 1].map(|at| side(&app, at, 0));
        let interval = Interval::around(seconds(1));
        let number = |arrival: super::input::Arrival| arrival.number.to_string();
        let lines = match which {
            0 => left.as_of("kept", &right, move |event, _| number(event)),
            1 => left.join("kept", &right, interval, move |event, _| number(event)),
            _ => left.join_left("kept", &right, interval, move |event, _| number(event)),
        };
        answered(&lines);
        let mut fed = Fed::new(app, Shape::PLAIN);
        for number in 0..2000 {
            assert_eq!(fed.feed(&given(0, 1, number)), Vec::<String>::new());
        }
        let refused = fed.reference.refused();
        assert!((500..1500).contains(&refused.len()), "{} are refused", refused.len());
        let reason = refused[0].reason.detail();
        assert!(reason.starts_with("its key has 64 KiB of events"), "{reason}");
        let kept = 2000 - refused.len();
        // In a join there may be no room for a partner, whose size is another.
        let at_once = fed.feed(&given(1, 2, 3000)).len();
        let has_room = fed.reference.refused().len() == 2000 - kept;
        let at_end = fed.end(1).len() + fed.end(0).len();
        let expected = match (which, has_room) {
            (_, true) => (kept, 0),
            (0, false) => panic!("what waits for versions is answered before one is taken in"),
            (1, false) => (0, 0),
            (_, false) => (0, kept),
        };
        assert_eq!((at_once, at_end), expected);
    }
}

#[test]
fn replies_go_to_the_event_that_waited() {
    let app = Application::new("replies");
    let [left, right] = [0, 1].map(|at| side(&app, at, 0));
    let answers = left.as_of("versions", &right, |event, version| {
        format!("{} {}", event.number, version.map_or(0, |version| version.number))
    });
    answered(&answers);
    let singles = left.join_left("singles", &right, Interval::new(2, 9), |event, other| {
        other.is_none().then(|| format!("{} alone", event.number))
    });
    singles.reply(LineText::new());
    let mut fed = Fed::new(app, Shape::PLAIN);
    fed.feed(&given(1, 5, 1));
    fed.feed(&given(0, 6, 2));
    assert_eq!(fed.feed(&given(1, 7, 3)), ["2 1"]);
    fed.end(1);
    assert_eq!(fed.reference.output("reply"), b"2 1\n2 alone\n".as_slice());
}
