//! Reports for people: aligned tables, thousands separators, microseconds.

use std::fmt::{self, Display, Formatter};

use hdrhistogram::Histogram;
use potoroo_sdk::time::EventTime;

use super::figures::{CheckpointSummary, QUANTILES, Snapshot, StopReason, Summary, per_second};
use crate::control::config::idle_name;
use crate::flow::PartCost;

impl Summary {
    /// A table for people, lines of at most some hundred characters, ending in a line feed.
    pub fn text(&self) -> String {
        let snapshot = &self.snapshot;
        let mut text = headline(self);
        text.push_str(&sources(snapshot).print());
        for table in [sinks(snapshot), tables(snapshot), times(snapshot)] {
            text.push_str(&table.print());
        }
        let paths = paths(snapshot).print();
        if !paths.is_empty() {
            text.push_str(
                "\nlatency in µs, from ingress (intended time for generators) to the effect, \
                 by this host's clock\noutside gaps: without events during which the operating \
                 system or hypervisor had the CPU of a core",
            );
            text.push_str(&paths);
        }
        text.push_str(&checkpoints(snapshot));
        text.push_str(&troubles(snapshot));
        text
    }
}

fn headline(summary: &Summary) -> String {
    let Summary { snapshot, stop } = summary;
    let cores = if snapshot.cores == 1 { "core" } else { "cores" };
    let why = match stop {
        StopReason::Ended => "all sources ended",
        StopReason::Seconds => "its time was over",
        StopReason::Signal => "a signal stopped it",
        StopReason::Asked => "the embedding program stopped it",
        StopReason::Left => "the other nodes go on without it",
        StopReason::Cluster => "the application has ended on all nodes",
        StopReason::Operator => "an operator had all nodes stop",
        StopReason::SinkFailed => "a sink failed",
    };
    format!(
        "{}: {:.2} s on {} {cores} of {}, idle {}; {why}\n{} events in, {} events/s\n",
        snapshot.application,
        snapshot.seconds,
        snapshot.cores,
        snapshot.host,
        idle_name(snapshot.idle),
        thousands(snapshot.events),
        rate(snapshot.events_per_second),
    )
}

fn sources(snapshot: &Snapshot) -> Table {
    let mut table = Table::new(&["source", "events", "events/s", "bytes", "refused"]);
    for source in &snapshot.sources {
        table.row([
            source.name.clone(),
            thousands(source.events),
            rate(source.events_per_second),
            thousands(source.bytes),
            thousands(source.refused),
        ]);
    }
    table
}

fn sinks(snapshot: &Snapshot) -> Table {
    let mut table = Table::new(&["sink", "events", "events/s", "bytes", "waits"]);
    for sink in &snapshot.sinks {
        table.row([
            sink.name.clone(),
            thousands(sink.events),
            rate(sink.events_per_second),
            thousands(sink.bytes),
            thousands(sink.waits),
        ]);
    }
    table
}

fn tables(snapshot: &Snapshot) -> Table {
    let mut table = Table::new(&["table", "rows", "bytes"]);
    for rows in &snapshot.tables {
        table.row([rows.name.clone(), thousands(rows.rows), thousands(rows.bytes)]);
    }
    table
}

fn times(snapshot: &Snapshot) -> Table {
    let mut table = Table::new(&["event time", "watermark in s", "lag in s", "held by"]);
    for of in snapshot.time.iter().flat_map(|time| &time.watermarks) {
        let none = if of.ended { "ended" } else { "-" };
        let watermark = of.watermark_ns.map(|nanos| EventTime::from_nanos(nanos).to_string());
        let lag = of.lag_seconds.map_or("-".to_string(), |lag| format!("{lag:.3}"));
        table.row([
            of.exchange.clone(),
            watermark.unwrap_or_else(|| none.to_string()),
            lag,
            of.held_by.clone().unwrap_or_else(|| "-".to_string()),
        ]);
    }
    table
}

