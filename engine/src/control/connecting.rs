//! Hands the opened edges of an application to its cores, and starts the threads that serve them.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use potoroo_sdk::host::{SinkId, SourceId};
use potoroo_sdk::plan::Plan;

use super::attach::{Emptied, EmptiedFile};
use super::edges::{Edges, SinkEdge, SourceEdge};
use super::error::Error;
use super::recovery::Recovery;
use super::remedy;
use super::threads::Threads;
use crate::checkpoint::{PositionUnit, Transaction, Watched};
use crate::connect::pipe::PipeInlet;
use crate::connect::potoroo::deliver::Delivery;
use crate::connect::potoroo::hold::Hold;
use crate::connect::potoroo::streams::Streams;
use crate::connect::spool::{Spooler, Target, is_outstanding};
use crate::connect::visible::Visible;
use crate::turn::{Command, InletKind, Mailbox, NewInlet};

/// Hands the opened edges to the cores and starts the threads that serve them.
pub(super) struct Connecting<'a> {
    pub(super) plan: &'a Plan,
    pub(super) mailboxes: &'a [Mailbox],
    pub(super) sink_owners: &'a [usize],
    /// Bytes of committed output that may wait for a client of a sink.
    pub(super) backlog: u64,
    /// By source: where messages are counted that come again.
    pub(super) repeated: &'a [Arc<AtomicU64>],
}

/// What takes part in checkpoints besides the cores.
#[derive(Default)]
pub(super) struct Connected {
    /// Where committed output becomes visible.
    pub(super) visible: Vec<Visible>,
    /// Output that an earlier life has committed, and that may not be visible.
    pub(super) committed: Vec<Transaction>,
    /// The last epoch that was committed in this run.
    pub(super) epoch: Arc<AtomicU64>,
    /// By source: its streams, if it has some.
    pub(super) streams: Vec<Option<Arc<Streams>>>,
    /// By source: its file, if it can be read again.
    pub(super) files: Vec<Option<Watched>>,
}

impl Connecting<'_> {
    /// Returns the threads, and what takes part in checkpoints.
    pub(super) fn connect(
        &self,
        mut edges: Edges,
        mut threads: Threads,
        recovery: Option<&Recovery>,
    ) -> Result<(Threads, Connected), Error> {
        let mut connected = Connected::default();
        check_targets(&edges, recovery)?;
        threads.claims = std::mem::take(&mut edges.claims);
        for (index, edge) in edges.sinks.into_iter().enumerate() {
            let Some(edge) = edge else { continue };
            let (sink, core) = (SinkId(index as u16), &self.mailboxes[self.sink_owners[index]]);
            match (edge, recovery) {
                (SinkEdge::Transactional { target, append }, Some(recovery)) => {
                    let epoch = connected.epoch.clone();
                    let spooler = spooler(&target, append, recovery, epoch)?;
                    threads.spool(sink, spooler, None, core)?;
                    threads.attach.recovered(&target);
                    if recovery.manifest().is_none() && !append {
                        threads.attach.empty(emptied(&target));
                    }
                    connected.visible.push(Visible::File(target));
                }
                (SinkEdge::Client { address, token, target, lost }, Some(recovery)) => {
                    let hold = Arc::new(Hold::new(sink, target.clone(), self.mailboxes.to_vec()));
                    let delivery = self.delivery_of(&target, recovery, &hold)?.forgive(lost);
                    let delivery = Arc::new(delivery);
                    connected.committed.extend(delivery.waiting(recovery.transactions()));
                    let epoch = connected.epoch.clone();
                    let spooler = Spooler::new(target, generation(recovery), 0, epoch);
                    threads.spool(sink, spooler, Some(hold), core)?;
                    threads.deliver(delivery.clone(), address, token)?;
                    connected.visible.push(Visible::Client(delivery));
                }
                (edge, _) => threads.connect_sink(sink, edge, core)?,
            }
        }
        for (index, edge) in edges.sources.into_iter().enumerate() {
            self.connect_source(index, edge, &mut threads, recovery, &mut connected)?;
        }
        threads.write_letters(edges.letters)?;
        Ok((threads, connected))
    }

    fn connect_source(
        &self,
        index: usize,
        edge: SourceEdge,
        threads: &mut Threads,
        recovery: Option<&Recovery>,
        connected: &mut Connected,
    ) -> Result<(), Error> {
        let source = SourceId(index as u8);
        let name = &self.plan.sources[index].name;
        let core = &self.mailboxes[index % self.mailboxes.len()];
        let (mut streams, mut watched) = (None, None);
        match edge {
            SourceEdge::Generator(_) => {}
            SourceEdge::Channel(pipe) => {
                pipe.wakes(core.waker());
                let kind = InletKind::Archives;
                let port = Box::new(PipeInlet::handed_over(pipe));
                let new = NewInlet { source, kind, port, taken: None };
                threads.attach.send(core, Command::Inlet(new));
            }
            SourceEdge::File { file, path } => {
                let at = recovery.map(|recovery| recovery.position(name, PositionUnit::Bytes));
                let at = at.transpose()?.unwrap_or_default();
                let imprint = recovery.and_then(|recovery| recovery.imprint(name));
                watched = threads.read_file(source, (file, &path), (at, imprint), core)?;
            }
            SourceEdge::Listener { listener, connections } => {
                threads.accept(source, listener, connections, self.mailboxes)?;
            }
            SourceEdge::Connector { listener, token, streams: ends_after } => {
                let recovered = recovery.map_or_else(Vec::new, |recovery| recovery.streams(name));
                let cores = self.mailboxes.to_vec();
                let (kept, repeated) = (recovery.is_some(), self.repeated[index].clone());
                let of = Arc::new(Streams::new(source, kept, cores, &recovered, repeated));
                threads.serve(of.clone(), listener, token, ends_after)?;
                streams = Some(of);
            }
        }
        connected.streams.push(streams);
        connected.files.push(watched);
        Ok(())
    }
}

