//! Notices a core that has stopped turning.
//!
//! Owns one thread. Promises that a core which makes no progress for the limit ends the process
//! with a line that says which and why that happens. It counts its own ticks instead of reading a
//! clock, so a process that was stopped or a host that slept is no stall.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::{BEATS_ENDED, BEATS_NONE, HostConfig, Shared};
use crate::fatal::{Fatal, fatal};

/// Watches until it is dropped.
pub(super) struct Watchdog {
    /// Nothing is ever sent; its end is the signal.
    alive: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Starts watching, unless the limit says never.
    pub(super) fn start(config: &HostConfig, shared: Arc<Shared>) -> io::Result<Option<Self>> {
        if config.heartbeat_limit == Duration::MAX {
            return Ok(None);
        }
        let (alive, ended) = channel();
        let cpus = config.cpus.clone();
        let limit = config.heartbeat_limit;
        let watch = move || {
            if let Some(core) = watch(&shared, limit / TICKS_PER_LIMIT, &ended) {
                fatal(Fatal::CoreStalled, stall(core, cpus[core], limit));
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

/// Ticks until a core stalls, which it returns, or until watching ends.
fn watch(shared: &Shared, tick: Duration, ended: &Receiver<()>) -> Option<usize> {
    let mut pulses = vec![Pulse::default(); shared.beats.len()];
    while ended.recv_timeout(tick) == Err(RecvTimeoutError::Timeout) {
        for (core, pulse) in pulses.iter_mut().enumerate() {
            if pulse.is_stalled_after(shared.beats[core].load(Ordering::Relaxed)) {
                return Some(core);
            }
        }
    }
    None
}

/// What was last seen of one core.
#[derive(Clone, Copy, Default)]
struct Pulse {
    beats: u64,
    /// Ticks without a change.
    ticks: u32,
}

impl Pulse {
    fn is_stalled_after(&mut self, beats: u64) -> bool {
        if beats != self.beats || beats == BEATS_NONE || beats == BEATS_ENDED {
            *self = Self { beats, ticks: 0 };
            return false;
        }
        self.ticks += 1;
        self.ticks >= TICKS_PER_LIMIT
    }
}

fn stall(core: usize, cpu: usize, limit: Duration) -> String {
    format!(
        "core {core} on CPU {cpu} has finished no turn for {limit:?}; likely causes: a handler \
         that loops or waits, a debugger, or other work that takes the whole CPU"
    )
}

/// Ticks within the limit. A stall is noticed between one limit and an eighth more.
const TICKS_PER_LIMIT: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_core_that_turned_and_stopped_is_stalled() {
        let mut pulse = Pulse::default();
        assert!((0..100).all(|_| !pulse.is_stalled_after(BEATS_NONE)));
        assert!((1..100).all(|beats| !pulse.is_stalled_after(beats)));
        let stalled: Vec<bool> = (0..8).map(|_| pulse.is_stalled_after(99)).collect();
        assert_eq!(stalled, [false, false, false, false, false, false, false, true]);
        assert!((0..100).all(|_| !pulse.is_stalled_after(BEATS_ENDED)));
    }

    #[test]
    fn the_line_names_core_cpu_and_limit() {
        let line = stall(3, 11, Duration::from_secs(5));
        assert!(line.starts_with("core 3 on CPU 11 has finished no turn for 5s; likely causes"));
    }

    #[test]
    fn a_stall_is_found_and_the_end_is_heard() {
        let shared = Shared::new(2);
        shared.beats[1].store(7, Ordering::Relaxed);
        let (alive, ended) = channel();
        assert_eq!(watch(&shared, Duration::from_micros(10), &ended), Some(1));
        drop(alive);
        assert_eq!(watch(&shared, Duration::MAX, &ended), None);
    }
}