fn paths(snapshot: &Snapshot) -> Table {
    let mut header = vec!["path", "events", "events/s"];
    header.extend(QUANTILES.map(|(name, _, _)| name));
    header.push("max");
    let mut table = Table::new(&header);
    for path in &snapshot.paths {
        let mut row = |name: &str, histogram: &Histogram<u64>| {
            let events = histogram.len();
            let counted =
                [name.to_string(), thousands(events), rate(per_second(events, snapshot.seconds))];
            table.row(counted.into_iter().chain(quantiles(histogram)));
        };
        row(&path.label, &path.latency);
        row("  outside gaps", &path.outside);
    }
    table
}

/// The quantiles of every report and the maximum.
fn quantiles(histogram: &Histogram<u64>) -> impl Iterator<Item = String> {
    let quantile = |(_, _, quantile)| histogram.value_at_quantile(quantile);
    let values = QUANTILES.map(quantile).into_iter().chain([histogram.max()]);
    values.map(|ns| latency(histogram, ns))
}

fn checkpoints(snapshot: &Snapshot) -> String {
    let Some(checkpoints) = &snapshot.checkpoints else { return String::new() };
    let CheckpointSummary { epoch, committed, aborted, last_ms, stored_bytes, .. } = checkpoints;
    let CheckpointSummary { last_bytes, last_rows, last_cost, cost, .. } = checkpoints;
    let delayed = |cost: &PartCost| {
        let (events, worst) = (thousands(cost.events_delayed), micros(cost.delay_ns_max));
        format!("delayed {events} events, by {worst} µs at most")
    };
    let mut text = format!(
        "\n{} checkpoints, {} aborted; {} bytes are retained; {}\n",
        thousands(*committed),
        thousands(*aborted),
        thousands(*stored_bytes),
        delayed(cost),
    );
    if checkpoints.rollbacks > 0 {
        text.push_str(&format!(
            "{} rollbacks to an older checkpoint; generation {} ran last\n",
            thousands(checkpoints.rollbacks),
            checkpoints.generation,
        ));
    }
    text.push_str(&format!(
        "the last of epoch {epoch}: {last_ms:.1} ms, {} rows, {} bytes, longest slice {} µs; {}\n",
        thousands(*last_rows),
        thousands(*last_bytes),
        micros(last_cost.slice_ns_max),
        delayed(last_cost),
    ));
    text.push_str(&format!(
        "slices of turns for them: p99 {} µs, max {} µs; without gaps p99 {} µs, max {} µs\n",
        micros(checkpoints.slice_ns_p99),
        micros(checkpoints.slice_ns_max),
        micros(checkpoints.slice_own_ns_p99),
        micros(checkpoints.slice_own_ns_max),
    ));
    text
}

fn latency(histogram: &Histogram<u64>, ns: u64) -> String {
    if histogram.is_empty() { "-".to_string() } else { micros(ns) }
}

fn troubles(snapshot: &Snapshot) -> String {
    let mut text = String::new();
    for source in snapshot.sources.iter().filter(|source| source.overdue > 0) {
        text.push_str(&format!(
            "\n{} events of {} were due before the stop and NOT made: no latency has them\n",
            thousands(source.overdue),
            source.name
        ));
    }
    for source in snapshot.sources.iter().filter(|source| source.stalled > 0) {
        text.push_str(&format!(
            "\n{} connections of {} were CLOSED: they did not take their replies\n",
            thousands(source.stalled),
            source.name
        ));
    }
    let late = snapshot.time.iter().flat_map(|time| &time.late);
    for late in late.filter(|late| late.events > 0) {
        text.push_str(&format!(
            "\n{} events were LATE for {}, by {} ms at most: say a longer lateness where their \
             stream gets its time\n",
            thousands(late.events),
            late.table,
            Millis(late.by_ns_max),
        ));
    }
    if snapshot.replies_without_connection > 0 {
        let count = thousands(snapshot.replies_without_connection);
        text.push_str(&format!("\n{count} replies had NO connection, or none any more\n"));
    }
    if snapshot.failures > 0 {
        let failures = thousands(snapshot.failures);
        let events = thousands(snapshot.undelivered);
        text.push_str(&format!(
            "\nNOT everything was delivered: {failures} failures, see above; {events} events \
             were under way\n"
        ));
    }
    text
}

