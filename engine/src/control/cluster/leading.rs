//! The node that leads: it has the edges, seats all nodes, begins generations and sees when nothing
//! is in flight any more.

// In reading order; the blank lines keep it.
mod seating;

mod unfit;

mod late;

mod gate;

mod beginning;

mod record;

mod ending;

mod view;

mod wishes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use super::super::error::Error;
use super::super::process::Process;
use super::figures::Reports;
use super::member::Member;
use crate::cluster::nodes::{NodeListener, NodeNews, RemoteNode};
use crate::cluster::record::{GivenWeights, RecordedChange, SharesRecord};
use crate::cluster::wire::{CoreOrder, ToLead, ToNode};
use crate::system;
use unfit::UnfitNodes;

/// What the node that leads has.
pub(in crate::control) struct Lead {
    member: Member,
    port: NodeListener,
    /// Those of the present generation.
    nodes: Vec<Arc<RemoteNode>>,
    /// Those that have come since.
    joining: Vec<Arc<RemoteNode>>,
    /// Those that could not begin.
    unfit: UnfitNodes,
    /// Names of those that are to end, while the others go on, and since when; none once they were
    /// ended without more ado.
    leaving: BTreeMap<String, Option<Instant>>,
    /// Who owns what: it lasts over changes of nodes and of leads, so that little moves.
    shares: SharesRecord,
    /// They are in the agreement.
    shares_written: bool,
    /// What operators have decided on the shares of nodes.
    weights: GivenWeights,
    /// What nodes reported of themselves.
    reports: Reports,
    /// Keys of wishes for which the next generation is to begin.
    waiting: BTreeSet<String>,
    /// Operators' wishes were looked for in what was read as this number.
    seen: Option<u64>,
    /// Keys of those that need no second look.
    wishes: BTreeSet<String>,
    /// When wishes are looked at again that could not be answered.
    wishes_again: Option<Instant>,
    generation: u64,
    /// Why the next generation begins, and since when nothing is processed.
    cause: (String, Instant),
    /// Nothing was under way or uncommitted then.
    loses_nothing: bool,
    /// Since when this node is to end while it goes on with others.
    stop_since: Option<Instant>,
    /// What was done since, and when it was.
    marks: Vec<(&'static str, Instant)>,
    /// What happened.
    changes: Vec<RecordedChange>,
    /// As people see it.
    record: String,
    /// What has begun is not recorded yet.
    is_unrecorded: bool,
    counting: Counting,
    /// By node: what it reported when its cores had ended.
    ended: BTreeMap<String, NodeEnd>,
    /// All is committed, and the cores end.
    finishing: bool,
    /// An operator has all nodes end.
    stopping: bool,
    /// Another one led before.
    succeeds: bool,
    /// HEAD was swapped by this process, as far as it knows.
    has_head: bool,
    /// What was agreed is removed: another node may lead.
    is_deposed: bool,
}

/// A pause in which nothing is lost: since when sources are held, and what was done since.
#[derive(Clone, Copy, Debug)]
pub(in crate::control) struct Paused {
    pub(in crate::control) since: Instant,
    /// What was under way was processed.
    pub(in crate::control) drained: Instant,
    /// It was committed.
    pub(in crate::control) committed: Instant,
}

/// The generation has lost nodes, or cannot go on for another reason: the next one has to begin.
#[derive(Debug)]
pub(in crate::control) struct NodesLost;

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

impl Lead {
    pub(super) fn new(member: Member, port: NodeListener, succeeds: bool) -> Self {
        Self {
            member,
            port,
            nodes: Vec::new(),
            joining: Vec::new(),
            unfit: UnfitNodes::default(),
            leaving: BTreeMap::new(),
            shares: SharesRecord::default(),
            shares_written: false,
            weights: GivenWeights::new(),
            reports: Reports::default(),
            waiting: BTreeSet::new(),
            seen: None,
            wishes: BTreeSet::new(),
            wishes_again: None,
            generation: 0,
            cause: (String::new(), system::now()),
            loses_nothing: false,
            stop_since: None,
            marks: Vec::new(),
            changes: Vec::new(),
            record: String::new(),
            is_unrecorded: false,
            counting: Counting::default(),
            ended: BTreeMap::new(),
            finishing: false,
            stopping: false,
            succeeds,
            has_head: false,
            is_deposed: false,
        }
    }

