//! Rows of a plain table have no timer: `app.table(…).timers()` has rows with one.

use potoroo::prelude::*;

fn main() {
    let app = Application::new("app");
    let open = app.table::<u64, u64>("open");
    app.source("lines", LineText::new())
        .map(|line| line.parse::<u64>().ok())
        .event_time(|number| EventTime::from_seconds(number as i64), IN_ORDER)
        .key_by(|number| number)
        .update_row(&open, |order, _| order.clear_timer());
}
