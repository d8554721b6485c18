//! Repeats: output that is committed a second time, since an older checkpoint is gone back to.

use std::collections::BTreeMap;

use super::epoch::Epoch;
use super::history::Past;

/// Output of a transactional sink that was committed, and will be written again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeat {
    /// The sink; `None` when the manifest that names it cannot be used.
    pub sink: Option<String>,
    /// The first and last epoch whose output it was.
    pub epochs: (Epoch, Epoch),
    /// Its bytes.
    pub bytes: u64,
}

/// What sinks have committed in checkpoints that are gone back from, all of them newer than the one
/// that is gone back to.
pub(super) fn repeats(newer: &[Past]) -> Vec<Repeat> {
    let mut sinks: BTreeMap<Option<String>, Repeat> = BTreeMap::new();
    let mut add = |sink: Option<String>, epoch: Epoch, bytes: u64| {
        let new = Repeat { sink: sink.clone(), epochs: (epoch, epoch), bytes: 0 };
        let repeat = sinks.entry(sink).or_insert(new);
        repeat.epochs = (repeat.epochs.0.min(epoch), repeat.epochs.1.max(epoch));
        repeat.bytes = repeat.bytes.saturating_add(bytes);
    };
    for past in newer {
        match &past.manifest {
            Ok(manifest) => manifest.transactions.iter().for_each(|transaction| {
                add(Some(transaction.sink.clone()), transaction.epoch, transaction.bytes);
            }),
            Err(_) => add(None, past.epoch, 0),
        }
    }
    sinks.into_values().collect()
}

impl std::fmt::Display for Repeat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ((first, last), bytes) = (self.epochs, self.bytes);
        match &self.sink {
            Some(sink) => write!(
                f,
                "sink `{sink}` has committed {bytes} bytes in epochs {first} to {last}: they come \
                 again"
            ),
            None => write!(
                f,
                "what sinks have committed in epochs {first} to {last} comes again, and the \
                 damaged manifests do not tell how much"
            ),
        }
    }
}
