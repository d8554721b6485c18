//! What the system says of a thread: whether it could have run, and how long it did.
//!
//! Owns nothing. A core that waits for a CPU, because others have it or the process is throttled
//! or stopped, is no core that hangs; one that runs or sleeps without end is.

use std::fs;
use std::time::Duration;

/// A thread at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    /// As in `/proc`: R runs or waits for a CPU, S and D sleep, T and t are stopped. A space where
    /// the system does not say.
    pub(super) state: char,
    /// How long it has run since it began.
    pub(super) ran: Duration,
}

impl Sample {
    /// Of a thread of which the system says nothing.
    pub(super) const UNKNOWN: Self = Self { state: ' ', ran: Duration::ZERO };

    /// Of the thread `id` of this process.
    pub(super) fn of(id: i32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/self/task/{id}/stat")).ok()?;
        parse(&text)
    }

    /// How much of `passed`, the time since an `earlier` sample, counts against the thread.
    pub(super) fn counts(self, earlier: Self, passed: Duration) -> Duration {
        let ran = self.ran.saturating_sub(earlier.ran);
        match self.state {
            // It sleeps by itself, in a handler or a system call.
            'S' | 'D' | ' ' => passed,
            // It may have waited for a CPU most of the time, or been stopped.
            _ => ran.min(passed),
        }
    }

    /// What it does, in words.
    pub(super) fn doing(self) -> &'static str {
        match self.state {
            'R' => "it runs or waits for a CPU",
            'S' => "it waits for something, not for a CPU",
            'D' => "it waits for a disk or for memory",
            _ => "the system does not say what it does",
        }
    }
}

/// The fields after the name, which may have spaces and brackets: state, then ten others, then the
/// time in the program and in the kernel.
fn parse(text: &str) -> Option<Sample> {
    let (_, fields) = text.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let state = fields.next()?.chars().next()?;
    let mut fields = fields.skip(10);
    let user: u64 = fields.next()?.parse().ok()?;
    let kernel: u64 = fields.next()?.parse().ok()?;
    let ran = Duration::from_millis((user + kernel).saturating_mul(MILLIS_PER_TICK));
    Some(Sample { state, ran })
}

/// The unit of times in `/proc`, whatever the kernel's own.
const MILLIS_PER_TICK: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_line_of_the_system_is_understood() {
        let line = "77 (a) b) R 1 77 77 0 -1 4194304 9 0 0 0 250 50 0 0 20 0 3 0 100 1 2 3";
        assert_eq!(parse(line), Some(Sample { state: 'R', ran: 3 * SECOND }));
        assert_eq!(parse("77 (a) R 1"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn the_calling_thread_runs() {
        let id = rustix::thread::gettid().as_raw_nonzero().get();
        assert!(Sample::of(id).is_none_or(|sample| sample.state == 'R'));
        assert_eq!(Sample::of(0), None);
    }

    #[test]
    fn only_time_in_which_it_could_run_counts() {
        let earlier = Sample { state: 'R', ran: SECOND };
        let counts = |state, ran_ms| {
            let now = Sample { state, ran: SECOND + Duration::from_millis(ran_ms) };
            now.counts(earlier, SECOND).as_millis()
        };
        assert_eq!(counts('R', 1000), 1000, "it spins");
        assert_eq!(counts('R', 0), 0, "others have its CPU");
        assert_eq!(counts('R', 100), 100, "others have most of it");
        assert_eq!(counts('S', 0), 1000, "a handler waits");
        assert_eq!(counts('D', 0), 1000, "a handler reads a file that does not answer");
        assert_eq!(counts('T', 0), 0, "a debugger has stopped it");
        assert_eq!(counts('R', 5000), 1000, "no more than passed");
    }
}
