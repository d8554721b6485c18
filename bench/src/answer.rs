//! Answers on standard output, which may be closed or full.

use std::fmt::Display;
use std::io::{Write, stdout};

use anyhow::{Context, Result};
use potoroo_tuning::stdout::closed;
use rustix::io::Errno;

/// Writes `text` and a line feed.
///
/// # Errors
/// Standard output does not take all of it.
pub fn answer(text: impl Display) -> Result<()> {
    if closed() {
        return Err(Errno::BADF).context(CANNOT);
    }
    let mut out = stdout().lock();
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
    written.context(CANNOT)
}

const CANNOT: &str = "standard output cannot be written";
