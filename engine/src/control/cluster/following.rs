//! A node that follows the lead: it has cores and no edges.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::super::checkpoints::CheckpointProgress;
use super::super::error::Error;
use super::super::generation::{Others, Seating};
use super::super::process::Process;
use super::super::recovery::Recovery;
use super::super::seats::Seats;
use super::ground::NodeGround;
use super::member::{AGAIN, Member, check_links};
use super::standing::{OwnHead, sees_own};
use crate::checkpoint::store::{self, Head};
use crate::cluster::membership::{LeadSender, Obey};
use crate::cluster::record::Leading;
use crate::cluster::wire::{CoreOrder, NewGeneration, ToLead, ToNode};
use crate::flow::Counts;
use crate::system;
use crate::turn::{CheckpointCommand, Command, Mailbox};

/// What a node that follows has.
pub(in crate::control) struct Follower {
    member: Member,
    joined: Joined,
    /// Of HEAD; 0 before the first one.
    generation: u64,
    /// When the lead learned that this node is to end.
    leaving: Option<Instant>,
    /// When HEAD was last read, to see whether it is another lead's.
    head_seen: Option<Instant>,
}

/// The connection with the lead.
pub(super) struct Joined {
    /// Where the lead listens, as the agreement has it.
    address: SocketAddr,
    lead: LeadSender,
    said: Receiver<ToNode>,
    /// The cores that obey the lead.
    cores: Arc<Mutex<Vec<Mailbox>>>,
    /// The generation that the lead wants.
    wanted: Arc<AtomicU64>,
}

/// Why a generation has not begun.
struct NotBegun {
    error: Box<Error>,
    /// It may do so at the next try.
    again: bool,
}

impl From<Error> for NotBegun {
    fn from(error: Error) -> Self {
        Self { error: Box::new(error), again: false }
    }
}

/// What the lead wants of the node, besides what its cores obey.
pub(in crate::control) enum FollowerNews {
    /// A generation is to begin; the one before is void.
    Begin(Box<NewGeneration>),
    /// The lead is gone, and has not said that the application has ended.
    LeadLost,
    /// The application has ended, or goes on without this node.
    Ended,
}

impl Joined {
    /// Has `member` join the lead, which is this node at `address`, whose commits show in
    /// `progress`. It is lost after its machine was cut off for `silence`.
    pub(super) fn with(
        member: &Member,
        (lead, address): (&str, SocketAddr),
        progress: Arc<CheckpointProgress>,
        silence: Duration,
    ) -> io::Result<Self> {
        let cores: Arc<Mutex<Vec<Mailbox>>> = Arc::default();
        let of_reader = cores.clone();
        let obey = move |order| {
            if let CoreOrder::Commit(epoch) = order {
                progress.commit_of_lead(epoch);
            }
            let cores = of_reader.lock().unwrap_or_else(PoisonError::into_inner);
            cores.iter().for_each(|core| core.send(command(order)));
        };
        let wanted = Arc::new(AtomicU64::new(0));
        let (at, obeys) = ((lead, address), (Arc::new(obey) as Obey, wanted.clone()));
        let (lead, said) = member.ways.join(at, member.hello.clone(), obeys, silence)?;
        Ok(Self { address, lead, said, cores, wanted })
    }

    fn set_cores(&self, cores: Vec<Mailbox>) {
        *self.cores.lock().unwrap_or_else(PoisonError::into_inner) = cores;
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.lead.end();
    }
}

/// What a core does for an order.
pub(in crate::control) fn command(order: CoreOrder) -> Command {
    match order {
        CoreOrder::Begin(epoch) => Command::Checkpoint(CheckpointCommand::Begin(epoch)),
        CoreOrder::Commit(epoch) => Command::Checkpoint(CheckpointCommand::Commit(epoch)),
        CoreOrder::Abort(epoch) => Command::Checkpoint(CheckpointCommand::Abort(epoch)),
        CoreOrder::SourcesComplete => Command::SourcesComplete,
        CoreOrder::StopSources => Command::StopSources,
        CoreOrder::Finish => Command::Finish,
        CoreOrder::Abandon => Command::Abandon,
    }
}

/// One that is to end needs no other lead for that.
fn without_lead(process: &Process) -> FollowerNews {
    match process.request.reason() {
        Some(_) => FollowerNews::Ended,
        None => FollowerNews::LeadLost,
    }
}

