//! One line per second for the user who waits.

use super::figures::Snapshot;
use super::text::{micros, thousands};

/// What happened between two snapshots of one run, on one line without line feed: the rate of
/// each source since `previous`, the p99 of each path since the start, and what went wrong.
///
/// Show it on standard error: once per second on a terminal, each ten seconds otherwise.
pub fn progress_line(previous: &Snapshot, now: &Snapshot) -> String {
    let seconds = (now.seconds - previous.seconds).max(f64::MIN_POSITIVE);
    let mut line = format!("{:>5.0} s", now.seconds);
    for (before, source) in previous.sources.iter().zip(&now.sources) {
        let events = source.events.saturating_sub(before.events);
        let rate = (events as f64 / seconds).round() as u64;
        line.push_str(&format!("  {} {}/s", source.name, thousands(rate)));
    }
    for path in now.paths.iter().filter(|path| !path.latency.is_empty()) {
        let p99 = path.latency.value_at_quantile(0.99);
        line.push_str(&format!("  {} p99 {} µs", path.label, micros(p99)));
    }
    let refused: u64 = now.sources.iter().map(|source| source.refused).sum();
    for (count, what) in
        [(refused, "refused"), (now.replies_without_connection, "replies without connection")]
    {
        if count > 0 {
            line.push_str(&format!("  {} {what}", thousands(count)));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::report::example;

    #[test]
    fn a_line_tells_rates_since_the_last_one() {
        let mut previous = example();
        previous.seconds = 9.0;
        previous.sources[0].events -= 123_456;
        assert_eq!(
            progress_line(&previous, &example()),
            "   10 s  orders 123,456/s  quotes 0/s  orders → rejections p99 990.21 µs  3 refused"
        );
    }
}
