//! The log of the control plane: standard error, once per process, at a limited rate.
//!
//! The event path never logs: it counts, and the control plane reads the counters and logs. Where a
//! peer decides how often something happens, a
//! [`LineLimiter`](crate::connect::lines::LineLimiter) bounds the number of lines.

use std::io::{self, IsTerminal};
use std::sync::Once;

use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::SubscriberInitExt;

use super::console;

/// Environment variable that sets the level: `warn`, `debug`, `warn,potoroo=trace`.
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
        console::set_notes(most_verbose(&filter) >= LevelFilter::INFO && !quiet);
        let subscriber = tracing_subscriber::fmt()
            .compact()
            // The targets decide.
            .with_max_level(LevelFilter::TRACE)
            .with_target(false)
            .with_ansi(io::stderr().is_terminal())
            .with_writer(|| console::LogWriter)
            // It would panic to report on standard error that standard error is closed.
            .log_internal_errors(false)
            .finish()
            .with(filter);
        // Refused only when the embedding program has set a subscriber, which decides then.
        let ours = subscriber.try_init().is_ok();
        if let Some(complaint) = complaint.filter(|_| ours) {
            tracing::warn!("{complaint}");
        }
    });
}

fn filter(wanted: Option<&str>, quiet: bool) -> (Targets, Option<String>) {
    let level = if quiet { LEVEL_QUIET } else { LEVEL_DEFAULT };
    let Some(wanted) = wanted else { return (default_filter(level), None) };
    match parse(wanted) {
        Ok(filter) => (without_secrets(filter), None),
        Err(cause) => {
            let complaint = format!(
                "{LEVEL_VARIABLE} cannot be `{wanted}` ({cause}): write a level such as `debug`; \
                 using `{level}`"
            );
            (default_filter(level), Some(complaint))
        }
    }
}

/// The S3 client logs each try; its callers log the failure after the last one.
fn default_filter(level: &str) -> Targets {
    parse(&format!("{level},object_store=warn")).expect("a level and a target are a filter")
}

/// Targets that log the heads of requests, in which tokens are, at the more verbose levels.
const WITH_SECRETS: [&str; 2] = ["ureq", "ureq_proto"];

/// The same, at which no target logs tokens.
fn without_secrets(filter: Targets) -> Targets {
    let most = |filter: &Targets, target: &str| {
        let levels = [Level::ERROR, Level::WARN, Level::INFO];
        levels.into_iter().rfind(|level| filter.would_enable(target, level))
    };
    WITH_SECRETS.into_iter().fold(filter, |filter, target| {
        let level = most(&filter, target).map_or(LevelFilter::OFF, LevelFilter::from_level);
        // What was said of a part of it would count there.
        let is_part = |named: &str| named == target || named.starts_with(&format!("{target}::"));
        let others = filter.iter().filter(|(named, _)| !is_part(named));
        let others: Vec<(String, LevelFilter)> =
            others.map(|(named, level)| (named.to_owned(), level)).collect();
        let default = filter.default_level().unwrap_or(LevelFilter::OFF);
        Targets::new().with_default(default).with_targets(others).with_target(target, level)
    })
}

/// Levels and `target=level`, separated by commas; `error` if there is none.
fn parse(text: &str) -> Result<Targets, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let parts: Vec<_> = parts.collect();
    let named = |letter: char| letter.is_alphanumeric() || "_:-=".contains(letter);
    if let Some(part) = parts.iter().find(|part| !part.chars().all(named)) {
        return Err(format!("`{part}` is neither a level nor TARGET=LEVEL"));
    }
    match parts.is_empty() {
        true => Ok(Targets::new().with_default(LevelFilter::ERROR)),
        false => parts.join(",").parse().map_err(|cause| format!("{cause}")),
    }
}

/// The most verbose level that any target has.
fn most_verbose(filter: &Targets) -> LevelFilter {
    Layer::<Registry>::max_level_hint(filter).unwrap_or(LevelFilter::TRACE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_leaves_warnings() {
        let most = |wanted, quiet| most_verbose(&filter(wanted, quiet).0);
        assert_eq!((most(None, false), most(None, true)), (LevelFilter::INFO, LevelFilter::WARN));
        assert_eq!(most(Some("debug"), true), LevelFilter::DEBUG);
        assert_eq!(most(Some("off"), false), LevelFilter::OFF);
    }

    #[test]
    fn levels_and_targets_are_separated_by_commas() {
        let takes =
            |wanted, target, level| filter(Some(wanted), false).0.would_enable(target, &level);
        let mixed = "warn, potoroo=trace,,";
        assert!(takes(mixed, "potoroo::control", Level::TRACE));
        assert!(takes(mixed, "hyper", Level::WARN) && !takes(mixed, "hyper", Level::INFO));
        assert!(
            takes("potoroo", "potoroo", Level::TRACE) && !takes("potoroo", "hyper", Level::ERROR)
        );
        assert!(takes(" , ", "hyper", Level::ERROR) && !takes(" , ", "hyper", Level::WARN));
        assert!(takes("INFO", "hyper", Level::INFO) && takes("5", "hyper", Level::TRACE));
    }

    #[test]
    fn no_level_has_the_tokens_of_requests_logged() {
        let takes =
            |wanted, target, level| filter(Some(wanted), false).0.would_enable(target, &level);
        for wanted in ["trace", "ureq=trace", "info,ureq_proto::client=trace", "debug,ureq::a=5"] {
            for target in ["ureq", "ureq::run", "ureq_proto::client", "ureq::a"] {
                assert!(!takes(wanted, target, Level::DEBUG), "{wanted}: {target}");
            }
        }
        assert!(takes("trace", "ureq::run", Level::INFO) && takes("trace", "hyper", Level::TRACE));
        assert!(takes("warn,ureq=info", "ureq", Level::INFO));
        assert!(!takes("warn", "ureq", Level::INFO) && takes("warn", "ureq", Level::WARN));
    }

    #[test]
    fn a_wrong_level_is_reported() {
        assert!(filter(None, false).1.is_none());
        assert!(filter(Some("potoroo=debug"), false).1.is_none());
        for wrong in ["a=b=c", "potoroo=loud", "[span]=info", "\u{fffd}"] {
            let complaint = filter(Some(wrong), false).1.expect("a complaint");
            assert!(complaint.contains(wrong) && complaint.contains("`info`"), "{complaint}");
        }
    }

    #[test]
    fn init_may_be_called_again() {
        init(false);
        init(false);
        let taken = |level| log::logger().enabled(&log::Metadata::builder().level(level).build());
        assert!(taken(log::Level::Info), "records of the `log` crate are taken");
    }
}
