//! What goes wrong in runs: faults with their frequency, and mistakes made on purpose.

use crate::seeds::{Concern, random};

/// What goes wrong, and how often.
#[derive(Clone, Debug)]
pub struct Troubles {
    /// Runs that end by being killed; one more ends by itself.
    pub kills: u64,
    /// A run is killed within this number of steps.
    pub kill_steps_max: u64,
    /// How often a checkpoint begins when none is under way, per step.
    pub begin: f64,
    /// How often a checkpoint is aborted without a reason, per step.
    pub abort: f64,
    /// How often a call of the store fails.
    pub store_fails: f64,
    /// How often the power goes when a run ends, and with it what was not synced.
    pub power_cuts: f64,
    /// How often a run finds the disk full once.
    pub disk_full: f64,
    /// How often who sends or receives vanishes, each time that it could do something.
    pub vanish: f64,
    /// How often a run that would be killed is rolled back instead, to any of its checkpoints.
    pub rollbacks: f64,
    /// How often nodes come or go when none do, per step.
    pub changes: f64,
    /// How often a run that would be killed loses a link or one of its nodes instead.
    pub losses: f64,
    /// How often a sink begins to take nothing, per step: it does again when a checkpoint has gone
    /// on without it.
    pub stuck: f64,
    /// Something done wrongly on purpose: the oracle has to notice.
    pub sabotage: Option<Sabotage>,
}

impl Troubles {
    /// Of every kind, as the seed has it.
    pub fn any(seed: u64) -> Self {
        // Of their own: cases without changes draw as before.
        let mut changes = random(seed.rotate_left(32) ^ !0, Concern::Trouble);
        let mut losses = random(seed.rotate_left(32) ^ !0, Concern::Network);
        let mut random = random(seed, Concern::Trouble);
        Self {
            kills: random.below(7),
            kill_steps_max: [50, 500, 4_000][random.below(3) as usize],
            begin: [0.002, 0.02, 0.2][random.below(3) as usize],
            abort: [0.0, 0.001, 0.02][random.below(3) as usize],
            store_fails: [0.0, 0.0, 0.02][random.below(3) as usize],
            power_cuts: [0.0, 0.5, 1.0][random.below(3) as usize],
            disk_full: [0.0, 0.0, 0.3][random.below(3) as usize],
            vanish: [0.0, 0.003, 0.02][random.below(3) as usize],
            rollbacks: [0.0, 0.5, 0.9][random.below(3) as usize],
            changes: [0.0, 0.001, 0.01][changes.below(3) as usize],
            losses: [0.3, 0.7, 1.0][losses.below(3) as usize],
            stuck: [0.0, 0.0, 0.000_5][losses.below(3) as usize],
            sabotage: None,
        }
    }
}