impl Connecting<'_> {
    /// Keeps what was committed for a client and drops the rest.
    fn delivery_of(
        &self,
        target: &Target,
        recovery: &Recovery,
        hold: &Arc<Hold>,
    ) -> Result<Delivery, Error> {
        let (recovered, backlog) = (&recovery.recovered, self.backlog);
        let manifest = recovery.manifest();
        let opened = Delivery::open(target, &recovered.head, manifest, hold.clone(), backlog);
        let delivery = opened.map_err(|error| {
            let reason = format!(
                "{error}; {} (output waits in that folder, which must be writable)",
                remedy::write(&error)
            );
            refused(&target.sink, target.folder().display().to_string(), reason)
        })?;
        // Before sources are opened.
        hold.look(!delivery.waiting(recovery.transactions()).is_empty());
        Ok(delivery)
    }
}

/// Refuses committed output that has no place any more.
fn check_targets(edges: &Edges, recovery: Option<&Recovery>) -> Result<(), Error> {
    let targets: Vec<&Target> = edges
        .sinks
        .iter()
        .filter_map(|edge| match edge {
            Some(SinkEdge::Transactional { target, .. } | SinkEdge::Client { target, .. }) => {
                Some(target)
            }
            _ => None,
        })
        .collect();
    let Some(recovery) = recovery else { return Ok(()) };
    recovery.transactions().iter().try_for_each(|one| check_place(one, &targets, recovery))
}

/// Refuses committed output that waits, and that no target would bring to where it belongs.
fn check_place(
    transaction: &Transaction,
    targets: &[&Target],
    recovery: &Recovery,
) -> Result<(), Error> {
    let sink = &transaction.sink;
    let Some(spool) = is_outstanding(transaction, recovery.folder()) else { return Ok(()) };
    for target in targets {
        let address = || target.path.display().to_string();
        if target.is_of(transaction).map_err(|error| refused(sink, address(), error))? {
            return Ok(());
        }
    }
    let reason = format!(
        "{} has committed output that it has not got yet: start once with the address that it \
         had, or move that file away if it is to be lost",
        spool.display()
    );
    Err(refused(sink, "another address than before".to_owned(), reason))
}

fn refused(sink: &str, address: String, reason: impl ToString) -> Error {
    Error::Sink { what: format!("sink `{sink}`"), address, reason: reason.to_string() }
}

/// Brings a transactional file into the state of the checkpoint; new output goes behind that.
fn spooler(
    target: &Target,
    append: bool,
    recovery: &Recovery,
    epoch: Arc<AtomicU64>,
) -> Result<Spooler, Error> {
    let checkpoint = recovery.manifest().is_some();
    let recovered = target.recover(checkpoint, recovery.transactions(), append);
    let address = || format!("file:{}", target.path.display());
    let offset = recovered.map_err(|error| match error.kind() {
        // It says what to do.
        ErrorKind::InvalidData => refused(&target.sink, address(), error),
        _ => {
            let reason = format!(
                "{error}; {} (output waits in its folder, which must be writable)",
                remedy::write(&error)
            );
            refused(&target.sink, address(), reason)
        }
    })?;
    Ok(Spooler::new(target.clone(), generation(recovery), offset, epoch))
}

fn emptied(target: &Target) -> Emptied {
    Emptied {
        what: format!("sink `{}`", target.sink),
        address: format!("file:{}", target.path.display()),
        file: EmptiedFile::Target(target.clone()),
    }
}

fn generation(recovery: &Recovery) -> u64 {
    recovery.recovered.head.generation
}