/// Why a node does not see the HEAD of the generation that is to begin.
#[derive(Debug)]
enum Unseen {
    /// It cannot be read.
    Unread(store::Error),
    /// Another lead has swapped it since.
    Newer,
    /// An older one is there, or none.
    Missing,
}

/// How long a listing of a shared file system may be old.
const HEAD_LATE: Duration = Duration::from_secs(10);

/// Waits until HEAD is that of the generation to begin: what lists it may be old. Ends after
/// `late`, or when the generation is not wanted any more.
fn see_head(
    read: impl Fn() -> Result<Option<Head>, store::Error>,
    wanted: &Head,
    (late, is_wanted): (Duration, &dyn Fn() -> bool),
) -> Result<(), Unseen> {
    let begun = system::now();
    loop {
        match read().map_err(Unseen::Unread)? {
            Some(head) if head == *wanted => return Ok(()),
            Some(head) if head.generation > wanted.generation => return Err(Unseen::Newer),
            _ if system::since(begun) > late || !is_wanted() => return Err(Unseen::Missing),
            _ => system::sleep(AGAIN),
        }
    }
}

impl Follower {
    pub(super) fn new(member: Member, joined: Joined) -> Self {
        Self { member, joined, generation: 0, leaving: None, head_seen: None }
    }

    /// The node, whose lead is gone.
    pub(super) fn into_member(self) -> Member {
        self.member
    }

