//! What is agreed: entries and sessions, as etcd or a folder of one machine has them.

use std::collections::BTreeMap;
use std::time::Duration;

use potoroo::cluster::agreement::AgreedEntries;

use super::turns::{NodeIndex, ProcessId};

/// What is agreed.
#[derive(Default)]
pub struct Agreed {
    /// By key.
    pub entries: AgreedEntries,
    /// By number: until when, by whom, and since when it was renewed in time.
    pub sessions: BTreeMap<u64, AgreedSession>,
    /// Counts changes.
    pub version: u64,
    /// No process is answered before.
    pub away_until: Duration,
    /// Nodes that are not.
    pub cut: BTreeMap<NodeIndex, Duration>,
    /// How often a request or its answer is slow.
    pub slow: f64,
    /// As a folder of one machine has it.
    pub is_folder: bool,
}

/// A session.
#[derive(Clone, Debug)]
pub struct AgreedSession {
    /// Whose it is.
    pub process: ProcessId,
    /// When it ends.
    pub until: Duration,
    /// It was renewed in time since then.
    pub since: Duration,
}

/// Etcd looks this often for sessions that have ended.
const LOOK: Duration = Duration::from_millis(500);

impl Agreed {
    /// Ends those sessions, and what is bound to them.
    pub fn end_sessions(&mut self, ended: impl Fn(&AgreedSession) -> bool) {
        let over: Vec<u64> =
            self.sessions.iter().filter(|(_, one)| ended(one)).map(|(id, _)| *id).collect();
        if over.is_empty() {
            return;
        }
        self.sessions.retain(|id, _| !over.contains(id));
        let stands = |session: Option<u64>| session.is_none_or(|id| !over.contains(&id));
        let before = self.entries.len();
        self.entries.retain(|_, entry| stands(entry.session));
        self.version += u64::from(self.entries.len() != before);
    }

    /// Ends the sessions that are over, as the one who looks sees it.
    pub fn look(
        &mut self,
        now: Duration,
        own: u64,
        lease: Duration,
        is_dead: impl Fn(ProcessId) -> bool,
    ) {
        if !self.is_folder {
            let ticks = (now.as_nanos() / LOOK.as_nanos()) as u32;
            return self.end_sessions(|one| one.until <= LOOK * ticks);
        }
        self.end_sessions(|one| is_dead(one.process));
        let stands = |one: &AgreedSession| now < one.until && now - one.since >= lease;
        if self.sessions.get(&own).is_some_and(stands) {
            let own_process = self.sessions[&own].process;
            self.end_sessions(|one| one.until < now && one.process != own_process);
        }
    }

    /// Whether others may take the session of `process` for over.
    pub fn is_over(&self, process: ProcessId, now: Duration) -> bool {
        !self.sessions.values().any(|one| one.process == process && one.until > now)
    }

    /// All sessions get their full time again, as when another server of etcd leads.
    pub fn prolong(&mut self, until: Duration) {
        self.sessions.values_mut().for_each(|one| one.until = one.until.max(until));
    }
}
