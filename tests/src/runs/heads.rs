//! What each HEAD named that a run committed: it stays, whatever comes after it.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use potoroo::checkpoint::Manifest;
use potoroo::checkpoint::store::Memory;

use super::senders::Sender;

/// A checkpoint when it was committed.
#[derive(Debug)]
pub struct CommittedHead {
    pub(super) manifest: Manifest,
    /// All that was stored then.
    pub(super) store: Memory,
    /// By sink: the output that was committed with it and before.
    pub(super) output: BTreeMap<String, Vec<u8>>,
}

impl CommittedHead {
    /// Bytes of a source, or of the stream that a sender has for it, before the place from which
    /// they are read again.
    pub fn position(&self, source: &str, sender: Option<&Sender>) -> usize {
        let mut sources = self.manifest.sources.iter().filter(|at| at.name == source);
        let found = sources.find(|at| match (&at.stream, sender) {
            (Some(stream), Some(sender)) => sender.is_of(stream),
            (stream, sender) => stream.is_none() && sender.is_none(),
        });
        found.map_or(0, |at| at.position as usize)
    }
}

impl Display for CommittedHead {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Manifest { generation, epoch, .. } = self.manifest;
        write!(f, "HEAD of epoch {epoch}, generation {generation}")
    }
}
