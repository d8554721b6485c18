//! Coordinator: decides when a checkpoint begins, what belongs to it and whether it is committed.
//!
//! ```text
//!   idle ─ begin ─► gathering ── parts and markers ──► storing ─ manifest stored ─► swapping
//!    ▲                  │ failed                          │ failed     HEAD swapped │
//!    └──── abort ◄──────┴─────────────────────────────────┘         commit ◄────────┘
//! ```
//!
//! A state machine without storage, threads or time: its driver carries its [`Action`]s out and
//! reports the results as [`CoordinatorInput`]s.
//!
//! Promises: the next epoch begins when the last one is committed or aborted; a manifest names
//! parts and transactions that were reported stored, a part as long as it counts for a partition;
//! who contributes to an epoch is fixed when it begins; what is committed stays in manifests until
//! it is visible. What sinks prepared for an aborted epoch is held where output is gathered: it is
//! reported again with their next markers. Must never do: commit anything but by swapping HEAD.

use std::collections::{BTreeMap, BTreeSet};

use super::epoch::Epoch;
use super::facts::Identity;
use super::manifest::{Delivered, Manifest, PartEntry, SourcePosition, Transaction};
use super::store::Head;

/// What happened.
#[derive(Clone, Debug)]
pub enum CoordinatorInput {
    /// It is time for a checkpoint. Ignored while one is under way.
    Begin,
    /// A part is stored.
    Part {
        /// The part.
        entry: PartEntry,
        /// From where the sources of its core are read again.
        sources: Vec<SourcePosition>,
    },
    /// Everything that left through a sink before an epoch is written.
    Marked {
        /// Number of the sink.
        sink: usize,
        /// The epoch.
        epoch: Epoch,
        /// All that a transactional sink prepared and that is not committed, oldest first.
        prepared: Vec<Transaction>,
    },
    /// An epoch cannot be committed.
    Failed {
        /// The epoch.
        epoch: Epoch,
        /// Why.
        reason: String,
    },
    /// The manifest is stored, or not.
    Stored(Result<Head, String>),
    /// HEAD was swapped, or surely not.
    Swapped(Result<(), String>),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// All cores begin an epoch.
    Begin {
        /// The epoch.
        epoch: Epoch,
    },
    /// Store this manifest, and report it as [`CoordinatorInput::Stored`].
    Store(Manifest),
    /// Swap HEAD, and report it as [`CoordinatorInput::Swapped`].
    Swap {
        /// What it is.
        expected: Head,
        /// What it becomes.
        new: Head,
    },
    /// An epoch is committed: send that to all cores and sources, and make visible what sinks
    /// prepared, see [`Coordinator::show`].
    Commit {
        /// The epoch.
        epoch: Epoch,
        /// From where sources would be read again.
        sources: Vec<SourcePosition>,
    },
    /// An epoch is aborted: send that to all cores.
    Abort {
        /// The epoch.
        epoch: Epoch,
        /// Why.
        reason: String,
    },
}

/// The coordinator of one generation.
#[derive(Debug)]
pub struct Coordinator {
    facts: Identity,
    head: Head,
    /// The newest epoch that was begun.
    epoch: Epoch,
    /// Cores that contribute to the epochs that begin from now on.
    members: BTreeSet<u32>,
    /// The parts of the last commit of this generation.
    parts: Vec<PartEntry>,
    /// Sinks that have to mark each epoch.
    sinks: Vec<bool>,
    /// Positions of sources and streams that were not opened in this run.
    unopened: Vec<SourcePosition>,
    /// What is committed and perhaps not visible, oldest first. It belongs to the next manifests,
    /// too: a crash may come before it is.
    committed: Vec<Transaction>,
    /// By sink: the last transaction that its client has.
    delivered: BTreeMap<String, u128>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    /// By core, of those that are members: what it contributed.
    parts: BTreeMap<u32, Option<(PartEntry, Vec<SourcePosition>)>>,
    /// By sink, whether its marker is still missing.
    unmarked: Vec<bool>,
    /// What the others have prepared and not committed, of each oldest first.
    prepared: Vec<Transaction>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Gathering,
    Storing(Manifest),
    Swapping(Manifest, Head),
}

