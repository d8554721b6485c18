//! Watermarks: up to when nothing on time comes any more, as far as a core knows.
//!
//! ```text
//!    connections ─ own ─┐                             ┌─ frames, stamped ─► known ┐
//!    exchanges before ──┼─► promise of this core ─────┤                           ├─► watermark
//!    rows that are due ─┘   for an exchange           └─ words ───────────► known ┘   of it here
//! ```
//!
//! Each core promises for each exchange that something uses the watermark of: the least of what
//! its inflows say. The watermark of the exchange on a core is the least of what all cores promise
//! it, as far as it is known there; a core that has not said anything holds it. What is due in a
//! row holds the promises for what comes after it.
//!
//! At the end of the input a watermark first comes as far as the input had come, and what is due by
//! then fires; only then is it the end of time. So what is due at the end depends on no schedule.
//!
//! Promises: a watermark never falls; an event on time never comes at or before it. What a frame
//! says counts when its event is processed, not before. Must never do: fire anything.

use potoroo_runtime::Nanos;
use potoroo_sdk::host::{Hint, Inflow, SourceId, TableId, TimeId, Timing};
use potoroo_sdk::plan::Plan;
use potoroo_sdk::time::{Duration, EventTime};

use super::exchange_times::{ExchangeTimes, first_promise, later};
use super::own_times::{OwnTimes, SourceOrInlet};
use super::own_watermarks::OwnWatermarks;
use super::promise::TimePromise;
use super::silence::LEFT_OUT;
use super::stamp_limits::StampLimits;
use crate::state::Wheel;

/// What a core knows of the times of events.
pub(super) struct Watermarks {
    seat: usize,
    /// By exchange: its number among those with a watermark.
    numbers: Vec<Option<u16>>,
    pub(super) exchanges: Vec<ExchangeTimes>,
    /// Their numbers, least level first.
    order: Vec<usize>,
    /// In the order in which they fire.
    pub(super) dues: Vec<OfTable>,
    /// By table: its number among those with dues.
    pub(super) due_numbers: Vec<Option<u16>>,
    pub(super) times: OwnTimes,
    /// When sources were read last, and whether the one that is read now held no time before.
    read_at: Nanos,
    begins: bool,
    /// When what raised a watermark last entered.
    entered: u64,
}

/// What is known of one table with dues.
pub(super) struct OfTable {
    level: usize,
    pub(super) inflows: Vec<Inflow>,
    /// Those that say what is due.
    due_by: Vec<Inflow>,
    wait: Duration,
    wheel: Wheel,
}

impl Watermarks {
    /// Of the core at `seat` among `seats`. By source: the seat that reads it, if that is one.
    // cold: at start
    pub(super) fn new(
        plan: &Plan,
        (seat, seats): (usize, usize),
        readers: &[Option<usize>],
    ) -> Self {
        let exchange = |of: &potoroo_sdk::plan::Exchange| {
            let of_time = |inflow: &Inflow| matches!(inflow, Inflow::Time(_));
            let from_connections = of.inflows.iter().all(of_time);
            let known = (0..seats).map(|seat| match from_connections {
                true => first_promise(plan, &of.inflows, seat, readers),
                false => EventTime::MIN,
            });
            let known: Vec<EventTime> = known.collect();
            ExchangeTimes {
                level: usize::from(of.level),
                inflows: of.inflows.clone(),
                from_connections,
                known_last: vec![EventTime::MAX; seats],
                watermark: EventTime::MIN,
                ended: false,
                promise: known[seat],
                published: known[seat],
                last: EventTime::MIN,
                first: known.clone(),
                bound: EventTime::MIN,
                known,
            }
        };
        let with = plan.exchanges.iter().filter(|exchange| exchange.watermark.is_some());
        let exchanges: Vec<ExchangeTimes> = with.map(exchange).collect();
        let mut order: Vec<usize> = (0..exchanges.len()).collect();
        order.sort_by_key(|number| exchanges[*number].level);
        let mut due_numbers = vec![None; plan.tables.len()];
        let numbered = plan.dues.iter().zip(0..);
        numbered.for_each(|(due, number)| due_numbers[usize::from(due.table.0)] = Some(number));
        let due = |of: &potoroo_sdk::plan::PlannedDue| OfTable {
            level: usize::from(of.level),
            inflows: of.inflows.clone(),
            due_by: of.due_by.clone(),
            wait: of.wait,
            wheel: Wheel::new(),
        };
        Self {
            seat,
            numbers: plan.exchanges.iter().map(|exchange| exchange.watermark).collect(),
            exchanges,
            order,
            dues: plan.dues.iter().map(due).collect(),
            due_numbers,
            times: OwnTimes::new(plan, seat, readers),
            read_at: Nanos(0),
            begins: false,
            entered: 0,
        }
    }

