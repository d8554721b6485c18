//! Order timeout: an order is cancelled when no fill comes within 50 ms, by the time of the events.
//!
//! ```text
//!   steps ── event_time ── key_by order ── update_row (timer) ── on_timer ──► cancels
//! ```
//!
//! Ten seconds of generated orders and fills; or a file of lines `order nanoseconds` and
//! `order nanoseconds fill`, in the order of their times:
//!
//! ```text
//! cargo run --release --example order_timeout
//! cargo run --release --example order_timeout -- --source steps=file:steps.txt \
//!     --sink cancels=file:cancels.txt
//! ```
//!
//! A fill that comes exactly 50 ms after its order is in time. A cancellation is a line
//! `order time`.

use std::process::ExitCode;

use potoroo::prelude::*;
use potoroo::sdk::codec::LineText;

/// An order, or its fill.
#[event]
struct Step {
    order: u64,
    time: EventTime,
    fills: bool,
}

/// How long an order waits for its fill.
const PATIENCE: Duration = millis(50);

fn application() -> Application {
    let app = Application::new("order-timeout");
    app.generator("steps", generated_steps);
    let open = app.table::<u64, ()>("open").timers();
    app.source("steps", LineText::new())
        .map(parse)
        .event_time(|step| step.time, IN_ORDER)
        .key_by(|step| step.order)
        .update_row(&open, |order, step| match step.fills {
            true => order.remove(),
            false => order.set_timer_in(PATIENCE),
        });
    open.on_timer(|order| {
        order.remove();
        format!("{} {}", order.key(), order.time())
    })
    .sink("cancels", LineText::new());
    app
}

fn main() -> ExitCode {
    potoroo::main(application)
}

/// A step of a line; none of what is no step.
fn parse(line: &str) -> Option<Step> {
    let mut words = line.split(' ');
    let (order, nanos) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let fills = words.next() == Some("fill");
    Some(Step { order, time: EventTime::from_nanos(nanos), fills })
}

/// An order each 20 µs, and for three in four the fill of one of up to 50 ms before.
fn generated_steps(seed: u64) -> impl FnMut(u64) -> Option<String> {
    let mut random = Random::new(seed);
    move |index| {
        let nanos = index * 10_000;
        let fills = index % 2 == 1 && random.chance(0.75);
        Some(match fills {
            true => format!("{} {nanos} fill", index.saturating_sub(random.below(5_000)) / 2),
            false => format!("{} {nanos}", index / 2),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fill_at_the_last_moment_is_in_time() {
        let mut reference = Reference::new(application()).expect("the application is sound");
        reference.feed("steps", b"1 0\n2 0\n1 50000000 fill\n3 50000001\n");
        assert_eq!(reference.output("cancels"), b"2 0.050000000\n");
    }
}
