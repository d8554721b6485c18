//! Shares: which partitions the cores of each node own.
//!
//! A node owns partitions in proportion to its [`Weight`], by largest remainder, ties by name; its
//! cores own them in equal parts. A pure function of the nodes and of the shares before: each
//! partition has one owner, and only those move that a node or a core has above its part.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::checkpoint::PartitionSet;

/// The share of a node against those of the others: thousandths of a core. 0 owns nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "f64", try_from = "f64")]
pub struct Weight(u32);

/// The text is no weight.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a weight is a number from 0 to {WEIGHT_MAX} with up to three decimals, such as 2 or 1.5")]
pub struct NoWeight;

/// A node that may own partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sharer<'a> {
    /// Its name.
    pub node: &'a str,
    /// Of it. If all nodes have 0, each has its cores instead.
    pub weight: Weight,
    /// Its cores that own state.
    pub cores: usize,
}

/// By name of a node: what each of its cores owns, out of those that own state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionShares(BTreeMap<String, Vec<PartitionSet>>);

/// Far more than a machine has cores.
const WEIGHT_MAX: u32 = 100_000;

const THOUSANDTHS: u32 = 1000;

impl Weight {
    /// That of a node with this number of cores, unless a person decides otherwise.
    pub fn of_cores(cores: usize) -> Self {
        let cores = u32::try_from(cores).unwrap_or(WEIGHT_MAX).min(WEIGHT_MAX);
        Self(cores * THOUSANDTHS)
    }

    /// This one `times` as great, not 0 if it is not.
    #[must_use]
    pub fn scaled(self, times: f64) -> Self {
        let most = f64::from(WEIGHT_MAX * THOUSANDTHS);
        let scaled = (f64::from(self.0) * times).round().clamp(1.0, most);
        Self(if self.0 == 0 { 0 } else { scaled as u32 })
    }

    /// As a number of cores.
    pub fn in_cores(self) -> f64 {
        f64::from(self.0) / f64::from(THOUSANDTHS)
    }

    /// Whether a node with it owns nothing.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl FromStr for Weight {
    type Err = NoWeight;

