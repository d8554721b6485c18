//! An application says what is computed, never on how many cores, threads or nodes.

use potoroo::prelude::*;

fn main() {
    let app = Application::new("app");
    app.cores(2);
    app.threads(2);
    app.nodes(&["host-a", "host-b"]);
    app.partitions(16);
    Application::with_cores("app", 2);
}
