//! The log of the control plane: standard error, once per process, at a limited rate.
//!
//! The event path never logs. What it counts is looked at by the control plane, which says so
//! through a [`Limiter`] where the other side decides how often something happens.

use std::io::{self, IsTerminal};
use std::sync::Once;

use potoroo_runtime::Nanos;
use tracing_subscriber::EnvFilter;

/// Environment variable that sets the level: `warn`, `debug`, `potoroo=trace`.
pub const LEVEL_VARIABLE: &str = "POTOROO_LOG";
/// Level when the variable is absent or cannot be understood.
pub const LEVEL_DEFAULT: &str = "info";

/// Sends the log to standard error; later calls do nothing. A subscriber that an embedding
/// program set before stays.
pub fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let wanted = std::env::var(LEVEL_VARIABLE).ok().filter(|text| !text.is_empty());
        let (filter, complaint) = filter(wanted.as_deref());
        let subscriber = tracing_subscriber::fmt()
            .compact()
            .with_env_filter(filter)
            .with_target(false)
            .with_ansi(io::stderr().is_terminal())
            .with_writer(io::stderr)
            // It would tell on standard error that standard error is closed, by a panic.
            .log_internal_errors(false)
            .finish();
        // Refused only when somebody else's subscriber is set: theirs decides then.
        let ours = tracing::subscriber::set_global_default(subscriber).is_ok();
        if let Some(complaint) = complaint.filter(|_| ours) {
            tracing::warn!("{complaint}");
        }
    });
}

fn filter(wanted: Option<&str>) -> (EnvFilter, Option<String>) {
    let Some(wanted) = wanted else { return (default_filter(), None) };
    match EnvFilter::try_new(wanted) {
        Ok(filter) => (filter, None),
        Err(cause) => {
            let complaint = format!(
                "{LEVEL_VARIABLE} cannot be `{wanted}` ({cause}): write a level such as `debug`; \
                 using `{LEVEL_DEFAULT}`"
            );
            (default_filter(), Some(complaint))
        }
    }
}

/// The client of S3 tells of each try; who calls it tells when they come to nothing.
fn default_filter() -> EnvFilter {
    EnvFilter::new(format!("{LEVEL_DEFAULT},object_store=warn"))
}

/// Lets through at most so many messages per second and counts the others.
///
/// It belongs to one thread and takes the time as an argument, as everything near a turn does.
#[derive(Clone, Debug)]
pub struct Limiter {
    per_second: u64,
    /// When the present second began.
    since: Nanos,
    /// Messages let through in it.
    passed: u64,
    /// Messages suppressed since the last one that was let through.
    suppressed: u64,
}

impl Limiter {
    /// A limiter that lets `per_second` messages through.
    pub fn new(per_second: u64) -> Self {
        Self { per_second, since: Nanos(0), passed: 0, suppressed: 0 }
    }

    /// Asks for one message at `now`. `Some` means: say it, and that so many were suppressed
    /// since the last one.
    pub fn admit(&mut self, now: Nanos) -> Option<u64> {
        if now.0.saturating_sub(self.since.0) >= 1_000_000_000 {
            self.since = now;
            self.passed = 0;
        }
        if self.passed >= self.per_second {
            self.suppressed += 1;
            return None;
        }
        self.passed += 1;
        Some(std::mem::take(&mut self.suppressed))
    }

    /// Messages suppressed since the last one that was let through: for a last word at the end.
    pub fn suppressed(&self) -> u64 {
        self.suppressed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limiter_counts_what_it_suppresses() {
        let mut limiter = Limiter::new(2);
        let start = 5_000_000_000;
        let ask = |limiter: &mut Limiter, ns: u64| limiter.admit(Nanos(start + ns));
        assert_eq!(ask(&mut limiter, 0), Some(0));
        assert_eq!(ask(&mut limiter, 1), Some(0));
        assert_eq!(ask(&mut limiter, 2), None);
        assert_eq!(ask(&mut limiter, 999_999_999), None);
        assert_eq!(limiter.suppressed(), 2);
        assert_eq!(ask(&mut limiter, 1_000_000_000), Some(2));
        assert_eq!(ask(&mut limiter, 1_000_000_001), Some(0));
    }

    #[test]
    fn a_wrong_level_is_told() {
        assert!(filter(None).1.is_none());
        assert!(filter(Some("potoroo=debug")).1.is_none());
        let complaint = filter(Some("a=b=c")).1.expect("a complaint");
        assert!(complaint.contains("`a=b=c`") && complaint.contains("`info`"), "{complaint}");
    }

    #[test]
    fn init_may_be_called_again() {
        init();
        init();
    }
}
