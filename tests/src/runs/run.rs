//! One run: a process from its recovery to its end, with everything that coordinates its
//! checkpoints in slow motion.

use std::collections::{BTreeSet, VecDeque};
use std::io::Read;

use potoroo::checkpoint::coordinator::{Action, Coordinator, CoordinatorInput};
use potoroo::checkpoint::store::{self, Store, StoreReader};
use potoroo::checkpoint::{Epoch, Identity, Manifest, Transaction};
use potoroo::control::checkpoints::effects::Effects;
use potoroo::control::checkpoints::output_storage::OutputStorage;
use potoroo::flow::PartStep;
use potoroo::turn::Command;
use potoroo_sdk::random::Random;

use super::change::{ChangeOf, SimulatedChange};
use super::heads::CommittedHead;
use super::liveness::Liveness;
use super::losses::NodeLoss;
use super::mistakes::mistake;
use super::moves::MovingParts;
use super::ports::Marked;
use super::process::Process;
use super::receivers::Links;
use super::recovery::{part_storage, take_over};
use super::restore::restore;
use super::rollback::{RolledBack, begin_from, roll_back, take_over as take_head_over};
use super::senders::{Sender, Sessions};
use super::sinks::{check, open_sinks};
use super::stop::{RunEnd, Stop};
use super::store::Unreliable;
use super::subject::{Chronicle, Subject};
use super::troubles::{Sabotage, Troubles};
use super::world::World;
use crate::disk::Trouble;
use crate::seeds::{Concern, random};

/// A running process.
pub(super) struct ProcessRun<'a> {
    subject: &'a Subject<'a>,
    world: &'a mut World,
    troubles: &'a Troubles,
    process: Process,
    effects: Effects,
    random: Random,
    sessions: Sessions,
    links: Links,
    /// By core: what it handed out and is not kept.
    parts: Vec<VecDeque<PartStep>>,
    moving: MovingParts,
    /// Inputs that wait for the coordinator, and its actions that wait for the store.
    inbox: VecDeque<CoordinatorInput>,
    /// What is gathered and not yet stored.
    marked: VecDeque<Marked>,
    requests: VecDeque<Action>,
    /// Objects of a sabotage that come into the store later.
    late: VecDeque<(String, Vec<u8>)>,
    /// Epochs that were aborted.
    aborted: BTreeSet<Epoch>,
    /// Cores were sent that no stream will be opened any more.
    complete: bool,
    /// The epoch that ends the run.
    last: Option<Epoch>,
    change: SimulatedChange,
    /// A link or node is lost.
    loss: Option<NodeLoss>,
    liveness: Liveness,
    frames_replayed: u64,
    recovered: bool,
}

/// More steps than a run of the tests can take: where a wire holds one byte, each byte that crosses
/// it takes about 24 steps.
const STEPS_MAX: u64 = 2_000_000;

/// Steps in which a run that is killed may still do something with the disk.
const DYING_STEPS: u64 = 30;

