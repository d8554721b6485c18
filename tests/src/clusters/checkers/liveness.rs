//! Some time after all troubles one node leads, all that live are in its generation, and it
//! commits.

use std::collections::BTreeMap;
use std::time::Duration;

use potoroo::checkpoint::Epoch;

use super::super::turns::NodeIndex;

/// What each node did last.
#[derive(Default)]
pub struct Liveness {
    /// By node: when it acted, in which generation, and whether it led.
    last: BTreeMap<NodeIndex, (Duration, u64, bool)>,
    commits: u64,
    epoch: Epoch,
    /// Generations in which a node acted.
    generations: u64,
    generation: u64,
}

/// A node that lives acts at least this often.
const ACTS_WITHIN: Duration = Duration::from_secs(1);

impl Liveness {
    pub(super) fn acted(&mut self, now: Duration, node: NodeIndex, generation: u64, leads: bool) {
        self.last.insert(node, (now, generation, leads));
        if generation > self.generation {
            (self.generation, self.generations) = (generation, self.generations + 1);
        }
    }

    pub(super) fn committed(&mut self, _: Duration, epoch: Epoch) {
        self.commits += u64::from(epoch > self.epoch);
        self.epoch = epoch;
    }

    /// Checkpoints that were committed.
    pub fn commits(&self) -> u64 {
        self.commits
    }

    /// Generations in which a node acted.
    pub fn generations(&self) -> u64 {
        self.generations
    }

    /// Whether these `nodes` are one cluster, and no other node acts.
    pub fn is_one(&self, now: Duration, nodes: &[NodeIndex]) -> bool {
        let acts = |(at, ..): &(Duration, u64, bool)| *at + ACTS_WITHIN > now;
        let acting: Vec<_> = self.last.iter().filter(|(_, last)| acts(last)).collect();
        let leads = acting.iter().filter(|(_, (_, _, leads))| *leads).count();
        let is_one = acting.windows(2).all(|two| two[0].1.1 == two[1].1.1);
        let all = nodes.iter().all(|node| acting.iter().any(|(one, _)| *one == node));
        all && acting.len() == nodes.len() && is_one && leads == 1
    }

    /// What each node did last, as text.
    pub fn text(&self) -> String {
        format!("{:?}, {} commits", self.last, self.commits)
    }
}
