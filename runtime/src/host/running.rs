//! Running cores, as the thread that started them holds them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;

use super::error::Error;
use super::ground::Ground;
use super::reactor_core::CoreOutcome;
use super::signals::{BEATS_ENDED, Signals};
use super::threads::Thread;
use super::watchdog::Watchdog;
use crate::poller::Waker;

/// Running cores. Dropping it stops them wherever they are, and waits for that.
pub struct RunningCores<Report: Send + 'static> {
    pub(super) threads: Vec<Thread<CoreOutcome<Report>>>,
    pub(super) ground: Ground,
    pub(super) cpus: Vec<usize>,
    pub(super) wakers: Arc<[Waker]>,
    pub(super) signals: Arc<Signals>,
    pub(super) watchdog: Option<Watchdog>,
}

impl<Report: Send + 'static> RunningCores<Report> {
    /// Waits until every reactor is done and returns what is left of them, in order of cores.
    ///
    /// # Errors
    /// If a reactor panicked; the others were stopped then.
    pub fn join(mut self) -> Result<Vec<Report>, Error> {
        let outcomes = self.join_threads();
        self.watchdog.take();
        let mut reports = Vec::with_capacity(outcomes.len());
        let mut failure = None;
        for (core, outcome) in outcomes.into_iter().enumerate() {
            match outcome? {
                CoreOutcome::Finished(report) => reports.push(report),
                CoreOutcome::Panicked(message) => {
                    failure = Some(Error::CorePanicked { core, message })
                }
                // Only a panic stops the others while the host is alive.
                CoreOutcome::Stopped => {}
            }
        }
        failure.map_or(Ok(reports), Err)
    }

    /// The wakers of all cores, in order.
    pub fn wakers(&self) -> &[Waker] {
        &self.wakers
    }

    /// On what the cores run.
    pub fn ground(&self) -> &Ground {
        &self.ground
    }

    /// How many cores have not ended.
    pub fn running(&self) -> usize {
        let ended = |beat: &&CachePadded<AtomicU64>| beat.load(Ordering::Relaxed) == BEATS_ENDED;
        self.signals.beats.len() - self.signals.beats.iter().filter(ended).count()
    }

    fn join_threads(&mut self) -> Vec<Result<CoreOutcome<Report>, Error>> {
        let threads = std::mem::take(&mut self.threads).into_iter().enumerate();
        threads
            .map(|(core, thread)| {
                let cpu = self.cpus[core];
                thread.join().map_err(|reason| Error::Thread { core, cpu, reason })
            })
            .collect()
    }
}

impl<Report: Send + 'static> Drop for RunningCores<Report> {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            self.signals.stop.store(true, Ordering::Release);
            self.wakers.iter().for_each(Waker::wake_if_parked);
            self.join_threads();
        }
    }
}
