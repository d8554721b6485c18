//! Each HEAD that a run committed can be restored, beside the run, on any number of cores.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};

use potoroo::checkpoint::{Epoch, Identity, recover};
use potoroo::turn::{Command, OutletPort, Passed, PortLost};
use potoroo_sdk::host::SinkId;

use super::heads::CommittedHead;
use super::process::Process;
use super::restore::restore;
use super::subject::Subject;
use super::troubles::Sabotage;
use crate::seeds::{Concern, random};

/// What a run holds that goes on from a checkpoint and gets no input.
#[derive(Debug)]
pub struct RestoredHead {
    /// By sink: committed output, and what was under way to it.
    pub output: BTreeMap<String, Vec<u8>>,
    /// Rows of each table as text, in order.
    pub tables: BTreeMap<String, Vec<String>>,
}

/// More turns than what was under way can take.
const TURNS_MAX: u64 = 200_000;

impl CommittedHead {
    /// Goes on from it on any number of cores, until nothing is under way.
    ///
    /// # Errors
    /// It cannot be restored.
    pub fn restore(
        &self,
        seed: u64,
        subject: &Subject<'_>,
        sabotage: Option<Sabotage>,
    ) -> Result<RestoredHead, String> {
        self.restore_from(seed, subject, sabotage).map_err(|wrong| format!("{self}: {wrong}"))
    }

    fn restore_from(
        &self,
        seed: u64,
        subject: &Subject<'_>,
        sabotage: Option<Sabotage>,
    ) -> Result<RestoredHead, String> {
        let plan = (subject.describe)().plan().expect("the application is sound");
        let facts = Identity::of(&plan, subject.partitions);
        let seed = seed ^ u64::from(self.manifest.epoch.0) << 40 ^ self.manifest.generation << 52;
        let mut random = random(seed, Concern::Schedule);
        let store = self.store.snapshot();
        let recovered = recover(&store, &facts, random.u64(), None).map_err(text)?;
        let manifest = recovered.manifest.ok_or("HEAD names no checkpoint")?;
        let cores = 1 + random.below(subject.cores_max) as usize;
        let (mut process, mailboxes) = Process::new(seed, cores, subject, sabotage);
        restore(&mut process, &store, &manifest, (sabotage, None))?;
        process.cores.iter_mut().for_each(|core| core.restored());
        let mut output = Vec::new();
        for (index, sink) in plan.sinks.iter().enumerate() {
            let Some(name) = &sink.name else { continue };
            let port = CollectPort::default();
            output.push((name.clone(), port.clone()));
            process.open_sink(SinkId(index as u16), Box::new(port));
        }
        process.cores.iter_mut().for_each(|core| core.set_open_sources(true));
        mailboxes.iter().for_each(|core| core.send(Command::SourcesComplete));
        for turn in 0.. {
            process.turn(random.below(cores as u64) as usize).map_err(text)?;
            if process.quiet() {
                process.nodes.check_empty().map_err(text)?;
                break;
            }
            if turn == TURNS_MAX {
                return Err(format!("{TURNS_MAX} turns did not process what was under way"));
            }
        }
        let whole = output.into_iter().map(|(name, port)| {
            let committed = self.output.get(&name).map_or(&[][..], Vec::as_slice);
            let whole = [committed, &port.take()].concat();
            (name, whole)
        });
        Ok(RestoredHead { output: whole.collect(), tables: process.tables() })
    }
}

fn text(error: impl Display) -> String {
    error.to_string()
}

/// Keeps all that leaves through a sink.
#[derive(Clone, Default)]
struct CollectPort(Arc<Mutex<Vec<u8>>>);

impl CollectPort {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl OutletPort for CollectPort {
    fn put(&mut self, bytes: &[u8]) -> Result<usize, PortLost> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn pass_marker(&mut self, _: Epoch) -> Result<Passed, PortLost> {
        unreachable!("no checkpoint is taken")
    }
}