impl<'a> ProcessRun<'a> {
    /// Recovers from what the run before left.
    pub(super) fn begin(
        seed: u64,
        cores: usize,
        subject: &'a Subject<'a>,
        troubles: &'a Troubles,
        world: &'a mut World,
        before: Option<RolledBack>,
    ) -> Result<Self, Stop> {
        let mut random = random(seed, Concern::Trouble);
        let plan = (subject.describe)().plan().expect("the application is sound");
        let (facts, sabotage) = (Identity::of(&plan, subject.partitions), troubles.sabotage);
        let begun = begin_from(&world.store, &facts, random.u64(), before, sabotage);
        let (recovered, (survives, under_way)) = begun.map_err(Stop::Wrong)?;
        let (head, manifest) = (recovered.head, recovered.manifest);
        let (mut process, mailboxes) = Process::new(seed, cores, subject, sabotage);
        process.nodes.begin_with(&under_way);
        let store = Unreliable::over(&world.store, troubles.store_fails * 10.0, random.u64());
        let from = (&head, manifest.as_ref());
        let (visible, deliveries) =
            open_sinks(&mut process, &plan, world, from, &store, &mailboxes)?;
        let frames_replayed = match &manifest {
            Some(manifest) => restore(&mut process, &*store, manifest, (sabotage, survives)),
            None => Ok(0),
        };
        let log_bytes_max = [3_000, u64::MAX][random.below(2) as usize];
        process.begin_checkpoints(&head, log_bytes_max);
        process.open_sources(subject, world, manifest.as_ref());
        let sources: Vec<_> = plan.sources.iter().map(|source| source.name.clone()).collect();
        let sessions = Sessions::new(seed, &sources, &world.senders, manifest.as_ref(), &mailboxes);
        let sinks = plan.sinks.iter().map(|sink| sink.name.is_some()).collect();
        let (outputs, of) = (OutputStorage::new(head.generation), head.generation);
        let (parts, moving) = part_storage((&store, &facts, of), &sources, cores, &sessions);
        let mut coordinator = Coordinator::new(facts, head, cores, sinks);
        let links = Links::new(seed, deliveries);
        take_over(&mut coordinator, manifest.as_ref(), &links, sabotage);
        Ok(Self {
            effects: Effects { store, parts, outputs, coordinator, cores: mailboxes, visible },
            subject,
            world,
            troubles,
            process,
            random,
            sessions,
            links,
            parts: (0..cores).map(|_| VecDeque::new()).collect(),
            moving,
            inbox: VecDeque::new(),
            marked: VecDeque::new(),
            requests: VecDeque::new(),
            late: VecDeque::new(),
            aborted: BTreeSet::new(),
            complete: false,
            last: None,
            change: SimulatedChange::new(seed),
            loss: None,
            liveness: Liveness::new(seed),
            frames_replayed: frames_replayed.map_err(Stop::Wrong)?,
            recovered: manifest.is_some(),
        })
    }

    /// Runs until all input is used up and committed, or until it is ended at a step.
    pub(super) fn run(
        mut self,
        end_at: Option<(u64, RunEnd)>,
        chronicle: &mut Chronicle,
    ) -> Result<(), Stop> {
        chronicle.recoveries += u64::from(self.recovered);
        chronicle.frames_replayed += self.frames_replayed;
        for step in 0..STEPS_MAX {
            match end_at {
                Some((at, end)) if at == step => self.end(step, end, chronicle)?,
                Some((at, _)) if self.loss.is_none() && step > at + DYING_STEPS => {
                    return Err(Stop::Died);
                }
                _ if self.world.disk.is_down() => return Err(Stop::Died),
                _ => {}
            }
            if let Some(loss) = &mut self.loss
                && loss.is_over(step, &self.process)?
            {
                let draw = self.random.u64();
                let next = take_head_over(self.world, self.subject, draw).map_err(Stop::Wrong)?;
                chronicle.losses += 1;
                return self.go_on_in_vain(draw, next);
            }
            chronicle.steps += 1;
            self.look_for_change(chronicle)?;
            let ending = (self.troubles.stuck, self.last.is_some() || self.loss.is_some());
            let looked = self.liveness.look(chronicle.steps, ending, &self.process.gates);
            chronicle.part_steps_max = chronicle.part_steps_max.max(looked.map_err(Stop::Wrong)?);
            self.step(chronicle)?;
            if self.ended() {
                self.process.nodes.check_empty()?;
                self.world.tables = self.process.tables();
                let mut visible = self.effects.visible.iter();
                return visible.try_for_each(|one| check(self.world, one.sink(), true));
            }
        }
        let (sessions, head) = (&self.sessions, self.effects.coordinator.head());
        Err(Stop::Wrong(format!("this run does not end: {sessions:?}; {head}")))
    }

