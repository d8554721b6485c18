//! Where slices run: two CPUs, and the priority of the threads on them.
//!
//! Owns: pinning, SCHED_FIFO, the start line. Promises: a thread gets its CPU before its set-up
//! starts, and real-time priority only between [`Gate::enter`] and the drop of [`Sprint`], so
//! preparing ten million keys never starves the machine. Must never: pin or raise the thread that
//! spawns the others, because children inherit both and then never run beside their parent.

use std::fs;
use std::io;
use std::sync::Barrier;
use std::sync::mpsc::channel;
use std::thread::{self, Builder, Scope, ScopedJoinHandle};

use anyhow::{Context, Result, ensure};
use core_affinity::CoreId;
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity};

/// Two CPUs and whether slices may use real-time priority.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// CPU number of the side that produces, asks or sends.
    pub left: usize,
    /// CPU number of the side that owns, answers or receives.
    pub right: usize,
    /// Whether slices run under SCHED_FIFO 10.
    pub fifo: bool,
}

impl Place {
    /// The first two CPUs that this process may use, with SCHED_FIFO if it is permitted.
    ///
    /// # Errors
    /// Fewer than two CPUs are allowed: nothing between two cores can be measured then.
    pub fn choose() -> Result<Self> {
        let cpus = allowed_cpus()?;
        ensure!(
            cpus.len() >= 2,
            "the benchmarks need two CPUs and this process may use {} only: \
             widen its affinity (taskset, cpuset)",
            cpus.len()
        );
        limit_sprints()?;
        Ok(Self { left: cpus[0], right: cpus[1], fifo: fifo_permitted() })
    }

    /// The same place with another left CPU.
    ///
    /// # Errors
    /// This process may not use that CPU, or there is none of that number.
    pub fn with_left(self, left: usize) -> Result<Self> {
        let cpus = allowed_cpus()?;
        ensure!(cpus.contains(&left), "CPU {left} is not among those that may be used: {cpus:?}");
        Ok(Self { left, ..self })
    }

    /// A place for toy sizes: normal priority, and one CPU is enough.
    ///
    /// # Panics
    /// The affinity of this process cannot be read.
    pub fn toy() -> Self {
        let cpus = allowed_cpus().expect("the affinity of this process can be read");
        Self { left: cpus[0], right: cpus[cpus.len() - 1], fifo: false }
    }

    /// Runs both sides on a pinned thread each and returns what they return.
    ///
    /// Each side prepares itself, then calls [`Gate::enter`] exactly once.
    ///
    /// # Errors
    /// The system gives no further thread; neither side has run then.
    pub fn pair<L: Send, R: Send>(
        self,
        left: impl FnOnce(&Gate) -> L + Send,
        right: impl FnOnce(&Gate) -> R + Send,
    ) -> Result<(L, R)> {
        let gate = Gate::new(2, self.fifo);
        let (begin, begun) = channel();
        thread::scope(|scope| {
            let line = &gate;
            // Begins when there is a right side: it would wait at the gate for one for ever.
            let left = move || begun.recv().ok().map(|()| pinned(self.left, || left(line)));
            let left = start(scope, left)?;
            // An error drops `begin`, and the left side ends without having begun.
            let right = start(scope, || pinned(self.right, || right(line)));
            let (right, begin) = (right?, begin);
            begin.send(()).expect("the left side waits for it");
            Ok((join(left).expect("the message to begin was sent"), join(right)))
        })
    }

    /// Runs one side alone on the left CPU.
    ///
    /// # Errors
    /// The side fails, or the system gives no further thread.
    pub fn alone<T: Send>(self, side: impl FnOnce(&Gate) -> Result<T> + Send) -> Result<T> {
        let gate = Gate::new(1, self.fifo);
        thread::scope(|scope| join(start(scope, || pinned(self.left, || side(&gate)))?))
    }
}

/// The start line of a slice: no side starts before all are prepared.
#[derive(Debug)]
pub struct Gate {
    barrier: Barrier,
    fifo: bool,
}

impl Gate {
    /// A line for `sides` threads.
    pub fn new(sides: usize, fifo: bool) -> Self {
        Self { barrier: Barrier::new(sides), fifo }
    }

    /// Waits for the others, then raises the priority until the result is dropped.
    ///
    /// The wait blocks instead of spinning: a raised spinner could keep a side that shares its
    /// CPU from ever arriving.
    #[must_use]
    pub fn enter(&self) -> Sprint {
        self.barrier.wait();
        Sprint { raised: self.fifo && set_policy(CALLER, libc::SCHED_FIFO, FIFO_PRIORITY) }
    }
}

/// The measured part of a slice; dropping it returns the thread to normal priority.
#[derive(Debug)]
pub struct Sprint {
    raised: bool,
}

impl Sprint {
    /// Raises the calling thread above those in a slice: it wakes up now and then, on a CPU that
    /// they never give away.
    #[cfg(feature = "aeron")]
    #[must_use]
    pub fn above(place: Place) -> Self {
        Self { raised: place.fifo && set_policy(CALLER, libc::SCHED_FIFO, FIFO_PRIORITY + 1) }
    }
}

impl Drop for Sprint {
    fn drop(&mut self) {
        if self.raised {
            set_policy(CALLER, libc::SCHED_OTHER, 0);
        }
    }
}

/// The measured part of a slice whose threads were spawned elsewhere; dropping it returns them
/// to normal priority.
#[derive(Debug)]
pub struct Chase {
    threads: Vec<libc::pid_t>,
}

impl Chase {
    /// Raises the cores of the engine in a process. The caller and the engine's admin thread are
    /// put above them: they have to wake up on a CPU that a core never gives away.
    ///
    /// # Errors
    /// The process has ended, or runs no engine.
    pub fn start(place: Place, process: u32) -> Result<Self> {
        Self::of(place, &engine_threads(process)?)
    }

