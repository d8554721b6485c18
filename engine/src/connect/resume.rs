//! What an earlier run has left for edges to go on from.

use std::sync::Arc;

use crate::checkpoint::store::{Head, Store};
use crate::checkpoint::{
    Imprint, Manifest, Marks, PositionUnit, SourcePosition, StreamPosition, Transaction,
};
use crate::flow::Start;

/// The checkpoint that a run goes on from, and the state that it belongs to.
#[derive(Clone, Copy)]
pub struct Resume<'a> {
    /// HEAD of this run.
    pub head: &'a Head,
    /// The last checkpoint; `None` in an empty state.
    pub manifest: Option<&'a Manifest>,
    /// Where all sources go on.
    pub positions: &'a [SourcePosition],
    /// Where it is stored, and output with it.
    pub store: &'a Arc<dyn Store>,
    /// The output of it that is visible, or with its client.
    pub marks: &'a Marks,
}

/// Output that a checkpoint has, where it is stored, and what of it is visible.
#[derive(Clone, Copy)]
pub struct CommittedOutput<'a> {
    /// What was prepared for sinks.
    pub transactions: &'a [Transaction],
    /// Where it is stored.
    pub store: &'a Arc<dyn Store>,
    /// What of it is visible, or with its client.
    pub marks: &'a Marks,
}

impl<'a> Resume<'a> {
    /// Where the source `name` goes on.
    ///
    /// # Panics
    /// Its position counts something else than `unit`: that is refused before it counts.
    pub fn position(&self, name: &str, unit: PositionUnit) -> Start {
        let plain = |at: &&SourcePosition| at.name == name && at.stream.is_none();
        self.positions.iter().find(plain).map_or_else(Start::default, |at| {
            assert_eq!(at.unit, unit, "the unit is compared before a checkpoint counts");
            Start::from(at)
        })
    }

    /// What the file was that the source `name` was read from.
    pub fn imprint(&self, name: &str) -> Option<Imprint> {
        self.positions.iter().find(|at| at.name == name)?.file
    }

    /// Where the streams of the source `name` go on: bytes, and what that means to their clients.
    pub fn streams(&self, name: &str) -> Vec<(Start, StreamPosition)> {
        let of = self.positions.iter().filter(|at| at.name == name);
        of.filter_map(|at| Some((Start::from(at), at.stream.clone()?))).collect()
    }

    /// What was prepared for sinks and committed.
    pub fn transactions(&self) -> &'a [Transaction] {
        self.manifest.map_or(&[], |manifest| &manifest.transactions)
    }
}
