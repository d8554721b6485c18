//! The moments at which events are due.

use std::fmt;
use std::hint::spin_loop;
use std::time::Duration;

use rand_distr::{Distribution, Exp1};
use rand_pcg::Pcg64;
use rand_pcg::rand_core::SeedableRng;

use super::Arrivals;
use crate::gaps::GapLog;
use crate::stamp;

/// All events of a load, of all connections.
#[derive(Clone, Copy, Debug)]
pub struct Traffic {
    /// How they follow each other.
    pub arrivals: Arrivals,
    /// Events per second over all connections; from 1 to one per nanosecond.
    pub rate: u32,
    /// By how many connections they go; at least 1. They take turns under a constant load and are
    /// independent of each other otherwise.
    pub connections: usize,
    /// The same seed gives the same moments.
    pub seed: u64,
}

impl Traffic {
    /// Equal intervals on one connection.
    pub fn constant(rate: u32) -> Self {
        Self { arrivals: Arrivals::Constant, rate, connections: 1, seed: 0 }
    }

    /// The events of one connection from `start_ns` on, for `length_ns`.
    ///
    /// # Panics
    /// When the rate is 0 or above one per nanosecond.
    pub fn departures(&self, connection: usize, start_ns: u64, length: Duration) -> Departures {
        let rate = u64::from(self.rate);
        assert!((1..=NANOS).contains(&rate), "a rate is from 1 to {NANOS} events per second");
        let mean_ns = (self.connections as u64 * NANOS) as f64 / rate as f64;
        let gaps = match self.arrivals {
            Arrivals::Constant => Gaps::Equal(Fraction::new(self.connections as u64, rate)),
            Arrivals::Poisson => Gaps::Random { mean_ns, burst: 1, left: 0 },
            Arrivals::Bursts(size) => Gaps::Random {
                mean_ns: mean_ns * f64::from(size.get()),
                burst: size.get(),
                left: 0,
            },
        };
        let random = Pcg64::seed_from_u64(self.seed.wrapping_add(connection as u64));
        let end_ns = start_ns + length.as_nanos() as u64;
        let mut departures = Departures { gaps, random, next_ns: start_ns, end_ns };
        match self.arrivals {
            Arrivals::Constant => {
                departures.next_ns += Fraction::new(connection as u64, rate).step();
            }
            _ => departures.advance(),
        }
        departures
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { arrivals, rate, connections, .. } = self;
        write!(f, "{rate} per second, {arrivals}, {connections} connections")
    }
}

/// The moments of one connection, one after the other.
#[derive(Clone, Debug)]
pub struct Departures {
    gaps: Gaps,
    random: Pcg64,
    next_ns: u64,
    end_ns: u64,
}

impl Departures {
    /// The moment of the next event, when it has come and the load is not over. Events that are
    /// late come one after the other, each with its own moment.
    #[inline]
    pub fn due(&mut self, now_ns: u64) -> Option<u64> {
        let due_ns = self.next_ns;
        if now_ns < due_ns || self.is_over() {
            return None;
        }
        self.advance();
        Some(due_ns)
    }

    /// Spins until the next event is due and returns its moment; `None` after the last. The log
    /// sees the time in each pass.
    #[inline]
    pub fn wait(&mut self, log: &mut GapLog) -> Option<u64> {
        while !self.is_over() {
            let now_ns = stamp::now();
            log.see(now_ns);
            if let Some(due_ns) = self.due(now_ns) {
                return Some(due_ns);
            }
            spin_loop();
        }
        None
    }

    /// Whether all events have been handed out.
    #[inline]
    pub fn is_over(&self) -> bool {
        self.next_ns >= self.end_ns
    }

    /// Nothing further is due.
    pub fn end(&mut self) {
        self.end_ns = 0;
    }

    #[inline]
    fn advance(&mut self) {
        self.next_ns += match &mut self.gaps {
            Gaps::Equal(fraction) => fraction.step(),
            Gaps::Random { left, .. } if *left > 0 => {
                *left -= 1;
                0
            }
            Gaps::Random { mean_ns, burst, left } => {
                *left = *burst - 1;
                let unit: f64 = Exp1.sample(&mut self.random);
                (unit * *mean_ns).round() as u64
            }
        };
    }
}

#[derive(Clone, Debug)]
enum Gaps {
    Equal(Fraction),
    /// `left` further events are due at the same moment.
    Random {
        mean_ns: f64,
        burst: u32,
        left: u32,
    },
}

/// Steps of `seconds / rate` in whole nanoseconds whose sum is never off by more than one: an
/// interval that is rounded once would be another rate.
#[derive(Clone, Debug)]
struct Fraction {
    whole_ns: u64,
    part: u64,
    carried: u64,
    rate: u64,
}

impl Fraction {
    fn new(seconds: u64, rate: u64) -> Self {
        let nanos = seconds * NANOS;
        Self { whole_ns: nanos / rate, part: nanos % rate, carried: 0, rate }
    }

