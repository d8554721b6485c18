//! Reads how far event time has come, and what holds it: for reports, and for a line of the log
//! when it stands still.
//!
//! Must never do: judge from one look. What cores publish may be stale by some milliseconds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use potoroo_sdk::host::{ExchangeId, Inflow, TimeId};
use potoroo_sdk::plan::{Exchange, Plan, PlannedDue, PlannedSource};
use potoroo_sdk::time::EventTime;

use super::report::{LateSummary, TimeSummary, WatermarkSummary};
use crate::flow::{Counts, SharedCounts, TimeHolder};

/// What an application has that goes by event time.
pub(super) struct TimedExchanges {
    exchanges: Vec<TimedExchange>,
    /// Index and name of each table for which events can be late.
    tables: Vec<(usize, String)>,
}

/// An exchange with a watermark.
struct TimedExchange {
    label: String,
    /// The `event_time`s that its watermark follows from.
    times: Vec<TimeId>,
    /// The sources that bring their events.
    sources: Vec<usize>,
    /// The tables in which something becomes due by it.
    waiting: Vec<String>,
}

/// Something that holds time for long while events come in.
pub(super) struct StandStill {
    /// The number of the watermark.
    number: usize,
    pub(super) holder: TimeHolder,
    pub(super) since: Duration,
}

impl TimedExchanges {
    pub(super) fn new(plan: &Plan) -> Self {
        let with = plan.exchanges.iter().enumerate().filter(|(_, of)| of.watermark.is_some());
        let exchange = |(id, of): (usize, &Exchange)| {
            let mut times = Vec::new();
            feeding(plan, &of.inflows, &mut times);
            let brings =
                |source: &PlannedSource| source.times.iter().any(|time| times.contains(time));
            let sources = plan.sources.iter().enumerate().filter(|(_, source)| brings(source));
            let by_this = |due: &&PlannedDue| {
                let this = |inflow: &Inflow| *inflow == Inflow::Exchange(ExchangeId(id as u16));
                due.due_by.iter().any(this)
            };
            let waiting = plan.dues.iter().filter(by_this);
            TimedExchange {
                label: of.label.clone(),
                sources: sources.map(|(index, _)| index).collect(),
                waiting: waiting.map(|due| table_name(plan, due)).collect(),
                times,
            }
        };
        let tables = plan.dues.iter().map(|due| (usize::from(due.table.0), table_name(plan, due)));
        Self { exchanges: with.map(exchange).collect(), tables: tables.collect() }
    }

    /// How far it has come; `None` for an application without event time. `unix_ns`: what time it
    /// is by the clock of the machine; `name`: the name of what holds it.
    pub(super) fn summary(
        &self,
        (tallies, counts): (&[Arc<SharedCounts>], &[Counts]),
        unix_ns: u64,
        name: impl Fn(&TimeHolder) -> String,
    ) -> Option<TimeSummary> {
        if self.exchanges.is_empty() {
            return None;
        }
        let watermark = |(number, of): (usize, &TimedExchange)| {
            let watermark = watermark(tallies, number);
            let known = (EventTime::MIN < watermark && watermark < EventTime::MAX)
                .then_some(watermark.nanos());
            WatermarkSummary {
                exchange: of.label.clone(),
                tables: of.waiting.clone(),
                watermark_ns: known,
                lag_seconds: known.map(|nanos| (unix_ns as f64 - nanos as f64) / 1e9),
                ended: watermark == EventTime::MAX,
                held_by: of.holder(tallies).map(|holder| name(&holder)),
            }
        };
        let late = |(index, table): &(usize, String)| {
            let of = || counts.iter().map(|counts| counts.late[*index]);
            LateSummary {
                table: table.clone(),
                events: of().map(|late| late.events).sum(),
                by_ns_max: of().map(|late| late.by_ns_max).max().unwrap_or(0),
            }
        };
        Some(TimeSummary {
            watermarks: self.exchanges.iter().enumerate().map(watermark).collect(),
            late: self.tables.iter().map(late).collect(),
        })
    }

    /// What is said of a watermark that stands still.
    pub(super) fn describe(&self, still: &StandStill, name: &str) -> String {
        let TimedExchange { label, waiting, .. } = &self.exchanges[still.number];
        let waiting: Vec<String> = waiting.iter().map(|table| format!("`{table}`")).collect();
        let waiting = match waiting.is_empty() {
            true => String::new(),
            false => format!(", for which {} wait,", waiting.join(", ")),
        };
        let last = match still.holder.own {
            EventTime::MIN => "has brought no event yet".to_owned(),
            own => format!("has brought nothing that moves its time beyond {own}"),
        };
        format!(
            "the time of `{label}`{waiting} has stood still for {} s while events came in: {name} \
             {last}. It goes on when that brings a later event or ends; if it may be silent, say \
             so where its events get their times, as in `within(…).idle_after(seconds(1))`",
            still.since.as_secs(),
        )
    }
}

impl TimedExchange {
    /// What of this process holds its time: the connection that has come least far.
    fn holder(&self, tallies: &[Arc<SharedCounts>]) -> Option<TimeHolder> {
        let each = tallies
            .iter()
            .flat_map(|tally| self.times.iter().filter_map(|time| tally.times.holder(*time)));
        each.min_by_key(|holder| holder.own)
    }
}

/// The least of a watermark on all cores of this process.
fn watermark(tallies: &[Arc<SharedCounts>], number: usize) -> EventTime {
    let each = tallies.iter().map(|tally| tally.times.watermark(number));
    each.min().unwrap_or(EventTime::MIN)
}

