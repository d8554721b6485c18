//! Sliding windows and sessions put parts together.

use potoroo::prelude::*;

#[state]
struct Bar {
    open: f64,
    close: f64,
}

fn main() {
    let app = Application::new("app");
    app.windows::<Symbol, Bar>("bars", tumbling(seconds(1)));
    app.windows::<Symbol, Bar>("last-minute", sliding(minutes(1), seconds(1)));
    app.windows::<Symbol, Bar>("active", sessions(seconds(30)));
}
