//! Windows can only be added to by a stream with their key type.

use potoroo::prelude::*;

fn main() {
    let app = Application::new("app");
    let counts = app.windows::<u32, Count>("counts", tumbling(seconds(1)));
    app.source("lines", LineText::new())
        .map(|line| line.parse::<u64>().ok())
        .event_time(|number| EventTime::from_seconds(number as i64), IN_ORDER)
        .key_by(|number| number)
        .window(&counts, |count, _| count.add(1));
}
