//! Whether this node may act: its lease stands, or it waits for the agreement, or the others went
//! on without it.

use std::net::SocketAddr;

use super::super::error::Error;
use super::super::process::Process;
use super::member::{Member, process_id};
use crate::checkpoint::store::Head;
use crate::cluster::lease::Standing;
use crate::cluster::record::{LEAD, NODES, SECRET};

impl Member {
    /// Whether this node may act. One whose session is over begins it anew, if no other node took
    /// its place: that is seen in the agreement, and in HEAD, which has to be of `generation`
    /// unless that is 0. A node that `leads` has to lead again.
    ///
    /// # Errors
    /// The others went on without this node.
    pub(super) fn may_act(
        &mut self,
        process: &Process,
        generation: u64,
        leads: Option<SocketAddr>,
    ) -> Result<bool, Error> {
        match self.session.standing() {
            Standing::Stands => {
                if std::mem::take(&mut self.is_suspended) {
                    tracing::warn!("node `{}` goes on: its lease is renewed", self.name());
                }
                return Ok(true);
            }
            Standing::Suspended => self.suspend(),
            Standing::Over => {
                self.suspend();
                self.begin_anew(process, generation, leads)?;
            }
        }
        Ok(false)
    }

    /// Whether nothing may come in or out.
    pub(super) fn is_suspended(&self) -> bool {
        self.is_suspended
    }

    /// A generation begins.
    pub(super) fn forget_suspension(&mut self) {
        self.was_suspended = self.is_suspended;
    }

    /// Whether the others have begun another generation than `generation` while this node was
    /// suspended.
    pub(super) fn is_left_behind(&self, process: &Process, generation: u64) -> bool {
        let stored = process.stored.as_ref().expect("a cluster has state");
        let head = stored.store.head();
        let is_other = |head: &Head| head.generation != generation;
        self.was_suspended && head.is_ok_and(|head| head.as_ref().is_none_or(is_other))
    }

    /// What the others went on without it means for the process.
    pub(super) fn left_behind(&self) -> Error {
        Error::LeftBehind { place: self.place.clone() }
    }

    fn suspend(&mut self) {
        self.was_suspended = true;
        if !std::mem::replace(&mut self.is_suspended, true) {
            tracing::warn!(
                "node `{}` is suspended: its lease of {} ms (--lease-ms) was not renewed in time, \
                 so nothing comes in or out",
                self.name(),
                self.session.asked().as_millis(),
            );
        }
    }

    fn begin_anew(
        &self,
        process: &Process,
        generation: u64,
        leads: Option<SocketAddr>,
    ) -> Result<(), Error> {
        let (node, process_id) = (format!("{NODES}{}", self.name()), process_id());
        let address = leads.map(|address| address.to_string());
        let lead = address.as_deref().map(|address| (LEAD, address));
        let keys: Vec<(&str, &str)> = lead.into_iter().chain([(&*node, &*process_id)]).collect();
        match self.session.begin_anew(&keys) {
            Ok(true) => {}
            Ok(false) => return Err(self.left_behind()),
            // It is tried again.
            Err(error) => {
                tracing::debug!("{error}");
                return Ok(());
            }
        }
        if generation > 0 {
            let stored = process.stored.as_ref().expect("a cluster has state");
            match stored.store.head() {
                Ok(Some(head)) if head.generation == generation => {}
                Ok(_) => return Err(self.left_behind()),
                Err(_) => return Ok(()),
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
