//! Machine time, read from the time stamp counter.
//!
//! Owns the calibration, which happens once per process, and the conversion from ticks to
//! nanoseconds. Promises that reading costs about as much as the counter itself (11 ns) and that
//! values are anchored at the Unix epoch, so that those of two processes on one host compare: to
//! well under a microsecond at their start, then drifting by the error of the calibration (below
//! a few parts per million). It must never be read on the path of a frame: read it once per turn
//! and pass the value down.
//!
//! The anchor is taken once; steps of the host's wall clock are not followed, not even while it is
//! calibrated, because durations matter more here than the time of day.
#![allow(unsafe_code)]

use std::fmt;
use std::ops::{Add, Sub};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A point in machine time: nanoseconds since the Unix epoch. Not the time that data speaks of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub u64);

impl Nanos {
    /// The point before all others.
    pub const ZERO: Self = Self(0);
    /// The point after all others; "never".
    pub const MAX: Self = Self(u64::MAX);

    /// Nanoseconds from `earlier` to `self`; zero if `earlier` is in fact later, as happens when
    /// stamps of two cores are compared.
    #[inline]
    pub const fn saturating_sub(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The point `duration_ns` nanoseconds later, at most [`Nanos::MAX`].
    #[inline]
    pub const fn saturating_add(self, duration_ns: u64) -> Self {
        Self(self.0.saturating_add(duration_ns))
    }
}

impl Sub for Nanos {
    type Output = u64;

    /// As [`Nanos::saturating_sub`].
    #[inline]
    fn sub(self, earlier: Self) -> u64 {
        self.saturating_sub(earlier)
    }
}

impl Add<Duration> for Nanos {
    type Output = Self;

    /// As [`Nanos::saturating_add`].
    #[inline]
    fn add(self, duration: Duration) -> Self {
        self.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Nanos {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}ns", self.0)
    }
}

/// Reads machine time. Copies of it agree, whichever core holds them.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    source: Source,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    Counter(Calibration),
    /// No usable counter: the operating system is asked, at about 27 ns per reading.
    System {
        origin: Instant,
        origin_ns: u64,
    },
}

/// `ns = origin_ns + (ticks - origin_ticks) × ns_per_tick / 2^32`.
#[derive(Clone, Copy, Debug)]
struct Calibration {
    origin_ticks: u64,
    origin_ns: u64,
    /// Fixed point with 32 fractional bits.
    ns_per_tick: u64,
}

impl Clock {
    /// The clock of this process. The first call calibrates and takes about 20 ms.
    pub fn new() -> Self {
        static CLOCK: OnceLock<Clock> = OnceLock::new();
        *CLOCK.get_or_init(|| Self { source: calibrate(wall_ns).unwrap_or_else(system_source) })
    }

    /// The time now.
    #[inline]
    pub fn now(&self) -> Nanos {
        self.at(counter::read)
    }

    /// The time now, when everything before it in this thread is done. A processor reads its
    /// counter ahead of loads that are still under way, so a latency that ends with
    /// [`now`](Self::now) may leave out cache misses of what it measures. About 7 ns more.
    #[inline]
    pub fn settled(&self) -> Nanos {
        self.at(counter::read_settled)
    }

    #[inline(always)]
    fn at(&self, read: impl FnOnce() -> u64) -> Nanos {
        match self.source {
            Source::Counter(calibration) => Nanos(calibration.nanos(read())),
            Source::System { origin, origin_ns } => {
                Nanos(origin_ns.saturating_add(origin.elapsed().as_nanos() as u64))
            }
        }
    }

