//! Sets of partitions, as text in manifests: numbers and ranges in order, such as `0-511 600`.
//!
//! Promises: a set has one spelling, and takes memory by its ranges; what is no set is refused.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Most partitions: their numbers have 16 bits.
pub const PARTITIONS_MAX: u32 = 1 << 16;

/// The partition of the keys with `hash`, of up to [`PARTITIONS_MAX`] `partitions`.
///
/// # Panics
/// There are none.
#[inline]
pub fn partition_of(hash: u64, partitions: u32) -> u16 {
    let partitions = u64::from(partitions);
    let partition = match partitions.is_power_of_two() {
        true => hash & (partitions - 1),
        false => hash % partitions,
    };
    partition as u16
}

/// A set of partitions, each a number of 16 bits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct PartitionSet {
    /// First and last of each range, in order, with a gap before the next one.
    ranges: Vec<(u16, u16)>,
}

impl PartitionSet {
    /// All of `partitions`.
    ///
    /// # Panics
    /// There are more than 65536.
    pub fn all(partitions: u32) -> Self {
        let last = partitions.checked_sub(1);
        let last =
            last.map(|last| u16::try_from(last).expect("numbers of partitions have 16 bits"));
        Self { ranges: last.map(|last| (0, last)).into_iter().collect() }
    }

    /// Each of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        self.ranges.iter().flat_map(|(first, last)| *first..=*last)
    }

    /// The greatest.
    pub fn last(&self) -> Option<u16> {
        self.ranges.last().map(|(_, last)| *last)
    }

    /// Whether `partition` is one of them.
    pub fn has(&self, partition: u16) -> bool {
        let at = self.ranges.partition_point(|(_, last)| *last < partition);
        self.ranges.get(at).is_some_and(|(first, _)| *first <= partition)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether a partition is in both.
    pub fn meets(&self, other: &Self) -> bool {
        let reaches = |(first, last): &(u16, u16)| {
            let at = other.ranges.partition_point(|(_, end)| end < first);
            other.ranges.get(at).is_some_and(|(start, _)| start <= last)
        };
        self.ranges.iter().any(reaches)
    }
}

impl FromIterator<u16> for PartitionSet {
    /// # Panics
    /// The numbers do not rise.
    fn from_iter<T: IntoIterator<Item = u16>>(numbers: T) -> Self {
        let mut ranges: Vec<(u16, u16)> = Vec::new();
        for number in numbers {
            match ranges.last_mut() {
                Some((_, last)) if u32::from(*last) + 1 == u32::from(number) => *last = number,
                before => {
                    let rises = before.is_none_or(|(_, last)| *last < number);
                    assert!(rises, "partitions are collected in order");
                    ranges.push((number, number));
                }
            }
        }
        Self { ranges }
    }
}

impl fmt::Display for PartitionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (first, last)) in self.ranges.iter().enumerate() {
            let gap = if at == 0 { "" } else { " " };
            match first == last {
                true => write!(f, "{gap}{first}")?,
                false => write!(f, "{gap}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

/// The text is no set of partitions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no set of partitions such as 0-511 600")]
pub struct NoPartitions(String);

impl FromStr for PartitionSet {
    type Err = NoPartitions;

    fn from_str(text: &str) -> Result<Self, NoPartitions> {
        let range = |word: &str| -> Option<(u16, u16)> {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            Some((first.parse().ok()?, last.parse().ok()?))
        };
        let ranges = text.split_whitespace().map(range).collect::<Option<_>>();
        let set = ranges.map(|ranges| Self { ranges });
        let ordered = |set: &Self| {
            let gap = |pair: &[(u16, u16)]| u32::from(pair[0].1) + 1 < pair[1].0.into();
            set.ranges.iter().all(|(first, last)| first <= last) && set.ranges.windows(2).all(gap)
        };
        // Accept only the canonical spelling.
        let set = set.filter(ordered).filter(|set| set.to_string() == text);
        set.ok_or_else(|| NoPartitions(text.to_owned()))
    }
}

impl From<PartitionSet> for String {
    fn from(set: PartitionSet) -> Self {
        set.to_string()
    }
}

impl TryFrom<String> for PartitionSet {
    type Error = NoPartitions;

    fn try_from(text: String) -> Result<Self, NoPartitions> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use potoroo_sdk::random::Random;

    use super::*;

    #[test]
    fn sets_are_those_of_a_model_and_are_read_as_they_are_written() {
        let mut random = Random::new(1);
        let mut draw = || -> BTreeSet<u16> {
            let (least, most) = ([0, 65_500][random.below(2) as usize], 1 + random.below(40));
            (0..random.below(30)).map(|_| least + random.below(most.min(36)) as u16).collect()
        };
        for round in 0..200 {
            let [one, other] = [draw(), draw()];
            let of = |model: &BTreeSet<u16>| model.iter().copied().collect::<PartitionSet>();
            let (set, text) = (of(&one), of(&one).to_string());
            assert!(set.iter().eq(one.iter().copied()), "round {round}: {text}");
            assert_eq!(text.parse(), Ok(set.clone()), "round {round}");
            assert_eq!(set.meets(&of(&other)), !one.is_disjoint(&other), "round {round}: {text}");
            assert_eq!((set.last(), set.is_empty()), (one.last().copied(), one.is_empty()));
            (0..=65_535).for_each(|number| assert_eq!(set.has(number), one.contains(&number)));
        }
    }

    #[test]
    fn a_set_has_one_spelling() {
        assert_eq!(PartitionSet::all(65_536).to_string(), "0-65535");
        assert_eq!(PartitionSet::all(1).to_string(), "0");
        assert_eq!(PartitionSet::all(0), PartitionSet::default());
        for text in ["1-1", "0-1 2", "3-2", "1 0", "0-1 1", "01", "+1", "65536", " 1", "a", "1,2"] {
            assert!(text.parse::<PartitionSet>().is_err(), "{text}");
        }
    }
}