impl Coordinator {
    /// The coordinator after `head`, which it has swapped to its own generation, for the cores up
    /// to `cores` and those of the `sinks` that mark epochs.
    pub fn new(facts: Identity, head: Head, cores: usize, sinks: Vec<bool>) -> Self {
        Self {
            facts,
            epoch: head.epoch,
            head,
            members: (0..cores as u32).collect(),
            parts: Vec::new(),
            sinks,
            unopened: Vec::new(),
            committed: Vec::new(),
            delivered: BTreeMap::new(),
            running: None,
        }
    }

    /// Another generation of the application `facts` begins after `head`, which was swapped to it,
    /// with the same sinks and sources and other cores: nothing was under way. Epochs that were
    /// begun are not used again.
    ///
    /// # Panics
    /// A checkpoint is under way.
    pub fn renew(&mut self, head: Head, facts: Identity, cores: usize, sources: &[SourcePosition]) {
        assert!(self.running.is_none(), "no checkpoint is under way when nodes come or go");
        self.epoch = self.epoch.max(head.epoch);
        (self.head, self.facts) = (head, facts);
        self.members = (0..cores as u32).collect();
        // Cores that begin hand everything out at first.
        self.parts = Vec::new();
        self.unopened = sources.to_vec();
    }

    /// These cores contribute to the epochs that begin from now on.
    pub fn set_members(&mut self, cores: BTreeSet<u32>) {
        self.members = cores;
    }

    /// Takes over from an earlier run the positions of its sources, and what it has committed and
    /// not made visible.
    pub fn take_over(&mut self, sources: &[SourcePosition], committed: &[Transaction]) {
        self.unopened = sources.to_vec();
        self.committed = committed.to_vec();
    }

    /// The client of a sink has everything up to `transaction`.
    pub fn deliver(&mut self, sink: &str, transaction: u128) {
        let delivered = self.delivered.entry(sink.to_owned()).or_default();
        *delivered = transaction.max(*delivered);
    }

    /// The last commit.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The newest epoch that was begun.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The epoch that is under way.
    pub fn running(&self) -> Option<Epoch> {
        self.running.as_ref().map(|_| self.epoch)
    }

    /// Has everything shown that is committed and perhaps not visible, oldest first. What `visible`
    /// says yes to is so, durably; all else is shown again the next time.
    pub fn show(&mut self, mut visible: impl FnMut(&Transaction) -> bool) {
        self.committed.retain(|one| !visible(one));
    }

    /// What is committed and not known to be visible: its objects are needed.
    pub fn invisible(&self) -> &[Transaction] {
        &self.committed
    }

    /// Whether everything that is committed is visible.
    pub fn all_visible(&self) -> bool {
        self.committed.is_empty()
    }

    /// Handles one input; returns the action that follows, if any. `unix_seconds` is for the
    /// eyes of people only.
    pub fn handle(&mut self, input: CoordinatorInput, unix_seconds: u64) -> Option<Action> {
        match input {
            CoordinatorInput::Begin => self.begin(),
            CoordinatorInput::Part { entry, sources } => self.part(entry, sources),
            CoordinatorInput::Marked { sink, epoch, prepared } => {
                self.marked(sink, epoch, prepared)
            }
            CoordinatorInput::Failed { epoch, reason } => return self.failed(epoch, reason),
            CoordinatorInput::Stored(Ok(head)) => return Some(self.stored(head)),
            CoordinatorInput::Swapped(Ok(())) => return Some(self.swapped()),
            CoordinatorInput::Stored(Err(reason)) | CoordinatorInput::Swapped(Err(reason)) => {
                return Some(self.abort(reason));
            }
        }
        .or_else(|| self.store_when_complete(unix_seconds))
    }

    fn begin(&mut self) -> Option<Action> {
        if self.running.is_some() {
            return None;
        }
        self.epoch = self.epoch.next();
        self.running = Some(Running {
            parts: self.members.iter().map(|core| (*core, None)).collect(),
            unmarked: self.sinks.clone(),
            prepared: Vec::new(),
            stage: Stage::Gathering,
        });
        Some(Action::Begin { epoch: self.epoch })
    }

    fn part(&mut self, entry: PartEntry, sources: Vec<SourcePosition>) -> Option<Action> {
        // The part of an aborted epoch is garbage, as is that of a core that is no member.
        let running = self.running.as_mut().filter(|_| entry.epoch == self.epoch)?;
        // It may be reported twice.
        running.parts.get_mut(&entry.core)?.get_or_insert((entry, sources));
        None
    }

