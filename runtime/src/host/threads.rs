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

use super::HostConfig;
use crate::poller::{PollerKind, TOO_OLD, probe};

/// On what the cores of a host run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ground {
    /// Why cores run on plain threads instead of executors, and what would change that; `None` for
    /// executors.
    pub plain_because: Option<String>,
    /// How the poller of each core asks the kernel, in order of cores.
    pub pollers: Vec<PollerKind>,
    /// The real-time priority of the cores, if they had to be put below the threads around them.
    pub lowered_to: Option<i32>,
}

impl Ground {
    /// What is worth telling at the start, one line each: what is so, what it costs, the remedy.
    pub fn notices(&self) -> Vec<String> {
        let plain = self.plain_because.as_ref().map(|because| match self.asks_epoll() {
            true => format!(
                "cores run on plain threads and ask epoll, which costs each turn a system call \
                 (about 0.2 µs): {because}"
            ),
            false => format!("cores run on plain threads, which costs nothing: {because}"),
        });
        let lowered = self.lowered_to.map(|priority| {
            format!(
                "cores run at real-time priority {priority}, one below the threads that share \
                 their CPUs: a busy core would never let those run; leave a CPU without a core \
                 (--cores) to keep its priority"
            )
        });
        let some = (self.plain_because.is_none() && self.asks_epoll()).then(|| {
            let pollers = self.pollers.iter().enumerate();
            let asks = pollers.filter(|(_, kind)| **kind == PollerKind::Epoll);
            let cores = asks.map(|(core, _)| core.to_string()).collect::<Vec<_>>().join(", ");
            format!(
                "of the cores these ask epoll, which costs each turn a system call (about 0.2 µs): \
                 {cores}; io_uring was granted at first and refused then: raise the limits of open \
                 files (`ulimit -n`) and locked memory (`ulimit -l`)"
            )
        });
        plain.into_iter().chain(some).chain(lowered).collect()
    }

    /// Whether some core asks epoll.
    fn asks_epoll(&self) -> bool {
        self.pollers.contains(&PollerKind::Epoll)
    }
}

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
    /// Starts the thread of `core` on `cpu`, or anywhere, and runs `life` on it.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn start(
        core: usize,
        cpu: Option<usize>,
        plain: bool,
        life: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Self, String> {
        let name = format!("potoroo-{core}");
        if plain {
            let run = move || pin(cpu).map(|()| life());
            let thread = Builder::new().name(name).spawn(run);
            return thread.map(Self::Plain).map_err(|error| error.to_string());
        }
        LocalExecutorBuilder::new(cpu.map_or(Placement::Unbound, Placement::Fixed))
            .name(&name)
            .io_memory(IO_MEMORY_BYTES)
            .ring_depth(RING_DEPTH)
            .preempt_timer(NEVER)
            .spawn(move || async move { life() })
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

    fn ground(plain_because: Option<&str>, poller: PollerKind, lowered_to: Option<i32>) -> Ground {
        let plain_because = plain_because.map(str::to_owned);
        Ground { plain_because, pollers: vec![poller], lowered_to }
    }

    #[test]
    fn what_costs_something_is_told_with_the_remedy() {
        assert!(ground(None, PollerKind::Uring, None).notices().is_empty());
        let refused = without_uring("io_uring_setup: not permitted");
        let notices = ground(Some(&refused), PollerKind::Epoll, Some(1)).notices();
        assert!(notices[0].contains("0.2 µs") && notices[0].contains("not permitted"));
        assert!(notices[0].contains("kernel.io_uring_disabled") && notices[0].contains("seccomp"));
        assert!(notices[1].contains("real-time priority 1") && notices[1].contains("--cores"));
        let notices = ground(Some("no /sys"), PollerKind::Uring, None).notices();
        assert!(notices[0].contains("costs nothing"), "{notices:?}");
    }

    #[test]
    fn a_kernel_that_is_too_old_is_not_taken_for_one_that_refuses() {
        let old = without_uring(TOO_OLD);
        assert!(old.contains("6.1") && !old.contains("seccomp"), "{old}");
    }

    #[test]
    fn a_core_that_asks_epoll_beside_executors_is_told() {
        let pollers = vec![PollerKind::Uring, PollerKind::Epoll];
        let notices = Ground { plain_because: None, pollers, lowered_to: None }.notices();
        assert!(notices.len() == 1 && notices[0].contains("0.2 µs): 1;"), "{notices:?}");
    }

    #[test]
    fn without_executors_threads_are_plain() {
        let mut config = HostConfig::new(vec![0]);
        config.executors = false;
        assert!(Survey::take(&config).plain_because.is_some());
    }
}