/// Columns as wide as their widest cell: the first to the left, the others to the right.
struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    fn new(header: &[&str]) -> Self {
        Self { rows: vec![header.iter().map(ToString::to_string).collect()] }
    }

    fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
        debug_assert_eq!(self.rows[0].len(), self.rows[self.rows.len() - 1].len());
    }

    /// The table behind an empty line; nothing if it has only a header.
    fn print(&self) -> String {
        if self.rows.len() == 1 {
            return String::new();
        }
        let columns = self.rows[0].len();
        let width = |column: usize| {
            self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::from("\n");
        for row in &self.rows {
            text.push_str(&format!("{:<1$}", row[0], widths[0]));
            for (cell, width) in row.iter().zip(&widths).skip(1) {
                text.push_str(&format!("  {cell:>width$}"));
            }
            text.push('\n');
        }
        text
    }
}

/// Nanoseconds as milliseconds, with as many decimals as there are.
struct Millis(u64);

impl Display for Millis {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let decimals = format!("{:06}", self.0 % 1_000_000);
        f.write_str(&thousands(self.0 / 1_000_000))?;
        match decimals.trim_end_matches('0') {
            "" => Ok(()),
            decimals => write!(f, ".{decimals}"),
        }
    }
}

fn rate(per_second: f64) -> String {
    thousands(per_second.round() as u64)
}

/// `1234567` as `1,234,567`.
pub(in crate::control) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Nanoseconds as microseconds with two decimals.
pub(super) fn micros(ns: u64) -> String {
    // Rounded once, in integers: 999 995 ns are 1,000.00 µs, not 999.100.
    let hundredths = (ns + 5) / 10;
    format!("{}.{:02}", thousands(hundredths / 100), hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::report::example;

    #[test]
    fn numbers_are_separated() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1234567, "1,234,567")] {
            assert_eq!(thousands(number), text);
        }
        for (ns, text) in [(0, "0.00"), (4, "0.00"), (85, "0.09"), (999_995, "1,000.00")] {
            assert_eq!(micros(ns), text);
        }
    }

    #[test]
    fn a_summary_is_a_readable_table() {
        let text = Summary { snapshot: example(), stop: StopReason::Seconds }.text();
        let expected = "\
market-spread: 10.00 s on 2 cores of lab (Some CPU), idle adaptive; its time was over
1,000,500 events in, 100,050 events/s

source     events  events/s       bytes  refused
orders  1,000,000   100,000  57,000,000        0
quotes        500        50      23,000        3

sink        events  events/s   bytes  waits
rejections   1,000       100  61,000      2

table    rows   bytes
markets   350  45,500

event time             watermark in s  lag in s          held by
orders → key_by  1700000000.000000000     2.500  source `orders`

latency in µs, from ingress (intended time for generators) to the effect, by this host's clock
outside gaps: without events during which the operating system or hypervisor had the CPU of a core
path                      events  events/s     p50     p90     p99   p99.9    p99.99       max
orders → rejections        1,000       100  500.22  900.10  990.21  999.42  1,000.45  1,000.45
  outside gaps               500        50  250.11  450.05  495.10  500.22    500.22    500.22
quotes → markets (table)       0         0       -       -       -       -         -         -
  outside gaps                 0         0       -       -       -       -         -         -

9 checkpoints, 1 aborted; 45,000 bytes are retained; delayed 70 events, by 20.00 µs at most
2 rollbacks to an older checkpoint; generation 6 ran last
the last of epoch 17: 12.5 ms, 50 rows, 5,000 bytes, longest slice 14.00 µs; \
delayed 7 events, by 15.00 µs at most
slices of turns for them: p99 20.00 µs, max 21.00 µs; without gaps p99 19.00 µs, max 20.50 µs

5 events of orders were due before the stop and NOT made: no latency has them

6 events were LATE for markets, by 3.2 ms at most: say a longer lateness where their stream gets \
its time

NOT everything was delivered: 1 failures, see above; 4 events were under way
";
        assert_eq!(text, expected, "\n{text}");
    }
}
