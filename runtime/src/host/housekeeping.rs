//! The CPUs without a core, and the threads that stay on them.
//!
//! Owns the affinity of the calling thread for a while. A thread inherits the affinity of the one
//! that starts it, so threads that are started meanwhile never take the CPU of a core: without
//! that, each of their wake-ups may preempt a core for tens of microseconds although another CPU
//! is idle. Must never leave a thread without a CPU: where every allowed CPU has a core, nothing
//! changes.

use std::marker::PhantomData;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Keeps the calling thread, until this is dropped, and the threads that it starts meanwhile, for
/// good, on allowed CPUs without a core.
#[must_use = "dropping it gives the thread its former CPUs back"]
pub struct Housekeeping {
    before: Option<CpuSet>,
    /// It belongs to the thread that began it.
    one_thread: PhantomData<*const ()>,
}

impl Housekeeping {
    /// Begins, for cores on `cpus`.
    // cold: at start
    pub fn begin(cpus: &[usize]) -> Self {
        let narrowed = sched_getaffinity(None).ok().and_then(|allowed| {
            // Refused, the threads stay where they are, as without a CPU that is free of cores.
            let free = free_of(cpus, &allowed)?;
            sched_setaffinity(None, &free).ok().map(|()| allowed)
        });
        Self { before: narrowed, one_thread: PhantomData }
    }
}

impl Drop for Housekeeping {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // The kernel granted it before; were it refused now, this thread keeps fewer CPUs.
            let _ = sched_setaffinity(None, before);
        }
    }
}

/// The CPUs of `allowed` that are not among `cpus`, if there are any.
fn free_of(cpus: &[usize], allowed: &CpuSet) -> Option<CpuSet> {
    let mut free = *allowed;
    cpus.iter().filter(|&&cpu| cpu < CpuSet::MAX_CPU).for_each(|&cpu| free.unset(cpu));
    (free.count() > 0).then_some(free)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_of(cpus: &[usize]) -> CpuSet {
        let mut set = CpuSet::new();
        cpus.iter().for_each(|&cpu| set.set(cpu));
        set
    }

    #[test]
    fn cpus_without_a_core_are_left() {
        let allowed = set_of(&[1, 2, 5]);
        assert_eq!(free_of(&[2], &allowed), Some(set_of(&[1, 5])));
        assert_eq!(free_of(&[2, 2, 1], &allowed), Some(set_of(&[5])));
        assert_eq!(free_of(&[0, 1, 2, 5], &allowed), None, "every CPU has a core");
        assert_eq!(free_of(&[CpuSet::MAX_CPU], &allowed), Some(allowed));
    }

    #[test]
    fn threads_inherit_it_and_the_caller_gets_its_cpus_back() {
        let before = sched_getaffinity(None).expect("the kernel answers");
        let cpus: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|&cpu| before.is_set(cpu)).collect();
        let last = *cpus.last().expect("some CPU is allowed");
        let housekeeping = Housekeeping::begin(&[last]);
        let inherited = std::thread::spawn(|| sched_getaffinity(None).expect("it answers"));
        let inherited = inherited.join().expect("it does not panic");
        assert_eq!(inherited.is_set(last), cpus.len() == 1, "only a single CPU is shared");
        drop(housekeeping);
        assert_eq!(sched_getaffinity(None).expect("the kernel answers"), before);
        let nothing_left = Housekeeping::begin(&cpus);
        assert_eq!(sched_getaffinity(None).expect("the kernel answers"), before);
        drop(nothing_left);
    }
}