    /// Whether nothing uses a watermark.
    #[inline(always)]
    pub(super) fn is_unused(&self) -> bool {
        self.exchanges.is_empty()
    }

    /// When something may change although nothing comes.
    pub(super) fn next_look(&self) -> Option<Nanos> {
        self.times.next_look()
    }

    /// What sources say of time.
    pub(super) fn times(&mut self) -> &mut OwnTimes {
        &mut self.times
    }

    /// An inlet, or the generator, of a source brings events now. One that held no time begins at
    /// what was promised.
    #[inline]
    pub(super) fn begin_input(
        &mut self,
        source: SourceId,
        inlet: Option<usize>,
        own: &mut OwnWatermarks,
    ) {
        self.times.catch_up(source, inlet, own);
        self.begins = own.each().any(|(id, _)| self.times.is_left_out(id, source, inlet));
        if self.begins {
            own.raise(|id| self.floor(id));
            self.times.set(source, inlet, own);
        }
        for of in &mut self.exchanges {
            let mut bound = EventTime::MAX;
            let mut ways = 0;
            for inflow in &of.inflows {
                let Inflow::Time(id) = inflow else { continue };
                bound = bound.min(self.times.least_but(*id, source, inlet));
                ways += usize::from(own.each().any(|(of_source, _)| of_source == *id));
            }
            let least = own.each().map(|(_, own)| own).min().unwrap_or(EventTime::MAX);
            of.bound = match (of.from_connections, ways) {
                (true, 0 | 1) => bound,
                // Which of the ways an event takes is not known.
                (true, _) => bound.min(least),
                (false, 0) => of.bound,
                (false, _) => of.bound.min(least),
            };
        }
    }

    /// It has brought this many, which entered together.
    #[inline]
    pub(super) fn end_input(
        &mut self,
        (source, inlet): (SourceId, Option<usize>),
        own: &OwnWatermarks,
        (events, entered): (u64, u64),
    ) {
        if events > 0 {
            self.times.set(source, inlet, own);
            self.times.brought(source, inlet, self.read_at.0);
            self.entered = entered;
        } else if self.begins {
            // A part of an event, or an end.
            self.times.leave_out(source, inlet, own);
        }
    }

    /// Sources are read from now on.
    #[inline]
    pub(super) fn read_sources(&mut self, now: Nanos) {
        self.read_at = now;
    }

    /// What is not read for now is not silent.
    #[inline]
    pub(super) fn hold(&mut self, source: SourceId, inlet: Option<usize>) {
        self.times.brought(source, inlet, self.read_at.0);
    }

    /// The exchanges into which events of an `event_time` come right here.
    pub(super) fn fed_by(&self, id: TimeId) -> impl Iterator<Item = &ExchangeTimes> {
        self.exchanges.iter().filter(move |of| of.inflows.contains(&Inflow::Time(id)))
    }

    /// The greatest watermark that an event of this `event_time` can find.
    // cold: once per connection
    fn floor(&self, id: TimeId) -> EventTime {
        self.fed_by(id).map(ExchangeTimes::now).max().unwrap_or(EventTime::MIN)
    }

    /// With which watermark the frame of an event is stamped.
    #[inline]
    pub(super) fn stamp(&self, number: u16, timing: &Timing) -> EventTime {
        let of = &self.exchanges[usize::from(number)];
        if of.from_connections { of.bound.min(timing.own) } else { of.bound }
    }

    /// Events come into an exchange from the core at `from`, with stamps: each gets the watermark
    /// before it.
    #[inline]
    pub(super) fn enter(&self, number: u16, from: usize, timings: &mut [Timing]) {
        let of = &self.exchanges[usize::from(number)];
        let (others, mut known) = (of.least_but(from), of.known[from]);
        for timing in timings {
            known = later(known, timing.watermark);
            timing.watermark = of.now().max(known.min(others));
        }
    }

