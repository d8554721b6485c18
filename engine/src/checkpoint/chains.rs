//! Chains: which parts of a checkpoint count for which partitions.
//!
//! ```text
//!   epoch               3        4        5        6
//!   core 0             full ── delta ── delta ── delta   partitions 0-3; in 6 also 7, whole
//!   core 1             full ── delta ── delta            partitions 4-7; then it is gone
//!   chain of 7                                     ●     core 0 had it last, and has all of it
//! ```
//!
//! A chain has the parts that cover its partition, from the newest one on that is whole for it, in
//! order of epochs. A row outside of that is an older one, also where its core is greater: applied
//! by cores, rows that moved would be overwritten, and removed ones come back.
//!
//! Manifests before version 4 do not know what their parts cover. There a key has rows in the parts
//! of one core only, so a chain is that of a core.

use super::epoch::Epoch;
use super::manifest::{Manifest, PartEntry};
use super::partition_set::{PARTITIONS_MAX, PartitionSet};

/// A part of a checkpoint, and for what it counts.
#[derive(Clone, Debug)]
pub struct ChainLink<'a> {
    /// The part.
    pub part: &'a PartEntry,
    /// Partitions of which its rows and removed keys count; `None` for all.
    pub partitions: Option<PartitionSet>,
}

impl<'a> ChainLink<'a> {
    fn new(part: &'a PartEntry, chains: &Chains, newest_whole: &[Epoch]) -> Self {
        let counts = |chain: usize| newest_whole[chain] <= part.epoch;
        let covered = |covers: &PartitionSet| -> PartitionSet {
            covers.iter().filter(|partition| counts((*partition).into())).collect()
        };
        let partitions = match &part.covers {
            None if chains.of(part).all(counts) => None,
            covers => Some(covers.as_ref().map(covered).unwrap_or_default()),
        };
        Self { part, partitions }
    }

    /// Whether none of its records counts.
    fn is_void(&self) -> bool {
        self.partitions.as_ref().is_some_and(PartitionSet::is_empty)
    }

    /// Whether records of `partition` count.
    pub fn has(&self, partition: u32) -> bool {
        let has = |set: &PartitionSet| u16::try_from(partition).is_ok_and(|of| set.has(of));
        self.partitions.as_ref().is_none_or(has)
    }

    /// Whether both may have records of the same key.
    pub(super) fn meets(&self, other: &Self) -> bool {
        match (&self.partitions, &other.partitions) {
            (Some(ours), Some(theirs)) => ours.meets(theirs),
            _ => self.part.core == other.part.core,
        }
    }
}

impl Manifest {
    /// The parts that count, in the order in which they are applied: that of epochs. Frames are
    /// those of the parts of the manifest's own epoch.
    pub fn links(&self) -> Vec<ChainLink<'_>> {
        let chains = Chains::of_manifest(self);
        let newest_whole = self.newest_whole(&chains);
        let link = |part| ChainLink::new(part, &chains, &newest_whole);
        let mut links: Vec<_> = self.parts.iter().map(link).collect();
        links.retain(|link| link.part.epoch == self.epoch || !link.is_void());
        links.sort_by_key(|link| (link.part.epoch, link.part.core));
        links
    }

    /// By chain: the epoch of the newest part that is whole for it.
    fn newest_whole(&self, chains: &Chains) -> Vec<Epoch> {
        let mut newest = chains.without_parts();
        for part in &self.parts {
            for chain in chains.of(part).filter(|chain| part.since_for(*chain).is_none()) {
                newest[chain] = part.epoch.max(newest[chain]);
            }
        }
        newest
    }

    /// What is wrong with its chains: each leads from a whole part to the manifest's epoch.
    pub(super) fn broken_chain(&self) -> Option<String> {
        self.wrong_covers().or_else(|| self.gap())
    }

    fn wrong_covers(&self) -> Option<String> {
        let partitions = self.facts.partitions;
        if partitions > PARTITIONS_MAX || (partitions == 0 && !self.parts.is_empty()) {
            return Some(format!("it has {partitions} partitions, not 1 to {PARTITIONS_MAX}"));
        }
        let known = self.parts.iter().filter(|part| part.covers.is_some()).count();
        if known != 0 && known != self.parts.len() {
            return Some("not all of its parts have the partitions that they cover".to_owned());
        }
        let wrong = |part: &&PartEntry| {
            let covers = part.covers.clone().unwrap_or_default();
            covers.last().is_some_and(|last| u32::from(last) >= partitions)
                || part.whole.iter().any(|partition| !covers.has(partition))
        };
        let part = self.parts.iter().find(wrong)?;
        Some(format!("{} covers partitions that there are not", part.name))
    }

    fn gap(&self) -> Option<String> {
        let chains = Chains::of_manifest(self);
        let mut reached = chains.without_parts();
        for link in self.links() {
            let counts = |chain: &usize| chains.are_cores() || link.has(*chain as u32);
            for chain in chains.of(link.part).filter(counts) {
                let before = std::mem::replace(&mut reached[chain], link.part.epoch);
                // A commit may arrive after the next snapshot: such a part has more than it needs.
                if link.part.since_for(chain) > before || link.part.epoch <= before {
                    let name = &link.part.name;
                    return Some(format!("{name} does not follow a part of epoch {before}"));
                }
            }
        }
        let short = reached.iter().position(|epoch| *epoch != self.epoch)?;
        Some(format!("{} has no part of epoch {}", chains.name(short), self.epoch))
    }
}

