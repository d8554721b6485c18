//! Troubles: what goes wrong, and when.

use std::sync::Arc;
use std::time::Duration;

use potoroo_sdk::random::Random;

use super::network::cut;
use super::nodes::{ask_to_end, kill, start, stop};
use super::steps::{Doom, Step};
use super::turns::NodeIndex;
use super::world::{Kill, World, lock};
use crate::seeds::{Concern, random};

/// What goes wrong in a world.
pub struct ClusterTroubles {
    /// Its nodes.
    pub nodes: usize,
    /// How long their leases last.
    pub lease: Duration,
    /// When all troubles are over.
    pub calm: Duration,
    random: Random,
    /// Troubles.
    count: u64,
}

/// The troubles of `seed`.
pub fn draw(seed: u64) -> ClusterTroubles {
    let mut random = random(seed, Concern::Trouble);
    let lease = Duration::from_secs([1, 3][random.below(2) as usize]);
    let nodes = 2 + random.below(3) as usize;
    let count = 1 + random.below(8);
    ClusterTroubles { nodes, lease, calm: lease * 12, random, count }
}

impl ClusterTroubles {
    /// Has everything happen in its time.
    pub fn plan(&self, world: &Arc<World>) {
        let mut random = self.random.clone();
        lock(&world.agreed).is_folder = random.chance(0.3);
        lock(&world.agreed).slow = [0.02, 0.02, 0.3][random.below(3) as usize];
        lock(&world.store).stale = [0.0, 0.0, 0.1][random.below(3) as usize];
        for node in 0..self.nodes {
            let late = random.chance(0.3).then(|| self.calm.mul_f64(0.5 * random.f64()));
            let at = late.unwrap_or(Duration::from_millis(random.below(300)));
            world.at(at, move |world| start(world, node));
        }
        for _ in 0..self.count {
            let at = self.calm.mul_f64(random.f64());
            let of_trouble = Random::new(random.u64());
            let (nodes, calm) = (self.nodes, self.calm);
            world.at(at, move |world| happen(world, nodes, calm, of_trouble));
        }
    }
}

/// Something goes wrong now.
fn happen(world: &Arc<World>, nodes: usize, calm: Duration, mut random: Random) {
    let now = world.turns.now();
    let scale = [0.1, 0.8, 1.5, 4.0][random.below(4) as usize];
    let until = (now + world.lease.mul_f64(scale * (0.5 + random.f64()))).min(calm);
    let node = random.below(nodes as u64) as NodeIndex;
    let other = (node + 1 + random.below(nodes as u64 - 1) as usize) % nodes;
    let kind = random.below(14);
    world.print(|| format!("trouble {kind} of node {node} until {until:?}"));
    match kind {
        0 | 1 => kill(world, node, true, until - now),
        2 => kill(world, node, false, until - now),
        3..=5 => stop(world, node, until),
        6 => cut(world, node, other, until),
        7 => {
            cut(world, node, other, until);
            cut(world, other, node, until);
        }
        8 => lock(&world.agreed).away_until = until,
        9 => drop(lock(&world.agreed).cut.insert(node, until)),
        10 => match random.chance(0.5) {
            true => lock(&world.store).away_until = until,
            false => drop(lock(&world.store).cut.insert(node, until)),
        },
        11 => match random.chance(0.5) {
            true => ask_to_end(world, node),
            false => lock(&world.agreed).prolong(now + world.lease),
        },
        _ => {
            let step = Step::ALL[random.below(Step::ALL.len() as u64) as usize];
            let (done, at_once) = (random.chance(0.5), random.chance(0.7));
            let kill: Kill = Box::new(move |world, process| {
                kill(world, world.node_of(process), at_once, until - now);
            });
            lock(&world.step_kills).add(Doom { step, done, until: calm, kill });
        }
    }
}
