//! An engine that is set up once and measured in many windows.
//!
//! Between windows its load rests, and its cores run only while nothing else wants their CPUs
//! (SCHED_IDLE).

use std::process;
use std::thread;

use anyhow::{Result, ensure};
use potoroo::Config;

use super::filled::{Build, FilledEngine, PHASE_FLOW, PHASE_REST};
use super::look::{between, look, look_when_caught_up};
use crate::engine::job::Job;
use crate::engine::load::Load;
use crate::engine::window::Window;
use crate::pairs::Windows;
use crate::place::{self, Chase, EngineThread, engine_threads};

/// A running engine with all keys in its table.
pub struct EngineSession {
    job: Job,
    engine: FilledEngine,
    /// Those of this engine: others may run in the process.
    threads: Vec<EngineThread>,
}

impl EngineSession {
    /// Starts the engine, fills its table and lets its load rest.
    ///
    /// # Errors
    /// The engine does not start, or refuses events.
    pub fn start(job: &Job, config: Config, build: impl Build) -> Result<Self> {
        let others = engine_threads(process::id())?;
        let engine = FilledEngine::start(job, config, build)?;
        engine.shared.set(PHASE_REST);
        let mut threads = engine_threads(process::id())?;
        threads.retain(|thread| !others.contains(thread));
        place::rest(job.place, &threads, true);
        Ok(Self { job: *job, engine, threads })
    }
}

impl Windows<Window> for EngineSession {
    fn window(&mut self) -> Result<Window> {
        let FilledEngine { shared, running } = &self.engine;
        let chase = Chase::of(self.job.place, &self.threads)?;
        shared.set(PHASE_FLOW);
        let before = look_when_caught_up(running, &self.job);
        thread::sleep(self.job.slice);
        let after = look(running);
        shared.set(PHASE_REST);
        drop(chase);
        place::rest(self.job.place, &self.threads, true);
        let window = between(&self.job, &[before, after]);
        // Without real-time priority a short window may pass while something else runs.
        let is_measured = window.events > 0 || !self.job.place.fifo;
        ensure!(is_measured, "no event came through in the window");
        Ok(window)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let keys = self.job.keys;
        place::rest(self.job.place, &self.threads, false);
        let ((sent, checksum), _) = self.engine.finish(keys)?;
        let is_right = sent > 0 && checksum == Load::checksum(keys, sent);
        ensure!(is_right, "the states do not add up to the events sent");
        Ok(())
    }
}
