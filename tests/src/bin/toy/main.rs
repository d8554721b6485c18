//! An application with a connector of its own: its folder is `connector`, and the line in `main`
//! that registers it is the only other place that knows of it.

mod connector;

use std::process::ExitCode;

use potoroo::prelude::*;
use potoroo::sdk::codec::LineText;

fn application() -> Application {
    let app = Application::new("toy");
    app.source("lines", LineText::new()).map(|line| line.to_owned()).sink("out", LineText::new());
    app
}

fn main() -> ExitCode {
    potoroo::register(&connector::TOY);
    potoroo::main(application)
}
