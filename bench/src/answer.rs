//! Answers on standard output, which may be closed or full.

use std::fmt::Display;
use std::io::{Write, stdout};

use anyhow::{Context, Result};

/// Writes `text` and a line feed.
///
/// # Errors
/// Standard output does not take all of it.
pub fn answer(text: impl Display) -> Result<()> {
    let mut out = stdout().lock();
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
    written.context("standard output cannot be written")
}
