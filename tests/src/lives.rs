//! Lives: an application that is killed at any step and started again, until its input is used up.
//!
//! ```text
//!   world   input files, senders, store, disk, receivers   outlives every life
//!   life    cores, lanes, coordinator, connections         ends at any step, and all of it is gone
//! ```
//!
//! Each life has another number of cores. Storage is slow and fails, checkpoints are aborted,
//! cores hear of everything late, the disk is full, the power goes and with it what was not synced,
//! who sends and receives vanishes and comes back: all by the seed. The cores, their drivers, the
//! coordinator, the storage of parts, the formats, the spools, the streams and the delivery are
//! those of the engine; what stands here is what the engine has threads, files and sockets for.
//!
//! Promises: the same seed gives the same lives. Must never do: decide what is right; that is the
//! oracle's.

mod case;
mod life;
mod ports;
mod process;
mod readers;
mod receivers;
mod restore;
mod senders;
mod world;

use potoroo_sdk::prelude::*;
use potoroo_sdk::random::Random;

pub use case::Case;
use life::{Life, Stop};
pub use readers::Readers;
pub use receivers::Receiver;
pub use senders::Sender;
pub use world::World;

use crate::disk::{Broken, Trouble};
use crate::seeds::{Concern, random};
use crate::simulator::Generator;

/// What goes wrong, and how often.
#[derive(Clone, Debug)]
pub struct Troubles {
    /// Lives that end by being killed; one more ends by itself.
    pub kills: u64,
    /// A run is killed within this number of steps.
    pub kill_steps_max: u64,
    /// How often a checkpoint begins when none is under way, per step.
    pub begin: f64,
    /// How often a checkpoint is aborted without a reason, per step.
    pub give_up: f64,
    /// How often a call of the store fails.
    pub store_fails: f64,
    /// How often the power goes when a life ends, and with it what was not synced.
    pub power_cuts: f64,
    /// How often a life finds the disk full once.
    pub disk_full: f64,
    /// How often who sends or receives vanishes, each time that it could do something.
    pub vanish: f64,
    /// Something done wrongly on purpose: the oracle has to notice.
    pub sabotage: Option<Sabotage>,
}

impl Troubles {
    /// Of every kind, as the seed has it.
    pub fn any(seed: u64) -> Self {
        let mut random = random(seed, Concern::Trouble);
        Self {
            kills: random.below(7),
            kill_steps_max: [50, 500, 4_000][random.below(3) as usize],
            begin: [0.002, 0.02, 0.2][random.below(3) as usize],
            give_up: [0.0, 0.001, 0.02][random.below(3) as usize],
            store_fails: [0.0, 0.0, 0.02][random.below(3) as usize],
            power_cuts: [0.0, 0.5, 1.0][random.below(3) as usize],
            disk_full: [0.0, 0.0, 0.3][random.below(3) as usize],
            vanish: [0.0, 0.003, 0.02][random.below(3) as usize],
            sabotage: None,
        }
    }
}

/// A mistake that somebody could make in a protocol of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Frames that were in lanes at the cut are not kept.
    LanesLost,
    /// Frames that had found no room are not kept.
    OutboxesLost,
    /// Frames that had found no room are replayed before those that were in lanes.
    OutboxesFirst,
    /// Keys that left are not told.
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
    /// Spooled output is made visible when it is prepared.
    VisibleAtOnce,
    /// A spool is not synced before it votes.
    SpoolNotSynced,
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
}

impl Sabotage {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::LanesLost,
        Self::OutboxesLost,
        Self::OutboxesFirst,
        Self::RemovedLost,
        Self::AbortIsCommit,
        Self::PreparedLost,
        Self::NewestPartOnly,
        Self::PartMissing,
        Self::PositionsLate,
        Self::VisibleAtOnce,
        Self::SpoolNotSynced,
        Self::UnopenedLost,
        Self::AcknowledgedBeforeHead,
        Self::AcknowledgedAtCut,
        Self::DeliveredAtOnce,
        Self::UndeliveredLost,
    ];
}

/// What is run.
pub struct Subject<'a> {
    /// Describes the application.
    pub describe: &'a dyn Fn() -> Application,
    /// Partitions of the keys.
    pub partitions: u32,
    /// Most cores of a life.
    pub cores_max: u64,
    /// Sources that make events up; all others read a file.
    pub generators: Vec<Generator>,
}

/// What happened in all lives together.
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
    /// Lives that went on from a checkpoint.
    pub recoveries: u64,
}

/// Lives until all of the input of `world` is used up, and everything is committed.
///
/// # Errors
/// A life could not go on from what the one before left.
///
/// # Panics
/// A life gets nowhere.
pub fn live(
    seed: u64,
    subject: &Subject<'_>,
    troubles: &Troubles,
    world: &mut World,
) -> Result<Chronicle, String> {
    let mut random = random(seed, Concern::Trouble);
    let mut chronicle = Chronicle::default();
    if troubles.sabotage == Some(Sabotage::SpoolNotSynced) {
        world.disk = std::mem::take(&mut world.disk).broken(Broken::SpoolBytes);
    }
    let plan = (subject.describe)().plan().expect("the application is sound");
    for name in plan.sinks.iter().filter_map(|sink| sink.name.as_ref()) {
        world.disk.put(name, b"of another application\n");
    }
    for life in 0..=troubles.kills {
        let killed = life < troubles.kills;
        let kill_at = killed.then(|| random.below(troubles.kill_steps_max));
        if killed {
            world.disk.plan(disk_trouble(troubles, world.disk.steps(), &mut random));
        }
        let cores = 1 + random.below(subject.cores_max) as usize;
        let begun = Life::begin(seed ^ (life << 40), cores, subject, troubles, world);
        let ended = match begun.and_then(|life| life.run(kill_at, &mut chronicle)) {
            Ok(()) => true,
            Err(Stop::Died) => false,
            Err(Stop::Wrong(reason)) => return Err(reason),
        };
        assert!(killed || ended, "only who is killed dies");
        if random.chance(troubles.power_cuts) {
            world.disk = world.disk.any_rest(&mut random);
        }
        world.disk.plan(None);
    }
    Ok(chronicle)
}

/// What the disk has in store for a life: maybe one that ends while it begins.
fn disk_trouble(troubles: &Troubles, steps: u64, random: &mut Random) -> Option<Trouble> {
    match random.chance(troubles.disk_full) {
        true => Some(Trouble::Full(steps + random.below(100))),
        false => random.chance(0.1).then(|| Trouble::Crash(steps + random.below(20))),
    }
}