    /// Waits for nodes, until none has come for the time that is configured; where the lead was
    /// lost, until those are there that live.
    pub(in crate::control) fn gather(&mut self, process: &Process) {
        let wait = Duration::from_millis(process.config.gather_ms);
        let mut until = system::now() + wait;
        while process.request.reason().is_none() {
            let left = until.saturating_duration_since(system::now());
            self.end_late_nodes();
            if self.succeeds && self.all_living_are_here() {
                return;
            }
            match system::receive(self.port.news(), left.min(Duration::from_millis(20))) {
                Ok(news) => {
                    let joined = matches!(news, NodeNews::Joined(_));
                    // There is no generation yet that could lose a node.
                    let _ = self.note(news);
                    until = if joined { system::now() + wait } else { until };
                }
                Err(RecvTimeoutError::Timeout) if !left.is_zero() => {}
                Err(_) => return,
            }
        }
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
        if std::mem::take(&mut self.is_unrecorded) {
            self.record();
            self.remove_left_over(process);
        }
        self.try_wishes(process);
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
                self.note_leaving(&node.hello.node);
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
        if !self.is_deposed {
            return Ok(());
        }
        tracing::error!(
            "what the nodes had agreed was removed while they ran, and another one may lead"
        );
        Err(self.member.left_behind())
    }

    /// Whether nodes wait for the next generation, to come or to go, or for another share.
    pub(in crate::control) fn is_to_change(&self) -> bool {
        !self.joining.is_empty() || !self.leaving.is_empty() || !self.waiting.is_empty()
    }

    /// This node is to end; returns whether others go on.
    pub(in crate::control) fn leave(&mut self) -> bool {
        let others = self.has_others();
        if others {
            let own = self.member.name().to_owned();
            self.note_leaving(&own);
        }
        others
    }

    /// Whether the application goes on when this node ends.
    pub(in crate::control) fn has_others(&self) -> bool {
        let stays = |node: &Arc<RemoteNode>| {
            !node.is_lost() && !self.leaving.contains_key(&node.hello.node)
        };
        !self.stopping && self.nodes.iter().chain(&self.joining).any(stays)
    }

    fn note_leaving(&mut self, node: &str) {
        self.leaving.entry(node.to_owned()).or_insert_with(|| Some(system::now()));
    }

    /// Ends other nodes that are to leave for longer than `limit`: what they had not committed is
    /// processed again.
    pub(in crate::control) fn end_leavers(&mut self, limit: Duration) {
        for node in &self.nodes {
            let Some(since) = self.leaving.get_mut(&node.hello.node) else { continue };
            if since.take_if(|since| system::since(*since) > limit).is_some() {
                tracing::warn!(
                    "not everything was processed and committed within --drain-seconds: the \
                     others go on from the last checkpoint without node `{}`",
                    node.hello.node
                );
                node.send(&ToNode::End);
            }
        }
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
        self.leaving.contains_key(self.member.name())
    }

    /// Gives an order to the cores of all other nodes.
    pub(in crate::control) fn order(&mut self, order: CoreOrder) {
        self.finishing |= matches!(order, CoreOrder::Finish | CoreOrder::Abandon);
        self.nodes.iter().for_each(|node| node.send(&ToNode::Order(order)));
    }

    /// Nothing is processed from now on, until the next generation begins.
    pub(in crate::control) fn pause(&mut self) {
        (self.cause.1, self.loses_nothing) = (system::now(), false);
        self.marks.clear();
    }

    /// A phase of the change of nodes is over.
    fn mark(&mut self, phase: &'static str) {
        self.marks.push((phase, system::now()));
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