    /// Something ends the run in this step, or soon.
    fn end(&mut self, step: u64, end: RunEnd, chronicle: &mut Chronicle) -> Result<(), Stop> {
        match end {
            RunEnd::RollBack(draw) => return self.roll_back(draw, chronicle),
            RunEnd::LoseNode(draw) => {
                self.loss = NodeLoss::begin(step, draw, &mut self.process);
            }
            RunEnd::Kill => {}
        }
        if self.loss.is_none() {
            // In the middle of what is done with the disk, if anything is done with it.
            let at = self.world.disk.steps() + self.random.below(6);
            self.world.disk.plan(Some(Trouble::Crash(at)));
        }
        Ok(())
    }

    /// Nodes come and go, perhaps.
    fn look_for_change(&mut self, chronicle: &mut Chronicle) -> Result<(), Stop> {
        if self.loss.is_some() {
            return Ok(());
        }
        let Self { subject, troubles, world, process, effects, moving, inbox, .. } = self;
        let (storing, ending) = (!self.requests.is_empty(), self.last.is_some());
        let mut of =
            ChangeOf { subject, troubles, world, process, effects, moving, inbox, storing, ending };
        chronicle.changes += u64::from(self.change.look(&mut of)?);
        chronicle.losses_ignored += self.process.nodes.take_ignored();
        Ok(())
    }

    /// HEAD goes back. Before the first commit there is nothing to go back to: it dies.
    fn roll_back(&mut self, draw: u64, chronicle: &mut Chronicle) -> Result<(), Stop> {
        let head = self.effects.coordinator.head().clone();
        let next = roll_back(self.world, self.subject, &head, draw).map_err(Stop::Wrong)?;
        let next = next.ok_or(Stop::Died)?;
        chronicle.rollbacks += 1;
        self.go_on_in_vain(draw, next)
    }

    /// HEAD is the `next` generation's. The cores go on for a few steps, and all that comes of them
    /// is void.
    fn go_on_in_vain(&mut self, draw: u64, mut next: RolledBack) -> Result<(), Stop> {
        for _ in 0..draw % 30 {
            let core = self.random.below(self.parts.len() as u64) as usize;
            match self.random.below(3) {
                0 => self.keep(core),
                1 => self.store_output()?,
                _ => self.turn(core)?,
            }
        }
        next.under_way = self.process.nodes.under_way();
        Err(Stop::RolledBack(Box::new(next)))
    }

    fn step(&mut self, chronicle: &mut Chronicle) -> Result<(), Stop> {
        let core = self.random.below(self.parts.len() as u64) as usize;
        match self.random.below(16) {
            0 => self.keep(core),
            // The lead is on the node of the first core.
            1 | 2 if self.process.nodes.is_dead(0) => {}
            1 => self.coordinate(chronicle),
            2 => return self.request(),
            3 => return self.store_output(),
            4..8 if !self.world.senders.is_empty() => {
                let (senders, vanish) = (&mut self.world.senders, self.troubles.vanish);
                self.sessions.step(senders, vanish).map_err(Stop::Wrong)?;
            }
            8..10 if !self.world.receivers.is_empty() => {
                let World { receivers, readers, .. } = &mut *self.world;
                let done = self.links.step(receivers, readers, self.troubles.vanish);
                done.map_err(Stop::Wrong)?;
            }
            _ => return self.turn(core),
        }
        Ok(())
    }

    fn turn(&mut self, core: usize) -> Result<(), Stop> {
        self.process.turn(core)?;
        let mut left = self.process.outbound.lock();
        self.marked.extend(left.marked.drain(..));
        for (core, step) in left.parts.drain(..) {
            self.liveness.note(core, &step);
            self.parts[core].push_back(step);
        }
        Ok(())
    }

    /// What is gathered is stored, and votes.
    fn store_output(&mut self) -> Result<(), Stop> {
        let Some(Marked { sink, epoch, output }) = self.marked.pop_front() else { return Ok(()) };
        let random = || self.random.u64();
        let stored = self.effects.outputs.store(sink, epoch, output, random);
        let input = stored.map_err(|error| Stop::Wrong(error.to_string()))?;
        if let CoordinatorInput::Marked { prepared, .. } = &input {
            for transaction in prepared {
                self.show_at_once(transaction)?;
                if self.sabotaged(Sabotage::OutputNotStored) {
                    self.lose_for_now(&transaction.object);
                }
            }
        }
        self.inbox.push_back(input);
        Ok(())
    }

