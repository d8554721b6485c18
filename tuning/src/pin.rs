//! Threads on CPUs of their own.

use std::io;
use std::thread::{Builder, Scope, ScopedJoinHandle};

use core_affinity::CoreId;
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::cpus::Cpus;

/// A CPU that cannot be had, or that no thread can be started for.
#[derive(Debug, thiserror::Error)]
pub enum NotHad {
    /// No thread can be put there.
    #[error(
        "CPU {cpu} cannot be had ({error}): it is offline, unknown, or outside the cpuset of this \
         process; choose others with --cores"
    )]
    Cpu {
        /// Its number.
        cpu: usize,
        /// What the system says.
        error: io::Error,
    },
    /// The system gives no further thread.
    #[error(
        "no thread can be started for CPU {cpu} ({error}): raise the limit of threads \
         (`ulimit -u`, TasksMax= or pids.max), or choose fewer CPUs with --cores"
    )]
    Thread {
        /// The number of the CPU.
        cpu: usize,
        /// What the system says.
        error: io::Error,
    },
}

/// Starts a thread that is to work on `cpu`; `work` binds it there with [`pin`].
///
/// # Errors
/// The system gives no further thread.
pub(crate) fn start<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    cpu: usize,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, NotHad> {
    Builder::new().spawn_scoped(scope, work).map_err(|error| NotHad::Thread { cpu, error })
}

/// Binds the calling thread to one CPU.
///
/// # Errors
/// The CPU cannot be had.
pub fn pin(cpu: usize) -> Result<(), NotHad> {
    let refused = |error| NotHad::Cpu { cpu, error };
    if cpu >= CpuSet::MAX_CPU {
        return Err(refused(io::ErrorKind::InvalidInput.into()));
    }
    match core_affinity::set_for_current(CoreId { id: cpu }) {
        true => Ok(()),
        false => Err(refused(io::Error::last_os_error())),
    }
}

/// Keeps the calling thread off `cores` if it has another place; measuring does not disturb then.
pub(crate) fn avoid(cores: &Cpus, allowed: &Cpus) {
    let mut set = CpuSet::new();
    let others = allowed.without(cores);
    others.iter().filter(|cpu| *cpu < CpuSet::MAX_CPU).for_each(|cpu| set.set(cpu));
    if set.count() > 0 {
        // Refused, it stays where it is: that costs precision, not truth.
        let _ = sched_setaffinity(None, &set);
    }
}