    /// Events were processed of which the last one had this stamp.
    #[inline]
    pub(super) fn hear(&mut self, number: u16, from: usize, stamp: EventTime) {
        let of = &mut self.exchanges[usize::from(number)];
        of.known[from] = later(of.known[from], stamp);
        of.raise();
    }

    /// The core at `from` has promised this.
    pub(super) fn hear_word(&mut self, number: usize, from: usize, promise: TimePromise) {
        let of = &mut self.exchanges[number];
        match promise {
            TimePromise::Until(moment, entered) => {
                of.known[from] = moment;
                self.entered = entered;
            }
            TimePromise::Ended(last) => {
                of.known[from] = EventTime::MAX;
                of.known_last[from] = last;
            }
        }
    }

    /// The watermark of the exchange with this number.
    // cold: for gauges
    pub(super) fn now(&self, number: usize) -> EventTime {
        self.exchanges[number].now()
    }

    /// What holds the time of an `event_time` here.
    // cold: for gauges
    pub(super) fn holder(&self, id: TimeId) -> Option<(EventTime, SourceOrInlet)> {
        self.times.holder(id)
    }

    /// How many exchanges have a watermark.
    #[inline]
    pub(super) fn count(&self) -> usize {
        self.exchanges.len()
    }

    /// Brings all promises of this core and all watermarks to what is known now. `waiting`: bit by
    /// level, whether frames of this core to itself wait there. Returns whether the end of some
    /// input came nearer, so that more follows.
    pub(super) fn pass(&mut self, waiting: u64) -> bool {
        let mut nearer = false;
        for at in 0..self.order.len() {
            let number = self.order[at];
            nearer |= self.end_if_over(number);
            let promise = self.promise(number);
            let ended_at = self.ended_at(number);
            let (seat, of) = (self.seat, &mut self.exchanges[number]);
            of.promise = promise;
            if promise < LEFT_OUT {
                of.last = promise;
            } else if promise == EventTime::MAX && ended_at != EventTime::MAX {
                of.last = of.last.max(ended_at);
            }
            if !of.from_connections {
                // What comes all the same says nothing of time before the next promise.
                of.bound = if promise == LEFT_OUT { EventTime::MIN } else { promise };
            }
            if waiting & (1 << of.level) == 0 {
                of.known[seat] = promise;
                of.known_last[seat] = of.last_known();
            }
            of.raise();
            self.follow(number);
        }
        nearer
    }

    /// What is known of the exchange that an inflow is, if it is one.
    pub(super) fn exchange(&self, inflow: &Inflow) -> Option<&ExchangeTimes> {
        let Inflow::Exchange(id) = inflow else { return None };
        let number = self.numbers[usize::from(id.0)].expect("what follows uses it");
        Some(&self.exchanges[usize::from(number)])
    }

    /// The input of an exchange has ended, and what was due before that has fired: everything else
    /// is due now. Returns whether it came nearer to that.
    fn end_if_over(&mut self, number: usize) -> bool {
        let of = &mut self.exchanges[number];
        if of.ended || !of.is_over() {
            return false;
        }
        let before = of.watermark;
        of.raise();
        if of.watermark > before {
            // That is promised first.
            return true;
        }
        let fed = |due: &OfTable| {
            let of_this = |inflow: &Inflow| match inflow {
                Inflow::Exchange(id) => self.numbers[usize::from(id.0)] == Some(number as u16),
                _ => false,
            };
            due.inflows.iter().any(of_this)
        };
        let waits = (0..self.dues.len()).any(|due| fed(&self.dues[due]) && self.is_due(due));
        self.exchanges[number].ended = !waits;
        !waits
    }

    /// Up to when the connections of this core came that bring events right into an exchange, if
    /// they have ended.
    fn ended_at(&self, number: usize) -> EventTime {
        let inflows = self.exchanges[number].inflows.iter();
        let ended = inflows.filter_map(|inflow| match inflow {
            Inflow::Time(id) => Some(self.times.ended_at(*id)),
            _ => None,
        });
        ended.min().unwrap_or(EventTime::MAX)
    }

    /// What this core promises for an exchange.
    fn promise(&self, number: usize) -> EventTime {
        let inflows = self.exchanges[number].inflows.iter();
        let said = inflows.map(|inflow| match inflow {
            Inflow::Time(id) => self.times.least(*id),
            inflow if self.is_left_out(inflow) => LEFT_OUT,
            inflow => self.said_by(*inflow),
        });
        said.min().unwrap_or(EventTime::MAX)
    }

