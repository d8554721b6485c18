//! The log of the control plane: standard error, once per process, at a limited rate.
//!
//! The event path never logs. What it counts is looked at by the control plane, which says so
//! through [`Lines`](crate::connect::lines::Lines) where the other side decides how often something
//! happens.

use std::io::{self, IsTerminal};
use std::sync::Once;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::util::SubscriberInitExt;

use super::console;

/// Environment variable that sets the level: `warn`, `debug`, `potoroo=trace`.
pub const LEVEL_VARIABLE: &str = "POTOROO_LOG";
/// Level when the variable is absent or cannot be understood.
pub const LEVEL_DEFAULT: &str = "info";
/// The same with `--quiet`.
pub const LEVEL_QUIET: &str = "warn";

/// Sends the log, and the records of the `log` crate, to standard error; later calls do nothing. A
/// subscriber that an embedding program set before stays. Notes are written at the level `info`.
pub fn init(quiet: bool) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let wanted = std::env::var_os(LEVEL_VARIABLE).filter(|text| !text.is_empty());
        let wanted = wanted.as_ref().map(|text| text.to_string_lossy());
        let (filter, complaint) = filter(wanted.as_deref(), quiet);
        let info = filter.max_level_hint().is_none_or(|most| most >= LevelFilter::INFO);
        console::set_notes(info && !quiet);
        let subscriber = tracing_subscriber::fmt()
            .compact()
            .with_env_filter(filter)
            .with_target(false)
            .with_ansi(io::stderr().is_terminal())
            .with_writer(|| console::Log)
            // It would tell on standard error that standard error is closed, by a panic.
            .log_internal_errors(false)
            .finish();
        // Refused only when somebody else's subscriber is set: theirs decides then.
        let ours = subscriber.try_init().is_ok();
        if let Some(complaint) = complaint.filter(|_| ours) {
            tracing::warn!("{complaint}");
        }
    });
}

fn filter(wanted: Option<&str>, quiet: bool) -> (EnvFilter, Option<String>) {
    let level = if quiet { LEVEL_QUIET } else { LEVEL_DEFAULT };
    let Some(wanted) = wanted else { return (default_filter(level), None) };
    match EnvFilter::try_new(wanted) {
        Ok(filter) => (filter, None),
        Err(cause) => {
            let complaint = format!(
                "{LEVEL_VARIABLE} cannot be `{wanted}` ({cause}): write a level such as `debug`; \
                 using `{level}`"
            );
            (default_filter(level), Some(complaint))
        }
    }
}

/// The client of S3 tells of each try; who calls it tells when they come to nothing.
fn default_filter(level: &str) -> EnvFilter {
    EnvFilter::new(format!("{level},object_store=warn"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_leaves_warnings() {
        let least = |quiet| filter(None, quiet).0.max_level_hint();
        assert_eq!((least(false), least(true)), (Some(LevelFilter::INFO), Some(LevelFilter::WARN)));
        let (chosen, _) = filter(Some("debug"), true);
        assert_eq!(chosen.max_level_hint(), Some(LevelFilter::DEBUG));
    }

    #[test]
    fn a_wrong_level_is_told() {
        assert!(filter(None, false).1.is_none());
        assert!(filter(Some("potoroo=debug"), false).1.is_none());
        let complaint = filter(Some("a=b=c"), false).1.expect("a complaint");
        assert!(complaint.contains("`a=b=c`") && complaint.contains("`info`"), "{complaint}");
    }

    #[test]
    fn init_may_be_called_again() {
        init(false);
        init(false);
        let taken = |level| log::logger().enabled(&log::Metadata::builder().level(level).build());
        assert!(taken(log::Level::Info), "records of the `log` crate are taken");
    }
}
