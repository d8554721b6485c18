//! The node that leads: it has the edges, seats all nodes, begins generations and sees when nothing
//! is in flight any more.

// In reading order; the blank lines keep it.
mod seating;

mod late;

mod record;

mod ending;

mod view;

mod wishes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use super::super::console;
use super::super::error::Error;
use super::super::generation::{Generation, Others, Seating};
use super::super::process::Process;
use super::super::recovery::Recovery;
use super::super::seats::Seats;
use super::figures::Reports;
use super::links;
use super::member::{AGAIN, Member, check_links};
use crate::cluster::agreement::AgreedEntries;
use crate::cluster::nodes::{NodeListener, NodeNews, RemoteNode};
use crate::cluster::record::{RecordedChange, SharesRecord};
use crate::cluster::wire::{CoreOrder, ToLead, ToNode};
use crate::connect::attach::Attach;

/// What the node that leads has.
pub(in crate::control) struct Lead {
    member: Member,
    port: NodeListener,
    /// Those of the present generation.
    nodes: Vec<Arc<RemoteNode>>,
    /// Those that have come since.
    joining: Vec<Arc<RemoteNode>>,
    /// Names of those that are to end, while the others go on.
    leaving: BTreeSet<String>,
    /// Who owns what: it lasts over changes of nodes and of leads, so that little moves.
    shares: SharesRecord,
    /// They are in the agreement.
    shares_written: bool,
    /// What operators have decided on the shares of nodes, by key of the agreement.
    weights: AgreedEntries,
    /// What nodes reported of themselves.
    reports: Reports,
    /// Keys of wishes for which the next generation is to begin.
    waiting: BTreeSet<String>,
    /// Operators' wishes were looked for in what was read as this number.
    seen: Option<u64>,
    /// Keys of those that need no second look.
    wishes: BTreeSet<String>,
    generation: u64,
    /// Why the next generation begins, and since when nothing is processed.
    cause: (String, Instant),
    /// What was done since, and when it was.
    marks: Vec<(&'static str, Instant)>,
    /// What happened.
    changes: Vec<RecordedChange>,
    /// As people see it.
    record: String,
    counting: Counting,
    /// By node: what it reported when its cores had ended.
    ended: BTreeMap<String, NodeEnd>,
    /// All is committed, and the cores end.
    finishing: bool,
    /// An operator has all nodes end.
    stopping: bool,
    /// Another one led before.
    succeeds: bool,
    /// What was agreed is removed: another node may lead.
    is_deposed: bool,
}

/// The generation has lost nodes, or cannot go on for another reason: the next one has to begin.
#[derive(Debug)]
pub(in crate::control) struct NodesLost;

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
        Self::Failed(Box::new(error))
    }
}

/// What a node reported when its cores had ended.
pub(in crate::control) struct NodeEnd {
    pub(in crate::control) frames: (u64, u64),
    pub(in crate::control) tables: Vec<(u64, u64)>,
}

/// Rounds in which all nodes count the frames that they sent and received.
#[derive(Default)]
struct Counting {
    round: u64,
    /// Whether the round is under way.
    asked: bool,
    /// By node.
    answers: BTreeMap<String, Option<(u64, u64)>>,
    /// What the round before counted.
    before: Option<(u64, u64)>,
}

/// How long the cores of nodes may take to restore a checkpoint without a sign.
const READY_WITHIN: Duration = Duration::from_secs(600);

/// The pause between two tries to begin grows up to this many times the first one.
const TRIES_MAX: u32 = 50;

/// Cores of all nodes: their numbers have 16 bits.
const SEATS_MAX: usize = 65_534;

impl Lead {
    pub(super) fn new(member: Member, port: NodeListener, succeeds: bool) -> Self {
        Self {
            member,
            port,
            nodes: Vec::new(),
            joining: Vec::new(),
            leaving: BTreeSet::new(),
            shares: SharesRecord::default(),
            shares_written: false,
            weights: AgreedEntries::new(),
            reports: Reports::default(),
            waiting: BTreeSet::new(),
            seen: None,
            wishes: BTreeSet::new(),
            generation: 0,
            cause: (String::new(), Instant::now()),
            marks: Vec::new(),
            changes: Vec::new(),
            record: String::new(),
            counting: Counting::default(),
            ended: BTreeMap::new(),
            finishing: false,
            stopping: false,
            succeeds,
            is_deposed: false,
        }
    }

    /// Waits for nodes, until none has come for the time that is configured; where the lead was
    /// lost, until those are there that live.
    pub(in crate::control) fn gather(&mut self, process: &Process) {
        let wait = Duration::from_millis(process.config.gather_ms);
        let mut until = Instant::now() + wait;
        while process.request.reason().is_none() {
            let left = until.saturating_duration_since(Instant::now());
            self.end_late_nodes();
            if self.succeeds && self.all_living_are_here() {
                return;
            }
            match self.port.news().recv_timeout(left.min(Duration::from_millis(20))) {
                Ok(news) => {
                    let joined = matches!(news, NodeNews::Joined(_));
                    // There is no generation yet that could lose a node.
                    let _ = self.note(news);
                    until = if joined { Instant::now() + wait } else { until };
                }
                Err(RecvTimeoutError::Timeout) if !left.is_zero() => {}
                Err(_) => return,
            }
        }
    }

