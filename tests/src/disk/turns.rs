//! Turns: several processes on one disk, of which one at a time makes its next step.
//!
//! Promises: the order follows from the seed alone. A process that sleeps while others do much is
//! drawn often.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use potoroo_sdk::random::Random;

/// The order of the steps of several processes, each on a thread of its own.
pub struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    random: Random,
    /// How probable it is that the process that made the last step makes the next, too.
    goes_on: f64,
    processes: Vec<Process>,
    /// Which of them runs, or ran last.
    last: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Process {
    Runs,
    Waits,
    Ended,
}

/// The turns of one process, which ends with it.
#[derive(Clone)]
pub struct Turn {
    turns: Arc<Turns>,
    process: usize,
}

impl Turns {
    /// Turns of `count` processes.
    pub fn draw(seed: u64, count: usize) -> Vec<Turn> {
        let mut random = Random::new(seed);
        let goes_on = [0.3, 0.9, 0.99][random.below(3) as usize];
        let processes = vec![Process::Runs; count];
        let state = Mutex::new(State { random, goes_on, processes, last: 0 });
        let turns = Arc::new(Self { state, changed: Condvar::new() });
        (0..count).map(|process| Turn { turns: turns.clone(), process }).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The process of a turn runs; it makes no further step when this is dropped.
pub struct TurnEnd<'a>(&'a Turn);

impl Drop for TurnEnd<'_> {
    fn drop(&mut self) {
        drop(self.0.leave(Process::Ended));
    }
}

impl Turn {
    /// Waits for the first step of the process.
    #[must_use]
    pub fn begin(&self) -> TurnEnd<'_> {
        self.wait();
        TurnEnd(self)
    }

    /// Waits until this process may make its next step. No other runs until it waits again.
    pub fn wait(&self) {
        let mut state = self.leave(Process::Waits);
        while state.processes[self.process] == Process::Waits {
            let waited = self.turns.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Another process may make a step.
    fn leave(&self, process: Process) -> MutexGuard<'_, State> {
        let mut state = self.turns.state();
        state.processes[self.process] = process;
        state.choose();
        self.turns.changed.notify_all();
        state
    }
}

impl State {
    /// Has one of those that wait run, unless one does.
    fn choose(&mut self) {
        if self.processes.contains(&Process::Runs) {
            return;
        }
        let of = |(at, process): (usize, &Process)| (*process == Process::Waits).then_some(at);
        let waiting: Vec<usize> = self.processes.iter().enumerate().filter_map(of).collect();
        if waiting.is_empty() {
            return;
        }
        if !waiting.contains(&self.last) || !self.random.chance(self.goes_on) {
            self.last = waiting[self.random.below(waiting.len() as u64) as usize];
        }
        self.processes[self.last] = Process::Runs;
    }
}
