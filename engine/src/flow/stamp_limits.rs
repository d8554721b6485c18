//! What saved frames may be stamped with.

use potoroo_sdk::host::ExchangeId;
use potoroo_sdk::time::EventTime;

/// What saved frames may be stamped with: what their receiver would have gone by.
pub(super) struct StampLimits {
    /// By exchange: its number among those with a watermark.
    pub(super) numbers: Vec<Option<u16>>,
    /// By that, then by the seat that has sent the frame.
    pub(super) limits: Vec<Vec<EventTime>>,
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
}
