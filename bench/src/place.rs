//! Where slices run: two CPUs, and the priority of the threads on them.
//!
//! Owns: pinning, SCHED_FIFO, the start line. Promises: a thread gets its CPU before its set-up
//! starts, and real-time priority only between [`Gate::enter`] and the drop of [`Sprint`], so
//! preparing ten million keys never starves the machine. Must never: pin or raise the thread that
//! spawns the others, because children inherit both and then never run beside their parent.

use std::fs;
use std::sync::Barrier;
use std::thread;

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

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

    /// A place for toy sizes: normal priority, and one CPU is enough.
    #[cfg(test)]
    pub fn toy() -> Self {
        let cpus = allowed_cpus().expect("the affinity of this process can be read");
        Self { left: cpus[0], right: cpus[cpus.len() - 1], fifo: false }
    }

    /// Runs both sides on a pinned thread each and returns what they return.
    ///
    /// Each side prepares itself, then calls [`Gate::enter`] exactly once.
    pub fn pair<L: Send, R: Send>(
        self,
        left: impl FnOnce(&Gate) -> L + Send,
        right: impl FnOnce(&Gate) -> R + Send,
    ) -> (L, R) {
        let gate = Gate::new(2, self.fifo);
        thread::scope(|scope| {
            let left = scope.spawn(|| pinned(self.left, || left(&gate)));
            let right = scope.spawn(|| pinned(self.right, || right(&gate)));
            (join(left), join(right))
        })
    }

    /// Runs one side alone on the left CPU.
    pub fn alone<T: Send>(self, side: impl FnOnce(&Gate) -> T + Send) -> T {
        let gate = Gate::new(1, self.fifo);
        thread::scope(|scope| join(scope.spawn(|| pinned(self.left, || side(&gate)))))
    }
}

/// The start line of a slice: nobody starts before everybody is prepared.
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

impl Drop for Sprint {
    fn drop(&mut self) {
        if self.raised {
            set_policy(CALLER, libc::SCHED_OTHER, 0);
        }
    }
}

/// The measured part of a slice whose threads somebody else has spawned; dropping it returns them
/// to normal priority.
#[derive(Debug)]
pub struct Chase {
    threads: Vec<libc::pid_t>,
}

impl Chase {
    /// Raises all threads of a process whose names begin with `prefix`, and the caller above
    /// them: it has to wake up on a CPU that one of them never gives away.
    ///
    /// # Errors
    /// The process has ended, or has no such thread.
    pub fn start(place: Place, process: u32, prefix: &str) -> Result<Self> {
        if !place.fifo {
            return Ok(Self { threads: Vec::new() });
        }
        let threads = threads_named(process, prefix)?;
        ensure!(!threads.is_empty(), "process {process} has no thread `{prefix}…`");
        set_policy(CALLER, libc::SCHED_FIFO, FIFO_PRIORITY + 1);
        threads.iter().for_each(|&thread| {
            set_policy(thread, libc::SCHED_FIFO, FIFO_PRIORITY);
        });
        Ok(Self { threads })
    }
}

impl Drop for Chase {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            self.threads.iter().for_each(|&thread| {
                set_policy(thread, libc::SCHED_OTHER, 0);
            });
            set_policy(CALLER, libc::SCHED_OTHER, 0);
        }
    }
}

/// The threads of a process whose names begin with `prefix` and a digit.
fn threads_named(process: u32, prefix: &str) -> Result<Vec<libc::pid_t>> {
    let folder = format!("/proc/{process}/task");
    let tasks = fs::read_dir(&folder).with_context(|| format!("process {process} has ended"))?;
    let is_named = |task: &fs::DirEntry| {
        // A thread that has ended meanwhile has no name.
        let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let named = tasks.flatten().filter(is_named);
    Ok(named.filter_map(|task| task.file_name().to_str()?.parse().ok()).collect())
}

/// Binds the calling thread to one CPU.
///
/// # Errors
/// The CPU does not exist or is not allowed.
pub fn pin(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).with_context(|| format!("this thread cannot be put on CPU {cpu}"))
}

fn pinned<T>(cpu: usize, side: impl FnOnce() -> T) -> T {
    pin(cpu).expect("a CPU of the start's affinity stays allowed");
    side()
}

fn join<T>(side: thread::ScopedJoinHandle<'_, T>) -> T {
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
    let attempt = thread::spawn(|| set_policy(CALLER, libc::SCHED_FIFO, FIFO_PRIORITY));
    attempt.join().unwrap_or(false)
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
/// Many slices: a real-time program of somebody else on the other CPU can hold a side up that long.
const SPRINT_MICROS_MAX: u64 = 10_000_000;
