//! Notices a core that has stopped turning.
//!
//! Owns one thread. Promises that a core which makes no progress for the limit ends the process
//! with a line that says which and why that happens. It counts its own ticks instead of reading a
//! clock, so a process that was stopped or a host that slept is no stall; and of each tick only
//! what the core ran or slept, so a core that waits for a CPU which others have is none either.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::config::HostConfig;
use super::scheduling::Sample;
use super::signals::{BEATS_ENDED, BEATS_NONE, Signals};
use crate::fatal::{Fatal, fatal};

/// Watches until it is dropped.
pub(super) struct Watchdog {
    /// Nothing is ever sent; its end is the signal.
    alive: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Starts watching, unless the limit says never.
    pub(super) fn start(config: &HostConfig, signals: Arc<Signals>) -> io::Result<Option<Self>> {
        if config.heartbeat_limit == Duration::MAX {
            return Ok(None);
        }
        let (alive, ended) = channel();
        let cpus = config.cpus.clone();
        let limit = config.heartbeat_limit;
        let watch = move || {
            if let Some((core, sample)) = watch(&signals, limit / TICKS_PER_LIMIT, &ended) {
                fatal(Fatal::CoreStalled, stall(core, cpus[core], limit, sample));
            }
        };
        let thread = Builder::new().name("potoroo-watch".to_owned()).spawn(watch)?;
        Ok(Some(Self { alive: Some(alive), thread: Some(thread) }))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.alive.take());
        if let Some(thread) = self.thread.take() {
            // It panics in no way; if it did, there is nothing left to watch.
            let _ = thread.join();
        }
    }
}

/// Ticks until a core stalls, which it returns with what its thread does, or until watching ends.
fn watch(signals: &Signals, tick: Duration, ended: &Receiver<()>) -> Option<(usize, Sample)> {
    let mut pulses = vec![Pulse::default(); signals.beats.len()];
    while ended.recv_timeout(tick) == Err(RecvTimeoutError::Timeout) {
        for (core, pulse) in pulses.iter_mut().enumerate() {
            let thread = || Sample::of(signals.threads[core].load(Ordering::Relaxed));
            if pulse.is_stalled_after(signals.beats[core].load(Ordering::Relaxed), tick, thread) {
                return Some((core, pulse.sample.unwrap_or(Sample::UNKNOWN)));
            }
        }
    }
    None
}

/// What was last seen of one core.
#[derive(Clone, Copy, Default)]
struct Pulse {
    beats: u64,
    /// Its thread at the last tick without a change.
    sample: Option<Sample>,
    /// Time without a change in which the thread could have turned.
    held: Duration,
}

impl Pulse {
    fn is_stalled_after(
        &mut self,
        beats: u64,
        tick: Duration,
        thread: impl FnOnce() -> Option<Sample>,
    ) -> bool {
        if beats != self.beats || beats == BEATS_NONE || beats == BEATS_ENDED {
            *self = Self { beats, ..Self::default() };
            return false;
        }
        let now = thread().unwrap_or(Sample::UNKNOWN);
        if let Some(earlier) = self.sample.replace(now) {
            self.held += now.counts(earlier, tick);
        }
        self.held >= TICKS_PER_LIMIT * tick
    }
}

fn stall(core: usize, cpu: usize, limit: Duration, sample: Sample) -> String {
    format!(
        "core {core} on CPU {cpu} has finished no turn for {limit:?}; likely causes: a handler \
         that loops or waits, or a debugger; its thread: {}; time in which it waited for a CPU is \
         not counted",
        sample.doing()
    )
}

/// Ticks within the limit. A stall is noticed between one limit and a quarter more, if the core has
/// its CPU to itself.
const TICKS_PER_LIMIT: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_core_that_turned_and_stopped_is_stalled() {
        let mut pulse = Pulse::default();
        let mut stalled = |beats| pulse.is_stalled_after(beats, TICK, || Some(sample('S', 0)));
        assert!((0..100).all(|_| !stalled(BEATS_NONE)));
        assert!((1..100).all(|beats| !stalled(beats)));
        assert!((0..8).all(|_| !stalled(99)));
        assert!(stalled(99));
        assert!((0..100).all(|_| !stalled(BEATS_ENDED)));
    }

    #[test]
    fn a_core_that_waits_for_its_cpu_is_not_stalled() {
        let mut pulse = Pulse::default();
        let mut stalled = |ran| pulse.is_stalled_after(1, TICK, || Some(sample('R', ran)));
        assert!((0..1000).all(|_| !stalled(0)), "others have the CPU");
        // An eighth of the CPU: eight times as long.
        assert!((1..64).all(|eighths| !stalled(eighths * 10)));
        assert!(stalled(64 * 10), "it has run for the limit");
    }

    #[test]
    fn without_proc_every_tick_counts() {
        let mut pulse = Pulse::default();
        let stalled: Vec<bool> =
            (0..10).map(|_| pulse.is_stalled_after(1, TICK, || None)).collect();
        assert_eq!(stalled.iter().position(|stalled| *stalled), Some(9));
    }

    const TICK: Duration = Duration::from_millis(80);

    fn sample(state: char, ran_ms: u64) -> Sample {
        Sample { state, ran: Duration::from_millis(ran_ms) }
    }

    #[test]
    fn the_line_names_core_cpu_and_limit() {
        let line = stall(3, 11, Duration::from_secs(5), sample('D', 0));
        assert!(line.starts_with("core 3 on CPU 11 has finished no turn for 5s; likely causes"));
        assert!(line.contains("it waits for a disk"), "{line}");
    }

    #[test]
    fn a_stall_is_found_and_the_end_is_noticed() {
        let signals = Signals::new(2);
        signals.beats[1].store(7, Ordering::Relaxed);
        let (alive, ended) = channel();
        let stalled = watch(&signals, Duration::from_micros(10), &ended);
        assert_eq!(stalled, Some((1, Sample::UNKNOWN)), "no thread, so every tick counts");
        drop(alive);
        assert_eq!(watch(&signals, Duration::MAX, &ended), None);
    }
}
