//! The part of this process in its cluster: it is alone, it leads, or it follows the one that does.
//!
//! ```text
//!   open ──► no node leads ──► Lead: edges, generations, checkpoints
//!     ▲  └─► one does ───────► Follower: cores
//!     └──── its lead is gone ─────┘
//! ```
//!
//! Must never do: act after the end of the own lease, or take a node for lost that the agreement
//! has.

// In reading order; the blank lines keep it.
mod figures;

mod expiry;

mod refusals;

mod suspension;

mod member;

mod standing;

mod links;

mod ground;

mod following;

mod leading;

mod node;

pub(super) use following::{Follower, FollowerNews, command};
pub use node::{NewCores, NodeSettings, SimulatedCores, StopNode, run_node};

pub(super) use ground::PinnedCores;
pub(super) use leading::{Lead, NodeEnd, Paused};

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use potoroo_runtime::Housekeeping;

use super::error::Error;
use super::generation::Seating;
use super::process::Process;
use crate::cluster::lease::ListedEntries;
use crate::cluster::record::{LEAD, Leading, lead_of};
use crate::cluster::refusal::is_refusal;
use crate::cluster::ways::TcpWays;
use crate::connect::attach::Attach;
use crate::connect::edge_lease::EdgeLease;
use crate::system;
use following::Joined;
use ground::NodeGround;
use member::{AGAIN, ClaimError, DYING, Member};
use refusals::Refusals;
use standing::OwnHead;

/// How long it may take to reach the lead before that is logged.
const REACHED_WITHIN: Duration = Duration::from_secs(5);

