//! What a person or a script reads: results on standard output, notes on standard error.
//!
//! The reader may close either at any time, as `| head -1` does. `println!` panics then, and a
//! panic aborts the process in the midst of its work; so no code of the engine uses it. The log
//! goes its own way: see [`logging`](super::logging).

use std::fmt::Display;
use std::io::{self, BufWriter, StderrLock, Write, stderr, stdout};
use std::sync::atomic::{AtomicBool, Ordering};

pub(super) use potoroo_tuning::stdout::closed;
use rustix::io::Errno;

/// Whether notes are written. Errors always are.
static NOTES: AtomicBool = AtomicBool::new(true);
/// Whether the last line on a terminal is one of progress. Changes under the lock of standard
/// error only.
static PROGRESS: AtomicBool = AtomicBool::new(false);

/// Decides whether notes and progress are written from now on.
pub(super) fn set_notes(wanted: bool) {
    NOTES.store(wanted, Ordering::Relaxed);
}

/// Writes one line to standard error, unless notes are off. A note that cannot be written is no
/// reason to stop.
pub(super) fn note(line: impl Display) {
    if NOTES.load(Ordering::Relaxed) {
        error(line);
    }
}

/// Writes one line to standard error, always: in one call, since a sink may write to the same
/// terminal at the same time.
pub(super) fn error(line: impl Display) {
    let _ = own_line().write_all(format!("{line}\n").as_bytes());
}

/// Writes over the present line of a terminal at standard error, without ending it. What is longer
/// than a line of the terminal is cut by it: a second line would stay.
pub(super) fn renew(line: impl Display) {
    if NOTES.load(Ordering::Relaxed) {
        let mut out = own_line();
        let _ = write!(out, "\x1b[?7l{line}\x1b[?7h");
        PROGRESS.store(true, Ordering::Relaxed);
    }
}

/// Standard error, without the line of progress.
fn own_line() -> StderrLock<'static> {
    let mut out = stderr().lock();
    if PROGRESS.swap(false, Ordering::Relaxed) {
        let _ = write!(out, "\r\x1b[K");
    }
    out
}

/// Where the log writes.
pub(super) struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        own_line().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        stderr().lock().flush()
    }
}

/// Writes `text` and a line feed to standard output.
///
/// # Errors
/// It cannot be written: it was closed from the beginning, its disk is full, or its reader has gone
/// and has not got all of it.
pub(super) fn answer(text: impl Display) -> io::Result<()> {
    drop(own_line());
    answer_to(long_answer()?, text)
}

fn answer_to(mut out: impl Write, text: impl Display) -> io::Result<()> {
    writeln!(out, "{text}").and_then(|()| out.flush())
}

/// Standard output, for an answer of any length.
///
/// # Errors
/// It was closed from the beginning.
pub(super) fn long_answer() -> io::Result<impl Write> {
    match closed() {
        true => Err(Errno::BADF.into()),
        false => Ok(BufWriter::new(stdout().lock())),
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    struct Failing(ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_went_and_a_full_disk_are_errors() {
        assert!(answer_to(Failing(ErrorKind::BrokenPipe), "text").is_err());
        assert!(answer_to(Failing(ErrorKind::StorageFull), "text").is_err());
        let mut out = Vec::new();
        answer_to(&mut out, "text").expect("memory takes every write");
        assert_eq!(out, b"text\n");
    }
}