    /// Waits for what the lead wants, while the node has no generation.
    ///
    /// # Errors
    /// The node does not fit.
    pub(in crate::control) fn wait(&mut self, process: &Process) -> Result<FollowerNews, Error> {
        loop {
            if self.is_to_end(process) {
                return Ok(FollowerNews::Ended);
            }
            self.tell(process);
            self.member.may_act(process, OwnHead::Any, None)?;
            if self.has_other_lead(process, OwnHead::Any) {
                return Ok(without_lead(process));
            }
            match system::receive(&self.joined.said, Duration::from_millis(20)) {
                Ok(message) => {
                    if let Some(news) = self.news(process, message, None)? {
                        return Ok(news);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(without_lead(process)),
            }
        }
    }

    /// Handles what the lead wants while a generation runs.
    ///
    /// # Errors
    /// The node does not fit.
    pub(in crate::control) fn look(
        &mut self,
        process: &Process,
    ) -> Result<Option<FollowerNews>, Error> {
        if self.is_to_end(process) {
            return Ok(Some(FollowerNews::Ended));
        }
        self.tell(process);
        self.member.may_act(process, self.own_head(), None)?;
        if self.has_other_lead(process, self.own_head()) {
            return self.lead_lost(process).map(Some);
        }
        loop {
            match self.joined.said.try_recv() {
                Ok(message) => {
                    let frames = process.watch.frames_when_quiet();
                    if let Some(news) = self.news(process, message, frames)? {
                        return Ok(Some(news));
                    }
                }
                Err(TryRecvError::Empty) => return Ok(None),
                Err(TryRecvError::Disconnected) => return self.lead_lost(process).map(Some),
            }
        }
    }

    /// The HEAD of the generation of its cores; any before the first one.
    fn own_head(&self) -> OwnHead {
        match self.generation {
            0 => OwnHead::Any,
            generation => OwnHead::Generation(generation),
        }
    }

    /// # Errors
    /// It is this node that is lost: it was suspended, and the others went on.
    fn lead_lost(&self, process: &Process) -> Result<FollowerNews, Error> {
        match self.member.is_left_behind(process, self.own_head()) {
            true => Err(self.member.left_behind()),
            false => Ok(without_lead(process)),
        }
    }

    /// Whether another node leads than the one that this one joined, or none does any more.
    fn has_other_lead(&mut self, process: &Process, own: OwnHead) -> bool {
        let session = &self.member.session;
        if !session.other_lead(self.joined.address.to_string())() {
            return false;
        }
        // An agreement that was restored from a copy has a lead of long ago.
        session.listed().leading() == Leading::None || self.has_other_head(process, own)
    }

    /// Whether HEAD is not the `own` one, which each lead swaps before anything else. To be asked
    /// often: it is not read at each call.
    fn has_other_head(&mut self, process: &Process, own: OwnHead) -> bool {
        if own == OwnHead::Any {
            return true;
        }
        let due = self.head_seen.is_none_or(|at| system::since(at) > self.member.session.pause());
        let seen = if due { sees_own(process, own) } else { Ok(true) };
        self.head_seen = if due { Some(system::now()) } else { self.head_seen };
        seen.is_ok_and(|own| !own)
    }

    pub(super) fn is_suspended(&self) -> bool {
        self.member.is_suspended()
    }

    fn news(
        &self,
        process: &Process,
        message: ToNode,
        frames: Option<(u64, u64)>,
    ) -> Result<Option<FollowerNews>, Error> {
        match message {
            ToNode::Begin(new) => Ok(Some(FollowerNews::Begin(new))),
            ToNode::End => Ok(Some(FollowerNews::Ended)),
            ToNode::Count { round } => {
                self.joined.lead.send(&ToLead::Counted { round, frames });
                Ok(None)
            }
            ToNode::Refused(reason) => {
                let place = self.member.place.clone();
                let reason = format!("the lead refuses node `{}`: {reason}", self.member.name());
                Err(Error::Cluster { place, reason })
            }
            ToNode::View(view) => {
                process.watch.set_cluster(*view);
                Ok(None)
            }
            ToNode::Order(_) => unreachable!("the reader gives orders to the cores"),
        }
    }

    /// Tells the lead once each second what this node does.
    fn tell(&mut self, process: &Process) {
        if let Some(figures) = self.member.figures.look(process) {
            self.member.look_at_certificate();
            self.joined.lead.send(&ToLead::Figures(Box::new(figures)));
        }
    }

    /// Tells the lead when the node is asked to end. Returns whether it has to end without an
    /// answer: nothing is lost then either, and the others go back to the last checkpoint.
    fn is_to_end(&mut self, process: &Process) -> bool {
        if process.request.reason().is_none() {
            return false;
        }
        let since = *self.leaving.get_or_insert_with(|| {
            self.joined.lead.send(&ToLead::Leave);
            system::now()
        });
        system::since(since) > Duration::from_secs(process.config.drain_seconds)
    }

    /// Begins what the lead wants. When it cannot, the lead learns why, and nothing is returned.
    pub(in crate::control) fn begin<G: NodeGround>(
        &mut self,
        process: &mut Process,
        ground: &G,
        new: &NewGeneration,
    ) -> Option<G::Begun> {
        self.generation = new.head.generation;
        self.member.forget_suspension();
        let generation = self.generation;
        if self.joined.wanted.load(Ordering::Relaxed) != generation {
            // The lead wants another one already.
            return None;
        }
        match self.try_begin(process, ground, new) {
            Ok(begun) => {
                self.joined.set_cores(G::cores(&begun));
                let stored = process.stored.as_ref().expect("a cluster has state");
                stored.progress.begin_of_lead(generation);
                self.joined.lead.send(&ToLead::Ready { generation });
                Some(begun)
            }
            // The lead wants another one since.
            Err(_) if self.joined.wanted.load(Ordering::Relaxed) != generation => None,
            Err(NotBegun { error, again }) => {
                // One that is to end leaves: it is not refused.
                self.is_to_end(process);
                let reason = error.to_string();
                tracing::warn!("generation {generation} cannot begin here: {reason}");
                self.joined.lead.send(&ToLead::Failed { generation, reason, again });
                None
            }
        }
    }

    fn try_begin<G: NodeGround>(
        &self,
        process: &mut Process,
        ground: &G,
        new: &NewGeneration,
    ) -> Result<G::Begun, NotBegun> {
        let Member { place, links: listener, hello, .. } = &self.member;
        let refused = |reason: String| Error::Cluster { place: place.clone(), reason };
        self.member.check_certificate()?;
        let seats = Seats::among(new, &hello.node, process.config.partitions);
        let seats = seats.map_err(|reason| refused(reason.to_owned()))?;
        let names = new.nodes.iter().map(|node| (node.node.clone(), node.first));
        process.watch.set_seats(names.collect());
        listener.forget_before(new.head.generation);
        check_links(process, &seats)?;
        let (wanted, request) = (self.joined.wanted.clone(), process.request.clone());
        let generation = new.head.generation;
        // A lead that is cut off from the agreement, and waits for a node, says nothing.
        let is_led_by_other = self.member.session.other_lead(self.joined.address.to_string());
        let is_wanted = move || {
            let is_wanted = wanted.load(Ordering::Relaxed) == generation;
            is_wanted && request.reason().is_none() && !is_led_by_other()
        };
        let links = ground.connect(new, &seats, (listener, self.member.secret, &is_wanted));
        let links = links.map_err(|(node, error)| NotBegun {
            error: Box::new(refused(format!("no links with node `{node}`: {error}"))),
            again: true,
        })?;
        let stored = process.stored.as_ref().expect("a cluster has state");
        let saw = see_head(|| stored.store.head(), &new.head, (HEAD_LATE, &is_wanted));
        saw.map_err(|unseen| match unseen {
            Unseen::Unread(error) => refused(error.to_string()).into(),
            Unseen::Newer => NotBegun {
                error: Box::new(refused("another node has begun to lead".to_owned())),
                again: true,
            },
            Unseen::Missing => NotBegun::from(refused(format!(
                "this node does not see in {} what the lead has written to {}: give all nodes one \
                 folder or bucket",
                stored.place, hello.facts.state
            ))),
        })?;
        let taken = (new.head.clone(), new.identity.clone());
        let recovery = Recovery::follow(&process.plan, &process.config, stored, taken)?;
        let others = Others::Lead(self.joined.lead.clone());
        let lease = Some(self.member.session.lease());
        let is_wanted = Box::new(is_wanted);
        let seating = Seating { seats, links, others, lease, is_wanted };
        let (generation, attach) = ground.begin(process, Some(recovery), seating)?;
        // It has no edges: only its storage thread waits.
        attach.run().expect("there is no output to empty");
        Ok(generation)
    }

    /// The generation is void: its cores obey no more.
    pub(in crate::control) fn release(&self) {
        self.joined.set_cores(Vec::new());
    }

    /// Tells the lead that the generation cannot go on.
    pub(in crate::control) fn fail(&self, reason: String) {
        let generation = self.generation;
        self.joined.lead.send(&ToLead::Failed { generation, reason, again: true });
    }

    /// Tells the lead that all cores have ended.
    pub(in crate::control) fn ended(&self, process: &Process) {
        let counts: Vec<Counts> = process.watch.tallies.iter().map(|tally| tally.read()).collect();
        let sum = |count: fn(&Counts) -> u64| counts.iter().map(count).sum();
        let frames = (sum(|core| core.frames_sent), sum(|core| core.frames_received));
        let table = |table| {
            let sum = |sum: (u64, u64), core: &Counts| {
                let (rows, bytes) = core.tables[table];
                (sum.0 + rows, sum.1 + bytes)
            };
            counts.iter().fold((0, 0), sum)
        };
        let tables = (0..process.plan.tables.len()).map(table).collect();
        self.joined.lead.send(&ToLead::Ended { generation: self.generation, frames, tables });
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn head(generation: u64) -> Head {
        Head { generation, owner: 7, folder: 7, ..Head::default() }
    }

    /// What a node makes of a HEAD that is each of these in turn, and stays the last.
    fn see(mut reads: Vec<Option<Head>>) -> Result<(), Unseen> {
        reads.reverse();
        let reads = RefCell::new(reads);
        let read = || {
            let mut left = reads.borrow_mut();
            Ok(if left.len() > 1 { left.pop().flatten() } else { left[0].clone() })
        };
        let ends = reads.borrow().len() > 1;
        let late = if ends { HEAD_LATE } else { Duration::ZERO };
        see_head(read, &head(3), (late, &|| true))
    }

    #[test]
    fn a_head_that_is_listed_late_is_waited_for() {
        assert!(see(vec![None, Some(head(2)), Some(head(3))]).is_ok());
        for missing in [None, Some(head(2)), Some(Head { owner: 8, ..head(3) })] {
            assert!(matches!(see(vec![missing]), Err(Unseen::Missing)));
        }
        let unwanted = see_head(|| Ok(None), &head(3), (HEAD_LATE, &|| false));
        assert!(matches!(unwanted, Err(Unseen::Missing)));
    }

    #[test]
    fn a_head_of_another_lead_is_no_reason_to_end() {
        assert!(matches!(see(vec![Some(head(4))]), Err(Unseen::Newer)));
        assert!(matches!(see(vec![Some(head(2)), Some(head(4))]), Err(Unseen::Newer)));
    }
}
