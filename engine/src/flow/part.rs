//! What a core hands out for a checkpoint: the steps of its part, in their order.

use super::cost::PartCost;
use super::positions::ReadPosition;
use crate::checkpoint::{Chunk, Epoch, PartitionSet};

/// The end of a core's part: all its chunks were taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartEnd {
    /// The epoch.
    pub epoch: Epoch,
    /// The epoch that it builds upon; 0 for a full part.
    pub since: Epoch,
    /// The partitions that the core owned at its snapshot.
    pub covers: PartitionSet,
    /// Positions of the sources of this core that can be read again.
    pub positions: Vec<ReadPosition>,
    /// Bytes of frames.
    pub frames_bytes: u64,
    /// What it cost the core; counted by the driver of the core, since that needs a clock.
    pub cost: PartCost,
}

/// A step of a core's part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartStep {
    /// The part begins; one that has not ended is dropped.
    Begin {
        /// The epoch.
        epoch: Epoch,
        /// The epoch that it builds upon; 0 for a full part.
        since: Epoch,
    },
    /// The next chunk of the part.
    Chunk(Chunk),
    /// The part is complete.
    End(PartEnd),
    /// The core gave the epoch up.
    Failed {
        /// The epoch.
        epoch: Epoch,
        /// Why.
        reason: String,
    },
}
