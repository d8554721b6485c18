//! The limit of threads: whether the process may have as many as it starts with.
//!
//! An executor that cannot start its own helper panics on the core's thread. So as many threads as
//! an application starts with are started and ended before its cores.

use std::sync::Mutex;
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

use potoroo_sdk::plan::Plan;

use super::config::Config;
use super::error::Error;

/// Threads of a core: its own, and its executor's helper.
const CORE_THREADS: usize = 2;

/// Threads of a source or sink: one that reads or writes, and one that keeps its connection.
const EDGE_THREADS: usize = 2;

/// Threads that run once: watchdog, storage, the client of S3 with one that looks names up, the
/// admin port with one that looks into checkpoints. The supervisor looks, and runs already.
const OTHER_THREADS: usize = 6;

/// Threads of a node besides one for each other node: those of its two ports, and one that reads
/// what the lead wants.
const CLUSTER_THREADS: usize = 3;

/// Looks whether this process may have the threads of an application.
///
/// # Errors
/// The system gives fewer.
pub(super) fn check(plan: &Plan, config: &Config) -> Result<(), Error> {
    let edges = plan.sources.len() + plan.sinks.len();
    let nodes = config.cluster.as_ref().map_or(0, |_| CLUSTER_THREADS + config.nodes_max);
    let needed = config.cores.len() * CORE_THREADS + edges * EDGE_THREADS + OTHER_THREADS + nodes;
    let before = threads_now();
    let started = try_start(needed);
    wait_for_end(before);
    started.map_err(|(had, source)| Error::Threads { had, needed, source })
}

/// Has `count` threads at once, and ends them. Fails with how many there were.
fn try_start(count: usize) -> Result<(), (usize, std::io::Error)> {
    let gate = Mutex::new(());
    thread::scope(|scope| {
        let _closed = gate.lock();
        (0..count).try_for_each(|had| {
            let wait = || drop(gate.lock());
            Builder::new().spawn_scoped(scope, wait).map(drop).map_err(|error| (had, error))
        })
    })
}

/// A thread that has ended counts until the kernel has put it away.
fn wait_for_end(before: usize) {
    let begun = Instant::now();
    while threads_now() > before && begun.elapsed() < END_MAX {
        thread::sleep(Duration::from_micros(100));
    }
}

fn threads_now() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

/// How long the kernel may take; a program that embeds the engine may start others meanwhile.
const END_MAX: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::try_start;

    #[test]
    fn threads_are_there_at_once_and_end() {
        assert!(try_start(10).is_ok());
    }
}