    /// Begins a generation with all nodes that there are, from `recovery` or, when nodes are lost
    /// meanwhile, from the same checkpoint once more.
    ///
    /// # Errors
    /// This node cannot begin.
    pub(in crate::control) fn begin(
        &mut self,
        process: &mut Process,
        recovery: Recovery,
    ) -> Result<(Generation, Attach), Error> {
        let (mut recovery, mut tries) = (Some(recovery), 0);
        loop {
            let taken = match recovery.take() {
                Some(recovery) => recovery,
                None => process.recover()?.expect("a cluster has state"),
            };
            self.end_late_nodes();
            self.member.forget_suspension();
            match self.try_begin(process, taken) {
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
                    std::thread::sleep(AGAIN * tries);
                    if process.request.reason().is_some() {
                        return Err(Error::Stopped);
                    }
                }
                Err(Unready::Failed(error)) => return Err(*error),
            }
        }
    }

    /// Has nodes come and go.
    fn change_nodes(&mut self) {
        let joining = std::mem::take(&mut self.joining);
        let first = self.generation == 0;
        joining
            .iter()
            .filter(|_| !first)
            .for_each(|node| self.add_cause(format!("node {} joined", node.hello.node)));
        self.nodes.extend(joining);
        let leaving = std::mem::take(&mut self.leaving);
        let (leavers, stay) = std::mem::take(&mut self.nodes)
            .into_iter()
            .partition::<Vec<_>, _>(|node| leaving.contains(&node.hello.node));
        for node in &leavers {
            self.add_cause(format!("node {} left", node.hello.node));
            node.send(&ToNode::End);
        }
        self.nodes = stay;
        self.nodes.retain(|node| !node.is_lost());
    }

    fn try_begin(
        &mut self,
        process: &mut Process,
        recovery: Recovery,
    ) -> Result<(Generation, Attach), Unready> {
        self.change_nodes();
        self.mark("stop");
        let new = self.seat_all(process, &recovery);
        self.generation = new.head.generation;
        (self.counting, self.ended) = (Counting::default(), BTreeMap::new());
        let seats = Seats::among(&new, self.member.name(), process.config.partitions);
        let seats = seats.expect("it is the first one");
        if let Err(error) = self.check_seats(process, &seats) {
            // The one that came last is one too much.
            let Some(node) = self.nodes.pop() else { return Err(error.into()) };
            node.send(&ToNode::Refused(error.to_string()));
            return Err(Unready::Lost(node.hello.node.clone(), error.to_string()));
        }
        let names = new.nodes.iter().map(|node| (node.node.clone(), node.first));
        process.watch.set_seats(names.collect());
        for node in &self.nodes {
            node.send(&ToNode::Begin(Box::new(new.clone())));
        }
        let with = (&self.member.links, self.member.secret, &|| self.all_are_here());
        let links = links::connect(&new, &seats, (with.0, with.1, with.2));
        let links = links.map_err(|(node, error)| {
            let lost = self.nodes.iter().any(|one| one.hello.node == node && one.is_lost());
            match lost {
                true => Unready::Lost(node, error.to_string()),
                false => Unready::Again(format!("no links with node `{node}`: {error}")),
            }
        })?;
        self.mark("links");
        let others = Others::Nodes(self.nodes.clone());
        let lease = Some(self.member.session.lease());
        let seating = Seating { seats, links, others, lease };
        let begun = Generation::begin(process, Some(recovery), seating);
        let (generation, attach) = begun?;
        self.mark("load");
        if let Err(lost) = self.wait_until_ready(process) {
            generation.abandon();
            generation.join(true)?;
            return Err(lost);
        }
        console::note(self.line());
        self.mark("others");
        self.reports.begin(new.nodes.iter().map(|node| node.node.clone()));
        self.record();
        self.remove_left_over(process);
        Ok((generation, attach))
    }

    /// # Errors
    /// There are too many cores, or their links take too much memory.
    fn check_seats(&self, process: &Process, seats: &Seats) -> Result<(), Error> {
        if seats.total > SEATS_MAX {
            let reason = format!("its nodes have {} cores, and {SEATS_MAX} at most", seats.total);
            return Err(Error::Cluster { place: self.member.place.clone(), reason });
        }
        check_links(process, seats)
    }

    /// Waits until the cores of all nodes have their shares.
    fn wait_until_ready(&mut self, process: &Process) -> Result<(), Unready> {
        let mut missing: Vec<String> =
            self.nodes.iter().map(|node| node.hello.node.clone()).collect();
        let until = Instant::now() + READY_WITHIN;
        while let Some(first) = missing.first().cloned() {
            if process.request.reason().is_some() {
                return Err(Error::Stopped.into());
            }
            if Instant::now() >= until {
                let text = format!("its cores were not ready within {READY_WITHIN:?}");
                return Err(Unready::Lost(first, text));
            }
            self.end_late_nodes();
            let news = self.port.news().recv_timeout(Duration::from_millis(20));
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
                        node.send(&ToNode::Refused(reason.clone()));
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

    /// Handles what nodes tell while a generation runs.
    ///
    /// # Errors
    /// The next generation has to begin.
    pub(in crate::control) fn look(&mut self, process: &Process) -> Result<(), NodesLost> {
        self.end_late_nodes();
        let mut lost = Ok(());
        while let Ok(news) = self.port.news().try_recv() {
            lost = lost.and(self.note(news));
        }
        if let Err(error) = self.look_for_wishes(process) {
            tracing::warn!("{error}");
        }
        self.show(process);
        // The cores that end first break the links of the others.
        if self.finishing { Ok(()) } else { lost }
    }

    fn note(&mut self, news: NodeNews) -> Result<(), NodesLost> {
        match news {
            NodeNews::Joined(node) => self.admit(node),
            NodeNews::Lost(node, why) => {
                self.joining.retain(|one| !Arc::ptr_eq(one, &node));
                self.leaving.remove(&node.hello.node);
                if self.has(&node) && !self.ended.contains_key(&node.hello.node) {
                    tracing::warn!("node `{}` is lost: {why}", node.hello.node);
                    self.add_cause(format!("node {} was lost", node.hello.node));
                    return Err(NodesLost);
                }
            }
            NodeNews::Said(node, ToLead::Failed { generation, reason, .. }) => {
                if generation == self.generation && self.has(&node) {
                    tracing::warn!("node `{}`: {reason}", node.hello.node);
                    self.add_cause(format!("node {}: {reason}", node.hello.node));
                    return Err(NodesLost);
                }
            }
            NodeNews::Said(node, ToLead::Counted { round, frames }) => {
                if round == self.counting.round {
                    self.counting.answers.insert(node.hello.node.clone(), frames);
                }
            }
            NodeNews::Said(node, ToLead::Ended { generation, frames, tables }) => {
                if generation == self.generation {
                    self.ended.insert(node.hello.node.clone(), NodeEnd { frames, tables });
                }
            }
            NodeNews::Said(node, ToLead::Figures(figures)) if self.has(&node) => {
                self.reports.take(&node.hello.node, *figures);
            }
            NodeNews::Said(node, ToLead::Leave) if self.has(&node) => {
                self.leaving.insert(node.hello.node.clone());
            }
            NodeNews::Said(node, ToLead::Leave) => {
                self.joining.retain(|one| !Arc::ptr_eq(one, &node));
                node.send(&ToNode::End);
            }
            NodeNews::Said(..) => {}
        }
        Ok(())
    }

    fn has(&self, node: &Arc<RemoteNode>) -> bool {
        self.nodes.iter().any(|one| Arc::ptr_eq(one, node))
    }

    /// # Errors
    /// The agreement does not have this node as the lead any more: it has to end at once.
    pub(in crate::control) fn check(&self) -> Result<(), Error> {
        let reason = "what the nodes had agreed was removed while they ran, and another one may \
                      lead: start this node again";
        let place = self.member.place.clone();
        match self.is_deposed {
            true => Err(Error::Cluster { place, reason: reason.to_owned() }),
            false => Ok(()),
        }
    }

    /// Whether nodes wait for the next generation, to come or to go, or for another share.
    pub(in crate::control) fn is_to_change(&self) -> bool {
        !self.joining.is_empty() || !self.leaving.is_empty() || !self.waiting.is_empty()
    }

    /// This node is to end; returns whether others go on.
    pub(in crate::control) fn leave(&mut self) -> bool {
        let others = !self.stopping
            && self.nodes.iter().any(|node| !self.leaving.contains(&node.hello.node));
        if others {
            self.leaving.insert(self.member.name().to_owned());
        }
        others
    }

    /// Whether another one led before.
    pub(in crate::control) fn succeeds(&self) -> bool {
        self.succeeds
    }

    /// Whether the cores end, since all is committed.
    pub(in crate::control) fn is_finishing(&self) -> bool {
        self.finishing
    }

    /// Whether this node is to end, while others go on.
    pub(in crate::control) fn is_leaving(&self) -> bool {
        self.leaving.contains(self.member.name())
    }

    /// Gives an order to the cores of all other nodes.
    pub(in crate::control) fn order(&mut self, order: CoreOrder) {
        self.finishing |= matches!(order, CoreOrder::Finish | CoreOrder::Abandon);
        self.nodes.iter().for_each(|node| node.send(&ToNode::Order(order)));
    }

    /// Nothing is processed from now on, until the next generation begins.
    pub(in crate::control) fn pause(&mut self) {
        self.cause.1 = Instant::now();
        self.marks.clear();
    }

    /// A phase of the change of nodes is over.
    fn mark(&mut self, phase: &'static str) {
        self.marks.push((phase, Instant::now()));
    }

    /// Something for which the next generation has to begin.
    fn add_cause(&mut self, cause: String) {
        let causes = &mut self.cause.0;
        if !causes.contains(&cause) {
            *causes = if causes.is_empty() { cause } else { format!("{causes}, {cause}") };
        }
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        // The threads that read from them end.
        self.nodes.iter().chain(&self.joining).for_each(|node| node.end());
    }
}
