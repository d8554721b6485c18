//! Threads on CPUs of their own.

use std::io;

use core_affinity::CoreId;
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::cpus::Cpus;

/// A CPU that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error(
    "CPU {cpu} cannot be had ({error}): it is offline, unknown, or outside the cpuset of this \
         process; choose others with --cores"
)]
pub struct NotHad {
    cpu: usize,
    error: io::Error,
}

/// Binds the calling thread to one CPU.
///
/// # Errors
/// The CPU cannot be had.
pub fn pin(cpu: usize) -> Result<(), NotHad> {
    let refused = |error| NotHad { cpu, error };
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
