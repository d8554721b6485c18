//! What a person or a script reads: results on standard output, notes on standard error.
//!
//! Whoever reads may close either at any time, as `| head -1` does. `println!` panics then, and a
//! panic aborts the process in the midst of its work; so no code of the engine uses it. The log
//! goes its own way: see [`logging`](super::logging).

mod closed;

use std::fmt::Display;
use std::io::{self, BufWriter, Write, stderr, stdout};

use rustix::io::Errno;

pub(super) use self::closed::closed;

/// Writes one line to standard error. A note that nobody takes is no reason to stop.
pub(super) fn note(line: impl Display) {
    let _ = writeln!(stderr().lock(), "{line}");
}

/// Writes over the present line of a terminal at standard error, without ending it.
pub(super) fn renew(line: impl Display) {
    let _ = write!(stderr().lock(), "\r\x1b[K{line}");
}

/// Writes `text` and a line feed to standard output.
///
/// # Errors
/// It cannot be written: it was closed from the beginning, its disk is full, or its reader has gone
/// and has not got all of it.
pub(super) fn answer(text: impl Display) -> io::Result<()> {
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
