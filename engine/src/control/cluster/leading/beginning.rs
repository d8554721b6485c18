//! Begins generations: from the last checkpoint, or with cores that go on with their edges.

use std::collections::BTreeMap;
use std::io;
use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use super::super::super::checkpoints::{CannotRest, NextGeneration};
use super::super::super::console;
use super::super::super::error::Error;
use super::super::super::generation::{Generation, LinksOfCores, Others, Seating};
use super::super::super::process::Process;
use super::super::super::recovery::Recovery;
use super::super::super::seats::Seats;
use super::super::ground::{NodeGround, PinnedCores};
use super::super::member::{AGAIN, check_links};
use super::{Counting, Lead, Paused};
use crate::cluster::nodes::NodeNews;
use crate::cluster::refusal::is_refusal;
use crate::cluster::wire::{NewGeneration, ToLead, ToNode};
use crate::connect::attach::Attach;
use crate::system;

/// Why a generation has not begun.
enum Unready {
    /// A node is missing: its name, and why.
    Lost(String, String),
    /// It may begin at the next try: what failed.
    Again(String),
    /// This node cannot go on either.
    Failed(Box<Error>),
}

impl From<Error> for Unready {
    fn from(error: Error) -> Self {
        match error {
            Error::StateAway { .. } => Self::Again(error.to_string()),
            error => Self::Failed(Box::new(error)),
        }
    }
}

/// How long the cores of nodes may take to restore a checkpoint without a sign.
const READY_WITHIN: Duration = Duration::from_secs(600);

/// The pause between two tries to begin grows up to this many times the first one.
const TRIES_MAX: u32 = 50;

/// Cores of all nodes: their numbers have 16 bits.
const SEATS_MAX: usize = 65_534;

impl Lead {
    /// Begins a generation with all nodes that there are, from `recovery` if that is done, and when
    /// nodes are lost meanwhile, from the same checkpoint once more. Storage that does not answer
    /// is waited for.
    ///
    /// # Errors
    /// This node cannot begin.
    pub(in crate::control) fn begin<G: NodeGround>(
        &mut self,
        process: &mut Process,
        ground: &G,
        mut recovery: Option<Recovery>,
    ) -> Result<(G::Begun, Attach), Error> {
        self.try_until_begun(process, |lead, process| {
            let recovery = match recovery.take() {
                Some(recovery) => recovery,
                None => lead.recover(process)?,
            };
            lead.try_begin(process, ground, recovery)
        })
    }

    /// Goes on with all nodes that there are, and with the cores and edges of the `present`
    /// generation: its sources are held, and all that they gave is committed.
    ///
    /// # Errors
    /// This node cannot go on.
    pub(in crate::control) fn change(
        &mut self,
        process: &mut Process,
        present: &mut Generation,
        paused: Paused,
    ) -> Result<(), Error> {
        let Paused { since, drained, committed } = paused;
        (self.cause.1, self.loses_nothing) = (since, true);
        self.marks = vec![("drain", drained), ("checkpoint", committed)];
        let next =
            self.try_until_begun(process, |lead, process| lead.try_change(process, present))?;
        present.go_on(next);
        (self.stop_since, self.loses_nothing) = (None, false);
        Ok(())
    }

    fn try_until_begun<T>(
        &mut self,
        process: &mut Process,
        mut begin: impl FnMut(&mut Self, &mut Process) -> Result<T, Unready>,
    ) -> Result<T, Error> {
        let mut tries = 0;
        loop {
            self.wait_to_act(process)?;
            self.end_late_nodes();
            self.member.forget_suspension();
            // All others would refuse this node: another one is to lead.
            self.member.check_certificate()?;
            match begin(self, process) {
                Ok(begun) => return Ok(begun),
                Err(Unready::Lost(node, reason)) => {
                    tracing::warn!("node `{node}` takes no part: {reason}");
                    self.add_cause(format!("node {node} takes no part"));
                    // It lives, perhaps: then it comes again.
                    self.nodes
                        .iter()
                        .filter(|one| one.hello.node == node)
                        .for_each(|one| one.end());
                    self.nodes.retain(|one| one.hello.node != node);
                }
                Err(Unready::Again(reason)) => {
                    tracing::warn!("the generation begins once more: {reason}");
                    // A node that stands still is waited for, and so are descriptors.
                    tries = (tries + 1).min(TRIES_MAX);
                    system::sleep(AGAIN * tries);
                    if self.has_to_stop(process) {
                        return Err(Error::Stopped);
                    }
                }
                Err(Unready::Failed(error)) => return Err(*error),
            }
        }
    }

