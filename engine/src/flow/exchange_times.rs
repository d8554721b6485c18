//! What a core knows of the time of one exchange.

use potoroo_sdk::host::Inflow;
use potoroo_sdk::plan::{Plan, PlannedSource};
use potoroo_sdk::time::EventTime;

use super::silence::LEFT_OUT;

/// What is known of the time of one exchange.
pub(super) struct ExchangeTimes {
    pub(super) level: usize,
    pub(super) inflows: Vec<Inflow>,
    /// All events come from connections of this core right here: the own watermark of the one that
    /// brings an event says more than what was promised before.
    pub(super) from_connections: bool,
    /// By seat: what its core has promised.
    pub(super) known: Vec<EventTime>,
    /// By seat: what its core had promised before the end of its input.
    pub(super) known_last: Vec<EventTime>,
    /// As far as it has come before the end of the input.
    pub(super) watermark: EventTime,
    /// The input has ended, and what was due before that has fired.
    pub(super) ended: bool,
    /// What this core promises, and what the others know of that.
    pub(super) promise: EventTime,
    pub(super) published: EventTime,
    /// What it had promised before the end of its input.
    pub(super) last: EventTime,
    /// By seat: what its core had promised before it read anything.
    pub(super) first: Vec<EventTime>,
    /// Frames are not stamped with more.
    pub(super) bound: EventTime,
}

impl ExchangeTimes {
    /// The least of what all cores but one have promised.
    #[inline]
    pub(super) fn least_but(&self, from: usize) -> EventTime {
        let others = self.known.iter().enumerate().filter(|(seat, _)| *seat != from);
        others.map(|(_, known)| *known).min().unwrap_or(EventTime::MAX)
    }

    /// The least of what all cores but one had promised before they read anything: any core knows
    /// that of the others.
    // cold: once per checkpoint
    pub(super) fn first_but(&self, from: usize) -> EventTime {
        let others = self.first.iter().enumerate().filter(|(seat, _)| *seat != from);
        others.map(|(_, first)| *first).min().unwrap_or(EventTime::MAX)
    }

    /// What this core had promised before the end of its input; the end of time if that is nothing.
    pub(super) fn last_known(&self) -> EventTime {
        if self.last == EventTime::MIN { EventTime::MAX } else { self.last }
    }

    /// The watermark.
    #[inline]
    pub(super) fn now(&self) -> EventTime {
        if self.ended { EventTime::MAX } else { self.watermark }
    }

    /// Whether all cores have promised that nothing comes any more.
    pub(super) fn is_over(&self) -> bool {
        self.known.iter().all(|known| *known == EventTime::MAX)
    }

    /// Whether nothing holds its time although something may come.
    pub(super) fn is_left_out(&self) -> bool {
        self.known.iter().all(|known| *known >= LEFT_OUT) && !self.is_over()
    }

    /// Raises the watermark to what all cores have promised, at the end of the input to what they
    /// had promised before. Where all are left out it stays.
    #[inline]
    pub(super) fn raise(&mut self) {
        let least = self.known.iter().copied().min().unwrap_or(EventTime::MIN);
        let least = match least {
            EventTime::MAX => self.known_last.iter().copied().min().unwrap_or(EventTime::MAX),
            least => least,
        };
        if least < LEFT_OUT {
            self.watermark = self.watermark.max(least);
        }
    }
}

/// What is known of a core that has promised `known`, and says `now` with a frame.
#[inline]
pub(super) fn later(known: EventTime, now: EventTime) -> EventTime {
    if known >= LEFT_OUT { now } else { known.max(now) }
}

/// What the core at `seat` promises before it has said anything: nothing, unless all sources are
/// read elsewhere. Connections may go on there from a checkpoint, or from a core before.
// cold: at start
pub(super) fn first_promise(
    plan: &Plan,
    inflows: &[Inflow],
    seat: usize,
    readers: &[Option<usize>],
) -> EventTime {
    let feeds =
        |source: &PlannedSource| source.times.iter().any(|id| inflows.contains(&Inflow::Time(*id)));
    let sources = plan.sources.iter().zip(readers).filter(|(source, _)| feeds(source));
    let promise = |reader: &Option<usize>| match reader {
        Some(reader) if *reader != seat => EventTime::MAX,
        _ => EventTime::MIN,
    };
    sources.map(|(_, reader)| promise(reader)).min().unwrap_or(EventTime::MAX)
}
