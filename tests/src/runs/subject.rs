//! The application that runs, and what happened to it.

use potoroo_sdk::prelude::*;

use crate::simulator::Generator;

/// What is run.
pub struct Subject<'a> {
    /// Describes the application.
    pub describe: &'a dyn Fn() -> Application,
    /// Partitions of the keys.
    pub partitions: u32,
    /// Most cores of a run.
    pub cores_max: u64,
    /// Generated sources; all others read a file.
    pub generators: Vec<Generator>,
}

/// What happened in all runs together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chronicle {
    /// Steps.
    pub steps: u64,
    /// Checkpoints committed.
    pub commits: u64,
    /// Checkpoints aborted.
    pub aborts: u64,
    /// Frames that were replayed.
    pub frames_replayed: u64,
    /// Runs that went on from a checkpoint.
    pub recoveries: u64,
    /// Runs that were rolled back to one.
    pub rollbacks: u64,
    /// Changes of nodes.
    pub changes: u64,
    /// Runs that ended because a link or node was lost.
    pub losses: u64,
    /// Commits between that loss and the end of their generation.
    pub late_commits: u64,
    /// Links that were reported as lost when other nodes had taken the place of theirs.
    pub losses_ignored: u64,
    /// Most steps from the beginning of a checkpoint until all cores had ended their parts.
    pub part_steps_max: u64,
    /// HEADs that named a new checkpoint; commits whose run died meanwhile are among them.
    pub heads: u64,
}
