//! What is stored, and what HEAD was.

use std::collections::BTreeMap;
use std::time::Duration;

use potoroo::checkpoint::store::{Head, Memory, StoreReader};

use super::turns::NodeIndex;

/// What is stored.
#[derive(Default)]
pub struct SharedStore {
    /// It.
    pub memory: Memory,
    /// All versions of HEAD, and when each came.
    heads: Vec<(Duration, Option<Head>)>,
    /// No process is answered before.
    pub away_until: Duration,
    /// Nodes that are not.
    pub cut: BTreeMap<NodeIndex, Duration>,
    /// How often a look at HEAD shows what it was a moment ago.
    pub stale: f64,
}

impl SharedStore {
    /// HEAD.
    pub fn head(&self) -> Option<Head> {
        self.memory.head().expect("memory can be read")
    }

    /// HEAD was swapped to `new`.
    pub fn note(&mut self, now: Duration, new: &Head) {
        self.heads.push((now, Some(new.clone())));
    }

    /// HEAD as it was a moment ago.
    pub fn old_head(&self, now: Duration) -> Option<Head> {
        let is_old = |(at, _): &&(Duration, Option<Head>)| *at + STALE_MAX < now;
        let first = self.heads.iter().rposition(|one| is_old(&one)).unwrap_or(0);
        self.heads.get(first).and_then(|(_, head)| head.clone())
    }
}

/// For how long what is listed may be old.
const STALE_MAX: Duration = Duration::from_secs(1);
