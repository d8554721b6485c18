//! The threads of the cores: executors, or plain threads where the kernel refuses what those need.
//!
//! Owns the choice between the two and the message about it. An executor gives a core nothing at
//! run time, so a core on a plain thread is as fast; without io_uring its poller asks epoll, which
//! costs it a system call per turn. Must never start an executor that would end the process.

use std::fs;
use std::io;
use std::panic::resume_unwind;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use core_affinity::CoreId;
use glommio::{CpuSet, ExecutorJoinHandle, LocalExecutorBuilder, Placement};
use rustix::process::{Resource, getrlimit};

use super::config::HostConfig;
use crate::poller::{PollerKind, TOO_OLD, probe};

/// What the kernel grants, asked before any core starts.
pub(super) struct Survey {
    pub(super) plain_because: Option<String>,
    pub(super) poller: PollerKind,
}

impl Survey {
    pub(super) fn take(config: &HostConfig) -> Self {
        let poller = probe::poller();
        let kind = if poller.is_ok() { PollerKind::Uring } else { PollerKind::Epoll };
        let executors = match (config.executors, poller) {
            (false, _) => Err("executors are switched off".to_owned()),
            (true, Err(refused)) => Err(without_uring(&refused)),
            (true, Ok(())) => memory_fits().and_then(|()| topology_known(config)).and_then(|()| {
                probe::executors(config.cpus.len()).map_err(|refused| without_uring(&refused))
            }),
        };
        Self { plain_because: executors.err(), poller: kind }
    }
}

fn without_uring(refused: &str) -> String {
    if refused == TOO_OLD {
        return format!("{TOO_OLD}; use a later one");
    }
    format!(
        "io_uring is refused here ({refused}); allow it (kernel.io_uring_disabled, and in a \
         container a seccomp profile with io_uring_setup, io_uring_enter and io_uring_register)"
    )
}

fn memory_fits() -> Result<(), String> {
    match getrlimit(Resource::Memlock).current {
        Some(limit) if limit < LOCKED_BYTES_MIN => Err(format!(
            "locked memory is limited to {limit} bytes, and an executor asks for \
             {LOCKED_BYTES_MIN}; raise it with `ulimit -l` or LimitMEMLOCK="
        )),
        _ => Ok(()),
    }
}

/// An executor looks its CPU up under `/sys`.
fn topology_known(config: &HostConfig) -> Result<(), String> {
    let unknown = |reason: String| format!("the CPUs are not found in /sys ({reason}); mount it");
    if !config.pin {
        return Ok(());
    }
    fs::metadata(CPUS_ONLINE).map_err(|error| unknown(error.to_string()))?;
    let online = CpuSet::online().map_err(|error| unknown(error.to_string()))?;
    let missing = |cpu: &&usize| !online.iter().any(|location| location.cpu == **cpu);
    match config.cpus.iter().find(missing) {
        Some(cpu) => Err(unknown(format!("CPU {cpu} is missing"))),
        None => Ok(()),
    }
}

/// The thread of one core.
pub(super) enum Thread<T: Send + 'static> {
    Executor(ExecutorJoinHandle<T>),
    Plain(JoinHandle<Result<T, String>>),
}

impl<T: Send + 'static> Thread<T> {
    /// Starts the thread of `core` on `cpu`, or anywhere, and runs `run` on it.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn start(
        core: usize,
        cpu: Option<usize>,
        plain: bool,
        run: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Self, String> {
        let name = format!("potoroo-{core}");
        if plain {
            let pinned = move || pin(cpu).map(|()| run());
            let thread = Builder::new().name(name).spawn(pinned);
            return thread.map(Self::Plain).map_err(|error| error.to_string());
        }
        LocalExecutorBuilder::new(cpu.map_or(Placement::Unbound, Placement::Fixed))
            .name(&name)
            .io_memory(IO_MEMORY_BYTES)
            .ring_depth(RING_DEPTH)
            .preempt_timer(NEVER)
            .spawn(move || async move { run() })
            .map(Self::Executor)
            .map_err(|error| error.to_string())
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// Why the thread could not begin.
    pub(super) fn join(self) -> Result<T, String> {
        match self {
            Self::Executor(thread) => thread.join().map_err(|error| error.to_string()),
            Self::Plain(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
        }
    }
}

fn pin(cpu: Option<usize>) -> Result<(), String> {
    match cpu {
        Some(id) if !core_affinity::set_for_current(CoreId { id }) => {
            Err(format!("it cannot be put on its CPU: {}", io::Error::last_os_error()))
        }
        _ => Ok(()),
    }
}

/// What an executor keeps in locked memory for files; its default of 10 MiB is more than many
/// hosts allow.
const IO_MEMORY_BYTES: usize = 1 << 20;
/// An executor refuses to start below this.
const LOCKED_BYTES_MIN: u64 = 512 * 1024;
/// Entries of each of the executor's rings, which carry nothing.
const RING_DEPTH: usize = 64;
/// When the executor wants its thread back. Were that due before our task first runs, on a CPU that
/// is busy with other things, this version of it would take itself for idle and sleep for ever.
const NEVER: Duration = Duration::from_hours(24 * 365);
const CPUS_ONLINE: &str = "/sys/devices/system/cpu/online";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_reported_with_its_remedy() {
        let refused = without_uring("io_uring_setup: not permitted");
        assert!(refused.contains("not permitted"), "{refused}");
        assert!(refused.contains("kernel.io_uring_disabled") && refused.contains("seccomp"));
    }

    #[test]
    fn a_kernel_that_is_too_old_is_not_taken_for_one_that_refuses() {
        let old = without_uring(TOO_OLD);
        assert!(old.contains("6.1") && !old.contains("seccomp"), "{old}");
    }

    #[test]
    fn without_executors_threads_are_plain() {
        let mut config = HostConfig::new(vec![0]);
        config.executors = false;
        assert!(Survey::take(&config).plain_because.is_some());
    }
}