    /// It comes into the store a while after its vote.
    fn lose_for_now(&mut self, object: &str) {
        let store = &self.world.store;
        let mut bytes = Vec::new();
        let Ok(mut from) = store.open(object) else { return };
        from.read_to_end(&mut bytes).expect("it is in memory");
        store.delete(object).expect("it is in memory");
        self.late.push_back((object.to_owned(), bytes));
    }

    fn show_at_once(&self, transaction: &Transaction) -> Result<(), Stop> {
        let visible = self.effects.visible.iter().find(|one| one.sink() == transaction.sink);
        let visible = visible.expect("it was opened");
        let at_once = match self.world.receivers.contains_key(&transaction.sink) {
            false => Sabotage::VisibleAtOnce,
            true => Sabotage::DeliveredAtOnce,
        };
        if self.sabotaged(at_once) {
            visible.show(transaction)?;
            check(self.world, &transaction.sink, false)?;
        }
        Ok(())
    }

    /// The next step of a core's part is stored.
    fn keep(&mut self, core: usize) {
        let dead = self.process.nodes.is_dead(core);
        let Some(mut step) = self.parts[core].pop_front().filter(|_| !dead) else { return };
        if let PartStep::Chunk(chunk) = &mut step
            && !mistake(self.troubles.sabotage, (&self.process, core), chunk)
        {
            return;
        }
        if let PartStep::End(end) = &mut step
            && self.sabotaged(Sabotage::PositionsLate)
        {
            let now = self.process.positions_now();
            for potoroo::flow::ReadPosition { source, position, .. } in &mut end.positions {
                let late = now.iter().find(|(of, _)| of == source);
                *position = late.map_or(*position, |(_, at)| *at);
            }
        }
        if let PartStep::End(end) = &mut step
            && self.sabotaged(Sabotage::WatermarksLost)
        {
            end.positions.iter_mut().for_each(|at| at.own.clear());
        }
        let input = self.moving.store(core, &step, self.random.u64());
        if self.sabotaged(Sabotage::AcknowledgedAtCut)
            && let Some(CoordinatorInput::Part { sources, .. }) = &input
        {
            self.effects.parts.acknowledge(sources);
        }
        self.inbox.extend(input);
    }

    fn sabotaged(&self, sabotage: Sabotage) -> bool {
        self.troubles.sabotage == Some(sabotage)
    }

    /// The coordinator handles one input.
    fn coordinate(&mut self, chronicle: &mut Chronicle) {
        let Some(input) = self.inbox.pop_front().or_else(|| self.idea()) else { return };
        let Some(mut action) = self.effects.coordinator.handle(input, 0) else { return };
        match &action {
            Action::Store(_) | Action::Swap { .. } => return self.requests.push_back(action),
            Action::Begin { epoch } => {
                self.liveness.begin(*epoch, chronicle.steps, self.parts.len());
            }
            Action::Commit { .. } => {
                self.liveness.end();
                chronicle.commits += 1;
                chronicle.late_commits += u64::from(self.loss.is_some());
            }
            Action::Abort { epoch, .. } => {
                self.liveness.end();
                chronicle.aborts += 1;
                self.last = self.last.filter(|last| last != epoch);
                self.aborted.insert(*epoch);
                if self.sabotaged(Sabotage::AbortIsCommit) {
                    action = Action::Commit { epoch: *epoch, sources: Vec::new() };
                }
            }
        }
        // It answers to the others only.
        let _ = self.effects.act(&action, 0);
    }

