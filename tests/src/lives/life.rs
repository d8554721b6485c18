//! One life: a process from its recovery to its end, with everything that coordinates its
//! checkpoints in slow motion.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use potoroo::checkpoint::coordinator::{Action, Coordinator, Input};
use potoroo::checkpoint::keeper::Keeper;
use potoroo::checkpoint::store::{Head, Store, View};
use potoroo::checkpoint::{
    Chunk, Facts, Manifest, Section, Transaction, each_chunk, propose, recover,
};
use potoroo::flow::{PartStep, SourcePosition};
use potoroo_sdk::random::Random;

use super::process::Process;
use super::world::World;
use super::{Chronicle, Sabotage, Subject, Troubles};
use crate::seeds::{Concern, random};

/// A running process.
pub(super) struct Life<'a> {
    world: &'a mut World,
    troubles: &'a Troubles,
    process: Process,
    coordinator: Coordinator,
    keeper: Keeper,
    random: Random,
    /// By core: what it was told and has not heard, and what it handed out and is not kept.
    commands: Vec<VecDeque<Command>>,
    parts: Vec<VecDeque<PartStep>>,
    /// What the coordinator was told and has not heard, and what it wants done in the store.
    inbox: VecDeque<Input>,
    requests: VecDeque<Action>,
    /// Epochs that were given up.
    given_up: BTreeSet<u64>,
    /// The epoch that ends the life.
    last: Option<u64>,
    frames_replayed: u64,
    recovered: bool,
}

#[derive(Clone, Copy, Debug)]
enum Command {
    Begin(u64),
    Commit(u64),
    Abort(u64),
}

/// More steps than a life of the tests can take.
const STEPS_MAX: u64 = 2_000_000;

impl<'a> Life<'a> {
    /// Recovers from what the life before left.
    pub(super) fn begin(
        seed: u64,
        cores: usize,
        subject: &Subject<'_>,
        troubles: &'a Troubles,
        world: &'a mut World,
    ) -> Result<Self, String> {
        let mut random = random(seed, Concern::Trouble);
        let plan = (subject.describe)().plan().expect("the application is sound");
        let facts = Facts::of(&plan, subject.partitions);
        let recovered = recover(&world.store, &facts, random.u64(), None);
        let recovered = recovered.map_err(|error| error.to_string())?;
        let (head, manifest) = (recovered.head, recovered.manifest);
        for (name, output) in &mut world.outputs {
            let transactions = manifest.iter().flat_map(|manifest| &manifest.transactions);
            let ours: Vec<_> = transactions.filter(|t| t.sink == *name).collect();
            output.recover(&ours)?;
        }
        let mut process = Process::new(seed, cores, subject, head.generation);
        let sabotage = troubles.sabotage;
        let frames_replayed = match &manifest {
            Some(manifest) => restore(&mut process, &world.store, manifest, sabotage)?,
            None => 0,
        };
        let log_bytes_max = [3_000, u64::MAX][random.below(2) as usize];
        for core in &mut process.cores {
            core.restored();
            core.keep_checkpoints(head.epoch as u32, head.generation, log_bytes_max);
        }
        process.open(subject, world, manifest.as_ref());
        let sources = plan.sources.iter().map(|source| source.name.clone()).collect();
        let sinks = plan.sinks.iter().map(|sink| sink.name.is_some()).collect();
        let store = Arc::new(world.store.clone());
        Ok(Self {
            keeper: Keeper::new(store, facts.clone(), head.generation, sources, cores),
            coordinator: Coordinator::new(facts, head, cores, sinks),
            world,
            troubles,
            process,
            random,
            commands: (0..cores).map(|_| VecDeque::new()).collect(),
            parts: (0..cores).map(|_| VecDeque::new()).collect(),
            inbox: VecDeque::new(),
            requests: VecDeque::new(),
            given_up: BTreeSet::new(),
            last: None,
            frames_replayed,
            recovered: manifest.is_some(),
        })
    }

