//! What the other nodes of a cluster make necessary.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::super::cluster::{ClusterRole, FollowerNews};
use super::super::error::Error;
use super::{Next, Supervisor};
use crate::connect::mail::StorageMessage;

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
        self.other_nodes |= self.may_change();
        // A rollback may have swapped HEAD already.
        let next = self.other_nodes && self.rollback.is_none();
        let leaves = self.role.lead().is_some_and(|lead| lead.is_leaving());
        Ok(next.then_some(if leaves { Next::Leave } else { Next::OtherNodes }))
    }

    /// Whether nodes that wait for it can come and go now: a checkpoint was committed since, so
    /// that next to nothing is processed again.
    fn may_change(&mut self) -> bool {
        let to_change = self.role.lead().is_some_and(|lead| lead.is_to_change());
        if !to_change || !self.shutdown.is_running() {
            return false;
        }
        let leaves = self.role.lead().is_some_and(|lead| lead.is_leaving());
        let since = *self.leaves_since.get_or_insert_with(Instant::now);
        let drain = Duration::from_secs(self.process.config.drain_seconds);
        if leaves && since.elapsed() > drain {
            tracing::warn!(
                "no checkpoint was committed within --drain-seconds: the other nodes go on from \
                 the one before"
            );
            return true;
        }
        let checkpoint = self.before_change.get_or_insert_with(|| {
            let (answer, checkpoint) = oneshot::channel();
            let stored = self.process.stored.as_ref().expect("a cluster has state");
            stored.present.send(StorageMessage::Now(answer));
            checkpoint
        });
        match checkpoint.try_recv() {
            Ok(Ok(_)) => true,
            Err(oneshot::error::TryRecvError::Empty) => false,
            // It was aborted, which was logged.
            Ok(Err(_)) | Err(oneshot::error::TryRecvError::Closed) => {
                self.before_change = None;
                false
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
