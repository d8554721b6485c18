//! What holds no time although something may come, and what is so far ahead that it waits.

use potoroo_sdk::host::{Inflow, TimeId};
use potoroo_sdk::time::EventTime;

use super::exchange_times::ExchangeTimes;
use super::own_watermarks::OwnWatermarks;
use super::silence::LEFT_OUT;
use super::watermarks::{OfTable, Watermarks};

impl Watermarks {
    /// Whether nothing holds the time of an inflow although something may come.
    pub(super) fn is_left_out(&self, inflow: &Inflow) -> bool {
        match inflow {
            Inflow::Time(_) => false,
            Inflow::Exchange(_) => self.exchange(inflow).is_some_and(ExchangeTimes::is_left_out),
            Inflow::Due(table) => {
                let number = self.due_numbers[usize::from(table.0)].expect("it has dues");
                let of = &self.dues[usize::from(number)];
                of.inflows.iter().all(|inflow| self.is_left_out(inflow))
            }
        }
    }

    /// An exchange whose connections are all left out holds nothing: its time goes on with what
    /// else says what is due in the tables that it feeds.
    pub(super) fn follow(&mut self, number: usize) {
        let of = &self.exchanges[number];
        // What has never come may be from any time: it is waited for, and is not late.
        if !of.is_left_out() || of.watermark == EventTime::MIN {
            return;
        }
        let is_this = |inflow: &&Inflow| {
            self.exchange(inflow).is_some_and(|of| std::ptr::eq(of, &self.exchanges[number]))
        };
        let others = |of: &OfTable| {
            let others = of.inflows.iter().filter(|inflow| !is_this(inflow));
            let others = others.filter(|inflow| !self.is_left_out(inflow));
            let said = others.map(|inflow| match self.exchange(inflow) {
                Some(of) => of.watermark,
                None => self.said_by(*inflow),
            });
            said.min()
        };
        let fed = self.dues.iter().filter(|of| of.inflows.iter().any(|it| is_this(&it)));
        let least = fed.filter_map(others).min().filter(|least| *least < LEFT_OUT);
        let of = &mut self.exchanges[number];
        of.watermark = least.map_or(of.watermark, |least| of.watermark.max(least));
    }

    /// Whether what has these own watermarks is too far above the watermark to be read on.
    #[inline]
    pub(super) fn is_ahead(&self, own: &OwnWatermarks) -> bool {
        own.each().any(|(id, own)| {
            let longest = self.times.ahead_max(id);
            longest.is_some_and(|longest| {
                own.nanos().saturating_sub(self.least_beside(id).nanos()) > longest
            })
        })
    }

    /// The least watermark of the exchanges into which connections bring events right here, those
    /// of an `event_time` or others for the same tables.
    fn least_beside(&self, id: TimeId) -> EventTime {
        let mut least = self.fed_by(id).map(ExchangeTimes::now).min();
        for of in &self.dues {
            let exchanges = of.inflows.iter().filter_map(|inflow| self.exchange(inflow));
            if exchanges.clone().any(|of| of.inflows.contains(&Inflow::Time(id))) {
                let others = exchanges.filter(|of| of.from_connections).map(ExchangeTimes::now);
                least = least.into_iter().chain(others).min();
            }
        }
        least.unwrap_or(EventTime::MAX)
    }
}
