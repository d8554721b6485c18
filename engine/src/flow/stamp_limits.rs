//! What saved frames may be stamped with.

use potoroo_sdk::host::ExchangeId;
use potoroo_sdk::time::EventTime;

/// What saved frames may be stamped with: what their receiver would have gone by.
pub(super) struct StampLimits {
    /// By exchange: its number among those with a watermark.
    pub(super) numbers: Vec<Option<u16>>,
    /// By that, then by the seat that has sent the frame.
    pub(super) limits: Vec<Vec<EventTime>>,
    /// By the number: for frames on their way to another core, of which it is not known what that
    /// knows.
    pub(super) waiting: Vec<EventTime>,
    pub(super) seat: usize,
}

impl StampLimits {
    /// What a frame to this exchange from the core at `from` may be stamped with; from this one for
    /// `None`. `None` if it has no stamp.
    // cold: while a checkpoint is under way
    pub(super) fn of(&self, exchange: ExchangeId, from: Option<usize>) -> Option<EventTime> {
        let number = (*self.numbers.get(usize::from(exchange.0))?)?;
        Some(self.limits[usize::from(number)][from.unwrap_or(self.seat)])
    }

    /// The same of a frame of this core that has found no room on its way to any core.
    // cold: while a checkpoint is under way
    pub(super) fn of_waiting(&self, exchange: ExchangeId) -> Option<EventTime> {
        let number = (*self.numbers.get(usize::from(exchange.0))?)?;
        Some(self.waiting[usize::from(number)])
    }
}