    /// Lives until it is killed, or until all input is used up and committed.
    pub(super) fn run(
        mut self,
        kill_at: Option<u64>,
        chronicle: &mut Chronicle,
    ) -> Result<(), String> {
        chronicle.recoveries += u64::from(self.recovered);
        chronicle.frames_replayed += self.frames_replayed;
        for step in 0.. {
            assert!(step < STEPS_MAX, "this life does not end: {:?}", self.coordinator);
            if kill_at == Some(step) {
                self.die()?;
                break;
            }
            chronicle.steps += 1;
            let core = self.random.below(self.parts.len() as u64) as usize;
            match self.random.below(10) {
                0 => self.sweep(core),
                1 => self.keep(core),
                2 => self.coordinate(chronicle),
                3 => self.request(),
                _ => self.turn(core),
            }
            if self.ended() {
                self.process.show_tables(self.world);
                break;
            }
        }
        Ok(())
    }

    /// Killed: maybe while something committed was being made visible.
    fn die(mut self) -> Result<(), String> {
        let mut torn = Some(&mut self.random);
        let mut died = Ok(());
        self.coordinator.show(|transaction| {
            let Some(torn) = torn.take() else { return false };
            let output = self.world.outputs.get_mut(&transaction.sink).expect("it was opened");
            died = output.commit(transaction, Some(torn));
            false
        });
        died
    }

    fn turn(&mut self, core: usize) {
        if self.random.chance(0.5)
            && let Some(command) = self.commands[core].pop_front()
        {
            let core = &mut self.process.cores[core];
            match command {
                Command::Begin(epoch) => core.begin_checkpoint(epoch as u32),
                Command::Commit(epoch) => core.commit_checkpoint(epoch as u32),
                Command::Abort(epoch) => core.abort_checkpoint(epoch as u32),
            }
        }
        let marked = self.process.turn(core, self.world);
        if self.sabotaged(Sabotage::VisibleAtOnce) {
            for input in &marked {
                let Input::Marked { prepared: Some(transaction), .. } = input else { continue };
                show(self.world, transaction);
            }
        }
        self.inbox.extend(marked);
        while self.random.chance(0.5)
            && let Some(step) = self.process.cores[core].take_part()
        {
            self.parts[core].push_back(step);
        }
    }

    fn sweep(&mut self, core: usize) {
        self.process.cores[core].sweep(1 + self.random.below(20) as u32);
    }

    /// The next step of a core's part is stored.
    fn keep(&mut self, core: usize) {
        let Some(mut step) = self.parts[core].pop_front() else { return };
        if let PartStep::Chunk(chunk) = &step
            && self.loses(chunk.section)
        {
            return;
        }
        if let PartStep::End(end) = &mut step
            && self.sabotaged(Sabotage::PositionsLate)
        {
            let now = self.process.positions_now();
            for SourcePosition { source, position, .. } in &mut end.positions {
                let late = now.iter().find(|(of, _)| of == source);
                *position = late.map_or(*position, |(_, at)| *at);
            }
        }
        let heard = self.keeper.keep(core, &step, self.random.u64());
        self.inbox.extend(heard);
    }

    fn loses(&self, section: Section) -> bool {
        match section {
            Section::Lanes(_) => self.sabotaged(Sabotage::LanesLost),
            Section::Outboxes(_) => self.sabotaged(Sabotage::OutboxesLost),
            Section::Removed(_) => self.sabotaged(Sabotage::RemovedLost),
            Section::Rows(_) => false,
        }
    }

    fn sabotaged(&self, sabotage: Sabotage) -> bool {
        self.troubles.sabotage == Some(sabotage)
    }

    /// The coordinator hears one thing.
    fn coordinate(&mut self, chronicle: &mut Chronicle) {
        let Some(input) = self.inbox.pop_front().or_else(|| self.idea()) else { return };
        match self.coordinator.handle(input, 0) {
            None => {}
            Some(Action::Begin { epoch }) => self.tell(Command::Begin(epoch)),
            Some(Action::Abort { epoch, .. }) => {
                chronicle.aborts += 1;
                self.last = self.last.filter(|last| *last != epoch);
                self.given_up.insert(epoch);
                match self.sabotaged(Sabotage::AbortIsCommit) {
                    true => self.tell(Command::Commit(epoch)),
                    false => self.tell(Command::Abort(epoch)),
                }
            }
            Some(Action::Commit { epoch, .. }) => {
                chronicle.commits += 1;
                self.tell(Command::Commit(epoch));
            }
            Some(request) => self.requests.push_back(request),
        }
    }

    fn tell(&mut self, command: Command) {
        self.commands.iter_mut().for_each(|commands| commands.push_back(command));
    }

