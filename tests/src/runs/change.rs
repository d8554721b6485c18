//! Nodes that come and go: sources are held, everything that they gave is processed and committed,
//! and the cores of the next generation go on with the same sources and sinks.

use std::collections::VecDeque;

use potoroo::checkpoint::coordinator::CoordinatorInput;
use potoroo::checkpoint::{Epoch, Identity};
use potoroo::control::checkpoints::effects::Effects;
use potoroo::turn::Command;
use potoroo_sdk::random::Random;

use super::moves::MovingParts;
use super::process::Process;
use super::restore::restore;
use super::rollback::begin_from;
use super::stop::Stop;
use super::subject::Subject;
use super::troubles::{Sabotage, Troubles};
use super::world::World;
use crate::seeds::{Concern, random};

/// A change of nodes, and the chance of the next.
pub(super) struct SimulatedChange {
    random: Random,
    hold: u64,
    step: ChangeStep,
}

enum ChangeStep {
    /// No node comes or goes.
    Idle,
    /// Sources are held; frames that were sent and received at the last look.
    Draining(Option<(u64, u64)>),
    /// Everything was processed: this epoch commits it.
    Committing(Epoch),
}

/// What of a run a change concerns.
pub(super) struct ChangeOf<'a> {
    pub(super) subject: &'a Subject<'a>,
    pub(super) troubles: &'a Troubles,
    pub(super) world: &'a World,
    pub(super) process: &'a mut Process,
    pub(super) effects: &'a mut Effects,
    pub(super) moving: &'a mut MovingParts,
    pub(super) inbox: &'a mut VecDeque<CoordinatorInput>,
    /// The store is asked for something.
    pub(super) storing: bool,
    /// The run is about to end.
    pub(super) ending: bool,
}

impl SimulatedChange {
    pub(super) fn new(seed: u64) -> Self {
        // Of its own: runs without changes draw as before.
        let random = random(seed.rotate_left(32) ^ !0, Concern::Deployment);
        Self { random, hold: 0, step: ChangeStep::Idle }
    }

    /// Whether nothing is taken from sources now.
    pub(super) fn holds(&self) -> bool {
        !matches!(self.step, ChangeStep::Idle)
    }

    /// The next step, if there is one. Returns whether nodes came or went.
    pub(super) fn look(&mut self, of: &mut ChangeOf<'_>) -> Result<bool, Stop> {
        match self.step {
            ChangeStep::Idle if !of.ending && self.random.chance(of.troubles.changes) => {
                self.hold += 1;
                self.send(of.effects, Some(self.hold));
                self.step = ChangeStep::Draining(None);
            }
            ChangeStep::Idle => {}
            // It takes too long.
            _ if self.random.chance(0.000_2) => self.end(of.effects),
            ChangeStep::Draining(before) => {
                let now = of.process.drained(self.hold);
                self.step = match now.filter(|_| now == before) {
                    Some(_) => ChangeStep::Committing(of.effects.coordinator.epoch().next()),
                    None => ChangeStep::Draining(now),
                };
            }
            ChangeStep::Committing(epoch) => {
                let coordinator = &of.effects.coordinator;
                let sabotaged = of.troubles.sabotage == Some(Sabotage::ChangeUncommitted);
                match coordinator.running() {
                    _ if of.storing => {}
                    Some(running) if sabotaged || coordinator.head().epoch >= epoch => {
                        let reason = "nodes come or go".to_owned();
                        of.inbox.push_back(CoordinatorInput::Failed { epoch: running, reason });
                    }
                    None if sabotaged || coordinator.head().epoch >= epoch => {
                        self.go_on(of)?;
                        self.end(of.effects);
                        return Ok(true);
                    }
                    None if of.inbox.is_empty() => of.inbox.push_back(CoordinatorInput::Begin),
                    _ => {}
                }
            }
        }
        Ok(false)
    }

    fn go_on(&mut self, of: &mut ChangeOf<'_>) -> Result<(), Stop> {
        let ChangeOf { subject, world, process, effects, .. } = of;
        let plan = (subject.describe)().plan().expect("as before");
        let facts = Identity::of(&plan, subject.partitions);
        let sabotage = of.troubles.sabotage;
        process.renew(self.random.u64(), subject)?;
        let begun = begin_from(&world.store, &facts, self.random.u64(), None, sabotage);
        let (recovered, _) = begun.map_err(Stop::Wrong)?;
        let (head, manifest) = (recovered.head, recovered.manifest);
        if let Some(manifest) = &manifest {
            let frames = restore(process, &*effects.store, manifest, (sabotage, None));
            let frames = frames.map_err(Stop::Wrong)?;
            if sabotage.is_none() && frames > 0 {
                return Err(Stop::Wrong(format!("{frames} bytes of frames were under way")));
            }
        }
        process.begin_checkpoints(&head, u64::MAX);
        process.take_edges(subject);
        of.moving.renew(head.generation, &facts);
        let sources = manifest.map_or_else(Vec::new, |manifest| manifest.sources);
        let cores = process.cores.len();
        effects.renew(head, facts, cores, &sources);
        Ok(())
    }

    fn end(&mut self, effects: &Effects) {
        self.send(effects, None);
        self.step = ChangeStep::Idle;
    }

    fn send(&self, effects: &Effects, hold: Option<u64>) {
        effects.cores.iter().for_each(|core| core.send(Command::HoldForNodes(hold)));
    }
}
