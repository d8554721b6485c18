//! The gate before each deed that a lead of long ago must not do: to swap HEAD, and to empty
//! outputs or to give edges to cores.
//!
//! The next lead swaps HEAD before anything else. So the gate looks at HEAD first, and then
//! whether the lease stands: if it does, the own session has had `lead` all the time, and no other
//! node had swapped HEAD when it was read. What this process finds out may be old a moment later,
//! but HEAD is swapped from what was read only.

use std::net::SocketAddr;

use super::super::super::error::Error;
use super::super::super::process::Process;
use super::super::super::recovery::Recovery;
use super::super::super::takeover::HeadGate;
use super::super::standing::{OwnHead, sees_own};
use super::Lead;
use crate::checkpoint::store::Head;
use crate::connect::edge_lease::EdgeLease;
use crate::system;

impl Lead {
    /// Whether this node may act: see [`Member::may_act`](super::super::member::Member).
    ///
    /// # Errors
    /// The others went on without it.
    pub(in crate::control) fn may_act(&mut self, process: &Process) -> Result<bool, Error> {
        let was_suspended = self.is_suspended();
        let (own, address) = (self.own_head(process), self.address());
        let acts = self.member.may_act(process, own, Some(address))?;
        if acts && was_suspended {
            // An agreement that was restored from a copy does not have it.
            let shown = self.show_record().and_then(|()| self.write_shares_anew());
            if let Err(error) = shown {
                tracing::warn!("`potoroo cluster` shows what was before: {error}");
            }
        }
        Ok(acts)
    }

    pub(in crate::control) fn is_suspended(&self) -> bool {
        self.member.is_suspended()
    }

    /// The name of this node, and its lease.
    pub(in crate::control) fn lease(&self) -> (String, EdgeLease) {
        (self.member.name().to_owned(), EdgeLease::new(Some(self.member.session.lease())))
    }

    /// Takes over what is stored, for its edges. Waits while this node is suspended.
    ///
    /// # Errors
    /// It cannot be used; the others went on without this node; or a stop is requested.
    pub(in crate::control) fn recover(&mut self, process: &Process) -> Result<Recovery, Error> {
        self.recover_by(process, |gate| {
            process.recover(gate).map(|recovery| recovery.expect("a cluster has state"))
        })
    }

    /// The same, for edges that go on.
    ///
    /// # Errors
    /// The same.
    pub(super) fn recover_state(&mut self, process: &Process) -> Result<Recovery, Error> {
        self.recover_by(process, |gate| process.recover_state(gate))
    }

    fn recover_by(
        &mut self,
        process: &Process,
        recover: impl Fn(HeadGate<'_>) -> Result<Recovery, Error>,
    ) -> Result<Recovery, Error> {
        loop {
            self.wait_to_act(process)?;
            let own = self.own_head(process);
            let recovered = recover(&|head| self.may_swap(own, head));
            match recovered {
                Ok(recovery) => {
                    self.has_head = true;
                    return Ok(recovery);
                }
                // A lead before this one has swapped HEAD once more, or the next one has.
                Err(error @ (Error::Suspended { .. } | Error::Overtaken { .. })) => {
                    tracing::warn!("{error}");
                    system::sleep(self.member.session.pause());
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until this node may act on what the next lead would have: the gate.
    ///
    /// # Errors
    /// The others went on without this node; a stop is requested; or HEAD cannot be read.
    pub(in crate::control) fn pass_gate(&mut self, process: &Process) -> Result<(), Error> {
        loop {
            self.wait_to_act(process)?;
            match sees_own(process, self.own_head(process)) {
                Ok(false) => return Err(self.member.left_behind()),
                Ok(true) if self.member.stands() => return Ok(()),
                Ok(true) => {}
                Err(error) => {
                    let stored = process.stored.as_ref().expect("a cluster has state");
                    match Error::of_store(&stored.place, &error) {
                        away @ Error::StateAway { .. } => tracing::warn!("{away}"),
                        error => return Err(error),
                    }
                    system::sleep(self.member.session.pause());
                }
            }
        }
    }

    /// Waits while this node is suspended.
    ///
    /// # Errors
    /// The others went on without it, or a stop is requested.
    pub(super) fn wait_to_act(&mut self, process: &Process) -> Result<(), Error> {
        while !self.may_act(process)? {
            if self.has_to_stop(process) {
                return Err(Error::Stopped);
            }
            system::sleep(self.member.session.pause());
        }
        Ok(())
    }

    /// # Errors
    /// HEAD is to stay as it is: `head`, which was read before this call.
    fn may_swap(&self, own: OwnHead, head: Option<&Head>) -> Result<(), Error> {
        match (own.is(head), self.member.stands()) {
            (false, _) => Err(self.member.left_behind()),
            (true, false) => Err(Error::Suspended { node: self.member.name().to_owned() }),
            (true, true) => Ok(()),
        }
    }

    /// The HEAD that this node has swapped; any before.
    fn own_head(&self, process: &Process) -> OwnHead {
        let stored = process.stored.as_ref().expect("a cluster has state");
        if self.has_head { OwnHead::Owner(stored.owner) } else { OwnHead::Any }
    }

    fn address(&self) -> SocketAddr {
        self.member.address_of(&self.port)
    }
}
