//! Readers of output: they see what is committed, each event once, in order, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use potoroo::checkpoint::store::StoreReader;
use potoroo::checkpoint::{Epoch, Manifest, open_output};

/// What readers may see, by sink.
#[derive(Debug, Default)]
pub struct Readers {
    committed: BTreeMap<String, Committed>,
    /// The objects that are part of it.
    objects: BTreeSet<String>,
    /// By generation and epoch: bytes of each sink that count then.
    counts: BTreeMap<(u64, Epoch), BTreeMap<String, usize>>,
}

/// Committed output of one sink.
#[derive(Debug, Default)]
struct Committed {
    bytes: Vec<u8>,
    /// From where to where they count: the others were committed again after a rollback.
    ranges: Vec<(usize, usize)>,
}

impl Committed {
    fn add(&mut self, bytes: &[u8]) {
        let begin = self.bytes.len();
        self.bytes.extend(bytes);
        match self.ranges.last_mut() {
            Some((_, end)) if *end == begin => *end = self.bytes.len(),
            _ => self.ranges.push((begin, self.bytes.len())),
        }
    }

    fn count(&self) -> usize {
        self.ranges.iter().map(|(begin, end)| end - begin).sum()
    }

    /// Only the first `count` bytes count of those that did; what follows them is visible for
    /// `seen` bytes, and is dropped from there on.
    fn roll_back(&mut self, count: usize, seen: usize) {
        let mut more = self.count() - count;
        while more > 0 {
            let (begin, end) = self.ranges.pop().expect("they were counted");
            let cut = more.min(end - begin);
            more -= cut;
            if begin < end - cut {
                self.ranges.push((begin, end - cut));
            }
        }
        let end = self.ranges.last().map_or(0, |(_, end)| *end);
        self.bytes.truncate(end.max(seen));
    }
}

impl Readers {
    /// HEAD names `manifest` now: its output, which is in `store`, may be seen.
    ///
    /// # Errors
    /// Some of it is not there.
    pub(super) fn commit(
        &mut self,
        manifest: &Manifest,
        store: &dyn StoreReader,
    ) -> Result<(), String> {
        for transaction in &manifest.transactions {
            if self.objects.insert(transaction.object.clone()) {
                let committed = self.committed.entry(transaction.sink.clone()).or_default();
                let from = open_output(store, transaction);
                let mut from = from.map_err(|error| format!("HEAD names it: {error}"))?;
                let mut bytes = Vec::new();
                from.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
                committed.add(&bytes);
            }
        }
        let counts = self.committed.iter().map(|(sink, of)| (sink.clone(), of.count())).collect();
        self.counts.insert((manifest.generation, manifest.epoch), counts);
        Ok(())
    }

    /// By sink: what is committed and counts.
    pub(super) fn committed(&self) -> BTreeMap<String, Vec<u8>> {
        let all = self.committed.iter();
        all.map(|(sink, of)| (sink.clone(), self.history(sink, &of.bytes))).collect()
    }

    /// The sinks of which something is committed.
    pub(super) fn sinks(&self) -> impl Iterator<Item = &str> {
        self.committed.keys().map(String::as_str)
    }

    /// HEAD names the older `manifest` again, when the first bytes of each sink were `seen`.
    pub(super) fn roll_back(&mut self, manifest: &Manifest, seen: &BTreeMap<String, usize>) {
        let counts = &self.counts[&(manifest.generation, manifest.epoch)];
        for (sink, committed) in &mut self.committed {
            committed.roll_back(counts.get(sink).copied().unwrap_or(0), seen[sink]);
        }
    }

    /// What of `seen` counts.
    pub(super) fn history(&self, sink: &str, seen: &[u8]) -> Vec<u8> {
        let Some(committed) = self.committed.get(sink) else { return seen.to_vec() };
        let end = |end: usize| end.min(seen.len());
        let ranges = committed.ranges.iter();
        ranges.flat_map(|(from, to)| &seen[end(*from)..end(*to)]).copied().collect()
    }

    /// # Errors
    /// What is `seen` of a sink is not the beginning of what is committed, or with `all` not all
    /// of it.
    pub(super) fn check(&self, sink: &str, seen: &[u8], all: bool) -> Result<(), String> {
        let committed = self.committed.get(sink).map_or(&[][..], |of| of.bytes.as_slice());
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