/// How long a lead before that stands still may keep a port of this machine.
const STANDING_STILL: Duration = Duration::from_secs(30);

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
        // Its threads, and those that they start, stay off the CPUs of cores.
        let _housekeeping = Housekeeping::begin(&process.watch.cpus);
        let refused = |error: &dyn Display| Error::Cluster {
            place: place.clone(),
            reason: error.to_string(),
        };
        let encryption = process.config.encryption().map_err(|error| refused(&error))?;
        let (at, lease) = (place.clone(), process.config.lease());
        let files = process.config.tls_files();
        let agree = move || at.agree(Some(lease), &files);
        let ways = Arc::new(TcpWays::new(Box::new(agree), encryption));
        find(Member::open(place.clone(), process, ways)?, process, false)
    }

    /// Finds the part anew, after the lead is gone.
    ///
    /// # Errors
    /// As of [`open`](Self::open).
    pub(super) fn again(self, process: &Process) -> Result<Self, Error> {
        match self {
            Self::Follower(follower) => {
                let _housekeeping = Housekeeping::begin(&process.watch.cpus);
                system::sleep(AGAIN);
                let mut member = follower.into_member();
                member.began = system::now();
                find(member, process, true)
            }
            role => Ok(role),
        }
    }

    /// Begins a generation. A node that follows waits for the lead, unless there is `news` of it.
    ///
    /// # Errors
    /// It cannot begin.
    pub(super) fn begin<G: NodeGround>(
        &mut self,
        process: &mut Process,
        ground: &G,
        mut news: Option<FollowerNews>,
    ) -> Result<(G::Begun, Attach), Error> {
        loop {
            let Self::Follower(follower) = self else {
                return self.begin_with_edges(process, ground);
            };
            let next = match news.take() {
                Some(news) => news,
                None => follower.wait(process)?,
            };
            match next {
                FollowerNews::Begin(new) => {
                    if let Some(begun) = follower.begin(process, ground, &new) {
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

    fn begin_with_edges<G: NodeGround>(
        &mut self,
        process: &mut Process,
        ground: &G,
    ) -> Result<(G::Begun, Attach), Error> {
        let begun = system::now();
        // What the lead before had open is about to be free, unless that stands still.
        let succeeds = self.lead().is_some_and(|lead| lead.succeeds());
        while let Err(error) = process.open_edges(succeeds && system::since(begun) > DYING) {
            if !succeeds || system::since(begun) > STANDING_STILL {
                return Err(error);
            }
            system::sleep(AGAIN);
        }
        let Self::Lead(lead) = self else {
            let recovery = process.recover(&|_| Ok(()))?;
            return ground.begin(process, recovery, Seating::alone(&process.config));
        };
        let recovery = match lead.recover(process) {
            // At a first start that is to be seen; later the storage is waited for.
            Err(error @ Error::StateAway { .. }) if succeeds => {
                tracing::warn!("{error}");
                None
            }
            recovery => Some(recovery?),
        };
        lead.gather(process);
        lead.begin(process, ground, recovery)
    }

    /// Whether the lease of this node stands, for another thread.
    pub(super) fn gate(&self) -> impl Fn() -> Result<(), Error> + Send + 'static {
        let (node, lease) = match self {
            Self::Lead(lead) => lead.lease(),
            _ => (String::new(), EdgeLease::default()),
        };
        move || match lease.is_over() {
            true => Err(Error::Suspended { node: node.clone() }),
            false => Ok(()),
        }
    }

    /// Waits until outputs may be emptied, and edges be given to cores.
    ///
    /// # Errors
    /// Another node leads, to which they belong; or a stop is requested.
    pub(super) fn pass_gate(&mut self, process: &Process) -> Result<(), Error> {
        self.lead().map_or(Ok(()), |lead| lead.pass_gate(process))
    }

    /// Whether the lease of this node has ended: its cores let nothing in or out.
    pub(super) fn is_suspended(&self) -> bool {
        match self {
            Self::Alone => false,
            Self::Lead(lead) => lead.is_suspended(),
            Self::Follower(follower) => follower.is_suspended(),
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
fn find(mut member: Member, process: &Process, succeeds: bool) -> Result<ClusterRole, Error> {
    let (mut silent, mut refusals) = (true, Refusals::default());
    loop {
        // One that is to end must not lead: the others would wait for it.
        if process.request.reason().is_some() {
            return Err(Error::Stopped);
        }
        let mut why = String::new();
        // A session that is over holds nothing.
        if member.may_act(process, OwnHead::Any, None)? {
            match try_find(member, process, succeeds, &mut refusals)? {
                Found::Role(role) => return Ok(role),
                Found::Nothing(same, reason) => (member, why) = (*same, reason),
            }
        }
        if silent && system::since(member.began) > REACHED_WITHIN {
            silent = false;
            let place = &member.place;
            tracing::warn!("node `{}` takes no part in {place} yet: {why}", member.name());
        }
        // The lead is about to end, or another one won.
        system::sleep(member.session.pause());
    }
}

/// What came of one try.
enum Found {
    Role(ClusterRole),
    /// Why not yet.
    Nothing(Box<Member>, String),
}

fn try_find(
    mut member: Member,
    process: &Process,
    succeeds: bool,
    refusals: &mut Refusals,
) -> Result<Found, Error> {
    let nothing = |member, why: String| Ok(Found::Nothing(Box::new(member), why));
    let listed = match member.session.refresh() {
        Ok(listed) => listed,
        // Without a part in it yet it is refused; with one it waits.
        Err(error) if !succeeds => return Err(member.refused(&error)),
        Err(error) => return nothing(member, error.to_string()),
    };
    if let Some(why) = member.be_agreed(&listed)? {
        return nothing(member, why);
    }
    // One that leads by a claim whose answer was lost claims once more.
    let Leading::Other(address) = listed.leading() else {
        return match member.claim_lead(process, succeeds) {
            Ok(Some(port)) => {
                Ok(Found::Role(ClusterRole::Lead(Box::new(Lead::new(member, port, succeeds)))))
            }
            Ok(None) => nothing(member, "another one is faster to lead".to_owned()),
            Err(ClaimError::Agreement(error)) => nothing(member, error.to_string()),
            Err(ClaimError::Refused(error)) => Err(*error),
        };
    };
    try_join(member, process, (&listed, &address), refusals)
}

/// Joins the lead at `address`, as `listed`.
fn try_join(
    member: Member,
    process: &Process,
    (listed, address): (&ListedEntries, &str),
    refusals: &mut Refusals,
) -> Result<Found, Error> {
    let nothing = |member, why: String| Ok(Found::Nothing(Box::new(member), why));
    let progress = &process.stored.as_ref().expect("a cluster has state").progress;
    let silence = member.session.asked();
    // Its name may be bound a moment later: it is looked for again.
    let node = lead_of(&listed.entries).unwrap_or_default();
    let Ok(at) = address.parse() else {
        return nothing(member, "the lead has no address".to_owned());
    };
    match Joined::with(&member, (node, at), progress.clone(), silence) {
        Ok(joined) => {
            Ok(Found::Role(ClusterRole::Follower(Box::new(Follower::new(member, joined)))))
        }
        // What listened there a moment ago may be about to end, and a stranger be there since.
        Err(error)
            if is_refusal(&error)
                && refusals.note(listed.entries.get(LEAD), system::now()) > REACHED_WITHIN =>
        {
            let (place, name) = (member.place.clone(), member.name());
            let reason = format!("node `{name}` cannot join node `{node}`, which leads: {error}");
            Err(Error::Cluster { place, reason })
        }
        Err(error) if is_refusal(&error) => {
            nothing(member, format!("the node that leads, at {at}, refuses this one: {error}"))
        }
        Err(error) => {
            refusals.forget();
            nothing(
                member,
                format!(
                    "the node that leads does not answer at {at} ({error}): nodes have to reach \
                     each other (--listen, --advertise)"
                ),
            )
        }
    }
}
