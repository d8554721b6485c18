//! Windows: what the reference makes of them, compared with obvious oracles and at the edges.

use potoroo_sdk::prelude::*;
use potoroo_sdk::stream::LATE_FOR_WINDOWS;

mod support;

#[path = "windows/batched.rs"]
mod batched;
#[path = "windows/chain.rs"]
mod chain;
#[path = "windows/edges.rs"]
mod edges;
#[path = "windows/mistakes.rs"]
mod mistakes;
#[path = "windows/oracle.rs"]
mod oracle;
#[path = "windows/random.rs"]
mod random;
#[path = "windows/steps.rs"]
mod steps;

/// A key, a time in nanoseconds and a number of its own.
type Numbered = (u64, i64, u64);

/// The numbers of the events in a window, in the order in which it got them.
#[state]
struct Numbers(Vec<u64>);

impl Merge for Numbers {
    fn merge(&mut self, later: &Self) {
        self.0.extend(&later.0);
    }
}

/// Reads lines such as `7 -30 1`.
fn numbered(app: &Application, lateness: i64) -> Keyed<Numbered, u64> {
    app.source("in", LineText::new())
        .map(|line| {
            let mut words = line.split(' ');
            let (key, time) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            Some((key, time, words.next()?.parse().ok()?))
        })
        .event_time(
            |(_, time, _)| EventTime::from_nanos(time),
            within(Duration::from_nanos(lateness.unsigned_abs())),
        )
        .key_by(|(key, ..)| key)
}

/// Sends each window to the sink `out`: `KEY START END FIRING NUMBERS at TIME`.
fn show(app: &Application, windows: &Windows<u64, Numbers>) {
    // A window of one event starts at its time.
    let each = app.windows::<u64, String>("each", counted(1));
    let shown = windows.closed(|numbers, window| {
        let (start, end) = (window.start().nanos(), window.end().nanos());
        format!("{} {start} {end} {:?} {:?}", window.key(), window.firing(), numbers.0)
    });
    shown.window(&each, |text, shown| text.push_str(shown));
    each.closed(|text, one| format!("{text} at {}", one.start().nanos()))
        .sink("out", LineText::new());
}

/// What left through `out` from the line `from` on.
fn lines(reference: &Reference, from: usize) -> Vec<String> {
    let outputs = &reference.outputs("out")[from..];
    outputs.iter().map(|line| String::from_utf8_lossy(line).trim_end().to_string()).collect()
}

/// What windows of a kind make of lines, all of one connection, which then ends.
fn run(
    kind: impl potoroo_sdk::windows::WindowKind<Numbers>,
    say: impl FnOnce(Windows<u64, Numbers>) -> Windows<u64, Numbers>,
    lateness: i64,
    input: &str,
) -> Vec<String> {
    let app = Application::new("windows");
    let windows = say(app.windows("windows", kind));
    numbered(&app, lateness).window(&windows, |numbers, (.., number)| numbers.0.push(number));
    show(&app, &windows);
    let mut reference = Reference::new(app).expect("it is sound");
    reference.feed("in", input.as_bytes());
    reference.end("in");
    let refused = reference.refused();
    assert!(refused.iter().all(|refused| refused.reason == LATE_FOR_WINDOWS), "{refused:?}");
    reference.table("windows", |key, _| panic!("the row of {key:?} is left"));
    lines(&reference, 0)
}

fn nanos(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}
