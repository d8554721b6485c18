//! Starting the cores: threads first, then pollers, then reactors.
//!
//! Owns the order. Promises that a start which fails halfway leaves no thread behind.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::config::HostConfig;
use super::error::Error;
use super::ground::Ground;
use super::housekeeping::Housekeeping;
use super::port::{BuildOrder, CorePoller, Port, StartRefusal};
use super::reactor::Reactor;
use super::reactor_core::{self, IdlePolicy, Seat};
use super::running::RunningCores;
use super::signals::Signals;
use super::threads::{Survey, Thread};
use super::watchdog::Watchdog;
use super::{checks, priority};
use crate::poller::{Poller, PollerKind, Waker};

/// The other end of a [`Port`]. A core whose gate is dropped ends without building.
struct Gate<B> {
    waker: Receiver<Result<CorePoller, StartRefusal>>,
    build: Sender<BuildOrder<B>>,
}

/// Starts one core per entry of `config.cpus` and returns when all are set up.
///
/// `make` is called once per core, on this thread, with the core's index and the wakers of all;
/// what it returns is sent to the core's thread and builds the reactor there.
///
/// # Errors
/// If the configuration cannot be had on this host; nothing runs then.
pub fn start<R, F, B>(config: HostConfig, mut make: F) -> Result<RunningCores<R::Report>, Error>
where
    R: Reactor + 'static,
    F: FnMut(usize, &[Waker]) -> B,
    B: FnOnce(&mut Poller) -> R + Send + 'static,
{
    let config = &config;
    checks::check(config)?;
    let lowered_to = priority::decide(config)?;
    let Survey { plain_because, poller } = Survey::take(config);
    let mut host = RunningCores {
        threads: Vec::new(),
        ground: Ground { plain_because, pollers: Vec::new(), lowered_to },
        cpus: config.cpus.clone(),
        wakers: Arc::new([]),
        signals: Arc::new(Signals::new(config.cpus.len())),
        watchdog: None,
    };
    // Declared after the host: on failure the gates go first, so the threads it waits for end.
    let gates = spawn_all(config, poller, &mut host)?;
    host.wakers = collect_wakers(&gates, &mut host)?;
    let signals = Arc::clone(&host.signals);
    let housekeeping = config.pin.then(|| Housekeeping::begin(&config.cpus));
    host.watchdog = Watchdog::start(config, signals).map_err(Error::Watchdog)?;
    drop(housekeeping);
    // Nothing fails any more: a core that is being built may wait for the caller.
    for (core, gate) in gates.into_iter().enumerate() {
        let build =
            BuildOrder { build: make(core, &host.wakers), wakers: Arc::clone(&host.wakers) };
        // The reason of a core that is gone already comes when it is joined.
        let _ = gate.build.send(build);
    }
    Ok(host)
}

fn spawn_all<R, B>(
    config: &HostConfig,
    poller: PollerKind,
    host: &mut RunningCores<R::Report>,
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
        let signals = Arc::clone(&host.signals);
        let priority = host.ground.lowered_to;
        let seat = Seat { core, policy: IdlePolicy::new(config, cpu), signals, poller, priority };
        let run = move || reactor_core::run(seat, port);
        let plain = host.ground.plain_because.is_some();
        let thread = Thread::start(core, config.pin.then_some(cpu), plain, run);
        host.threads.push(thread.map_err(|reason| Error::Thread { core, cpu, reason })?);
    }
    Ok(gates)
}

fn collect_wakers<B, Report: Send + 'static>(
    gates: &[Gate<B>],
    host: &mut RunningCores<Report>,
) -> Result<Arc<[Waker]>, Error> {
    let mut wakers = Vec::with_capacity(gates.len());
    for (core, gate) in gates.iter().enumerate() {
        match gate.waker.recv() {
            Ok(Ok((waker, kind))) => {
                wakers.push(waker);
                host.ground.pollers.push(kind);
            }
            Ok(Err(StartRefusal::Poller(source))) => return Err(Error::Poller { core, source }),
            Ok(Err(StartRefusal::Priority(error))) => {
                let reason = format!("its real-time priority cannot be lowered: {error}");
                return Err(Error::Thread { core, cpu: host.cpus[core], reason });
            }
            Err(_) => return Err(thread_failure(core, host)),
        }
    }
    Ok(wakers.into())
}

/// A thread that ends before it has a poller could not begin.
fn thread_failure<Report: Send + 'static>(core: usize, host: &mut RunningCores<Report>) -> Error {
    let cpu = host.cpus[core];
    let ended = host.threads.remove(core).join();
    let reason = ended.err().unwrap_or_else(|| "its thread ended early".to_owned());
    Error::Thread { core, cpu, reason }
}
