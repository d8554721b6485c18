//! The ports of the cores of a run: files, streams and gathered output, each slow and in pieces,
//! and where parts of checkpoints wait to be stored.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use potoroo::checkpoint::Epoch;
use potoroo::connect::gather::Gatherer;
use potoroo::connect::gathered::Gathered;
use potoroo::flow::PartStep;
use potoroo::turn::{Fill, InletPort, OutletPort, PartPort, Passed, PortLost};
use potoroo_runtime::Nanos;
use potoroo_sdk::host::SinkId;
use potoroo_sdk::random::Random;

use crate::workload::piece;

/// The time of a run: it passes from turn to turn, and a little with each look at it.
#[derive(Clone)]
pub(super) struct Time {
    ns: Arc<AtomicU64>,
    look_ns: u64,
}

impl Time {
    pub(super) fn new(look_ns: u64) -> Self {
        Self { ns: Arc::new(AtomicU64::new(1_000_000)), look_ns }
    }

    pub(super) fn pass(&self, ns: u64) {
        self.ns.fetch_add(ns, Ordering::Relaxed);
    }

    pub(super) fn now(&self) -> Nanos {
        Nanos(self.ns.load(Ordering::Relaxed))
    }

    pub(super) fn look(&self) -> Nanos {
        self.pass(self.look_ns);
        self.now()
    }
}

/// What left the cores and is not yet dealt with.
#[derive(Clone, Default)]
pub(super) struct Outbound(Arc<Mutex<Left>>);

#[derive(Default)]
pub(super) struct Left {
    /// Each with its core.
    pub(super) parts: VecDeque<(usize, PartStep)>,
    pub(super) marked: Vec<Marked>,
    /// What happened to a scratch file.
    pub(super) failure: Option<io::Error>,
}

/// What left through a sink before an epoch is gathered.
pub(super) struct Marked {
    pub(super) sink: SinkId,
    pub(super) epoch: Epoch,
    pub(super) output: Option<Gathered>,
}

impl Outbound {
    pub(super) fn lock(&self) -> MutexGuard<'_, Left> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes parts, if not at once.
pub(super) struct PartQueue {
    pub(super) outbound: Outbound,
    pub(super) random: Random,
}

impl PartPort for PartQueue {
    fn try_part(&mut self, core: usize, step: PartStep) -> Result<(), PartStep> {
        if self.random.chance(0.5) {
            return Err(step);
        }
        self.outbound.lock().parts.push_back((core, step));
        Ok(())
    }

    fn marked(&mut self, sink: SinkId, epoch: Epoch) {
        // Of a sink that is not open yet: the marker came over a link before the command did.
        self.outbound.lock().marked.push(Marked { sink, epoch, output: None });
    }
}

/// A file that is read.
pub(super) struct FilePort {
    pub(super) bytes: Vec<u8>,
    /// Bytes read.
    pub(super) at: Arc<AtomicU64>,
}

impl InletPort for FilePort {
    fn fill(&mut self, room: &mut [u8], now: Nanos) -> Fill {
        let at = self.at.load(Ordering::Relaxed) as usize;
        let bytes = room.len().min(self.bytes.len() - at);
        if bytes == 0 {
            return Fill::Ended;
        }
        room[..bytes].copy_from_slice(&self.bytes[at..at + bytes]);
        self.at.fetch_add(bytes as u64, Ordering::Relaxed);
        Fill::Bytes(bytes, now)
    }
}

/// Another port, now and then, and in pieces.
pub(super) struct SlowPort {
    pub(super) port: Box<dyn InletPort>,
    pub(super) random: Random,
}

impl InletPort for SlowPort {
    fn fill(&mut self, room: &mut [u8], now: Nanos) -> Fill {
        let piece = piece(&mut self.random).min(room.len());
        match self.random.chance(0.5) {
            true => self.port.fill(&mut room[..piece], now),
            false => Fill::Nothing,
        }
    }
}

/// Whether a sink takes anything.
#[derive(Clone)]
pub(super) struct SinkGate(Arc<AtomicBool>);

impl SinkGate {
    /// One that is open.
    pub(super) fn open() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    pub(super) fn set(&self, open: bool) {
        self.0.store(open, Ordering::Relaxed);
    }

    fn is_open(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Gathers the output of a sink.
pub(super) struct GatherPort {
    pub(super) gate: SinkGate,
    pub(super) sink: SinkId,
    pub(super) gatherer: Gatherer,
    pub(super) outbound: Outbound,
    pub(super) random: Random,
}

impl OutletPort for GatherPort {
    fn put(&mut self, bytes: &[u8]) -> Result<usize, PortLost> {
        if self.random.chance(0.3) || !self.gate.is_open() {
            return Ok(0);
        }
        let count = piece(&mut self.random).min(bytes.len());
        match self.gatherer.write(&bytes[..count]) {
            Ok(()) => Ok(count),
            Err(error) => {
                // The end of the process.
                self.outbound.lock().failure = Some(error);
                Ok(0)
            }
        }
    }

    fn pass_marker(&mut self, epoch: Epoch) -> Result<Passed, PortLost> {
        if self.random.chance(0.3) {
            return Ok(Passed::NotYet);
        }
        let (sink, output) = (self.sink, self.gatherer.mark(epoch));
        self.outbound.lock().marked.push(Marked { sink, epoch, output });
        Ok(Passed::ToWriter)
    }
}
