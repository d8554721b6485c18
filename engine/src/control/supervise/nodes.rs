//! What the other nodes of a cluster make necessary.

use std::time::{Duration, Instant};

use potoroo_runtime::Housekeeping;
use tokio::sync::oneshot;

use super::super::cluster::{ClusterRole, FollowerNews, Lead, Paused};
use super::super::error::Error;
use super::change::{ChangeOrder, CheckpointAnswer, NodeChange};
use super::{Next, Supervisor};
use crate::connect::mail::StorageMessage;
use crate::turn::Command;

impl Supervisor {
    /// What the other nodes of the cluster make necessary, if that is something.
    pub(super) fn look_at_cluster(&mut self) -> Result<Option<Next>, Error> {
        let was_suspended = self.role.is_suspended();
        let next = self.look_at_role();
        if was_suspended && !self.role.is_suspended() {
            // They sleep, and have missed what came.
            self.generation.cores.iter().for_each(|core| core.waker().wake_if_parked());
        }
        next
    }

    fn look_at_role(&mut self) -> Result<Option<Next>, Error> {
        match &mut self.role {
            ClusterRole::Alone => return Ok(None),
            ClusterRole::Follower(follower) => {
                return Ok(follower.look(&self.process)?.map(Next::OfLead));
            }
            ClusterRole::Lead(lead) => {
                if !lead.may_act(&self.process)? {
                    // It decides nothing; to end it needs no other node.
                    let ends = self.process.request.reason().is_some();
                    return Ok(ends.then_some(Next::Leave));
                }
                self.other_nodes |= lead.look(&self.process).is_err();
                lead.check()?;
            }
        }
        if self.rollback.is_some() {
            // It may have swapped HEAD already, and may take long to refuse.
            if !self.change.stopped {
                self.forget_change();
            }
            return Ok(None);
        }
        if self.other_nodes {
            // Without others it is the last one, and stops as such.
            let leaves = |lead: &mut Lead| lead.is_leaving() && lead.has_others();
            let leaves = self.role.lead().is_some_and(leaves);
            return Ok(Some(if leaves { Next::Leave } else { Next::OtherNodes }));
        }
        Ok(self.look_for_change())
    }

    /// Has nodes come and go that wait for it, without loss: returns what comes next when all that
    /// was taken from sources is committed.
    fn look_for_change(&mut self) -> Option<Next> {
        let lead = self.role.lead()?;
        let (wished, leaves) = (lead.is_to_change(), lead.is_leaving());
        if !wished || !self.shutdown.is_running() {
            self.forget_change();
            return None;
        }
        let now = Instant::now();
        let drain = Duration::from_secs(self.process.config.drain_seconds);
        lead.end_leavers(drain);
        if leaves && self.change.wished_for(now) > drain {
            tracing::warn!(
                "not everything was processed and committed within --drain-seconds: the other \
                 nodes go on from the last checkpoint"
            );
            return Some(Next::Leave);
        }
        let order = match leaves && self.change.holds() && !self.change.stopped {
            // Its connections cannot go on.
            true => Some(self.change.note_stopped(now)),
            false => self.change.look(now, drain),
        };
        self.carry_out(order?, leaves)
    }

    fn carry_out(&mut self, order: ChangeOrder, leaves: bool) -> Option<Next> {
        match order {
            ChangeOrder::Checkpoint => {
                let answer = self.request_checkpoint();
                self.change.note_requested(Instant::now(), answer);
            }
            ChangeOrder::Hold(_) if leaves => {
                self.change.stopped = true;
                self.generation.threads.edges.stop_accepting();
                self.generation.send(|| Command::StopSources);
            }
            ChangeOrder::Hold(hold) => {
                self.generation.send(|| Command::HoldForNodes(Some(hold)));
            }
            ChangeOrder::LookForQuiet(hold) => {
                let watch = &self.process.watch;
                let own = match self.change.stopped {
                    true => watch.frames_when_quiet(),
                    false => watch.frames_when_drained(hold),
                };
                if self.role.lead()?.is_quiet(own) {
                    let answer = self.request_checkpoint();
                    self.change.note_drained(Instant::now(), answer);
                }
            }
            ChangeOrder::Complain(what) => self.complain_of(what),
            ChangeOrder::GiveUp(what) => {
                self.complain_of(what);
                self.generation.send(|| Command::HoldForNodes(None));
            }
            ChangeOrder::Go(_) if leaves => return Some(Next::Leave),
            ChangeOrder::Go(paused) => return Some(Next::Change(paused)),
        }
        None
    }

    /// Logs why nodes do not come or go.
    fn complain_of(&self, what: &str) {
        let waits_for = match &self.role {
            ClusterRole::Lead(lead) => lead.not_quiet(),
            _ => None,
        };
        let by = self.process.watch.held_by().or(waits_for);
        let by = by.map_or(String::new(), |by| format!(" (held back by {by})"));
        tracing::warn!(
            "nodes wait to come or go: {what}{by}; sources go on, and it is tried again"
        );
    }

    /// Has a checkpoint begin after the one that may be under way.
    fn request_checkpoint(&self) -> CheckpointAnswer {
        let (answer, checkpoint) = oneshot::channel();
        let stored = self.process.stored.as_ref().expect("a cluster has state");
        stored.present.send(StorageMessage::Now(answer));
        checkpoint
    }

    /// No node waits any more, or the application ends.
    fn forget_change(&mut self) {
        if self.change.holds() {
            self.generation.send(|| Command::HoldForNodes(None));
        }
        self.change = NodeChange::default();
    }

    /// Goes on with the same cores and edges, and other nodes.
    ///
    /// # Errors
    /// It cannot: the application has ended.
    pub(super) fn change_nodes(mut self, paused: Paused) -> Result<Self, Error> {
        let Self { process, role, generation, .. } = &mut self;
        let lead = role.lead().expect("it has nodes");
        let changed = {
            let _housekeeping = Housekeeping::begin(&process.watch.cpus);
            lead.change(process, generation, paused)
        };
        match changed {
            Ok(()) => {
                self.change = NodeChange::default();
                // The new cores do not know them.
                self.complete.clear();
                Ok(self)
            }
            // All is committed: only plain connections are closed.
            Err(error @ Error::StateAway { .. }) => {
                tracing::warn!("nodes could not come or go without a pause: {error}");
                self.begin_anew()
            }
            Err(error) => {
                self.generation.abandon();
                self.generation.join(true)?;
                Err(error)
            }
        }
    }

    /// A node that follows, whose cores have ended, learns from the lead what comes next.
    pub(super) fn wait_for_lead(&mut self) -> Result<Option<Next>, Error> {
        let ClusterRole::Follower(follower) = &mut self.role else { return Ok(None) };
        follower.ended(&self.process);
        Ok(match follower.wait(&self.process)? {
            FollowerNews::Ended => None,
            news => Some(Next::OfLead(news)),
        })
    }
}
