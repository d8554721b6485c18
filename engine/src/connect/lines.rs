//! Lines of the log that a peer can cause, at a limited rate for each kind.
//!
//! A peer decides how often it connects, breaks a rule, or goes. Each kind of line has its own
//! limit, so that a flood of one hides no other; what is left out is counted, and the count stands
//! in the next line of the kind.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One kind of line: 5 in a second unless made otherwise. Threads may share it.
#[derive(Debug)]
pub struct LineLimiter {
    window: Duration,
    lines_max: u32,
    state: Mutex<Window>,
}

/// The present window of time.
#[derive(Debug)]
struct Window {
    since: Option<Instant>,
    written: u32,
    /// Lines left out since the last one that was written.
    left_out: u64,
}

impl Window {
    const NONE: Self = Self { since: None, written: 0, left_out: 0 };
}

/// Number of lines of a kind that were left out before this one: text for its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOut(pub u64);

impl Default for LineLimiter {
    fn default() -> Self {
        Self::new()
    }
}

impl LineLimiter {
    /// A kind of line of which nothing was written.
    pub const fn new() -> Self {
        Self { window: Duration::from_secs(1), lines_max: 5, state: Mutex::new(Window::NONE) }
    }

    /// A kind of line that is written once in each `window`: for a state that lasts.
    pub fn once_in(window: Duration) -> Self {
        Self { window, lines_max: 1, ..Self::new() }
    }

    /// Asks for one line. `Some` means: write it, with the count at its end.
    pub fn admit(&self) -> Option<LeftOut> {
        self.admit_at(Instant::now())
    }

    fn admit_at(&self, now: Instant) -> Option<LeftOut> {
        // A count is whole whatever panicked.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.since.is_none_or(|since| now.saturating_duration_since(since) >= self.window) {
            (state.since, state.written) = (Some(now), 0);
        }
        if state.written == self.lines_max {
            state.left_out += 1;
            return None;
        }
        state.written += 1;
        Some(LeftOut(std::mem::take(&mut state.left_out)))
    }

    /// Lines left out since the last one that was written: for a last line at the end.
    pub fn left_out(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).left_out
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            count => write!(f, " ({count} such lines left out)"),
        }
    }
}

/// Longest text of the other side in the log, in characters.
const ONE_LINE_MAX: usize = 1000;

/// What the other side said, as it can stand in a log: in one line, and not too long.
pub(super) fn one_line(text: &str) -> String {
    let escaped = |char: char| match char.is_control() {
        true => char.escape_default().collect::<String>(),
        false => char.to_string(),
    };
    text.chars().take(ONE_LINE_MAX).map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_left_out_are_counted() {
        let (lines, start) = (LineLimiter::default(), Instant::now());
        let ask = |ms| lines.admit_at(start + Duration::from_millis(ms));
        assert!((0..5).all(|ms| ask(ms) == Some(LeftOut(0))));
        assert_eq!((ask(6), ask(999)), (None, None));
        assert_eq!(lines.left_out(), 2);
        assert_eq!(ask(1000), Some(LeftOut(2)));
        assert_eq!(ask(1001), Some(LeftOut(0)));
        assert_eq!(format!("gone{}{}", LeftOut(2), LeftOut(0)), "gone (2 such lines left out)");
    }

    #[test]
    fn what_strangers_say_stays_in_one_line() {
        assert_eq!(one_line("it's über\n\x1b[31mERROR"), "it's über\\n\\u{1b}[31mERROR");
        assert_eq!(one_line(&"x".repeat(70_000)).len(), 1000);
    }
}
