//! How the process of an application ends: the few exit codes, in one place.
//!
//! Where panics abort, as in the release profile, a bug ends the process by signal 6, which no code
//! here stands for; where they unwind it has the code [`Exit::Panicked`].

use std::process::ExitCode;

/// Why the process ends. The discriminant is its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything was processed and delivered: the sources ended, the time was over, or a signal
    /// asked to stop.
    Done = 0,
    /// The application or its configuration cannot run. Nothing was processed.
    Refused = 1,
    /// The command line is wrong; clap ends the process with this code.
    Usage = 2,
    /// It stopped, but not everything could be delivered within the time to drain, a sink failed
    /// for good, or standard output did not take the report or answer; or it was stopped while it
    /// recovered.
    Undelivered = 3,
    /// A core stopped turning, and the watchdog of the runtime ended the process.
    CoreStalled = 70,
    /// A bug in the application or the engine; what was processed since the last checkpoint is
    /// lost.
    Panicked = 71,
    /// The lease of this node of a cluster ended, and the others went on without it.
    LeftBehind = 72,
}

impl Exit {
    /// The list for `--help`.
    pub const HELP: &'static str = "Exit codes:
   0  finished: everything was processed and delivered
   1  the application or its configuration cannot run; nothing was processed
   2  the command line is wrong
   3  stopped, but not all could be delivered, recovered, or written to standard output
  70  a core stopped turning for --heartbeat-seconds
  71  a panic: a bug; a program that aborts on panics ends with signal 6 instead
  72  the other nodes of the cluster went on without this one: start it again";
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn a_stalled_core_has_the_code_of_the_runtime() {
        assert_eq!(Exit::CoreStalled as u8, potoroo_runtime::Fatal::CoreStalled.exit_code());
    }

    #[test]
    fn help_names_every_code() {
        let codes = [
            Exit::Done,
            Exit::Refused,
            Exit::Usage,
            Exit::Undelivered,
            Exit::CoreStalled,
            Exit::Panicked,
            Exit::LeftBehind,
        ];
        for code in codes {
            let line = format!("\n{:4}  ", code as u8);
            assert!(Exit::HELP.contains(&line), "{code:?} is not in the help");
        }
        let numbered = |line: &&str| line.trim().starts_with(|first: char| first.is_ascii_digit());
        assert_eq!(Exit::HELP.lines().filter(numbered).count(), codes.len());
    }
}