/// The chains of a manifest, numbered from 0 on.
enum Chains {
    /// Of partitions, by their numbers: how many there are.
    Partitions(usize),
    /// Of these cores, in order.
    Cores(Vec<u32>),
}

impl Chains {
    fn of_manifest(manifest: &Manifest) -> Self {
        if manifest.parts.iter().all(|part| part.covers.is_some()) {
            return Self::Partitions(manifest.facts.partitions as usize);
        }
        let mut cores: Vec<u32> = manifest.parts.iter().map(|part| part.core).collect();
        cores.sort_unstable();
        cores.dedup();
        Self::Cores(cores)
    }

    fn are_cores(&self) -> bool {
        matches!(self, Self::Cores(_))
    }

    /// Those that a part could be in.
    fn of<'a>(&'a self, part: &'a PartEntry) -> impl Iterator<Item = usize> + 'a {
        let core = match self {
            Self::Partitions(_) => None,
            Self::Cores(cores) => cores.binary_search(&part.core).ok(),
        };
        let covers = part.covers.iter();
        covers.flat_map(PartitionSet::iter).map(usize::from).chain(core)
    }

    /// An epoch for each: no part was seen.
    fn without_parts(&self) -> Vec<Epoch> {
        let count = match self {
            Self::Partitions(count) => *count,
            Self::Cores(cores) => cores.len(),
        };
        vec![Epoch::NONE; count]
    }

    fn name(&self, chain: usize) -> String {
        match self {
            Self::Partitions(_) => format!("partition {chain}"),
            Self::Cores(cores) => format!("core {}", cores[chain]),
        }
    }
}

impl PartEntry {
    /// The epoch after which it has what changed in a chain; none if it has everything.
    fn since_for(&self, chain: usize) -> Epoch {
        let whole = u16::try_from(chain).is_ok_and(|partition| self.whole.has(partition));
        if whole { Epoch::NONE } else { self.since }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::manifest::tests::example;

    /// Why a manifest with these parts is refused, by its text.
    #[track_caller]
    fn check(change: fn(&mut Vec<PartEntry>), expected: Option<&str>) {
        let mut manifest = example();
        change(&mut manifest.parts);
        let read = Manifest::parse("m", &manifest.write());
        assert_eq!(read.err().map(|refused| refused.damage.to_string()).as_deref(), expected);
    }

    #[test]
    fn a_chain_with_a_gap_is_refused_though_its_digest_fits() {
        let gap = Some("part-3-17-0-00000000000000ab does not follow a part of epoch 0");
        check(|parts| drop(parts.remove(0)), gap);
        check(|parts| drop(parts.remove(1)), Some("partition 0 has no part of epoch 17"));
        check(|parts| drop(parts.remove(2)), Some("partition 512 has no part of epoch 17"));
        check(Vec::clear, Some("partition 0 has no part of epoch 17"));
        check(|parts| parts[0].covers = Some(PartitionSet::all(511)), gap);
        // As they come, they are sorted by epochs.
        check(|parts| parts.reverse(), None);
        check(
            |parts| parts.push(parts[1].clone()),
            Some("part-3-17-0-00000000000000ab does not follow a part of epoch 17"),
        );
        check(
            |parts| parts[2].covers = Some(PartitionSet::all(1025)),
            Some("part-3-17-1-00000000000000ab covers partitions that there are not"),
        );
        check(
            |parts| parts[1].whole = PartitionSet::all(513),
            Some("part-3-17-0-00000000000000ab covers partitions that there are not"),
        );
        check(
            |parts| parts[0].covers = None,
            Some("not all of its parts have the partitions that they cover"),
        );
    }

    #[test]
    fn manifests_without_covers_have_chains_by_core() {
        let forget = |parts: &mut Vec<PartEntry>| parts.iter_mut().for_each(|it| it.covers = None);
        check(|parts| parts.iter_mut().for_each(|it| it.covers = None), None);
        let mut manifest = example();
        forget(&mut manifest.parts);
        assert!(manifest.links().iter().all(|link| link.has(0) && link.has(1023)));
        manifest.parts.pop();
        assert_eq!(manifest.broken_chain(), None);
        manifest.parts.pop();
        let short = Some("core 0 has no part of epoch 17".to_owned());
        assert_eq!(manifest.broken_chain(), short);
    }

    /// Core 1 is gone, and what it had is core 0's.
    #[test]
    fn a_part_counts_from_the_newest_whole_one_on() {
        let mut manifest = example();
        let mut last = manifest.parts[1].clone();
        (last.epoch, last.since) = (Epoch(18), Epoch(17));
        (last.covers, last.whole) = (Some(PartitionSet::all(1024)), (512..1024).collect());
        manifest.parts.push(last);
        manifest.epoch = Epoch(18);
        check_links(&manifest, "0 16 of 0-511; 0 17 of 0-511; 0 18 of 0-1023");
        manifest.parts[3].whole = (512..1023).collect();
        check_links(&manifest, "0 16 of 0-511; 0 17 of 0-511; 1 17 of 1023; 0 18 of 0-1023");
    }

    #[track_caller]
    fn check_links(manifest: &Manifest, expected: &str) {
        assert_eq!(manifest.broken_chain(), None);
        let shown = |ChainLink { part, partitions }: ChainLink<'_>| {
            let partitions = partitions.expect("they are known");
            format!("{} {} of {partitions}", part.core, part.epoch)
        };
        let links: Vec<String> = manifest.links().into_iter().map(shown).collect();
        assert_eq!(links.join("; "), expected);
    }
}
