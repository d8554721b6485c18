//! Results on standard output, notes on standard error.
//! Whatever the files of a host hold, no line steers the terminal.

use std::fmt::Display;
use std::io::{Write, stderr, stdout};

use anyhow::{Context, Result};
use potoroo_tuning::stdout::closed;
use rustix::io::Errno;

/// Writes one line to standard error, if it still has a reader.
pub fn note(line: impl Display) {
    let _ = writeln!(stderr().lock(), "{}", plain(line));
}

/// Writes `text` and a line feed to standard output.
///
/// # Errors
/// It cannot be written: it was closed from the beginning, its disk is full, or its reader has gone
/// and has not got all of it.
pub fn answer(text: impl Display) -> Result<()> {
    if closed() {
        return Err(Errno::BADF).context(CANNOT);
    }
    let mut out = stdout().lock();
    let written = writeln!(out, "{}", plain(text)).and_then(|()| out.flush());
    written.context(CANNOT)
}

const CANNOT: &str = "standard output cannot be written";

/// The text with its control characters spelt out.
fn plain(text: impl Display) -> String {
    let mut plain = String::new();
    for letter in text.to_string().chars() {
        match letter.is_control() && !['\n', '\t'].contains(&letter) {
            true => plain.extend(letter.escape_default()),
            false => plain.push(letter),
        }
    }
    plain
}
