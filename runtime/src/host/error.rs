//! Why cores could not be started or did not end well.

use crate::poller;

/// Why cores could not be started or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The list of CPUs is empty.
    #[error("no CPU is given; name at least one")]
    NoCpu,
    /// The CPU does not exist or this process may not use it.
    #[error("CPU {cpu} does not exist or is not allowed for this process; allowed: {allowed}")]
    CpuNotAllowed {
        /// The CPU asked for.
        cpu: usize,
        /// Those that could be had, as ranges.
        allowed: String,
    },
    /// Cores would take all CPUs at the lowest real-time priority.
    #[error(
        "the process runs under SCHED_FIFO at priority 1, with a core on each of its CPUs \
         ({allowed}): busy cores would never let the other threads run, and no signal and no \
         --seconds would end them; start it at priority 2 or above (`chrt -f 2`), or leave a CPU \
         without a core (--cores)"
    )]
    RealTime {
        /// The CPUs, as ranges.
        allowed: String,
    },
    /// The kernel would kill a busy core.
    #[error(
        "the process runs under a real-time policy, and the kernel would end it when a core is \
         busy for {micros} µs (RLIMIT_RTTIME); lift that with `prlimit --rttime=unlimited` or \
         LimitRTTIME=infinity"
    )]
    RealTimeLimit {
        /// The limit.
        micros: u64,
    },
    /// The thread of a core could not start.
    #[error(
        "core {core} on CPU {cpu} cannot start: {reason}; check the limits of open files \
         (`ulimit -n`) and processes (`ulimit -u`), and whether CPUs and priorities may be set here"
    )]
    Thread {
        /// Index of the core.
        core: usize,
        /// Its CPU.
        cpu: usize,
        /// What the system says.
        reason: String,
    },
    /// The poller of a core could not be made.
    #[error("core {core} cannot start: {source}")]
    Poller {
        /// Index of the core.
        core: usize,
        /// What the poller says.
        source: poller::Error,
    },
    /// The thread that watches the heartbeats could not be started.
    #[error("cannot start the watchdog thread: {0}; raise the limit of processes")]
    Watchdog(std::io::Error),
    /// A reactor panicked; the other cores were stopped.
    #[error("core {core} panicked: {message}")]
    CorePanicked {
        /// Index of the core.
        core: usize,
        /// What the panic said.
        message: String,
    },
}
