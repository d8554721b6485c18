//! Real-time priorities, which threads inherit from the shell or service that starts the process.
//!
//! A busy core never gives its CPU away, and under a real-time policy the kernel does not take it:
//! threads of the same priority on that CPU would not run again, so neither a signal nor the end of
//! the time would be noticed. Owns the decision to put cores one below them, which every process
//! may do. Must never raise a priority.
#![allow(unsafe_code)]

use std::io;

use rustix::process::{Resource, getrlimit};
use rustix::thread::{CpuSet, sched_getaffinity};

use super::checks::ranges;
use super::config::HostConfig;
use super::error::Error;

/// The real-time policy of this thread, which those that it starts inherit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RealTime {
    priority: i32,
    /// Threads of one priority take turns (SCHED_RR).
    takes_turns: bool,
}

impl RealTime {
    /// That of the calling thread; `None` under any other policy, or if it is not inherited.
    pub(super) fn inherited() -> Option<Self> {
        // SAFETY: the call takes no pointer; zero is the calling thread.
        let policy = unsafe { libc::sched_getscheduler(CALLER) };
        // An error is a negative number, in which all bits may be set.
        if policy < 0 || policy & libc::SCHED_RESET_ON_FORK != 0 {
            return None;
        }
        let takes_turns = policy == libc::SCHED_RR;
        if !takes_turns && policy != libc::SCHED_FIFO {
            return None;
        }
        let mut parameters = libc::sched_param { sched_priority: 0 };
        // SAFETY: the pointer is to a live local of the type that the call fills.
        let known = unsafe { libc::sched_getparam(CALLER, &mut parameters) } == 0;
        known.then_some(Self { priority: parameters.sched_priority, takes_turns })
    }

    /// The priority that cores must have, if it is another one.
    fn for_cores(self, covers_all: bool) -> Result<Option<i32>, ()> {
        match self.priority {
            _ if !covers_all => Ok(None),
            1 if self.takes_turns => Ok(None),
            1 => Err(()),
            above => Ok(Some(above - 1)),
        }
    }
}

/// Decides which real-time priority the cores must have, if they need another one.
pub(super) fn decide(config: &HostConfig) -> Result<Option<i32>, Error> {
    let Some(policy) = RealTime::inherited() else { return Ok(None) };
    if let Some(micros) = getrlimit(Resource::Rttime).current {
        return Err(Error::RealTimeLimit { micros });
    }
    // If the affinity cannot be read, everything is taken as covered.
    let allowed = sched_getaffinity(None).unwrap_or_default();
    let lowered = policy.for_cores(covers(config, &allowed));
    lowered.map_err(|()| Error::RealTime { allowed: ranges(&allowed) })
}

/// Whether cores leave no CPU to the threads around them.
fn covers(config: &HostConfig, allowed: &CpuSet) -> bool {
    match config.pin {
        true => (0..CpuSet::MAX_CPU)
            .filter(|&cpu| allowed.is_set(cpu))
            .all(|cpu| config.cpus.contains(&cpu)),
        false => config.cpus.len() >= allowed.count() as usize,
    }
}

/// Gives the calling thread another real-time priority under the policy that it has.
pub(super) fn set(priority: i32) -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: the pointer is to a live local of the type that the call reads and does not keep.
    match unsafe { libc::sched_setparam(CALLER, &parameters) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The calling thread, for the system.
const CALLER: libc::pid_t = 0;

#[cfg(test)]
mod tests {
    use super::*;

    fn set_of(cpus: &[usize]) -> CpuSet {
        let mut set = CpuSet::new();
        cpus.iter().for_each(|&cpu| set.set(cpu));
        set
    }

    #[test]
    fn cores_on_all_cpus_run_one_below() {
        let fifo = |priority| RealTime { priority, takes_turns: false };
        let turns = |priority| RealTime { priority, takes_turns: true };
        assert_eq!(fifo(50).for_cores(true), Ok(Some(49)));
        assert_eq!(turns(50).for_cores(true), Ok(Some(49)));
        assert_eq!(fifo(50).for_cores(false), Ok(None), "other threads have a CPU");
        assert_eq!(fifo(1).for_cores(false), Ok(None));
        assert_eq!(fifo(1).for_cores(true), Err(()), "nothing is below");
        assert_eq!(turns(1).for_cores(true), Ok(None), "the kernel lets them take turns");
    }

    #[test]
    fn only_allowed_cpus_are_to_be_covered() {
        let mut config = HostConfig::new(vec![2, 3]);
        assert!(covers(&config, &set_of(&[2, 3])));
        assert!(covers(&config, &set_of(&[3])));
        assert!(!covers(&config, &set_of(&[2, 3, 4])));
        config.pin = false;
        assert!(covers(&config, &set_of(&[0, 1])));
        assert!(!covers(&config, &set_of(&[0, 1, 2])));
    }
}
