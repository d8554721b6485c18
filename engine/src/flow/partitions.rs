//! Partitions: from the hash of a key to the core that owns it.

use potoroo_sdk::host::BATCH_EVENTS;

use crate::checkpoint::PartitionSet;

/// Which core owns a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionMap {
    owners: Box<[u16]>,
    /// `partitions - 1` when that is a mask.
    mask: Option<u64>,
    /// The owner of all partitions, if it is one.
    only: Option<u16>,
}

impl PartitionMap {
    /// `partitions` spread evenly over `owners`: each has a range of them, so that what a part of
    /// a checkpoint covers is a few words.
    ///
    /// # Panics
    /// There are no owners or no partitions.
    // cold: at start
    pub fn spread(partitions: u32, owners: &[u16]) -> Self {
        assert!(partitions > 0);
        let owner = |partition: u32| {
            let place = u64::from(partition) * owners.len() as u64 / u64::from(partitions);
            owners[place as usize]
        };
        Self::new((0..partitions).map(owner).collect())
    }

    /// Each of `partitions` with the core whose set has it; none if it is not in exactly one of
    /// these `sets` by core.
    // cold: at start
    pub fn of_sets(partitions: u32, sets: &[PartitionSet]) -> Option<Self> {
        let mut owners: Vec<Option<u16>> = vec![None; partitions as usize];
        for (core, set) in (0..=u16::MAX).zip(sets) {
            for partition in set.iter() {
                let owner = owners.get_mut(usize::from(partition))?;
                if owner.replace(core).is_some() {
                    return None;
                }
            }
        }
        let owners: Box<[u16]> = owners.into_iter().collect::<Option<_>>()?;
        (!owners.is_empty()).then(|| Self::new(owners))
    }

    fn new(owners: Box<[u16]>) -> Self {
        let partitions = owners.len() as u64;
        let mask = partitions.is_power_of_two().then_some(partitions - 1);
        let only = owners.iter().all(|owner| *owner == owners[0]).then_some(owners[0]);
        Self { owners, mask, only }
    }

    /// The core that owns the keys with `hash`.
    #[inline(always)]
    pub fn owner(&self, hash: u64) -> usize {
        let partition = match self.mask {
            Some(mask) => hash & mask,
            None => hash % self.owners.len() as u64,
        };
        usize::from(self.owners[partition as usize])
    }

    /// The partitions that `core` owns.
    // cold: at start
    pub fn of_core(&self, core: usize) -> PartitionSet {
        let numbered = (0..=u16::MAX).zip(&self.owners);
        let own = numbered.filter(|(_, owner)| usize::from(**owner) == core);
        own.map(|(partition, _)| partition).collect()
    }

    /// Which of up to 64 keys `core` owns: bit `i` for the one with hash `i`.
    #[inline]
    pub fn owned_by(&self, core: usize, hashes: &[u64]) -> u64 {
        if let Some(only) = self.only {
            let all = u64::MAX.checked_shr((BATCH_EVENTS - hashes.len()) as u32).unwrap_or(0);
            return if usize::from(only) == core { all } else { 0 };
        }
        let bit = |(place, hash): (usize, &u64)| u64::from(self.owner(*hash) == core) << place;
        hashes.iter().enumerate().map(bit).fold(0, |owned, bit| owned | bit)
    }
}

#[cfg(test)]
mod tests {
    use potoroo_sdk::random::Random;

    use super::*;
    use crate::checkpoint::partition_of;

    #[test]
    fn sets_are_a_map_if_each_partition_is_in_one() {
        let map = |sets: &[&str]| {
            let sets: Vec<PartitionSet> =
                sets.iter().map(|set| set.parse().expect("a set")).collect();
            PartitionMap::of_sets(4, &sets)
        };
        let found = map(&["2", "", "0-1 3"]).expect("it is one");
        assert_eq!([0, 1, 2, 3].map(|hash| found.owner(hash)), [2, 2, 0, 2]);
        assert_eq!(map(&["0-3"]), Some(PartitionMap::spread(4, &[0])));
        for wrong in [&["0-1", "3"][..], &["0-2", "2-3"], &["0-4"], &["0-3", "65535"], &[]] {
            assert_eq!(map(wrong), None, "{wrong:?}");
        }
    }

    /// Cores route by one formula, and recovery finds rows by the other.
    #[test]
    fn a_key_is_in_the_partition_that_a_checkpoint_has_it_in() {
        for partitions in [1, 2, 3, 1000, 1024, 65535, 65536] {
            let map = PartitionMap::spread(partitions, &[0, 1, 2]);
            let mut random = Random::new(partitions.into());
            for hash in (0..100).map(|_| random.u64()) {
                let owner = map.owner(hash);
                assert!(map.of_core(owner).has(partition_of(hash, partitions)), "{partitions}");
            }
        }
    }
}