    /// Whether the time stamp counter is used; otherwise each reading asks the operating system.
    pub fn reads_counter(&self) -> bool {
        matches!(self.source, Source::Counter(_))
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Calibration {
    #[inline]
    fn nanos(&self, ticks: u64) -> u64 {
        // A core whose counter is a few ticks behind the calibrating one reads the origin.
        let ticks = ticks.saturating_sub(self.origin_ticks);
        let elapsed = (u128::from(ticks) * u128::from(self.ns_per_tick)) >> FRACTION_BITS;
        self.origin_ns.wrapping_add(elapsed as u64)
    }

    /// Anchored at `origin`, which has the time of day; at the rate between the other two.
    fn new(origin: Sample, first: Sample, last: Sample) -> Option<Self> {
        let ticks = last.ticks.checked_sub(first.ticks).filter(|&ticks| ticks > 0)?;
        let ns = last.ns.checked_sub(first.ns).filter(|&ns| ns > 0)?;
        let ns_per_tick = (u128::from(ns) << FRACTION_BITS) / u128::from(ticks);
        let ns_per_tick = u64::try_from(ns_per_tick).ok().filter(|&ratio| ratio > 0)?;
        Some(Self { origin_ticks: origin.ticks, origin_ns: origin.ns, ns_per_tick })
    }
}

/// The counter and another clock, read as closely together as possible.
#[derive(Clone, Copy)]
struct Sample {
    ticks: u64,
    ns: u64,
}

impl Sample {
    /// The tightest of many attempts: an interrupt between the readings spoils one, not all.
    fn take(mut read_ns: impl FnMut() -> u64) -> Self {
        (0..SAMPLE_ATTEMPTS)
            .map(|_| {
                let before = counter::read();
                let ns = read_ns();
                let after = counter::read();
                let width = after.wrapping_sub(before);
                (width, Self { ticks: before.wrapping_add(width / 2), ns })
            })
            .min_by_key(|(width, _)| *width)
            .map(|(_, sample)| sample)
            .expect("at least one attempt is made")
    }
}

fn calibrate(time_of_day_ns: impl FnMut() -> u64) -> Option<Source> {
    if !counter::is_invariant() {
        return None;
    }
    let begun = Instant::now();
    let steady_ns = || begun.elapsed().as_nanos() as u64;
    let (origin, first) = (Sample::take(time_of_day_ns), Sample::take(steady_ns));
    std::thread::sleep(CALIBRATION);
    Calibration::new(origin, first, Sample::take(steady_ns)).map(Source::Counter)
}

fn system_source() -> Source {
    Source::System { origin: Instant::now(), origin_ns: wall_ns() }
}

fn wall_ns() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since_epoch.as_nanos() as u64
}

const FRACTION_BITS: u32 = 32;
/// A sample is good to some 10 ns, so 20 ms give half a part per million; longer would be felt at
/// every start.
const CALIBRATION: Duration = Duration::from_millis(20);
const SAMPLE_ATTEMPTS: usize = 64;

#[cfg(target_arch = "x86_64")]
mod counter {
    use std::arch::x86_64::{__cpuid, _mm_lfence, _rdtsc};

    #[inline]
    pub fn read() -> u64 {
        // SAFETY: every x86_64 processor has the instruction, and it touches no memory. User code
        // may be denied it, but no supported system does so.
        unsafe { _rdtsc() }
    }

    /// Reads after every earlier instruction (Intel SDM volume 2, RDTSC).
    #[inline]
    pub fn read_settled() -> u64 {
        // SAFETY: as above; the fence is part of SSE2, which every x86_64 processor has.
        unsafe {
            _mm_lfence();
            _rdtsc()
        }
    }

    /// Whether the counter ticks at one rate through frequency changes and sleep states.
    pub fn is_invariant() -> bool {
        const POWER_LEAF: u32 = 0x8000_0007;
        __cpuid(0x8000_0000).eax >= POWER_LEAF && __cpuid(POWER_LEAF).edx & (1 << 8) != 0
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod counter {
    pub fn read() -> u64 {
        0
    }

    pub fn read_settled() -> u64 {
        0
    }

    pub fn is_invariant() -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_goes_back_on_one_thread() {
        let clock = Clock::new();
        let mut last = clock.now();
        for _ in 0..100_000 {
            let now = clock.now();
            assert!(now >= last);
            last = clock.settled();
            assert!(last >= now);
        }
    }

    #[test]
    fn time_is_anchored_at_the_epoch() {
        let year_2020 = Nanos(1_577_836_800_000_000_000);
        assert!(Clock::new().now() > year_2020);
    }

    #[test]
    fn conversion_is_linear_and_survives_large_counters() {
        let half = Calibration { origin_ticks: 1000, origin_ns: 7, ns_per_tick: 1 << 31 };
        assert_eq!(half.nanos(1000), 7);
        assert_eq!(half.nanos(1002), 8);
        assert_eq!(half.nanos(0), 7);
        assert_eq!(half.nanos(1000 + (1 << 62)), 7 + (1 << 61));
    }

    #[test]
    fn calibration_refuses_clocks_that_stand_still() {
        let sample = Sample { ticks: 10, ns: 10 };
        let to = |ticks, ns| Calibration::new(sample, sample, Sample { ticks, ns });
        assert!(to(10, 10).is_none());
        assert!(to(20, 10).is_none());
        assert!(to(20, 15).is_some());
    }

    /// The wall clock is set back, or ahead, while the counter is calibrated.
    #[test]
    fn the_rate_of_the_counter_is_not_that_of_a_wall_clock_that_is_set() {
        let rate = |source| match source {
            Some(Source::Counter(calibration)) => Some(calibration.ns_per_tick),
            _ => None,
        };
        let Some(right) = rate(calibrate(wall_ns)) else { return };
        for step_ns in [-7_000_000_i64, 7_000_000] {
            let mut set_ns = 0;
            let found = rate(calibrate(|| {
                set_ns += step_ns;
                wall_ns().wrapping_add_signed(set_ns)
            }));
            let apart = found.expect("the counter is as good as before").abs_diff(right);
            assert!(apart < right / 100, "{apart} of {right}");
        }
    }

    #[test]
    fn differences_saturate() {
        assert_eq!(Nanos(5) - Nanos(3), 2);
        assert_eq!(Nanos(3) - Nanos(5), 0);
        assert_eq!(Nanos::MAX + Duration::from_secs(1), Nanos::MAX);
    }
}
