//! Dead letters on their way out: whole lines, or none.
//!
//! Promises: what was begun is ended before another line begins, and while it cannot be, later
//! letters are lost: what waits is no longer than one line.

use std::io::{self, ErrorKind, Write};

use crate::flow::DeadLetter;

/// Where dead letters are written.
pub(super) struct LetterBox<W> {
    to: W,
    /// The end of a line that was begun.
    rest: Vec<u8>,
    /// Why some of them are not written.
    lost: Option<String>,
}

impl<W: Write> LetterBox<W> {
    /// Letters go to `to`.
    pub(super) fn new(to: W) -> Self {
        Self { to, rest: Vec::new(), lost: None }
    }

    /// Writes one JSON object per line: source, connection (hexadecimal, as in the log), position,
    /// reason and the bytes in hexadecimal.
    pub(super) fn write(&mut self, letters: &[DeadLetter], source_names: &[String]) {
        let written = letters.iter().try_for_each(|letter| {
            let line = serde_json::json!({
                "source": source_names[letter.cause.source.0 as usize],
                "connection": format!("{:x}", letter.cause.origin.connection),
                "position": letter.cause.origin.position,
                "reason": letter.reason.to_string(),
                "bytes": hex(&letter.bytes),
            });
            self.line(&format!("{line}\n"))
        });
        // Logged once; it is tried again with the next ones, and reported at the end.
        if let Err(error) = written
            && self.lost.is_none()
        {
            tracing::error!(
                "dead letters cannot be written: {error}; free space there, or raise the limit of \
                 file sizes (`ulimit -f`)"
            );
            self.lost = Some(error.to_string());
        }
    }

    /// Tries once more; returns why something is missing.
    pub(super) fn close(mut self) -> Option<String> {
        let failed = self.write_rest().err().map(|error| error.to_string());
        self.lost.or(failed)
    }

    fn line(&mut self, line: &str) -> io::Result<()> {
        self.write_rest()?;
        self.rest.extend_from_slice(line.as_bytes());
        self.write_rest()
    }

    fn write_rest(&mut self) -> io::Result<()> {
        let mut done = 0;
        let written = loop {
            if done == self.rest.len() {
                break Ok(());
            }
            match self.to.write(&self.rest[done..]) {
                Ok(0) => break Err(ErrorKind::WriteZero.into()),
                Ok(bytes) => done += bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.rest.drain(..done);
        written
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pipe that is full after `room` bytes.
    struct Pipe {
        room: usize,
        got: Vec<u8>,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.room);
            self.room -= taken;
            self.got.extend_from_slice(&bytes[..taken]);
            if taken == 0 { Err(ErrorKind::TimedOut.into()) } else { Ok(taken) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_whole_or_not_there_though_the_pipe_was_full() {
        let mut letters = LetterBox::new(Pipe { room: 4, got: Vec::new() });
        letters.line("first\n").expect_err("it is full");
        letters.line("lost\n").expect_err("it still is");
        letters.to.room = 100;
        letters.line("last\n").expect("there is room");
        assert_eq!(letters.to.got, b"first\nlast\n");
        assert_eq!(letters.close(), None);
    }
}