fn table_name(plan: &Plan, due: &PlannedDue) -> String {
    plan.tables[usize::from(due.table.0)].name.clone()
}

/// The `event_time`s from which the watermark of these inflows follows.
fn feeding(plan: &Plan, inflows: &[Inflow], times: &mut Vec<TimeId>) {
    for inflow in inflows {
        match inflow {
            Inflow::Time(id) if times.contains(id) => {}
            Inflow::Time(id) => times.push(*id),
            Inflow::Exchange(id) => {
                feeding(plan, &plan.exchanges[usize::from(id.0)].inflows, times);
            }
            Inflow::Due(table) => {
                let due = plan.dues.iter().find(|due| due.table == *table);
                feeding(plan, &due.expect("it has dues").inflows, times);
            }
        }
    }
}

/// For how long time stands still before the log names what holds it.
const STILL_MIN: Duration = Duration::from_secs(10);

/// How often watermarks are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Looks whether watermarks stand still.
pub(super) struct StandStills {
    looked: Instant,
    /// By number.
    before: Vec<Before>,
}

/// What was seen of a watermark when it had moved last.
struct Before {
    watermark: EventTime,
    at: Instant,
    /// Events of its sources by then.
    events: u64,
    /// Its holder was shown.
    shown: bool,
    /// Its holder has been returned.
    returned: bool,
}

impl StandStills {
    pub(super) fn new(now: Instant) -> Self {
        Self { looked: now, before: Vec::new() }
    }

    /// What has held time for [`STILL_MIN`] while events came in, each once; looks every
    /// [`LOOK_EVERY`]. `show` sees it first: where that returns `true`, it is returned a look
    /// later.
    pub(super) fn look(
        &mut self,
        times: &TimedExchanges,
        tallies: &[Arc<SharedCounts>],
        now: Instant,
        show: impl Fn(&TimeHolder) -> bool,
    ) -> Vec<StandStill> {
        if times.exchanges.is_empty() || now < self.looked + LOOK_EVERY {
            return Vec::new();
        }
        self.looked = now;
        let counts: Vec<Counts> = tallies.iter().map(|tally| tally.read()).collect();
        let mut still = Vec::new();
        for (number, of) in times.exchanges.iter().enumerate() {
            let watermark = watermark(tallies, number);
            let sources = |counts: &Counts| {
                of.sources.iter().map(|at| counts.sources[*at].events).sum::<u64>()
            };
            let events = counts.iter().map(sources).sum();
            let new = Before { watermark, at: now, events, shown: false, returned: false };
            if self.before.len() == number {
                self.before.push(new);
                continue;
            }
            let before = &mut self.before[number];
            if before.watermark != watermark {
                *before = new;
                continue;
            }
            let since = now - before.at;
            if before.returned || since < STILL_MIN || events == before.events {
                continue;
            }
            let holder = of.holder(tallies).filter(|_| watermark != EventTime::MAX);
            let Some(holder) = holder else { continue };
            let shown = std::mem::replace(&mut before.shown, true);
            if shown || !show(&holder) {
                before.returned = true;
                still.push(StandStill { number, holder, since });
            }
        }
        still
    }
}

#[cfg(test)]
mod tests {
    use potoroo_sdk::host::SourceId;
    use potoroo_sdk::prelude::*;

    use super::*;

    fn counts_per_second() -> Plan {
        let app = Application::new("counts");
        let counts = app.windows::<(), u64>("counts", tumbling(seconds(1)));
        for name in ["quick", "silent"] {
            let millis = app.source(name, LineText::new()).map(|line| line.parse::<i64>().ok());
            let millis = millis.event_time(EventTime::from_millis, IN_ORDER);
            millis.collect().window(&counts, |count, _| *count += 1);
        }
        counts.closed(|count, _| count.to_string()).sink("counts", LineText::new());
        app.plan().expect("it is sound")
    }

    #[test]
    fn what_holds_time_is_named_once_while_events_come_in() {
        let plan = counts_per_second();
        let times = TimedExchanges::new(&plan);
        let tallies = [Arc::new(SharedCounts::new(&plan))];
        let start = Instant::now();
        let mut stills = StandStills::new(start);
        let mut look = |second: u64, watermark: i64, events: u64| {
            let gauges = &tallies[0].times;
            gauges.set_watermark(1, EventTime::from_nanos(watermark));
            let own = EventTime::from_nanos(watermark);
            let holder = TimeHolder { own, source: SourceId(1), connection: None };
            gauges.set_holder(TimeId(1), Some(holder));
            let mut counts = tallies[0].read();
            counts.sources[1].events = events;
            tallies[0].write(&counts);
            let now = start + Duration::from_secs(second);
            let still = stills.look(&times, &tallies, now, |_| false);
            let describe = |still: &StandStill| times.describe(still, "source `silent`");
            still.iter().map(describe).collect::<Vec<_>>()
        };
        assert!(look(1, 5, 1).is_empty());
        assert!(look(12, 5, 1).is_empty(), "nothing came in");
        let still = look(13, 5, 2);
        assert_eq!(still.len(), 1, "{still:?}");
        for part in
            ["`silent \u{2192} map \u{2192} event_time", "`counts` wait", "12 s", "idle_after"]
        {
            assert!(still[0].contains(part), "{part}: {still:?}");
        }
        assert!(look(30, 5, 3).is_empty(), "it was named");
        assert!(look(31, 6, 4).is_empty(), "it moves");
        assert_eq!(look(41, 6, 5).len(), 1);
    }
}
