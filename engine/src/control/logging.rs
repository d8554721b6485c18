//! The log of the control plane: standard error, once per process, at a limited rate.
//!
//! The event path never logs. What it counts is looked at by the control plane, which says so
//! through [`Lines`](crate::connect::lines::Lines) where the other side decides how often something
//! happens.

use std::io::{self, IsTerminal};
use std::sync::Once;

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
        let wanted = std::env::var_os(LEVEL_VARIABLE).filter(|text| !text.is_empty());
        let (filter, complaint) =
            filter(wanted.as_ref().map(|text| text.to_string_lossy()).as_deref());
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

#[cfg(test)]
mod tests {
    use super::*;

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
