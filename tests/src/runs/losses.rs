//! The loss of a link or node: what is left of the generation goes on for a while, and may commit,
//! until all of its nodes have noticed. Then HEAD is taken over from it.

use super::process::Process;
use super::stop::Stop;
use potoroo_sdk::random::Random;

/// A loss that ends the generation.
pub(super) struct NodeLoss {
    /// The step of it.
    at: u64,
    /// The step in which HEAD is taken over, when all have noticed.
    over_at: Option<u64>,
    random: Random,
}

/// Steps in which each core notices that its link is lost.
const NOTICE_STEPS_MAX: u64 = 50_000;

/// Most steps until HEAD is taken over, then.
const LEFT_STEPS_MAX: u64 = 400;

impl NodeLoss {
    /// A link or node of `process` is lost; `None` if it has only one node.
    pub(super) fn begin(at: u64, draw: u64, process: &mut Process) -> Option<Self> {
        let mut random = Random::new(draw);
        process.nodes.lose_any(&mut random).then_some(Self { at, over_at: None, random })
    }

    /// Whether HEAD is taken over in this step.
    pub(super) fn is_over(&mut self, step: u64, process: &Process) -> Result<bool, Stop> {
        if !process.nodes.all_lost() {
            return match step > self.at + NOTICE_STEPS_MAX {
                true => Err(Stop::Wrong("a lost link is not reported".to_owned())),
                false => Ok(false),
            };
        }
        let left = || step + self.random.below(LEFT_STEPS_MAX);
        Ok(step >= *self.over_at.get_or_insert_with(left))
    }
}