    #[inline]
    fn step(&mut self) -> u64 {
        self.carried += self.part;
        let carry = u64::from(self.carried >= self.rate);
        self.carried -= carry * self.rate;
        self.whole_ns + carry
    }
}

const NANOS: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Recorder;

    fn moments(traffic: Traffic, connection: usize, length: Duration) -> Vec<u64> {
        let mut departures = traffic.departures(connection, 1_000, length);
        std::iter::from_fn(|| departures.due(u64::MAX)).collect()
    }

    #[test]
    fn event_i_is_due_at_the_start_and_i_over_the_rate() {
        for rate in [1, 3, 7_000, 300_000, 999_999_937] {
            let length = Duration::from_nanos(NANOS.min(100_000 * NANOS / u64::from(rate)));
            for (i, due) in moments(Traffic::constant(rate), 0, length).into_iter().enumerate() {
                assert_eq!(due, 1_000 + i as u64 * NANOS / u64::from(rate), "event {i} at {rate}");
            }
        }
    }

    #[test]
    fn connections_take_turns() {
        let traffic = Traffic { connections: 3, ..Traffic::constant(1_000) };
        let mut all: Vec<u64> = (0..3)
            .flat_map(|connection| moments(traffic, connection, Duration::from_millis(30)))
            .collect();
        all.sort_unstable();
        assert_eq!(all, moments(Traffic::constant(1_000), 0, Duration::from_millis(30)));
    }

    #[test]
    fn all_arrivals_keep_the_mean_rate_and_repeat_by_seed() {
        for text in ["constant", "poisson", "bursts:50"] {
            let arrivals = text.parse().unwrap();
            let traffic = Traffic { arrivals, connections: 2, ..Traffic::constant(100_000) };
            let second = Duration::from_secs(1);
            let events = moments(traffic, 0, second).len() + moments(traffic, 1, second).len();
            // Six standard deviations of the burstiest.
            assert!(events.abs_diff(100_000) < 14_000, "{events} events at {text}");
            assert_eq!(moments(traffic, 1, second), moments(traffic, 1, second));
        }
    }

    #[test]
    fn bursts_come_together_and_poisson_intervals_are_exponential() {
        let arrivals = Arrivals::Bursts(5.try_into().unwrap());
        let bursts =
            moments(Traffic { arrivals, ..Traffic::constant(10_000) }, 0, Duration::from_secs(1));
        assert!(bursts.chunks(5).all(|burst| burst.iter().all(|due| *due == burst[0])));
        let traffic = Traffic { arrivals: Arrivals::Poisson, ..Traffic::constant(10_000) };
        let poisson = moments(traffic, 0, Duration::from_secs(10));
        let long = poisson.windows(2).filter(|pair| pair[1] - pair[0] > 100_000).count();
        // One interval in e is longer than the mean.
        let share = long as f64 / poisson.len() as f64;
        assert!((share - (-1.0f64).exp()).abs() < 0.02, "{share} are longer than the mean");
    }

    /// A server in virtual time that takes `service_ns` per event and, once, does nothing between
    /// two moments. The sender offers an event only when it is free: the worst habit.
    fn serve(rate: u32, service_ns: u64, stall: std::ops::Range<u64>) -> Recorder {
        let mut departures = Traffic::constant(rate).departures(0, 0, Duration::from_secs(1));
        let (mut now, mut latency) = (0, Recorder::new());
        while !departures.is_over() {
            let Some(due) = departures.due(now) else {
                now += 100;
                continue;
            };
            now = if stall.contains(&now) { stall.end } else { now } + service_ns;
            latency.record(now - due);
        }
        latency
    }

    #[test]
    fn the_median_does_not_depend_on_the_rate() {
        for rate in [100, 1_000, 10_000, 100_000] {
            let p50 = serve(rate, 5_000, 0..0).quantile(0.5);
            assert!((p50 - 5_000.0).abs() <= 100.0, "{p50} ns at {rate} events per second");
        }
    }

    #[test]
    fn a_stall_is_seen_by_every_event_that_was_due_in_it() {
        // 100 ms at 10 000 per second: 1000 events, late by 100 ms, 99.9 ms, … 0.1 ms, and a few
        // more until the backlog is gone. A load that omits them reports one event of 100 ms.
        let latency = serve(10_000, 1_000, 500_000_000..600_000_000);
        let late = |ms: f64| {
            let steps = (0..=10_000).map(|i| f64::from(i) / 10_000.0);
            let first = steps.into_iter().find(|&q| latency.quantile(q) >= ms * 1e6).unwrap();
            (1.0 - first) * latency.count() as f64
        };
        assert_eq!(latency.count(), 10_000);
        assert!((late(50.0) - 505.0).abs() < 10.0, "{} were late by 50 ms", late(50.0));
        assert!((late(10.0) - 909.0).abs() < 15.0, "{} were late by 10 ms", late(10.0));
    }
}
