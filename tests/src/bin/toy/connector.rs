//! `toy:`, a connector outside of the engine.
//!
//! ```text
//!   source   toy:TEXT   sends a line of text   ?count=N, once unless it is given
//!   sink     toy:PATH   writes a file in capital letters
//! ```
//!
//! **Promise.** At most once in, once per run out. **Memory.** One pipe each. **On trouble.** A
//! source without text is refused, and so is a file that cannot be created.

mod sink;
mod source;

use potoroo::{Connector, Form};

/// `toy:`
pub static TOY: Connector = Connector {
    scheme: "toy",
    open_options: &["count"],
    source: Some(Form {
        summary: "`toy:TEXT` (sends a line)",
        help: || "  toy:TEXT          sends a line; ?count=N times [default: 1]\n".to_owned(),
        parse: source::parse,
        describe: None,
    }),
    sink: Some(Form {
        summary: "`toy:PATH` (writes in capitals)",
        help: || "  toy:PATH          writes a file in capital letters\n".to_owned(),
        parse: sink::parse,
        describe: None,
    }),
};
