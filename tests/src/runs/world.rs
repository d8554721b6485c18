//! The world: what is left when a process is gone.

use std::collections::BTreeMap;

use potoroo::checkpoint::Manifest;
use potoroo::checkpoint::store::Memory;

use super::heads::CommittedHead;
use super::readers::Readers;
use super::receivers::Receiver;
use super::senders::Sender;
use crate::disk::SimDisk;

/// Input, checkpoints and output.
#[derive(Debug, Default)]
pub struct World {
    /// By source: its file; unused if senders send its streams.
    pub inputs: Vec<Vec<u8>>,
    /// Who sends streams of sources.
    pub senders: Vec<Sender>,
    /// Who receives the output of sinks, by their names; that of all others goes into files.
    pub receivers: BTreeMap<String, Receiver>,
    /// Where checkpoints are kept, with output.
    pub store: Memory,
    /// Each HEAD that was committed.
    pub heads: Vec<CommittedHead>,
    /// Where the files of sinks are.
    pub disk: SimDisk,
    /// What readers of them may see.
    pub readers: Readers,
    /// Rows of each table when the last run had ended, as text, in order.
    pub tables: BTreeMap<String, Vec<String>>,
}

impl World {
    /// What of that counts: without what was committed again after a rollback.
    pub fn history(&self, sink: &str) -> Vec<u8> {
        self.readers.history(sink, &self.output(sink))
    }

    /// The application was rolled back to `manifest`: readers have what they have seen, and
    /// senders send again what they had sent since.
    pub(super) fn roll_back(&mut self, manifest: &Manifest, sources: &[String]) {
        let seen = |sink: &str| self.output(sink).len();
        let seen: BTreeMap<String, usize> =
            self.readers.sinks().map(|sink| (sink.to_owned(), seen(sink))).collect();
        self.readers.roll_back(manifest, &seen);
        for sender in &mut self.senders {
            let source = &sources[usize::from(sender.source())];
            let of_source = manifest.sources.iter().filter(|at| at.name == *source);
            let mut streams = of_source.filter_map(|at| at.stream.as_ref());
            sender.roll_back(streams.find(|stream| sender.is_of(stream)));
        }
    }

    /// What readers of a sink see.
    pub fn output(&self, sink: &str) -> Vec<u8> {
        let received = self.receivers.get(sink).map(|receiver| receiver.received.clone());
        received.unwrap_or_else(|| self.disk.read(sink))
    }
}
