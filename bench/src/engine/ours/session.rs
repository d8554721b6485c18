//! An engine that is set up once and measured in several windows.
//!
//! Between windows its load rests and its cores sleep.

use std::process;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use potoroo::{Config, Running};

use super::filled::{Build, FilledEngine, PHASE_DRAIN, PHASE_FLOW, PHASE_REST};
use super::look::{Look, between, look, look_when_caught_up};
use crate::engine::job::{Job, Pace};
use crate::engine::load::Load;
use crate::engine::window::MeasuredWindow;
use crate::pairs::WindowRunner;
use crate::place::{Chase, EngineThread, engine_threads};

/// A running engine with all keys in its tables.
pub struct EngineSession {
    job: Job,
    engine: FilledEngine,
    /// Number of its cores.
    cores: usize,
    /// Those of this engine: others may run in the process.
    threads: Vec<EngineThread>,
}

impl EngineSession {
    /// Starts the engine with one generator, fills its table and lets its load rest.
    ///
    /// # Errors
    /// The engine does not start, or refuses events.
    pub fn start(job: &Job, config: Config, build: impl Build) -> Result<Self> {
        let cores = config.cores.len();
        Self::of(job, cores, || FilledEngine::start(job, config, build))
    }

    /// As [`start`](Self::start), of an engine with this number of cores.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn of(
        job: &Job,
        cores: usize,
        start: impl FnOnce() -> Result<FilledEngine>,
    ) -> Result<Self> {
        let others = engine_threads(process::id())?;
        let engine = start()?;
        let mut threads = engine_threads(process::id())?;
        threads.retain(|thread| !others.contains(thread));
        let session = Self { job: *job, engine, cores, threads };
        session.rest()?;
        Ok(session)
    }

    /// The running engine.
    pub fn running(&self) -> &Running {
        &self.engine.running
    }

    /// The counters at both ends of a window.
    ///
    /// # Errors
    /// The cores do not sleep after it.
    pub fn looks(&self) -> Result<[Look; 2]> {
        self.looks_after_commits(0)
    }

    /// As [`looks`](Self::looks), after this number of checkpoints was committed since the load
    /// flows: a checkpoint under way had to wait while the load rested. A window begins without
    /// them if they take too long.
    ///
    /// # Errors
    /// As [`looks`](Self::looks).
    pub fn looks_after_commits(&self, commits: u64) -> Result<[Look; 2]> {
        let committed = || look(self.running()).checkpoints().committed;
        let enough = committed() + commits;
        let chase = Chase::of(self.job.place, &self.threads)?;
        self.set(PHASE_FLOW);
        let begun = Instant::now();
        while committed() < enough && begun.elapsed() < COMMITS_MAX {
            thread::sleep(COMMIT_LOOK);
        }
        let before = look_when_caught_up(self.running(), &self.job);
        thread::sleep(self.job.slice);
        let after = look(self.running());
        self.rest()?;
        drop(chase);
        Ok([before, after])
    }

    /// Returns when all cores sleep.
    fn rest(&self) -> Result<()> {
        let shares = &self.engine.shares;
        if self.job.pace == Pace::Full {
            self.set(PHASE_DRAIN);
            self.wait(|| shares.iter().all(|shared| shared.is_drained()))?;
        }
        self.set(PHASE_REST);
        self.wait(|| shares.iter().map(|shared| shared.asleep()).sum::<usize>() >= self.cores)
    }

    fn wait(&self, is_done: impl Fn() -> bool) -> Result<()> {
        let begun = Instant::now();
        while !is_done() {
            let is_late = begun.elapsed() >= FALL_ASLEEP_MAX;
            ensure!(!is_late, "a core of a resting engine does not sleep");
            thread::sleep(LOOK);
        }
        Ok(())
    }

    fn set(&self, phase: u8) {
        self.engine.shares.iter().for_each(|shared| shared.set(phase));
    }
}

impl WindowRunner<MeasuredWindow> for EngineSession {
    fn window(&mut self) -> Result<MeasuredWindow> {
        let window = between(&self.job, &self.looks()?);
        // Without real-time priority a short window may pass while something else runs.
        let is_measured = window.events > 0 || !self.job.place.fifo;
        ensure!(is_measured, "no event came through in the window");
        Ok(window)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let keys = self.job.keys;
        let (proofs, _) = self.engine.finish(keys)?;
        for (sent, checksum) in proofs {
            let is_right = sent > 0 && checksum == Load::checksum(keys, sent);
            ensure!(is_right, "the states do not add up to the events sent");
        }
        Ok(())
    }
}

/// How often the bench looks whether all cores sleep.
const LOOK: Duration = Duration::from_micros(100);
/// How often the bench looks whether a checkpoint was committed, and how long.
const COMMIT_LOOK: Duration = Duration::from_millis(2);
const COMMITS_MAX: Duration = Duration::from_millis(400);
/// A core that is not raised may wait for its CPU.
const FALL_ASLEEP_MAX: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::ours;
    use crate::place::Place;

    #[test]
    fn all_cores_of_a_resting_engine_sleep() {
        let slice = Duration::from_millis(5);
        let job = Job { place: Place::toy(), keys: 100, pace: Pace::Full, slice };
        let starts: [fn(&Job) -> Result<EngineSession>; 2] =
            [ours::session, ours::session_in_place];
        for start in starts {
            let mut session = start(&job).unwrap();
            for _ in 0..3 {
                session.window().unwrap();
                let asleep: usize = session.engine.shares.iter().map(|it| it.asleep()).sum();
                assert_eq!(asleep, session.cores);
            }
            Box::new(session).finish().unwrap();
        }
    }

    #[test]
    fn an_engine_that_is_dropped_at_rest_ends() {
        let slice = Duration::from_millis(5);
        let job = Job { place: Place::toy(), keys: 100, pace: Pace::Full, slice };
        drop(ours::session(&job).unwrap());
    }
}
