//! Whether this node may act: its lease stands, or it waits for the agreement, or the others went
//! on without it.

use std::net::SocketAddr;
use std::time::Duration;

use super::super::error::Error;
use super::super::process::Process;
use super::member::Member;
use crate::checkpoint::store::{self, Head};
use crate::cluster::lease::{Standing, outlived};
use crate::cluster::record::{LEAD, NODES, SECRET};
use crate::system;

/// With which HEAD a node goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OwnHead {
    /// Any: it has nothing of a generation.
    Any,
    /// That of the generation to which its cores belong.
    Generation(u64),
    /// That which the process of this number has swapped: it leads.
    Owner(u64),
}

impl OwnHead {
    pub(super) fn is(self, head: Option<&Head>) -> bool {
        match self {
            Self::Any => true,
            Self::Generation(generation) => head.is_some_and(|it| it.generation == generation),
            Self::Owner(owner) => head.is_some_and(|it| it.owner == owner),
        }
    }
}

/// A node that is suspended for longer looks whether others went on: then its clients are let go.
const SUSPENDED_MAX: Duration = Duration::from_secs(30);

impl Member {
    /// Whether this node may act. One whose session is over begins it anew, if no other node took
    /// its place: that is seen in the agreement, and in HEAD, which has to be its `own`. A node
    /// that `leads` has to lead again.
    ///
    /// # Errors
    /// The others went on without this node.
    pub(super) fn may_act(
        &mut self,
        process: &Process,
        own: OwnHead,
        leads: Option<SocketAddr>,
    ) -> Result<bool, Error> {
        let standing = self.session.standing();
        if standing == Standing::Stands {
            if self.suspension.since.take().is_some() {
                tracing::warn!("node `{}` goes on: its lease is renewed", self.name());
            }
            return Ok(true);
        }
        self.suspend();
        if self.suspension.not_before.is_none_or(|from| system::now() >= from) {
            match standing {
                Standing::Over => self.begin_anew(process, own, leads)?,
                _ => self.look_for_others(process, own)?,
            }
            // Each try asks the agreement and the storage, and the supervisor waits for it.
            self.suspension.not_before = Some(system::now() + self.session.pause());
        }
        Ok(false)
    }

    /// Whether nothing may come in or out, as of the last look.
    pub(super) fn is_suspended(&self) -> bool {
        self.suspension.since.is_some()
    }

    /// Whether the lease stands now.
    pub(super) fn stands(&self) -> bool {
        self.session.standing() == Standing::Stands
    }

    /// A generation begins.
    pub(super) fn forget_suspension(&mut self) {
        self.suspension.was = self.is_suspended();
    }

    /// Whether the others have begun another generation than the `own` one while this node was
    /// suspended.
    pub(super) fn is_left_behind(&self, process: &Process, own: OwnHead) -> bool {
        self.suspension.was && sees_own(process, own).is_ok_and(|own| !own)
    }

    /// What the others went on without it means for the process.
    pub(super) fn left_behind(&self) -> Error {
        Error::LeftBehind { place: self.place.clone() }
    }

    /// Another session has a key of this node. It may be that of a process before this one, which
    /// an agreement that was restored from a copy has, and then ends with its lease.
    ///
    /// # Errors
    /// It has outlived a lease: another process took the place of this node.
    pub(super) fn note_taken(&mut self) -> Result<(), Error> {
        let since = *self.suspension.taken.get_or_insert_with(system::now);
        match system::since(since) > outlived(self.session.asked()) {
            true => Err(self.left_behind()),
            false => Ok(()),
        }
    }

    fn suspend(&mut self) {
        self.suspension.was = true;
        if self.suspension.since.is_none() {
            self.suspension.since = Some(system::now());
            tracing::warn!(
                "node `{}` is suspended: its lease of {} ms (--lease-ms) was not renewed in time, \
                 so nothing comes in or out",
                self.name(),
                self.session.asked().as_millis(),
            );
        }
    }

    /// # Errors
    /// It is suspended for long, and the others went on.
    fn look_for_others(&self, process: &Process, own: OwnHead) -> Result<(), Error> {
        let long = self.suspension.since.is_some_and(|since| system::since(since) > SUSPENDED_MAX);
        match long && sees_own(process, own).is_ok_and(|own| !own) {
            true => Err(self.left_behind()),
            false => Ok(()),
        }
    }

    fn begin_anew(
        &mut self,
        process: &Process,
        own: OwnHead,
        leads: Option<SocketAddr>,
    ) -> Result<(), Error> {
        let node = format!("{NODES}{}", self.name());
        let address = leads.map(|address| address.to_string());
        let lead = address.as_deref().map(|address| (LEAD, address));
        let node = (node.as_str(), self.hello.process.as_str());
        let keys: Vec<(&str, &str)> = lead.into_iter().chain([node]).collect();
        let all_are_own = self.session.begin_anew(&keys);
        // HEAD says whether the others went on, also where a key is another session's. What fails
        // is tried again.
        match sees_own(process, own) {
            Ok(true) => {}
            Ok(false) => return Err(self.left_behind()),
            Err(error) => {
                tracing::debug!("{error}");
                return Ok(());
            }
        }
        match all_are_own {
            Ok(true) => self.suspension.taken = None,
            Ok(false) => return self.note_taken(),
            Err(error) => {
                tracing::debug!("{error}");
                return Ok(());
            }
        }
        // An agreement that was restored from a copy may have another one.
        let secret = || self.set_as_lead(SECRET, self.hello.secret.clone());
        if leads.is_none() || secret().is_ok() {
            self.session.resume();
        }
        Ok(())
    }
}

/// Whether HEAD is the `own` one.
///
/// # Errors
/// It cannot be read.
pub(super) fn sees_own(process: &Process, own: OwnHead) -> Result<bool, store::Error> {
    let stored = process.stored.as_ref().expect("a cluster has state");
    Ok(own == OwnHead::Any || own.is(stored.store.head()?.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_goes_on_with_its_own_head_only() {
        let head = Head { generation: 3, owner: 7, folder: 5, ..Head::default() };
        let next = Head { generation: 4, ..head.clone() };
        let others = Head { owner: 8, ..next.clone() };
        let is =
            |own: OwnHead| [None, Some(&head), Some(&next), Some(&others)].map(|it| own.is(it));
        assert_eq!(is(OwnHead::Any), [true; 4]);
        assert_eq!(is(OwnHead::Generation(3)), [false, true, false, false]);
        // The storage thread may have swapped it for a rollback.
        assert_eq!(is(OwnHead::Owner(7)), [false, true, true, false]);
    }
}