    fn marked(&mut self, sink: usize, epoch: Epoch, prepared: Vec<Transaction>) -> Option<Action> {
        assert!(
            prepared.iter().all(|one| one.epoch <= epoch),
            "its last marker is that of {epoch}"
        );
        // The next marker of that sink has all that came with one of an aborted epoch.
        let running = self.running.as_mut().filter(|_| epoch == self.epoch)?;
        if std::mem::take(&mut running.unmarked[sink]) {
            running.prepared.extend(prepared);
        }
        None
    }

    fn failed(&mut self, epoch: Epoch, reason: String) -> Option<Action> {
        let running = self.running.as_ref().filter(|_| epoch == self.epoch)?;
        // After that stage only the storage can fail.
        matches!(running.stage, Stage::Gathering).then(|| self.abort(reason))
    }

    fn abort(&mut self, reason: String) -> Action {
        self.running = None;
        Action::Abort { epoch: self.epoch, reason }
    }

    fn store_when_complete(&mut self, unix_seconds: u64) -> Option<Action> {
        let running = self.running.as_ref()?;
        let complete = running.parts.values().all(Option::is_some)
            && !running.unmarked.iter().any(|unmarked| *unmarked);
        if !complete || !matches!(running.stage, Stage::Gathering) {
            return None;
        }
        let manifest = self.manifest(running, unix_seconds);
        if let Some(broken) = manifest.broken_chain() {
            return Some(self.abort(format!("it could not be recovered from: {broken}")));
        }
        let running = self.running.as_mut().expect("it was just seen");
        running.stage = Stage::Storing(manifest.clone());
        Some(Action::Store(manifest))
    }

    fn manifest(&self, running: &Running, unix_seconds: u64) -> Manifest {
        let given = running.parts.values().flatten();
        let mut sources: Vec<SourcePosition> =
            given.clone().flat_map(|(_, sources)| sources.iter().cloned()).collect();
        // A core may take its snapshot before its source is opened: the old position still holds.
        let open: BTreeSet<_> = sources.iter().map(source).collect();
        let unopened = self.unopened.iter().filter(|at| !open.contains(&source(at)));
        let unopened: Vec<SourcePosition> = unopened.cloned().collect();
        sources.extend(unopened);
        let parts = self.parts.iter().chain(given.map(|(part, _)| part));
        let manifest = Manifest {
            facts: self.facts.clone(),
            generation: self.head.generation,
            epoch: self.epoch,
            unix_seconds,
            previous: self.head.manifest.clone(),
            sources,
            parts: parts.cloned().collect(),
            transactions: self.committed.iter().chain(&running.prepared).cloned().collect(),
            delivered: self.delivered(),
        };
        let parts = manifest.links().into_iter().map(|link| link.part.clone()).collect();
        Manifest { parts, ..manifest }
    }

    /// What clients have, of those that have something.
    fn delivered(&self) -> Vec<Delivered> {
        let some = self.delivered.iter().filter(|(_, transaction)| **transaction > 0);
        let named = |(sink, transaction): (&String, &u128)| Delivered {
            sink: sink.clone(),
            transaction: *transaction,
        };
        some.map(named).collect()
    }

    fn stored(&mut self, new: Head) -> Action {
        let running = self.running.as_mut().expect("a manifest is stored for an epoch");
        let Stage::Storing(manifest) = &running.stage else { panic!("it is stored once") };
        running.stage = Stage::Swapping(manifest.clone(), new.clone());
        Action::Swap { expected: self.head.clone(), new }
    }

    fn swapped(&mut self) -> Action {
        let running = self.running.take().expect("HEAD is swapped for an epoch");
        let Stage::Swapping(manifest, head) = running.stage else { panic!("it is swapped once") };
        (self.head, self.parts) = (head, manifest.parts);
        self.committed.extend(running.prepared);
        Action::Commit { epoch: manifest.epoch, sources: manifest.sources }
    }
}

/// Of which source it is, and of which of its streams.
fn source(at: &SourcePosition) -> (&str, Option<&str>) {
    (&at.name, at.stream.as_ref().map(|stream| stream.name.as_str()))
}

#[cfg(test)]
mod tests;
