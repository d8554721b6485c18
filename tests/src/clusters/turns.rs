//! Turns: the threads of all simulated processes run one at a time, in virtual time.
//!
//! A thread gives its turn away where it would wait: for a pause, an answer or a message. The next
//! one is that which is due first; time jumps to it. Threads are those of the operating system,
//! so the code that they run is that of the engine as it is, and can be ended wherever it waits.
//!
//! Promises: the same seed gives the same order. Must never do: know what a thread is for.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use potoroo_sdk::random::Random;

use crate::seeds::mix;

/// The number of a simulated process; [`WORLD`] for what is outside of all.
pub type ProcessId = usize;

/// The number of a node, by which it has its name.
pub type NodeIndex = usize;

/// The thread that has troubles happen belongs to it.
pub const WORLD: ProcessId = 0;

/// The threads of a world.
pub struct Turns {
    state: Mutex<Schedule>,
}

struct Schedule {
    now: Duration,
    current: usize,
    threads: Vec<TurnThread>,
    /// Numbers of those that have not ended.
    living: Vec<usize>,
    processes: Vec<ProcessTurns>,
    random: Random,
    handles: Vec<JoinHandle<()>>,
    /// Depends on each turn.
    trace: u64,
    steps: u64,
    /// What a thread has panicked with.
    panicked: Option<String>,
}

struct TurnThread {
    process: ProcessId,
    due: Duration,
    /// What another thread does may end its wait.
    wakes: bool,
    is_next: Arc<Condvar>,
}

#[derive(Default)]
struct ProcessTurns {
    is_dead: bool,
    stopped_until: Duration,
}

/// What a thread of a dead process unwinds with.
struct Killed;

thread_local! {
    static OWN: Cell<usize> = const { Cell::new(0) };
}

/// How late a thread may be that is due, at most and now and then.
const LATE: Duration = Duration::from_micros(500);
const LATE_MAX: Duration = Duration::from_millis(60);

