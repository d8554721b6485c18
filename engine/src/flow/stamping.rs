//! Stamping: which watermark an event leaves with, and which it finds.

use potoroo_sdk::host::Timing;
use potoroo_sdk::time::EventTime;

use super::route::Router;

impl Router {
    /// The time of an event as its frame through an exchange says it.
    #[inline]
    pub(super) fn stamped(&self, watermark: Option<u16>, timing: &Timing) -> Timing {
        let stamp = watermark.map(|number| self.watermarks.stamp(number, timing));
        Timing { watermark: stamp.unwrap_or(EventTime::MIN), ..*timing }
    }

    /// Events are run in place: each gets the watermark before it.
    pub(super) fn enter_in_place(&mut self, number: u16, timings: &mut [Timing]) {
        let mut last = EventTime::MIN;
        for timing in &mut *timings {
            last = self.watermarks.stamp(number, timing);
            timing.watermark = last;
        }
        self.watermarks.enter(number, self.core, timings);
        self.watermarks.hear(number, self.core, last);
    }
}