    /// Whether a stop is requested. A pause in which nothing is lost goes on for a while first.
    pub(super) fn has_to_stop(&mut self, process: &Process) -> bool {
        if process.request.reason().is_none() || !self.loses_nothing {
            return process.request.reason().is_some();
        }
        let since = *self.stop_since.get_or_insert_with(system::now);
        system::since(since) > Duration::from_secs(process.config.drain_seconds)
    }

    fn try_begin<G: NodeGround>(
        &mut self,
        process: &mut Process,
        ground: &G,
        recovery: Recovery,
    ) -> Result<(G::Begun, Attach), Unready> {
        let (new, seats) = self.have_begin(process, &recovery)?;
        let links = self.connect(ground, &new, &seats)?;
        self.mark("links");
        let others = Others::Nodes(self.nodes.clone());
        let lease = Some(self.member.session.lease());
        let seating = Seating { seats, links, others, lease, is_wanted: Box::new(|| true) };
        let (generation, attach) = ground.begin(process, Some(recovery), seating)?;
        self.mark("load");
        if let Err(lost) = self.wait_until_ready(process) {
            // Its storage waits for that, and its sinks for its storage.
            drop(attach);
            G::end(generation)?;
            return Err(lost);
        }
        self.note_begun(&new);
        Ok((generation, attach))
    }

    fn try_change(
        &mut self,
        process: &mut Process,
        present: &mut Generation,
    ) -> Result<NextGeneration, Unready> {
        let place = &self.member.place;
        present.rest().map_err(|CannotRest| {
            let reason = "a core or the storage of checkpoints has failed".to_owned();
            Error::Cluster { place: place.clone(), reason }
        })?;
        // Its edges go on as they are.
        let recovery = Arc::new(self.recover_state(process)?);
        let (new, seats) = self.have_begin(process, &recovery)?;
        let links = self.connect(&PinnedCores, &new, &seats)?;
        self.mark("links");
        // Cores that have begun to load do not rest any more.
        let renewed = present.renew(process, &recovery, (&seats, links));
        renewed.map_err(|error| Unready::Failed(Box::new(error)))?;
        self.mark("load");
        self.wait_until_ready(process)?;
        self.note_begun(&new);
        Ok(NextGeneration {
            head: recovery.recovered.head.clone(),
            facts: recovery.facts.clone(),
            cores: seats.total,
            sources: recovery.positions().to_vec(),
            nodes: self.nodes.clone(),
        })
    }

    /// Takes those in that have come, lets those go that are to leave, and has all others begin.
    fn have_begin(
        &mut self,
        process: &Process,
        recovery: &Recovery,
    ) -> Result<(NewGeneration, Seats), Unready> {
        self.let_come_and_go();
        self.mark("stop");
        self.check_cores()?;
        let new = self.seat_all(process, recovery);
        self.generation = new.head.generation;
        // An answer may come late: no round has the number of one before.
        self.counting = Counting { round: self.counting.round, ..Counting::default() };
        self.ended = BTreeMap::new();
        let seats = Seats::among(&new, self.member.name(), process.config.partitions);
        let seats = seats.expect("it is the first one");
        if let Err(error) = check_links(process, &seats) {
            return Err(self.refuse_last(error));
        }
        self.member.links.forget_before(self.generation);
        let names = new.nodes.iter().map(|node| (node.node.clone(), node.first));
        process.watch.set_seats(names.collect());
        for node in &self.nodes {
            node.send(&ToNode::Begin(Box::new(new.clone())));
        }
        Ok((new, seats))
    }

    fn let_come_and_go(&mut self) {
        let joining = take(&mut self.joining);
        let first = self.generation == 0;
        joining
            .iter()
            .filter(|_| !first)
            .for_each(|node| self.add_cause(format!("node {} joined", node.hello.node)));
        self.nodes.extend(joining);
        let leaving = take(&mut self.leaving);
        let (leavers, stay) = take(&mut self.nodes)
            .into_iter()
            .partition::<Vec<_>, _>(|node| leaving.contains_key(&node.hello.node));
        for node in &leavers {
            self.add_cause(format!("node {} left", node.hello.node));
            node.send(&ToNode::End);
        }
        self.nodes = stay;
        self.nodes.retain(|node| !node.is_lost());
    }

    fn connect(
        &mut self,
        ground: &impl NodeGround,
        new: &NewGeneration,
        seats: &Seats,
    ) -> Result<LinksOfCores, Unready> {
        let here: &dyn Fn() -> bool = &|| self.all_are_here();
        let own = (&self.member.links, self.member.secret, here);
        let connected = ground.connect(new, seats, own);
        connected.map_err(|(node, error)| self.unconnected(node, &error))
    }