impl Turns {
    /// The calling thread is the first, of the [`WORLD`], and it is its turn.
    pub fn new(random: Random) -> Self {
        OWN.set(0);
        let first = TurnThread {
            process: WORLD,
            due: Duration::ZERO,
            wakes: true,
            is_next: Arc::default(),
        };
        Self {
            state: Mutex::new(Schedule {
                now: Duration::ZERO,
                current: 0,
                threads: vec![first],
                living: vec![0],
                processes: vec![ProcessTurns::default()],
                random,
                handles: Vec::new(),
                trace: 0,
                steps: 0,
                panicked: None,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Schedule> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time since the world began.
    pub fn now(&self) -> Duration {
        self.lock().now
    }

    /// Depends on all turns so far, and their number.
    pub fn trace(&self) -> (u64, u64) {
        let state = self.lock();
        (state.trace, state.steps)
    }

    /// What a thread has panicked with.
    pub fn panicked(&self) -> Option<String> {
        self.lock().panicked.clone()
    }

    /// A new process.
    pub fn process(&self) -> ProcessId {
        let mut state = self.lock();
        state.processes.push(ProcessTurns::default());
        state.processes.len() - 1
    }

    /// Lets time pass until `due`. If it `wakes`, it ends earlier when it is woken.
    pub fn pass_until(&self, due: Duration, wakes: bool) {
        let own = OWN.get();
        let mut state = self.lock();
        let process = state.threads[own].process;
        if !state.processes[process].is_dead {
            let late = state.draw_late();
            let thread = &mut state.threads[own];
            (thread.due, thread.wakes) = (if process == WORLD { due } else { due + late }, wakes);
            state.hand_over();
            let is_next = state.threads[own].is_next.clone();
            while state.current != own {
                state = is_next.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
        let is_dead = state.processes[process].is_dead;
        drop(state);
        if is_dead && !std::thread::panicking() {
            resume_unwind(Box::new(Killed));
        }
    }

    /// Lets `pause` pass.
    pub fn pass(&self, pause: Duration, wakes: bool) {
        let until = self.now() + pause;
        self.pass_until(until, wakes);
    }

    /// Has the threads of `process` that can be woken look again.
    pub fn wake(&self, process: ProcessId) {
        let mut state = self.lock();
        let soon = state.now + state.draw_late();
        let Schedule { threads, living, .. } = &mut *state;
        for at in living {
            let thread = &mut threads[*at];
            if thread.process == process && thread.wakes && thread.due > soon {
                thread.due = soon;
            }
        }
    }

    /// Has the thread of the world be due at `at`, if it is not before.
    pub fn wake_world(&self, at: Duration) {
        let first = &mut self.lock().threads[0];
        first.due = first.due.min(at);
    }

    /// Starts a thread of `process`. Returns its number.
    pub fn start(
        self: &Arc<Self>,
        process: ProcessId,
        run: impl FnOnce() + Send + 'static,
    ) -> usize {
        let mut state = self.lock();
        let (number, due) = (state.threads.len(), state.now);
        let is_next: Arc<Condvar> = Arc::default();
        state.threads.push(TurnThread { process, due, wakes: false, is_next: is_next.clone() });
        state.living.push(number);
        let turns = self.clone();
        let body = move || {
            OWN.set(number);
            let mut state = turns.lock();
            while state.current != number {
                state = is_next.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            let is_dead = state.processes[process].is_dead;
            drop(state);
            // What a dead one was to use may pass time when it is dropped.
            let run = move || if is_dead { drop(run) } else { run() };
            let ended = catch_unwind(AssertUnwindSafe(run));
            turns.note(ended.err().filter(|payload| !payload.is::<Killed>()));
            turns.end(number);
        };
        let thread = Builder::new().stack_size(STACK_BYTES).spawn(body);
        state.handles.push(thread.expect("the system has a thread left"));
        number
    }

    fn note(&self, panicked: Option<Box<dyn std::any::Any + Send>>) {
        let Some(payload) = panicked else { return };
        let text = payload.downcast_ref::<String>().cloned();
        let text = text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        self.lock().panicked.get_or_insert(text.unwrap_or_default());
    }

    fn end(&self, number: usize) {
        let mut state = self.lock();
        state.living.retain(|one| *one != number);
        state.hand_over();
    }

    /// Waits until a thread has ended.
    pub fn join(&self, thread: usize) {
        while self.lock().living.contains(&thread) {
            if std::thread::panicking() {
                return;
            }
            self.pass(JOIN_LOOK, true);
        }
    }

    /// Ends all threads of `process` where they wait.
    pub fn kill(&self, process: ProcessId) {
        let mut state = self.lock();
        let now = state.now;
        let Schedule { threads, living, processes, .. } = &mut *state;
        processes[process].is_dead = true;
        processes[process].stopped_until = now;
        let of_it = living.iter().filter(|at| threads[**at].process == process);
        let of_it: Vec<usize> = of_it.copied().collect();
        of_it.into_iter().for_each(|at| threads[at].due = now);
    }

    /// Has all threads of `process` stand still until then.
    pub fn stop(&self, process: ProcessId, until: Duration) {
        self.lock().processes[process].stopped_until = until;
    }

    /// Of all threads that live: their processes, and when they are due.
    pub fn text(&self) -> String {
        let state = self.lock();
        let thread = |at: &usize| {
            let thread = &state.threads[*at];
            format!("{} of {} at {:?}", at, thread.process, thread.due)
        };
        state.living.iter().map(thread).collect::<Vec<_>>().join(", ")
    }

    /// Until when a process stands still, if it does.
    pub fn stopped_until(&self, process: ProcessId) -> Option<Duration> {
        let state = self.lock();
        Some(state.processes[process].stopped_until).filter(|until| *until > state.now)
    }

    /// Whether a process is dead.
    pub fn is_dead(&self, process: ProcessId) -> bool {
        self.lock().processes[process].is_dead
    }

    /// Ends all processes.
    pub fn end_all(&self) {
        let processes = self.lock().processes.len();
        (1..processes).for_each(|process| self.kill(process));
        while self.lock().living.len() > 1 {
            self.pass(Duration::from_millis(1), false);
        }
        let handles = std::mem::take(&mut self.lock().handles);
        handles.into_iter().for_each(|thread| thread.join().expect("panics are caught"));
    }
}

/// The deepest call of a node takes far less.
const STACK_BYTES: usize = 1 << 20;

/// How often it is looked whether a thread has ended.
const JOIN_LOOK: Duration = Duration::from_millis(20);

impl Schedule {
    fn draw_late(&mut self) -> Duration {
        let most = if self.random.chance(0.01) { LATE_MAX } else { LATE };
        most.mul_f64(self.random.f64())
    }

    fn due(&self, at: usize) -> Duration {
        let thread = &self.threads[at];
        thread.due.max(self.processes[thread.process].stopped_until)
    }

    /// Gives the turn to the thread that is due first.
    fn hand_over(&mut self) {
        let next = self.living.iter().copied().min_by_key(|at| (self.due(*at), *at));
        let Some(next) = next else { return };
        self.now = self.now.max(self.due(next));
        self.trace = mix(self.trace ^ next as u64, self.now.as_nanos() as u64);
        self.steps += 1;
        self.current = next;
        self.threads[next].is_next.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a thread has at its start; it passes time when it is dropped.
    struct Passes(Arc<Turns>);

    impl Drop for Passes {
        fn drop(&mut self) {
            self.0.pass(Duration::from_millis(1), false);
        }
    }

    #[test]
    fn a_thread_may_be_killed_before_its_first_turn() {
        let turns = Arc::new(Turns::new(Random::new(7)));
        let (process, passes) = (turns.process(), Passes(turns.clone()));
        turns.start(process, move || drop(passes));
        turns.kill(process);
        turns.end_all();
        assert_eq!(turns.panicked(), None);
    }
}
