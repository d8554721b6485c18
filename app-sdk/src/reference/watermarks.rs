//! How far time is in the reference interpreter, and what is due.
//!
//! The watermark of an exchange is the least of what its inflows say. Time of connections comes
//! with their events: what an event's own time makes due fires before the event is processed.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::host::{ExchangeId, Hint, Inflow, TableId};
use crate::plan::Plan;
use crate::time::{Duration, EventTime};

pub(super) struct EventTimes {
    exchanges: Vec<OfExchange>,
    dues: Vec<OfTable>,
    /// While a connection brings events: by exchange, what they cannot raise its watermark above.
    bounds: Option<Vec<EventTime>>,
}

struct OfExchange {
    level: u8,
    inflows: Vec<Inflow>,
    /// What connections say that bring their events right here.
    connections: EventTime,
    watermark: EventTime,
}

struct OfTable {
    table: TableId,
    inflows: Vec<Inflow>,
    due_by: Vec<Inflow>,
    wait: Duration,
    hints: BTreeSet<Hint>,
}

impl EventTimes {
    pub(super) fn new(plan: &Plan) -> Self {
        let exchange = |of: &crate::plan::Exchange| OfExchange {
            level: of.level,
            inflows: of.inflows.clone(),
            connections: EventTime::MIN,
            watermark: EventTime::MIN,
        };
        let due = |of: &crate::plan::PlannedDue| OfTable {
            table: of.table,
            inflows: of.inflows.clone(),
            due_by: of.due_by.clone(),
            wait: of.wait,
            hints: BTreeSet::new(),
        };
        Self {
            exchanges: plan.exchanges.iter().map(exchange).collect(),
            dues: plan.dues.iter().map(due).collect(),
            bounds: None,
        }
    }

    /// Events come from a connection, which raise no watermark above these `bounds`.
    pub(super) fn begin_input(&mut self, bounds: &[EventTime]) {
        self.bounds = Some(bounds.to_vec());
    }

    pub(super) fn end_input(&mut self) {
        self.bounds = None;
    }

    /// An event comes into an exchange from a connection that has this own watermark after it.
    pub(super) fn hear(&mut self, exchange: ExchangeId, own: EventTime) {
        let at = usize::from(exchange.0);
        let Some(bounds) = &self.bounds else { return };
        let of = &mut self.exchanges[at];
        of.connections = of.connections.max(own.min(bounds[at]));
        self.raise();
    }

    /// By `event_time`: nothing on time at or before these moments comes from any connection.
    pub(super) fn pass(&mut self, times: &[EventTime]) {
        for of in &mut self.exchanges {
            let said = of.inflows.iter().filter_map(|inflow| match inflow {
                Inflow::Time(id) => Some(times[usize::from(id.0)]),
                _ => None,
            });
            of.connections = of.connections.max(said.min().unwrap_or(EventTime::MAX));
        }
        self.raise();
    }

    /// Raises all watermarks as far as they go.
    fn raise(&mut self) {
        let levels = self.exchanges.iter().map(|of| of.level).max().map_or(0, |last| last + 1);
        for level in 0..levels {
            for at in 0..self.exchanges.len() {
                let of = &self.exchanges[at];
                if of.level != level || of.inflows.is_empty() {
                    continue;
                }
                let said = of.inflows.iter().map(|inflow| match inflow {
                    Inflow::Time(_) => of.connections,
                    inflow => self.said_by(*inflow),
                });
                let least = said.min().expect("there are some");
                let of = &mut self.exchanges[at];
                of.watermark = of.watermark.max(least);
            }
        }
    }

    fn said_by(&self, inflow: Inflow) -> EventTime {
        match inflow {
            Inflow::Time(_) => EventTime::MAX,
            Inflow::Exchange(id) => self.of(id),
            Inflow::Due(table) => {
                let due = self.dues.iter().find(|due| due.table == table).expect("it is planned");
                let watermark = self.of_table(table, None);
                let next = due.hints.first().map_or(EventTime::MAX, |hint| hint.due);
                match watermark.min(next) {
                    EventTime::MAX => EventTime::MAX,
                    _ => watermark.min(next - Duration::from_nanos(1)) - due.wait,
                }
            }
        }
    }

    /// The watermark of an exchange.
    pub(super) fn of(&self, exchange: ExchangeId) -> EventTime {
        self.exchanges[usize::from(exchange.0)].watermark
    }

    /// The watermark of a timed table, as far as it does not follow from `without`.
    pub(super) fn of_table(&self, table: TableId, without: Option<Inflow>) -> EventTime {
        let due = self.dues.iter().find(|due| due.table == table).expect("it is planned");
        let others = due.inflows.iter().filter(|inflow| Some(**inflow) != without);
        others.map(|inflow| self.said_by(*inflow)).min().unwrap_or(EventTime::MAX)
    }

    pub(super) fn hint(&mut self, table: TableId, hint: Hint) {
        let due = self.dues.iter_mut().find(|due| due.table == table).expect("it is planned");
        due.hints.insert(hint);
    }

    /// Something that is due: the number of its table among those with dues, and the moment up to
    /// which all is.
    pub(super) fn take_due(&mut self) -> Option<(usize, Hint, EventTime)> {
        self.raise();
        for at in 0..self.dues.len() {
            let said = self.dues[at].due_by.iter().map(|inflow| self.said_by(*inflow));
            let until = said.min().unwrap_or(EventTime::MAX);
            let due = &mut self.dues[at];
            if let Some(hint) = due.hints.first().copied().filter(|hint| hint.due <= until) {
                due.hints.remove(&hint);
                return Some((at, hint, until));
            }
        }
        None
    }
}
