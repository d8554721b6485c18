//! System: the clocks, pauses, threads and random numbers of threads beside the cores.
//!
//! They are those of the operating system, called as directly as without this file. A simulator
//! puts its own in their place, for a thread and for those that it starts: then time goes on when
//! all of them wait, one of them runs at a time, and a seed decides which. Must never be asked by a
//! core.

use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::mpsc::{Receiver, RecvError, RecvTimeoutError, TryRecvError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Builder, JoinHandle};
use std::time::{Duration, Instant};

use potoroo_runtime::{Clock, Nanos};
use rustix::time::{ClockId, clock_gettime};

/// What a simulator puts in the place of the operating system, for one process of its world.
pub trait SimulatedSystem: Send + Sync {
    /// For [`now`].
    fn now(&self) -> Instant;

    /// For [`boottime`].
    fn boottime(&self) -> Duration;

    /// For [`machine_time`].
    fn machine_time(&self) -> Nanos;

    /// For [`draw`].
    fn draw(&self) -> u64;

    /// For [`sleep`].
    fn pause(&self, pause: Duration);

    /// Lets `limit` pass, or less: until what another thread of this process did may matter.
    fn wait(&self, limit: Duration);

    /// Ends each [`wait`](Self::wait) of the other threads of this process.
    fn wake(&self);

    /// Has a thread `run`. What is returned waits for its end.
    fn start(&self, name: &str, run: Box<dyn FnOnce() + Send>) -> Box<dyn FnOnce() + Send>;
}

thread_local! {
    static SIMULATED: RefCell<Option<Arc<dyn SimulatedSystem>>> = const { RefCell::new(None) };
}

/// Puts `system` in the place of the operating system, for this thread; `None` takes it away.
pub fn simulate(system: Option<Arc<dyn SimulatedSystem>>) {
    SIMULATED.set(system);
}

fn simulated() -> Option<Arc<dyn SimulatedSystem>> {
    // A thread that ends asks, too, when its own values are gone.
    SIMULATED.try_with(|system| system.borrow().clone()).ok().flatten()
}

/// The time for pauses and limits: it does not go on while the machine sleeps.
pub fn now() -> Instant {
    simulated().map_or_else(Instant::now, |system| system.now())
}

/// Time since `then`, which is not later than now.
pub fn since(then: Instant) -> Duration {
    now().saturating_duration_since(then)
}

/// Time since the start of the machine, in which it also slept.
pub fn boottime() -> Duration {
    if let Some(system) = simulated() {
        return system.boottime();
    }
    let now = clock_gettime(ClockId::Boottime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
}

/// The time of cores.
pub fn machine_time() -> Nanos {
    simulated().map_or_else(|| Clock::new().now(), |system| system.machine_time())
}

/// A random number for names and owners: not for secrets, different in every process and call.
pub fn draw() -> u64 {
    match simulated() {
        Some(system) => system.draw(),
        None => RandomState::new().hash_one(std::process::id()),
    }
}

/// Waits for `pause`.
pub fn sleep(pause: Duration) {
    match simulated() {
        Some(system) => system.pause(pause),
        None => thread::sleep(pause),
    }
}

/// Has simulated threads of this process look again; all others are woken by what they wait for.
pub fn wake() {
    if let Some(system) = simulated() {
        system.wake();
    }
}

/// A simulated thread looks this often for what nothing wakes it for.
const SIMULATED_LOOK: Duration = Duration::from_millis(100);

/// Waits for `pause` before the next look at something: to be woken would cost another thread a
/// system call.
pub fn look_again_after(pause: Duration) {
    match simulated() {
        Some(system) => system.wait(SIMULATED_LOOK),
        None => thread::sleep(pause),
    }
}

/// The next message; waits for it `limit` at most.
///
/// # Errors
/// No message came in that time, or no sender is left.
pub fn receive<T>(from: &Receiver<T>, limit: Duration) -> Result<T, RecvTimeoutError> {
    let Some(system) = simulated() else { return from.recv_timeout(limit) };
    let until = system.now() + limit;
    loop {
        match from.try_recv() {
            Ok(message) => return Ok(message),
            Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
            Err(TryRecvError::Empty) => {}
        }
        let left = until.saturating_duration_since(system.now());
        if left.is_zero() {
            return Err(RecvTimeoutError::Timeout);
        }
        system.wait(left);
    }
}

/// The next message, which is waited for without end.
///
/// # Errors
/// No sender is left.
pub fn receive_any<T>(from: &Receiver<T>) -> Result<T, RecvError> {
    if simulated().is_none() {
        return from.recv();
    }
    loop {
        match receive(from, SIMULATED_LOOK) {
            Ok(message) => return Ok(message),
            Err(RecvTimeoutError::Disconnected) => return Err(RecvError),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// What threads of this process wait for together: something of `T` is to be another one.
#[derive(Debug, Default)]
pub struct Awaited<T> {
    value: Mutex<T>,
    changed: Condvar,
}

impl<T> Awaited<T> {
    /// It, for a look or a change. After a change that others wait for, [`wake`](Self::wake).
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has those that wait look again.
    pub fn wake(&self) {
        self.changed.notify_all();
        wake();
    }

    /// Waits while it is as `keeps` says, `limit` at most.
    pub fn wait_while(&self, limit: Duration, keeps: impl Fn(&T) -> bool) -> MutexGuard<'_, T> {
        let Some(system) = simulated() else {
            let waited = self.changed.wait_timeout_while(self.lock(), limit, |value| keeps(value));
            return waited.unwrap_or_else(PoisonError::into_inner).0;
        };
        let until = system.now() + limit;
        loop {
            let value = self.lock();
            let left = until.saturating_duration_since(system.now());
            if !keeps(&value) || left.is_zero() {
                return value;
            }
            drop(value);
            system.wait(left);
        }
    }
}

/// A thread beside the cores.
pub struct SideThread(RunningThread);

enum RunningThread {
    System(JoinHandle<()>),
    Simulated(Box<dyn FnOnce() + Send>),
}

impl SideThread {
    /// Starts one.
    ///
    /// # Errors
    /// The system has none left.
    pub fn start(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        if let Some(system) = simulated() {
            return Ok(Self(RunningThread::Simulated(system.start(name, Box::new(run)))));
        }
        let thread = Builder::new().name(name.to_owned()).spawn(run)?;
        Ok(Self(RunningThread::System(thread)))
    }

    /// Waits for its end.
    pub fn join(self) {
        match self.0 {
            // It panics by a bug only, and the panic was printed.
            RunningThread::System(thread) => drop(thread.join()),
            RunningThread::Simulated(join) => join(),
        }
    }
}
