//! The agreement: entries and sessions of one store, as etcd has them, with a clock of its own.
//!
//! A request takes time, before and after it has its effect; its answer may be lost; the store may
//! be away, for all or for one node. A session ends late, never early. In the other kind, a folder
//! of one machine, a session ends with its process, or when another one that stands sees that it
//! was not renewed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use potoroo::cluster::agreement::{
    AgreedEntries, Agreement, Changed, Disagreement, EntryChange, Expected,
};
use potoroo::cluster::record::LEAD;

use super::agreed::{Agreed, AgreedSession};
use super::mistakes::Mistake;
use super::steps::Step;
use super::turns::ProcessId;
use super::world::{World, lock};

/// The agreement, as one process sees it.
pub struct SimulatedAgreement {
    world: Arc<World>,
    process: ProcessId,
    session: Mutex<u64>,
    /// What was seen last.
    seen: Mutex<u64>,
}

impl SimulatedAgreement {
    /// Begins a session of `process`.
    ///
    /// # Errors
    /// It is away.
    pub fn open(world: Arc<World>, process: ProcessId) -> Result<Arc<Self>, Disagreement> {
        let one = Self { world, process, session: Mutex::default(), seen: Mutex::default() };
        one.begin_session()?;
        Ok(Arc::new(one))
    }

    fn unreachable(&self) -> Disagreement {
        // As long as a request waits for its answer.
        self.world.turns.pass(self.world.lease / 5, false);
        Disagreement::Unreachable { endpoints: "simulated".to_owned(), cause: "away".to_owned() }
    }

    /// Asks; the answer may be lost, or take long.
    fn ask<T>(&self, act: impl FnOnce(&mut Agreed, Duration) -> T) -> Result<T, Disagreement> {
        let world = &self.world;
        let slow = |world: &World| {
            let slow = lock(&world.agreed).slow;
            let most = if world.chance(slow) { world.lease / 5 } else { Duration::from_millis(2) };
            world.some(most)
        };
        world.turns.pass(slow(world), false);
        let node = world.node_of(self.process);
        let is_away = || {
            let (agreed, now) = (lock(&world.agreed), world.turns.now());
            now < agreed.away_until || agreed.cut.get(&node).is_some_and(|until| now < *until)
        };
        if is_away() {
            return Err(self.unreachable());
        }
        let answer = {
            let (mut agreed, now) = (lock(&world.agreed), world.turns.now());
            let (own, dead) = (*lock(&self.session), |process| world.turns.is_dead(process));
            agreed.look(now, own, world.lease, dead);
            act(&mut agreed, now)
        };
        world.turns.pass(slow(world), false);
        match is_away() || world.chance(0.005) {
            true => Err(self.unreachable()),
            false => Ok(answer),
        }
    }
}

impl Agreement for SimulatedAgreement {
    fn session(&self) -> u64 {
        *lock(&self.session)
    }

    fn list(&self) -> Result<AgreedEntries, Disagreement> {
        self.ask(|agreed, _| agreed.entries.clone())
    }

    fn change(&self, change: &EntryChange<'_>) -> Result<Changed, Disagreement> {
        let session = self.session();
        let claims = self.world.makes(Mistake::ClaimOverwrites);
        let is_lead = change.key == LEAD && change.new.is_some();
        if is_lead {
            self.world.pass_step(self.process, Step::ClaimLead, false);
        }
        let changed = self.ask(|agreed, _| {
            let found = agreed.entries.get(change.key).cloned();
            let holds = |key: &str| {
                agreed.entries.get(key).is_some_and(|entry| entry.session == Some(session))
            };
            let expected = match change.expected {
                Expected::Anything => true,
                Expected::Nothing => found.is_none() || (claims && change.held.is_none()),
                Expected::Entry(entry) => found.as_ref() == Some(entry),
            };
            if change.held.is_some_and(|key| !holds(key)) {
                return Ok(Changed::NotHeld);
            }
            if !expected {
                return Ok(Changed::Differs(found));
            }
            let bound = change.new.as_ref().and_then(|new| new.session);
            if bound.is_some_and(|session| !agreed.sessions.contains_key(&session)) {
                return Err(Disagreement::Over);
            }
            agreed.version += 1;
            match change.new.clone() {
                Some(new) => agreed.entries.insert(change.key.to_owned(), new),
                None => agreed.entries.remove(change.key),
            };
            Ok(Changed::Done)
        })?;
        if is_lead && matches!(changed, Ok(Changed::Done)) {
            self.world.pass_step(self.process, Step::ClaimLead, true);
        }
        changed
    }

    fn renew(&self) -> Result<Duration, Disagreement> {
        let (session, lease) = (self.session(), self.world.lease);
        let asked = self.world.turns.now();
        let granted = if self.world.makes(Mistake::LeaseCut) { lease / 2 } else { lease };
        let renewed = self.ask(|agreed, now| {
            let one = agreed.sessions.get_mut(&session).ok_or(Disagreement::Over)?;
            if now >= one.until {
                one.since = now;
            }
            one.until = now + granted;
            Ok(())
        })?;
        if !self.world.makes(Mistake::OverRenewed) {
            renewed?;
        }
        if self.world.makes(Mistake::LeaseFromAnswer) {
            // It is the same whether it ends so much later here, or earlier there.
            let took = self.world.turns.now() - asked;
            let mut agreed = lock(&self.world.agreed);
            agreed.sessions.entry(session).and_modify(|one| one.until -= took);
        }
        Ok(lease)
    }

    fn begin_session(&self) -> Result<(), Disagreement> {
        let session = self.world.random().u64() >> 1;
        let (process, lease) = (self.process, self.world.lease);
        self.ask(|agreed, now| {
            let one = AgreedSession { process, until: now + lease, since: now };
            agreed.sessions.insert(session, one);
        })?;
        *lock(&self.session) = session;
        Ok(())
    }

    /// A hint may be old.
    fn version(&self) -> Result<u64, Disagreement> {
        let version = self.ask(|agreed, _| agreed.version)?;
        let mut seen = lock(&self.seen);
        if !self.world.chance(0.1) {
            *seen = version;
        }
        Ok(*seen)
    }
}

impl Drop for SimulatedAgreement {
    fn drop(&mut self) {
        // A process that was killed says nothing.
        if !std::thread::panicking() {
            let session = self.session();
            let _ = self.ask(|agreed, _| {
                let Some(one) = agreed.sessions.get(&session).cloned() else { return };
                agreed.end_sessions(|other| other.process == one.process);
            });
        }
    }
}
