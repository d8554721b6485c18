//! Starting the cores: threads first, then pollers, then reactors.
//!
//! Owns the order. Promises that a start which fails halfway leaves no thread behind.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use glommio::{LocalExecutorBuilder, Placement};

use super::reactor_core::{self, IdlePolicy, Seat};
use super::watchdog::Watchdog;
use super::{Error, Host, HostConfig, Reactor, Shared, checks, executor_error};
use crate::poller::{self, Poller, Waker};

/// What a core's thread needs to go on once every poller exists.
pub(super) struct Build<B> {
    pub(super) build: B,
    pub(super) wakers: Arc<[Waker]>,
}

/// The starting core's connection to the thread that starts it.
pub(super) struct Port<B> {
    pub(super) waker: Sender<Result<Waker, poller::Error>>,
    pub(super) build: Receiver<Build<B>>,
}

/// The other end of a [`Port`]. A core whose gate is dropped ends without building.
struct Gate<B> {
    waker: Receiver<Result<Waker, poller::Error>>,
    build: Sender<Build<B>>,
}

pub(super) fn launch<R, F, B>(config: &HostConfig, mut make: F) -> Result<Host<R::Report>, Error>
where
    R: Reactor + 'static,
    F: FnMut(usize, &[Waker]) -> B,
    B: FnOnce(&mut Poller) -> R + Send + 'static,
{
    checks::check(config)?;
    let mut host = Host {
        threads: Vec::new(),
        cpus: config.cpus.clone(),
        wakers: Arc::new([]),
        shared: Arc::new(Shared::new(config.cpus.len())),
        watchdog: None,
    };
    // Declared after the host: on failure the gates go first, so the threads it waits for end.
    let gates = spawn_all(config, &mut host)?;
    host.wakers = collect_wakers(&gates, &mut host)?;
    for (core, gate) in gates.into_iter().enumerate() {
        let build = Build { build: make(core, &host.wakers), wakers: Arc::clone(&host.wakers) };
        // A core that is gone already tells why when it is joined.
        let _ = gate.build.send(build);
    }
    let shared = Arc::clone(&host.shared);
    host.watchdog = Watchdog::start(config, shared).map_err(Error::Watchdog)?;
    Ok(host)
}

fn spawn_all<R, B>(config: &HostConfig, host: &mut Host<R::Report>) -> Result<Vec<Gate<B>>, Error>
where
    R: Reactor + 'static,
    B: FnOnce(&mut Poller) -> R + Send + 'static,
{
    let mut gates = Vec::with_capacity(config.cpus.len());
    for (core, &cpu) in config.cpus.iter().enumerate() {
        let (waker_sender, waker) = channel();
        let (build, build_receiver) = channel();
        gates.push(Gate { waker, build });
        let port = Port { waker: waker_sender, build: build_receiver };
        let shared = Arc::clone(&host.shared);
        let seat = Seat { core, policy: IdlePolicy::new(config, cpu), shared };
        let placement = if config.pin { Placement::Fixed(cpu) } else { Placement::Unbound };
        let thread = LocalExecutorBuilder::new(placement)
            .name(&format!("potoroo-{core}"))
            .io_memory(IO_MEMORY_BYTES)
            .ring_depth(RING_DEPTH)
            .preempt_timer(NEVER)
            .spawn(move || async move { reactor_core::run(seat, port) })
            .map_err(|error| executor_error(core, cpu, &error))?;
        host.threads.push(thread);
    }
    Ok(gates)
}

fn collect_wakers<B, Report: Send + 'static>(
    gates: &[Gate<B>],
    host: &mut Host<Report>,
) -> Result<Arc<[Waker]>, Error> {
    let mut wakers = Vec::with_capacity(gates.len());
    for (core, gate) in gates.iter().enumerate() {
        match gate.waker.recv() {
            Ok(Ok(waker)) => wakers.push(waker),
            Ok(Err(source)) => return Err(Error::Poller { core, source }),
            Err(_) => return Err(executor_failure(core, host)),
        }
    }
    Ok(wakers.into())
}

/// A thread that ends before it has a poller could not start its executor.
fn executor_failure<Report: Send + 'static>(core: usize, host: &mut Host<Report>) -> Error {
    let cpu = host.cpus[core];
    match host.threads.remove(core).join() {
        Err(error) => executor_error(core, cpu, &error),
        Ok(_) => Error::Executor { core, cpu, reason: "its thread ended early".to_owned() },
    }
}

/// What an executor keeps in locked memory for files; its default of 10 MiB is more than many
/// hosts allow.
const IO_MEMORY_BYTES: usize = 1 << 20;
/// Entries of each of the executor's rings, which carry nothing.
const RING_DEPTH: usize = 64;
/// When the executor wants its thread back. Were that due before our task first runs, on a CPU that
/// is busy with other things, this version of it would take itself for idle and sleep for ever.
const NEVER: Duration = Duration::from_hours(24 * 365);