    /// A promise that other cores do not know, and when what raised it entered: its exchange has to
    /// be at a level where nothing waits, bit by level.
    pub(super) fn take_news(&mut self, waiting: u64) -> Option<(usize, TimePromise)> {
        let news =
            |of: &ExchangeTimes| of.promise != of.published && waiting & (1 << of.level) == 0;
        let number = self.exchanges.iter().position(news)?;
        let of = &mut self.exchanges[number];
        of.published = of.promise;
        Some((
            number,
            match of.promise {
                EventTime::MAX => TimePromise::Ended(of.last_known()),
                moment => TimePromise::Until(moment, self.entered),
            },
        ))
    }

    /// Whether other cores know all promises of this one, and nothing is due.
    // cold: when a core is idle
    pub(super) fn is_settled(&self) -> bool {
        self.exchanges.iter().all(|of| of.promise == of.published && (of.ended || !of.is_over()))
            && !(0..self.dues.len()).any(|due| self.is_due(due))
    }

    /// Whether something is due in the table with this number among those with dues.
    #[inline]
    pub(super) fn is_due(&self, due: usize) -> bool {
        self.dues[due].wheel.next_due().is_some_and(|next| next <= self.until(due))
    }

    pub(super) fn said_by(&self, inflow: Inflow) -> EventTime {
        match inflow {
            // Connections say it elsewhere.
            Inflow::Time(_) => EventTime::MAX,
            Inflow::Exchange(_) => self.exchange(&inflow).expect("it is one").now(),
            Inflow::Due(table) => {
                let number = self.due_numbers[usize::from(table.0)].expect("it has dues");
                let of = &self.dues[usize::from(number)];
                let until = self.of_table(number.into(), None);
                let next = of.wheel.next_due().unwrap_or(EventTime::MAX);
                match until.min(next) {
                    EventTime::MAX => EventTime::MAX,
                    _ => until.min(next - Duration::from_nanos(1)) - of.wait,
                }
            }
        }
    }

    /// Up to when all is due in the table with this number among those with dues.
    #[inline]
    pub(super) fn until(&self, due: usize) -> EventTime {
        let said = self.dues[due].due_by.iter().map(|inflow| self.said_by(*inflow));
        said.min().unwrap_or(EventTime::MAX)
    }

    /// The watermark of a table, as far as it does not follow from `without`.
    #[inline]
    pub(super) fn without(&self, table: TableId, without: Inflow) -> EventTime {
        let number = self.due_numbers[usize::from(table.0)].expect("it has dues");
        self.of_table(number.into(), Some(without))
    }

    fn of_table(&self, due: usize, without: Option<Inflow>) -> EventTime {
        let inflows = self.dues[due].inflows.iter();
        let others = inflows.filter(|inflow| Some(**inflow) != without);
        others.map(|inflow| self.said_by(*inflow)).min().unwrap_or(EventTime::MAX)
    }

    /// When what raised a watermark last entered.
    #[inline]
    pub(super) fn entered(&self) -> u64 {
        self.entered
    }

    /// Hints at a row of a table.
    #[inline]
    pub(super) fn hint(&mut self, table: TableId, hint: Hint) {
        let number = self.due_numbers[usize::from(table.0)].expect("it has dues");
        self.dues[usize::from(number)].wheel.enter(hint);
    }

    /// Tables with dues, by number: its level.
    #[inline]
    pub(super) fn due_level(&self, due: usize) -> usize {
        self.dues[due].level
    }

    /// How many tables have dues.
    #[inline]
    pub(super) fn dues(&self) -> usize {
        self.dues.len()
    }

    /// The hints of a table with dues.
    #[inline]
    pub(super) fn wheel(&mut self, due: usize) -> &mut Wheel {
        &mut self.dues[due].wheel
    }

    /// What frames may be stamped with that are saved now.
    // cold: once per checkpoint
    pub(super) fn limits(&self) -> StampLimits {
        let of = |of: &ExchangeTimes| (0..of.known.len()).map(|from| of.least_but(from)).collect();
        StampLimits {
            numbers: self.numbers.clone(),
            limits: self.exchanges.iter().map(of).collect(),
            waiting: self.exchanges.iter().map(|of| of.first_but(self.seat)).collect(),
            seat: self.seat,
        }
    }
}
