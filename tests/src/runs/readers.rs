//! Readers of output: they see what is committed, each event once, in order, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use potoroo::checkpoint::Manifest;

use crate::disk::SimDisk;

/// What readers may see, by sink.
#[derive(Debug, Default)]
pub struct Readers {
    committed: BTreeMap<String, Vec<u8>>,
    /// Those whose output is part of it.
    spools: BTreeSet<String>,
}

impl Readers {
    /// HEAD names `manifest` now: what is prepared in it on `disk` may be seen.
    pub(super) fn commit(&mut self, manifest: &Manifest, disk: &SimDisk) {
        for transaction in &manifest.transactions {
            if self.spools.insert(transaction.spool.clone()) {
                let spool = transaction.spool.rsplit('/').next().unwrap_or_default();
                let committed = self.committed.entry(transaction.sink.clone()).or_default();
                committed.extend(&disk.read(spool)[..transaction.bytes as usize]);
            }
        }
    }

    /// # Errors
    /// What is `seen` of a sink is not the beginning of what is committed, or with `all` not all
    /// of it.
    pub(super) fn check(&self, sink: &str, seen: &[u8], all: bool) -> Result<(), String> {
        let committed = self.committed.get(sink).map_or(&[][..], Vec::as_slice);
        let (is, may) = (seen.len(), committed.len());
        if !committed.starts_with(seen) {
            return Err(format!("sink `{sink}`: of {is} bytes some are not among {may} committed"));
        }
        match all && is < may {
            true => Err(format!("sink `{sink}`: {may} bytes were committed, {is} are seen")),
            false => Ok(()),
        }
    }
}