/// A mistake that is possible in a protocol of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Frames that were in lanes at the cut are not kept.
    LanesLost,
    /// Frames that had found no room are not kept.
    OutboxesLost,
    /// Frames that had found no room are replayed before those that were in lanes.
    OutboxesFirst,
    /// A link passes the marker of a checkpoint on after frames that follow it.
    MarkerLate,
    /// A link passes it on after frames of one level that follow it.
    MarkerLevel,
    /// A link passes it on when nothing waits for credit, as if it lay where the lanes are.
    MarkerWaits,
    /// A link sends more than there is room for.
    CreditIgnored,
    /// A link loses a frame where its bytes were cut.
    FrameLost,
    /// Two connections get to each other's seat.
    SeatsSwapped,
    /// A connection of an earlier generation is taken for one of the next.
    LinkOfBefore,
    /// Frames that were not sent to other nodes are not kept.
    UnsentLost,
    /// Frames that came over links are replayed after those that had found no room.
    LinkFramesLast,
    /// Keys that left are not reported.
    RemovedLost,
    /// Rows that changed under an aborted epoch count as stored.
    AbortIsCommit,
    /// What sinks prepared under an aborted epoch is not carried over.
    PreparedLost,
    /// Recovery takes the newest part of each core and not those before it.
    NewestPartOnly,
    /// A checkpoint is committed when one part of it is not stored.
    PartMissing,
    /// Sources go on at the position that they had reached when the part was complete.
    PositionsLate,
    /// What the connections of sources had seen of the times of events is forgotten.
    WatermarksLost,
    /// Output is made visible when it is prepared.
    VisibleAtOnce,
    /// Output counts as prepared before it is stored.
    OutputNotStored,
    /// A file is not synced before its output counts as visible.
    ShownNotSynced,
    /// Streams that no client has opened in this run are missing in its checkpoints.
    UnopenedLost,
    /// A source is acknowledged when the manifest is stored, before HEAD is swapped.
    AcknowledgedBeforeHead,
    /// A source is acknowledged when the part of its core is stored.
    AcknowledgedAtCut,
    /// Output is delivered when it is prepared.
    DeliveredAtOnce,
    /// What was committed and not delivered is forgotten at recovery.
    UndeliveredLost,
    /// Frames of the generation before a rollback are in the next one, too.
    FramesSurvive,
    /// What a rollback has to make once more goes on where the generation before was.
    PositionsSurvive,
    /// Each part counts for all partitions.
    CoversIgnored,
    /// The parts of one core make a chain, as in manifests that do not say what parts cover.
    ChainsByCore,
    /// Nodes come or go before all that was taken from sources is committed.
    ChangeUncommitted,
    /// Frames over links say nothing of the watermark of who has sent them.
    StampsLost,
    /// Words over links come before frames that they follow.
    WordsEarly,
    /// A core whose source has brought nothing yet holds no watermark.
    ReadersUnknown,
    /// Saved frames are stamped as they were sent, and not with what their receivers went by.
    StampsRaised,
}

impl Sabotage {
    /// Whether nothing is wrong without a rollback.
    pub fn needs_rollback(self) -> bool {
        matches!(self, Self::FramesSurvive | Self::PositionsSurvive)
    }

    /// Whether nothing is wrong unless a link or node is lost.
    pub fn needs_losses(self) -> bool {
        self == Self::LinkOfBefore
    }

    /// Whether nothing is wrong unless a sink is stuck.
    pub fn needs_stuck_sinks(self) -> bool {
        self == Self::MarkerWaits
    }

    /// Whether nothing is wrong unless nodes come or go.
    pub fn needs_changes(self) -> bool {
        self == Self::ChangeUncommitted
    }

    /// Those that need windows, timers or joins to be noticed.
    pub const OF_TIME: [Self; 5] = [
        Self::StampsLost,
        Self::WordsEarly,
        Self::ReadersUnknown,
        Self::StampsRaised,
        Self::WatermarksLost,
    ];

    /// All others, and that of times that need none of these.
    pub const ALL: [Self; 32] = [
        Self::LanesLost,
        Self::OutboxesLost,
        Self::OutboxesFirst,
        Self::MarkerLate,
        Self::MarkerLevel,
        Self::MarkerWaits,
        Self::CreditIgnored,
        Self::FrameLost,
        Self::SeatsSwapped,
        Self::LinkOfBefore,
        Self::UnsentLost,
        Self::LinkFramesLast,
        Self::RemovedLost,
        Self::AbortIsCommit,
        Self::PreparedLost,
        Self::NewestPartOnly,
        Self::PartMissing,
        Self::PositionsLate,
        Self::WatermarksLost,
        Self::VisibleAtOnce,
        Self::OutputNotStored,
        Self::ShownNotSynced,
        Self::UnopenedLost,
        Self::AcknowledgedBeforeHead,
        Self::AcknowledgedAtCut,
        Self::DeliveredAtOnce,
        Self::UndeliveredLost,
        Self::FramesSurvive,
        Self::PositionsSurvive,
        Self::CoversIgnored,
        Self::ChainsByCore,
        Self::ChangeUncommitted,
    ];
}