    /// As [`start`](Self::start), of these threads: a process may run several engines.
    ///
    /// # Errors
    /// There are none.
    pub fn of(place: Place, threads: &[EngineThread]) -> Result<Self> {
        ensure!(!threads.is_empty(), "there is no core of the engine");
        if !place.fifo {
            return Ok(Self { threads: Vec::new() });
        }
        for thread in threads {
            set_policy(thread.id, libc::SCHED_FIFO, thread.priority);
        }
        set_policy(CALLER, libc::SCHED_FIFO, FIFO_PRIORITY + 1);
        Ok(Self { threads: threads.iter().map(|thread| thread.id).chain([CALLER]).collect() })
    }
}

/// A core or the admin thread of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineThread {
    id: libc::pid_t,
    priority: libc::c_int,
}

/// All cores and admin threads of the engines in a process.
///
/// # Errors
/// The process has ended.
pub fn engine_threads(process: u32) -> Result<Vec<EngineThread>> {
    let threads = threads_of(process)?.into_iter();
    let of_engine = |(name, id): (String, libc::pid_t)| {
        chase_priority(&name).map(|priority| EngineThread { id, priority })
    };
    Ok(threads.filter_map(of_engine).collect())
}

impl Drop for Chase {
    fn drop(&mut self) {
        for &thread in &self.threads {
            set_policy(thread, libc::SCHED_OTHER, 0);
        }
    }
}

/// What a thread of the engine gets by its name: `potoroo-0`, `potoroo-1`, … are its cores.
fn chase_priority(name: &str) -> Option<libc::c_int> {
    match name.trim().strip_prefix("potoroo-")? {
        "admin" => Some(FIFO_PRIORITY + 1),
        number => number.starts_with(|c: char| c.is_ascii_digit()).then_some(FIFO_PRIORITY),
    }
}

/// Names and numbers of the threads of a process.
fn threads_of(process: u32) -> Result<Vec<(String, libc::pid_t)>> {
    let folder = format!("/proc/{process}/task");
    let tasks = fs::read_dir(&folder).with_context(|| format!("process {process} has ended"))?;
    let thread = |task: fs::DirEntry| {
        // A thread that has ended meanwhile has no name.
        let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        Some((name, task.file_name().to_str()?.parse().ok()?))
    };
    Ok(tasks.flatten().filter_map(thread).collect())
}

/// Binds the calling thread to one CPU.
///
/// # Errors
/// The CPU does not exist or is not allowed.
pub fn pin(cpu: usize) -> Result<()> {
    if core_affinity::set_for_current(CoreId { id: cpu }) {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    Err(error).with_context(|| format!("this thread cannot be put on CPU {cpu}"))
}

/// Starts a thread of a benchmark.
///
/// # Errors
/// The system gives no further thread.
pub fn start<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>> {
    Builder::new().spawn_scoped(scope, work).context(
        "the system gives no further thread: raise the limit of threads (`ulimit -u`, TasksMax= \
         or pids.max)",
    )
}

fn pinned<T>(cpu: usize, side: impl FnOnce() -> T) -> T {
    pin(cpu).expect("a CPU of the start's affinity stays allowed");
    side()
}

/// What a thread returns; its panic goes on here.
pub fn join<T>(side: ScopedJoinHandle<'_, T>) -> T {
    side.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn allowed_cpus() -> Result<Vec<usize>> {
    let set = sched_getaffinity(None).context("the affinity of this process cannot be read")?;
    Ok((0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect())
}

/// A raised thread that never ends would take its CPU from the whole machine: the kernel ends the
/// process (SIGXCPU) when one has run for longer than any slice may.
fn limit_sprints() -> Result<()> {
    let current = Some(SPRINT_MICROS_MAX);
    // The hard limit is later, so that the signal is the one that names the reason.
    let maximum = Some(2 * SPRINT_MICROS_MAX);
    setrlimit(Resource::Rttime, Rlimit { current, maximum })
        .context("the time of real-time threads cannot be limited")
}

/// Tries it on a thread of its own, so that the caller keeps its policy whatever happens.
fn fifo_permitted() -> bool {
    let raise = || set_policy(CALLER, libc::SCHED_FIFO, FIFO_PRIORITY);
    Builder::new().spawn(raise).is_ok_and(|attempt| attempt.join().unwrap_or(false))
}

/// Sets policy and priority of a thread; false when the system refuses.
#[allow(unsafe_code)]
fn set_policy(thread: libc::pid_t, policy: libc::c_int, priority: libc::c_int) -> bool {
    let param = libc::sched_param { sched_priority: priority };
    // SAFETY: the pointer is to a live local of the type that the call reads, and the call keeps
    // nothing; a number that is no thread is refused. RESET_ON_FORK keeps children normal.
    unsafe { libc::sched_setscheduler(thread, policy | libc::SCHED_RESET_ON_FORK, &param) == 0 }
}

/// What the system understands as the calling thread.
const CALLER: libc::pid_t = 0;
/// Above everything that a build does, below the kernel's own real-time threads.
const FIFO_PRIORITY: libc::c_int = 10;
/// Many slices: another real-time program on the other CPU can hold a side up that long.
const SPRINT_MICROS_MAX: u64 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_and_the_admin_thread_are_known_by_name() {
        assert_eq!(chase_priority("potoroo-0\n"), Some(FIFO_PRIORITY));
        assert_eq!(chase_priority("potoroo-admin\n"), Some(FIFO_PRIORITY + 1));
        assert_eq!(chase_priority("potoroo-control\n"), None);
        assert_eq!(chase_priority("main\n"), None);
    }
}