    /// What occurs to the coordinator when nobody tells it anything.
    fn idea(&mut self) -> Option<Input> {
        if let Some(epoch) = self.coordinator.running() {
            let gives_up = self.last.is_none() && self.random.chance(self.troubles.give_up * 10.0);
            return gives_up.then(|| Input::Failed { epoch, reason: "no reason".to_owned() });
        }
        if self.last.is_none() && self.process.quiet() {
            self.last = Some(self.coordinator.epoch() + 1);
            return Some(Input::Begin);
        }
        self.random.chance(self.troubles.begin * 10.0).then_some(Input::Begin)
    }

    /// The store does what the coordinator wants, or something committed becomes visible.
    fn request(&mut self) {
        let fails = self.last.is_none() && self.random.chance(self.troubles.store_fails * 10.0);
        match self.requests.pop_front() {
            Some(Action::Store(manifest)) => {
                let stored = if fails { Err("full".to_owned()) } else { self.store(manifest) };
                self.inbox.push_back(Input::Stored(stored));
            }
            Some(Action::Swap { expected, new }) => {
                let swapped = if fails { Err("full".to_owned()) } else { Ok(()) };
                let swap = || self.world.store.swap_head(Some(&expected), &new);
                let swapped = swapped.and_then(|()| swap().map_err(|error| error.to_string()));
                self.inbox.push_back(Input::Swapped(swapped));
            }
            _ => self.show_next(),
        }
    }

    fn store(&mut self, mut manifest: Manifest) -> Result<Head, String> {
        if self.sabotaged(Sabotage::PreparedLost) {
            manifest.transactions.retain(|one| !self.given_up.contains(&one.epoch));
        }
        if self.sabotaged(Sabotage::PartMissing) {
            self.world.store.delete(&manifest.parts[0].name).map_err(|error| error.to_string())?;
        }
        let (store, head) = (&self.world.store, self.coordinator.head());
        propose(store, head, &manifest, self.random.u64()).map_err(|error| error.to_string())
    }

    /// The next of what is committed becomes visible.
    fn show_next(&mut self) {
        let forgets = self.sabotaged(Sabotage::PreparedLost);
        let (mut shown, given_up) = (false, &self.given_up);
        self.coordinator.show(|transaction| {
            if forgets && given_up.contains(&transaction.epoch) {
                return true;
            }
            let next = !std::mem::replace(&mut shown, true);
            if next {
                show(self.world, transaction);
            }
            next
        });
    }

    /// Whether everything is committed and visible.
    fn ended(&self) -> bool {
        let committed = |last: u64| self.coordinator.head().epoch >= last;
        self.last.is_some_and(committed) && self.coordinator.all_visible()
    }
}

fn show(world: &mut World, transaction: &Transaction) {
    let output = world.outputs.get_mut(&transaction.sink).expect("it was opened");
    // A sabotage may have left a gap: the end will show it.
    let _ = output.commit(transaction, None);
}

/// Hands everything that was stored to the cores. Returns how many bytes of frames there were.
fn restore(
    process: &mut Process,
    store: &dyn View,
    manifest: &Manifest,
    sabotage: Option<Sabotage>,
) -> Result<u64, String> {
    let now = process.now();
    let mut frames = 0;
    let mut visit = |epoch: u64, mut chunk: Chunk| -> Result<(), Failed> {
        if sabotage == Some(Sabotage::NewestPartOnly) && epoch != manifest.epoch {
            return Ok(());
        }
        chunk.section = match chunk.section {
            Section::Lanes(level) if sabotage == Some(Sabotage::OutboxesFirst) => {
                Section::Outboxes(level)
            }
            Section::Outboxes(level) if sabotage == Some(Sabotage::OutboxesFirst) => {
                Section::Lanes(level)
            }
            section => section,
        };
        if let Section::Lanes(_) | Section::Outboxes(_) = chunk.section {
            frames += chunk.bytes.len() as u64;
        }
        let restored = process.cores.iter_mut().try_for_each(|core| core.restore(&chunk, now));
        restored.map_err(|corrupt| Failed(corrupt.to_string()))
    };
    each_chunk(store, manifest, |part, chunk| visit(part.epoch, chunk))
        .map_err(|Failed(reason)| reason)?;
    Ok(frames)
}

struct Failed(String);

impl From<potoroo::checkpoint::store::Error> for Failed {
    fn from(error: potoroo::checkpoint::store::Error) -> Self {
        Self(error.to_string())
    }
}
