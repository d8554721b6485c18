//! Starting the cores: threads first, then pollers, then reactors.
//!
//! Owns the order. Promises that a start which fails halfway leaves no thread behind.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::reactor_core::{self, IdlePolicy, Seat};
use super::threads::{Ground, Survey, Thread};
use super::watchdog::Watchdog;
use super::{Error, Host, HostConfig, Reactor, Shared, checks, priority};
use crate::poller::{self, Poller, PollerKind, Waker};

/// What a core's thread needs to go on once every poller exists.
pub(super) struct Build<B> {
    pub(super) build: B,
    pub(super) wakers: Arc<[Waker]>,
}

/// The starting core's connection to the thread that starts it.
pub(super) struct Port<B> {
    pub(super) waker: Sender<Result<Ready, Refusal>>,
    pub(super) build: Receiver<Build<B>>,
}

/// A core that has its poller: how to wake it, and how it asks the kernel.
pub(super) type Ready = (Waker, PollerKind);

/// Why a core cannot have what it needs.
pub(super) enum Refusal {
    Poller(poller::Error),
    /// The real-time priority that it must have.
    Priority(std::io::Error),
}

/// The other end of a [`Port`]. A core whose gate is dropped ends without building.
struct Gate<B> {
    waker: Receiver<Result<Ready, Refusal>>,
    build: Sender<Build<B>>,
}

pub(super) fn launch<R, F, B>(config: &HostConfig, mut make: F) -> Result<Host<R::Report>, Error>
where
    R: Reactor + 'static,
    F: FnMut(usize, &[Waker]) -> B,
    B: FnOnce(&mut Poller) -> R + Send + 'static,
{
    checks::check(config)?;
    let lowered_to = priority::decide(config)?;
    let Survey { plain_because, poller } = Survey::take(config);
    let mut host = Host {
        threads: Vec::new(),
        ground: Ground { plain_because, pollers: Vec::new(), lowered_to },
        cpus: config.cpus.clone(),
        wakers: Arc::new([]),
        shared: Arc::new(Shared::new(config.cpus.len())),
        watchdog: None,
    };
    // Declared after the host: on failure the gates go first, so the threads it waits for end.
    let gates = spawn_all(config, poller, &mut host)?;
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

fn spawn_all<R, B>(
    config: &HostConfig,
    poller: PollerKind,
    host: &mut Host<R::Report>,
) -> Result<Vec<Gate<B>>, Error>
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
        let priority = host.ground.lowered_to;
        let seat = Seat { core, policy: IdlePolicy::new(config, cpu), shared, poller, priority };
        let life = move || reactor_core::run(seat, port);
        let plain = host.ground.plain_because.is_some();
        let thread = Thread::start(core, config.pin.then_some(cpu), plain, life);
        host.threads.push(thread.map_err(|reason| Error::Thread { core, cpu, reason })?);
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
            Ok(Ok((waker, kind))) => {
                wakers.push(waker);
                host.ground.pollers.push(kind);
            }
            Ok(Err(Refusal::Poller(source))) => return Err(Error::Poller { core, source }),
            Ok(Err(Refusal::Priority(error))) => {
                let reason = format!("its real-time priority cannot be lowered: {error}");
                return Err(Error::Thread { core, cpu: host.cpus[core], reason });
            }
            Err(_) => return Err(thread_failure(core, host)),
        }
    }
    Ok(wakers.into())
}

/// A thread that ends before it has a poller could not begin.
fn thread_failure<Report: Send + 'static>(core: usize, host: &mut Host<Report>) -> Error {
    let cpu = host.cpus[core];
    let ended = host.threads.remove(core).join();
    let reason = ended.err().unwrap_or_else(|| "its thread ended early".to_owned());
    Error::Thread { core, cpu, reason }
}
