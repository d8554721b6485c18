//! The part of this process in its cluster: it is alone, it leads, or it follows the one that does.
//!
//! ```text
//!   open ──► no node leads ──► Lead: edges, generations, checkpoints
//!     ▲  └─► one does ───────► Follower: cores
//!     └──── its lead is gone ─────┘
//! ```
//!
//! Must never do: take a node for dead whose process may live.

// In reading order; the blank lines keep it.
mod figures;

mod member;

mod links;

mod following;

mod leading;

pub(super) use following::{Follower, FollowerNews, command};
pub(super) use leading::{Lead, NodeEnd};

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::error::Error;
use super::generation::{Generation, Seating};
use super::process::Process;
use crate::connect::attach::Attach;
use following::Joined;
use member::{AGAIN, DYING, Member};

/// How long it may take to reach the lead before that is logged.
const REACHED_WITHIN: Duration = Duration::from_secs(5);

/// The part of this process.
pub(super) enum ClusterRole {
    /// No cluster is configured.
    Alone,
    Lead(Box<Lead>),
    Follower(Box<Follower>),
}

impl ClusterRole {
    /// Finds the part of this process.
    ///
    /// # Errors
    /// It cannot be a node of the cluster.
    pub(super) fn open(process: &Process) -> Result<Self, Error> {
        let Some(place) = &process.config.cluster else { return Ok(Self::Alone) };
        find(Member::open(place.clone(), process)?, process, false)
    }

    /// Finds the part anew, after the lead is gone.
    ///
    /// # Errors
    /// As of [`open`](Self::open).
    pub(super) fn again(self, process: &Process) -> Result<Self, Error> {
        match self {
            Self::Follower(follower) => {
                std::thread::sleep(AGAIN);
                let mut member = follower.into_member();
                member.began = Instant::now();
                find(member, process, true)
            }
            role => Ok(role),
        }
    }

    /// Begins a generation. A node that follows waits for the lead, unless there is `news` of it.
    ///
    /// # Errors
    /// It cannot begin.
    pub(super) fn begin(
        &mut self,
        process: &mut Process,
        mut news: Option<FollowerNews>,
    ) -> Result<(Generation, Attach), Error> {
        loop {
            let Self::Follower(follower) = self else { return self.begin_with_edges(process) };
            let next = match news.take() {
                Some(news) => news,
                None => follower.wait(process)?,
            };
            match next {
                FollowerNews::Begin(new) => {
                    if let Some(begun) = follower.begin(process, &new) {
                        return Ok((begun, Attach::default()));
                    }
                }
                FollowerNews::LeadLost => {
                    *self = std::mem::replace(self, Self::Alone).again(process)?;
                }
                FollowerNews::Ended => return Err(Error::Ended),
            }
        }
    }

    fn begin_with_edges(&mut self, process: &mut Process) -> Result<(Generation, Attach), Error> {
        let begun = Instant::now();
        // What the lead before had open is about to be free.
        while let Err(error) = process.open_edges() {
            if self.lead().is_none_or(|lead| !lead.succeeds()) || begun.elapsed() > DYING {
                return Err(error);
            }
            std::thread::sleep(AGAIN);
        }
        let recovery = process.recover()?;
        match (self.lead(), recovery) {
            (Some(lead), Some(recovery)) => {
                lead.gather(process);
                lead.begin(process, recovery)
            }
            (_, recovery) => Generation::begin(process, recovery, Seating::alone(&process.config)),
        }
    }

    /// The lead's, if this is it.
    pub(super) fn lead(&mut self) -> Option<&mut Lead> {
        match self {
            Self::Lead(lead) => Some(lead),
            _ => None,
        }
    }
}

/// Leads, if no node does; else follows. A node that was there before `succeeds` another lead.
fn find(member: Member, process: &Process, succeeds: bool) -> Result<ClusterRole, Error> {
    let mut silent = true;
    loop {
        let lead = member.lead_address()?;
        match lead {
            None => {
                if let Some(port) = member.claim_lead(process)? {
                    return Ok(ClusterRole::Lead(Box::new(Lead::new(member, port, succeeds))));
                }
            }
            Some(address) => {
                let stored = process.stored.as_ref().expect("a cluster has state");
                let progress = &stored.progress;
                let join = |at| Joined::with(at, member.hello.clone(), progress.clone()).ok();
                if let Some(joined) = address.and_then(join) {
                    return Ok(ClusterRole::Follower(Box::new(Follower::new(member, joined))));
                }
            }
        }
        if process.request.reason().is_some() {
            return Err(Error::Stopped);
        }
        if silent && member.began.elapsed() > REACHED_WITHIN {
            silent = false;
            tracing::warn!(
                "the node that leads the cluster in {} does not answer at {}: it is tried again; \
                 nodes have to run in one network namespace",
                member.place,
                lead.flatten().map_or("no address".to_owned(), |at: SocketAddr| at.to_string()),
            );
        }
        // It is about to end, or another one won.
        std::thread::sleep(AGAIN);
    }
}