    /// The input of the coordinator while no message comes.
    fn idea(&mut self) -> Option<CoordinatorInput> {
        if let Some(epoch) = self.effects.coordinator.running() {
            // Not for ever: senders wait for their acknowledgements.
            let committed = self.effects.coordinator.head().epoch;
            let hopeful = self.last.is_none() && epoch.0 < committed.0 + 10;
            let aborts = hopeful && self.random.chance(self.troubles.abort * 10.0);
            return aborts
                .then(|| CoordinatorInput::Failed { epoch, reason: "no reason".to_owned() });
        }
        if !self.complete && self.sessions.finished() {
            self.complete = true;
            self.effects.cores.iter().for_each(|core| core.send(Command::SourcesComplete));
        }
        if self.last.is_none() && !self.change.holds() && self.process.quiet() {
            self.last = Some(self.effects.coordinator.epoch().next());
            return Some(CoordinatorInput::Begin);
        }
        self.random.chance(self.troubles.begin * 10.0).then_some(CoordinatorInput::Begin)
    }

    /// The store does what the coordinator wants, or something committed becomes visible.
    fn request(&mut self) -> Result<(), Stop> {
        let fails = self.last.is_none() && self.random.chance(self.troubles.store_fails * 10.0);
        let Some(mut action) = self.requests.pop_front() else {
            if let Some((object, bytes)) = self.late.pop_front() {
                self.world.store.damage(&object, &bytes);
            }
            return self.show_committed();
        };
        let full = || "full".to_owned();
        let input = match &mut action {
            Action::Store(_) if fails => CoordinatorInput::Stored(Err(full())),
            Action::Swap { .. } if fails => CoordinatorInput::Swapped(Err(full())),
            Action::Store(manifest) => {
                self.sabotage(manifest);
                self.act(&action)?
            }
            _ => self.act(&action)?,
        };
        self.inbox.push_back(input);
        Ok(())
    }

    fn sabotage(&self, manifest: &mut Manifest) {
        if self.sabotaged(Sabotage::PreparedLost) {
            manifest.transactions.retain(|one| !self.aborted.contains(&one.epoch));
        }
        if self.sabotaged(Sabotage::PartMissing) {
            self.world.store.delete(&manifest.parts[0].name).expect("it is in memory");
        }
        if self.sabotaged(Sabotage::AcknowledgedBeforeHead) {
            self.effects.parts.acknowledge(&manifest.sources);
        }
    }

    fn act(&mut self, action: &Action) -> Result<CoordinatorInput, Stop> {
        let wrong = |error: store::Error| Stop::Wrong(error.to_string());
        let input = self.effects.act(action, self.random.u64()).map_err(wrong)?;
        if let Action::Swap { new, .. } = action {
            let World { store, readers, heads, .. } = &mut *self.world;
            let manifest = new.manifest.as_ref().expect("a commit has one");
            let manifest = Manifest::load(store, manifest).map_err(wrong)?;
            readers.commit(&manifest, store).map_err(Stop::Wrong)?;
            let (store, output) = (store.snapshot(), readers.committed());
            heads.push(CommittedHead { manifest, store, output });
        }
        Ok(input.expect("the coordinator waits for it"))
    }

    /// What is committed becomes visible.
    fn show_committed(&mut self) -> Result<(), Stop> {
        if self.sabotaged(Sabotage::PreparedLost) {
            self.effects.coordinator.show(|one| self.aborted.contains(&one.epoch));
        }
        let (world, mut result) = (&*self.world, Ok(()));
        self.effects.show(|sink, shown| {
            let checked = shown.map_err(Stop::from).and_then(|_| check(world, sink, false));
            // One that is not shown for want of a disk is tried again.
            if let Err(wrong @ Stop::Wrong(_)) = checked {
                result = Err(wrong);
            }
        });
        result
    }

    /// Whether everything is committed and visible.
    fn ended(&self) -> bool {
        let committed = |last: Epoch| self.effects.coordinator.head().epoch >= last;
        self.last.is_some_and(committed)
            && self.effects.coordinator.all_visible()
            && self.world.senders.iter().all(Sender::ended)
    }
}
