//! Rebalance: the weights with which all nodes would be equally busy.
//!
//! The load is that of cores: how much of their time they had something to do, which is counted
//! per turn anyway. What each partition costs is not counted: the partitions of a node are taken
//! for equally costly.

use super::shares::Weight;

/// A node as it was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NodeLoad {
    /// Its weight.
    pub weight: Weight,
    /// Its cores that own state.
    pub cores: usize,
    /// Part of the time in which its cores had something to do.
    pub busy: f64,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Rebalance {
    /// Nothing: the busiest node has this part of its time something to do.
    Idle(f64),
    /// Nothing: the busiest node has this many times the load of the mean.
    Balanced(f64),
    /// These weights, in the order of the nodes.
    Weights(Vec<Weight>),
}

/// Below that a load says little.
const BUSY_MIN: f64 = 0.05;

/// A smaller difference is not worth a change.
const UNEVEN_MIN: f64 = 1.1;

/// A weight changes by this factor at most: the next measurement shows what came of it.
const STEP_MAX: f64 = 2.0;

/// What makes `nodes` equally busy. A weight of 0 stays.
pub fn rebalance(nodes: &[NodeLoad]) -> Rebalance {
    let sharing = || nodes.iter().filter(|node| !node.weight.is_zero());
    let cores: usize = sharing().map(|node| node.cores).sum();
    let mean = sharing().map(|node| node.busy * node.cores as f64).sum::<f64>() / cores as f64;
    let most = sharing().map(|node| node.busy).fold(0.0, f64::max);
    if most < BUSY_MIN || mean <= 0.0 {
        return Rebalance::Idle(most);
    }
    if most / mean < UNEVEN_MIN {
        return Rebalance::Balanced(most / mean);
    }
    let step = |node: &NodeLoad| (mean / node.busy.max(1e-9)).clamp(1.0 / STEP_MAX, STEP_MAX);
    let sum = |weights: &mut dyn Iterator<Item = f64>| weights.sum::<f64>();
    let before = sum(&mut nodes.iter().map(|node| node.weight.in_cores()));
    let after = sum(&mut nodes.iter().map(|node| node.weight.in_cores() * step(node)));
    // A node that comes later is measured against the same sum as before.
    let weights = nodes.iter().map(|node| node.weight.scaled(step(node) * before / after));
    Rebalance::Weights(weights.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(nodes: &[(&str, usize, f64)]) -> Rebalance {
        let measured = |(weight, cores, busy): &(&str, usize, f64)| NodeLoad {
            weight: weight.parse().expect("a weight"),
            cores: *cores,
            busy: *busy,
        };
        rebalance(&nodes.iter().map(measured).collect::<Vec<_>>())
    }

    fn weights(texts: &[&str]) -> Rebalance {
        let weight = |text: &&str| text.parse().expect("a weight");
        Rebalance::Weights(texts.iter().map(weight).collect())
    }

    #[test]
    fn a_busy_node_gets_less_and_the_sum_stays() {
        assert_eq!(of(&[("1", 1, 0.8), ("1", 1, 0.4)]), weights(&["0.667", "1.333"]));
        assert_eq!(
            of(&[("2", 2, 0.6), ("2", 2, 0.3), ("0", 4, 0.9)]),
            weights(&["1.333", "2.667", "0"])
        );
        // At most twice and half of what it was, before the sum is kept.
        assert_eq!(of(&[("1", 1, 0.9), ("1", 1, 0.0)]), weights(&["0.4", "1.6"]));
    }

    #[test]
    fn nothing_is_done_without_need() {
        assert_eq!(of(&[("1", 1, 0.04), ("1", 1, 0.0)]), Rebalance::Idle(0.04));
        assert_eq!(of(&[("1", 1, 0.5), ("1", 1, 0.5)]), Rebalance::Balanced(1.0));
        assert_eq!(of(&[("0", 1, 0.5)]), Rebalance::Idle(0.0));
        assert!(matches!(of(&[("1", 1, 0.5), ("1", 1, 0.46)]), Rebalance::Balanced(_)));
    }

    /// Partitions that cost the same bring the loads together, whatever the sizes of nodes are.
    #[test]
    fn it_converges() {
        let (speeds, cores) = ([1.0, 3.0, 0.5], [1, 2, 4]);
        let mut weights: Vec<Weight> =
            ["1", "2", "4"].map(|text| text.parse().expect("one")).into();
        for _ in 0..12 {
            let sum: f64 = weights.iter().map(|weight| weight.in_cores()).sum();
            let busy = |node: usize| {
                weights[node].in_cores() / sum / speeds[node] / cores[node] as f64 * 2.0
            };
            let nodes: Vec<_> = (0..3)
                .map(|node| NodeLoad {
                    weight: weights[node],
                    cores: cores[node],
                    busy: busy(node),
                })
                .collect();
            match rebalance(&nodes) {
                Rebalance::Weights(next) => weights = next,
                done => {
                    assert!(matches!(done, Rebalance::Balanced(_)), "{done:?}");
                    return;
                }
            }
        }
        panic!("it does not: {weights:?}");
    }
}