    fn from_str(text: &str) -> Result<Self, NoWeight> {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(part) || part.len() > 3 {
            return Err(NoWeight);
        }
        let whole: u32 = whole.parse().map_err(|_| NoWeight)?;
        let part: u32 = format!("{part:0<3}").parse().map_err(|_| NoWeight)?;
        let most = WEIGHT_MAX * THOUSANDTHS;
        let all = whole.checked_mul(THOUSANDTHS).and_then(|whole| whole.checked_add(part));
        all.filter(|all| *all <= most).map(Self).ok_or(NoWeight)
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / THOUSANDTHS, self.0 % THOUSANDTHS);
        let text = format!("{whole}.{part:03}");
        f.pad(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl From<Weight> for f64 {
    fn from(weight: Weight) -> Self {
        weight.in_cores()
    }
}

impl TryFrom<f64> for Weight {
    type Error = NoWeight;

    /// A number that has more decimals is rounded.
    fn try_from(cores: f64) -> Result<Self, NoWeight> {
        let fits = (0.0..=f64::from(WEIGHT_MAX)).contains(&cores);
        fits.then(|| Self((cores * f64::from(THOUSANDTHS)).round() as u32)).ok_or(NoWeight)
    }
}

/// What one core owns, and how much it is to own.
struct CoreShare {
    own: Vec<u16>,
    quota: usize,
}

impl PartitionShares {
    /// The shares of these `nodes` in all of `partitions`, which differ from these ones as little
    /// as the weights allow. The order of the nodes says nothing.
    ///
    /// # Panics
    /// There is no node, or one has no core.
    #[must_use]
    pub fn assign(&self, partitions: u32, nodes: &[Sharer<'_>]) -> Self {
        let mut nodes = nodes.to_vec();
        nodes.sort_unstable_by_key(|node| node.node);
        let mut free: BTreeSet<u16> = PartitionSet::all(partitions).iter().collect();
        let quotas = node_quotas(partitions as usize, &nodes);
        let keep = |(node, quota)| self.keep(node, quota, &mut free);
        let mut kept: Vec<_> = nodes.iter().zip(quotas).map(keep).collect();
        for (cores, surplus) in &mut kept {
            fill(cores, surplus);
            free.append(surplus);
        }
        for (cores, _) in &mut kept {
            fill(cores, &mut free);
        }
        assert!(free.is_empty(), "quotas add up to all partitions");
        let sets = |cores: Vec<CoreShare>| cores.into_iter().map(|core| core.own.into_iter());
        let sets = |cores| sets(cores).map(PartitionSet::from_iter).collect();
        let node = |(node, (cores, _)): (&Sharer<'_>, _)| (node.node.to_owned(), sets(cores));
        Self(nodes.iter().zip(kept).map(node).collect())
    }

    /// What the cores of a node keep of what they had, and what is above their part. Neither is
    /// `free` any more.
    fn keep(
        &self,
        node: &Sharer<'_>,
        quota: usize,
        free: &mut BTreeSet<u16>,
    ) -> (Vec<CoreShare>, BTreeSet<u16>) {
        assert!(node.cores > 0, "a node that shares has a core");
        // What was written down may name a partition twice, or one that there is not.
        let mut take = |core: &PartitionSet| -> Vec<u16> {
            core.iter().filter(|partition| free.remove(partition)).collect()
        };
        let mut had: Vec<Vec<u16>> = self.of(node.node).iter().map(&mut take).collect();
        let mut surplus: BTreeSet<u16> = had.drain(node.cores.min(had.len())..).flatten().collect();
        had.resize_with(node.cores, Vec::new);
        let part = |core: usize| {
            let more = usize::from(core < quota % node.cores);
            quota / node.cores + more
        };
        let mut core = |(core, mut own): (usize, Vec<u16>)| {
            surplus.extend(own.drain(part(core).min(own.len())..));
            CoreShare { own, quota: part(core) }
        };
        let cores = had.into_iter().enumerate().map(&mut core).collect();
        (cores, surplus)
    }

    /// What each core of a node owns; nothing if it owns nothing.
    pub fn of(&self, node: &str) -> &[PartitionSet] {
        self.0.get(node).map_or(&[], Vec::as_slice)
    }

    /// How many partitions a node owns.
    pub fn count(&self, node: &str) -> usize {
        self.of(node).iter().map(|core| core.iter().count()).sum()
    }
}

/// Gives cores that have fewer than they are to have the first ones of `from`.
fn fill(cores: &mut [CoreShare], from: &mut BTreeSet<u16>) {
    for CoreShare { own, quota } in cores {
        let missing = *quota - own.len();
        own.extend((0..missing).map_while(|_| from.pop_first()));
        own.sort_unstable();
    }
}

/// How many of `partitions` each node is to own.
fn node_quotas(partitions: usize, nodes: &[Sharer<'_>]) -> Vec<usize> {
    let all_zero = nodes.iter().all(|node| node.weight.is_zero());
    let weight = |node: &Sharer<'_>| {
        let weight = if all_zero { Weight::of_cores(node.cores) } else { node.weight };
        weight.0 as usize
    };
    let sum: usize = nodes.iter().map(weight).sum();
    let mut quotas: Vec<usize> = nodes.iter().map(|node| partitions * weight(node) / sum).collect();
    let mut order: Vec<usize> = (0..nodes.len()).collect();
    let remainder = |at: usize| partitions * weight(&nodes[at]) % sum;
    order.sort_by_key(|at| (std::cmp::Reverse(remainder(*at)), nodes[*at].node));
    let missing = partitions - quotas.iter().sum::<usize>();
    order.iter().take(missing).for_each(|at| quotas[*at] += 1);
    quotas
}

#[cfg(test)]
mod tests;
