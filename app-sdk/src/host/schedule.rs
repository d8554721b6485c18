//! Schedules: when the events of a generator are due.

/// When the events of a generator are due: open loop, nothing ever moves a due time.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// Due time of event `first`, in nanoseconds of the host's clock.
    pub start: u64,
    /// The event with which it begins: 0, unless earlier ones were made in an earlier run.
    pub first: u64,
    /// Events per second; 0 means as fast as possible, due when they are generated.
    pub rate: u64,
}

impl Schedule {
    /// When event `index`, which is not before the first, is due.
    #[inline]
    pub fn due(&self, index: u64) -> u64 {
        match self.rate {
            0 => self.start,
            rate => {
                let index = index - self.first;
                let (seconds, rest) = (index / rate, index % rate);
                self.start + seconds * 1_000_000_000 + rest.saturating_mul(1_000_000_000) / rate
            }
        }
    }

    /// How many events are due at `now`, those before the first included.
    pub fn count_due(&self, now: u64) -> u64 {
        match self.rate {
            0 => u64::MAX,
            _ if now < self.start => self.first,
            rate => {
                let (seconds, rest) =
                    ((now - self.start) / 1_000_000_000, (now - self.start) % 1_000_000_000);
                let partly = rest.saturating_mul(rate) / 1_000_000_000;
                let due = seconds.saturating_mul(rate).saturating_add(partly + 1);
                due.saturating_add(self.first)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Schedule;

    #[test]
    fn no_rate_is_too_high() {
        for rate in [1, 3, 1_000_000_007, u64::MAX / 2, u64::MAX] {
            let schedule = Schedule { start: 5, rate, first: 0 };
            assert_eq!((schedule.count_due(4), schedule.count_due(5)), (0, 1));
            let mut before = 0;
            for now in [6, 999_999_999, 1_000_000_005, 1 << 60] {
                let due = schedule.count_due(now);
                assert!(due >= before, "{rate} per second at {now}");
                assert!(schedule.due(due - 1) <= now || due == u64::MAX, "{rate} at {now}");
                before = due;
            }
        }
    }

    #[test]
    fn a_schedule_goes_on_where_an_earlier_one_ended() {
        let schedule = Schedule { start: 5_000, rate: 1_000_000, first: 700 };
        assert_eq!((schedule.due(700), schedule.due(703)), (5_000, 8_000));
        assert_eq!((schedule.count_due(4_999), schedule.count_due(8_000)), (700, 704));
    }
}