    /// A node that refuses this one, or is refused, does so at the next try, too: the others go on
    /// without it.
    fn unconnected(&mut self, node: String, error: &io::Error) -> Unready {
        let reason = format!("no links with node `{node}`: {error}");
        let found = self.nodes.iter().find(|one| one.hello.node == node);
        match found {
            Some(one) if one.is_lost() => Unready::Lost(node, error.to_string()),
            Some(one) if is_refusal(error) => {
                self.unfit.add(&node, &reason, system::now());
                one.send(&ToNode::Refused(reason.clone()));
                Unready::Lost(node, reason)
            }
            _ => Unready::Again(reason),
        }
    }

    fn note_begun(&mut self, new: &NewGeneration) {
        console::note(self.line());
        self.mark("others");
        self.reports.begin(new.nodes.iter().map(|node| node.node.clone()));
        new.nodes.iter().for_each(|node| self.unfit.remove(&node.node));
        // The agreement may take long, and sources are held.
        self.is_unrecorded = true;
    }

    /// # Errors
    /// There are too many cores to be seated.
    fn check_cores(&mut self) -> Result<(), Unready> {
        let cores = self.hellos().map(|hello| hello.cores).sum();
        let place = self.member.place.clone();
        check_count(cores).map_err(|reason| self.refuse_last(Error::Cluster { place, reason }))
    }

    /// The node that came last is one too much.
    fn refuse_last(&mut self, error: Error) -> Unready {
        let Some(node) = self.nodes.pop() else { return error.into() };
        node.send(&ToNode::Refused(error.to_string()));
        Unready::Lost(node.hello.node.clone(), error.to_string())
    }

    /// Waits until the cores of all nodes have their shares.
    fn wait_until_ready(&mut self, process: &Process) -> Result<(), Unready> {
        let mut missing: Vec<String> =
            self.nodes.iter().map(|node| node.hello.node.clone()).collect();
        let until = system::now() + READY_WITHIN;
        while let Some(first) = missing.first().cloned() {
            if self.has_to_stop(process) {
                return Err(Error::Stopped.into());
            }
            // What a suspended one decides counts once its lease stands again.
            self.may_act(process)?;
            if system::now() >= until {
                let text = format!(
                    "its cores were not ready within {READY_WITHIN:?}: start it again where it \
                     reads the state faster"
                );
                // If it came again by itself, all would wait for it without end.
                let late = self.nodes.iter().filter(|node| node.hello.node == first);
                late.for_each(|node| node.send(&ToNode::Refused(text.clone())));
                return Err(Unready::Lost(first, text));
            }
            self.end_late_nodes();
            let news = system::receive(self.port.news(), Duration::from_millis(20));
            match news {
                Ok(NodeNews::Said(node, ToLead::Ready { generation })) => {
                    if generation == self.generation {
                        missing.retain(|name| *name != node.hello.node);
                    }
                }
                Ok(NodeNews::Said(node, ToLead::Failed { generation, reason, again })) => {
                    if generation == self.generation && again {
                        return Err(Unready::Again(format!("`{}`: {reason}", node.hello.node)));
                    }
                    if generation == self.generation {
                        let leaves = self.leaving.contains_key(&node.hello.node);
                        if !leaves {
                            self.unfit.add(&node.hello.node, &reason, system::now());
                        }
                        let refused = || ToNode::Refused(reason.clone());
                        node.send(&if leaves { ToNode::End } else { refused() });
                        return Err(Unready::Lost(node.hello.node.clone(), reason));
                    }
                }
                Ok(NodeNews::Lost(node, why)) if self.has(&node) => {
                    return Err(Unready::Lost(node.hello.node.clone(), why));
                }
                Ok(news) => drop(self.note(news)),
                Err(_) => {}
            }
        }
        Ok(())
    }
}

/// # Errors
/// There are too many `cores`: cause and remedy.
fn check_count(cores: usize) -> Result<(), String> {
    match cores > SEATS_MAX {
        true => Err(format!(
            "its nodes would have {cores} cores, and {SEATS_MAX} at most: give them fewer (--cores)"
        )),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_cores_are_seated_than_have_numbers() {
        assert_eq!(check_count(SEATS_MAX), Ok(()));
        let refused = check_count(SEATS_MAX + 1).expect_err("it is one too many");
        assert!(refused.contains("65535 cores, and 65534 at most"), "{refused}");
    }
}
