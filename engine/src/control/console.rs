//! What a person or a script reads: results on standard output, notes on standard error.
//!
//! Whoever reads may close either at any time, as `| head -1` does. `println!` panics then, and a
//! panic aborts the process in the midst of its work; so no code of the engine uses it. The log
//! goes its own way: see [`logging`](super::logging).

use std::fmt::Display;
use std::io::{self, BufWriter, ErrorKind, Write, stderr, stdout};

/// Writes one line to standard error. A note that nobody takes is no reason to stop.
pub(super) fn note(line: impl Display) {
    let _ = writeln!(stderr().lock(), "{line}");
}

/// Writes over the present line of a terminal at standard error, without ending it.
pub(super) fn renew(line: impl Display) {
    let _ = write!(stderr().lock(), "\r\x1b[K{line}");
}

/// Writes `text` and a line feed to standard output. A reader that has closed it wants no more:
/// that is not an error.
///
/// # Errors
/// It cannot be written for another reason, such as a full disk.
pub(super) fn answer(text: impl Display) -> io::Result<()> {
    answer_to(stdout().lock(), text)
}

fn answer_to(mut out: impl Write, text: impl Display) -> io::Result<()> {
    taken(writeln!(out, "{text}").and_then(|()| out.flush()))
}

/// Standard output, for an answer of any length: what comes of it goes through [`taken`].
pub(super) fn long_answer() -> impl Write {
    BufWriter::new(stdout().lock())
}

/// What becomes of a write to standard output: see [`answer`].
///
/// # Errors
/// As [`answer`].
pub(super) fn taken(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

#[cfg(test)]
mod tests {
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
    fn a_reader_that_went_is_no_error_and_a_full_disk_is_one() {
        assert!(answer_to(Failing(ErrorKind::BrokenPipe), "text").is_ok());
        assert!(answer_to(Failing(ErrorKind::StorageFull), "text").is_err());
        let mut out = Vec::new();
        answer_to(&mut out, "text").expect("memory takes every write");
        assert_eq!(out, b"text\n");
    }
}
