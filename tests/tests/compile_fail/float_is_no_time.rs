//! A float has no unit, and counts nanoseconds of today only roughly.

use potoroo::prelude::*;

#[event]
struct Reading {
    seconds: f64,
}

fn main() {
    let app = Application::new("app");
    app.source("lines", LineText::new())
        .map(|line| line.parse().ok().map(|seconds| Reading { seconds }))
        .event_time(|reading| reading.seconds, IN_ORDER);
}
