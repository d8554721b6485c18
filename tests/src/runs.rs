//! Runs: an application that is killed at any step and started again, until its input is used up.
//!
//! ```text
//!   world   input files, senders, store, disk, receivers   outlives every run
//!   run     cores, lanes, coordinator, connections         ends at any step, and all of it is gone
//! ```
//!
//! Each run has another number of cores, on one to four nodes. Links between nodes stand still and
//! break, and nodes crash: the others go on until they notice, and the next run goes on from HEAD.
//! Storage is slow and fails, checkpoints are aborted, messages to cores are late, the disk is
//! full, the power goes and with it what was not synced, senders and receivers vanish and come
//! back: all by the seed. The cores, their drivers and links, the coordinator, the storage of parts
//! and of output, the formats, the streams and the delivery are those of the engine; what stands
//! here is what the engine has threads, files and sockets for.
//!
//! Promises: the same seed gives the same runs. Must never do: decide what is right; that is the
//! oracle's.

// In reading order; the blank lines keep it.
mod subject;
mod troubles;

mod case;

mod heads;
mod store;
mod world;

mod readers;
mod receivers;
mod senders;

mod change;
mod moves;
mod recovery;
mod restore;
mod restored;
mod rollback;
mod run;
mod sinks;
mod stop;

mod liveness;
mod losses;
mod mistakes;
mod nodes;
mod ports;
mod process;

use potoroo_sdk::random::Random;

pub use case::Case;
pub use heads::CommittedHead;
pub use readers::Readers;
pub use receivers::Receiver;
pub use restored::RestoredHead;
use run::ProcessRun;
pub use senders::Sender;
use stop::{RunEnd, Stop};
pub use subject::{Chronicle, Subject};
pub use troubles::{Sabotage, Troubles};
pub use world::World;

use crate::disk::{Broken, Trouble};
use crate::seeds::{Concern, random};

/// Runs until all of the input of `world` is used up, and everything is committed.
///
/// # Errors
/// A run could not go on from what the one before left.
///
/// # Panics
/// A run gets nowhere.
pub fn live(
    seed: u64,
    subject: &Subject<'_>,
    troubles: &Troubles,
    world: &mut World,
) -> Result<Chronicle, String> {
    let mut random = random(seed, Concern::Trouble);
    let mut chronicle = Chronicle::default();
    if troubles.sabotage == Some(Sabotage::ShownNotSynced) {
        world.disk = std::mem::take(&mut world.disk).broken(Broken::OutputBytes);
    }
    let plan = (subject.describe)().plan().expect("the application is sound");
    for name in plan.sinks.iter().filter_map(|sink| sink.name.as_ref()) {
        world.disk.put(name, b"of another application\n");
    }
    // Of their own: cases without rollbacks draw as before.
    let mut rollbacks = random_of_rollbacks(seed);
    let mut losses = random_of_losses(seed);
    let mut before = None;
    for run in 0..=troubles.kills {
        let killed = run < troubles.kills;
        let kill_at = killed.then(|| random.below(troubles.kill_steps_max));
        if killed {
            world.disk.plan(disk_trouble(troubles, world.disk.steps(), &mut random));
        }
        let cores = 1 + random.below(subject.cores_max) as usize;
        let rolls_back = rollbacks.chance(troubles.rollbacks).then(|| rollbacks.u64());
        let loses = losses.chance(troubles.losses).then(|| losses.u64());
        let end = rolls_back.map(RunEnd::RollBack).or(loses.map(RunEnd::LoseNode));
        let end_at = kill_at.map(|at| (at, end.unwrap_or(RunEnd::Kill)));
        let next = before.take();
        let begun = ProcessRun::begin(seed ^ (run << 40), cores, subject, troubles, world, next);
        let ended = match begun.and_then(|run| run.run(end_at, &mut chronicle)) {
            Ok(()) => true,
            Err(Stop::Died) => false,
            Err(Stop::RolledBack(of)) => {
                before = Some(*of);
                world.disk.plan(None);
                continue;
            }
            Err(Stop::Wrong(reason)) => return Err(reason),
        };
        assert!(killed || ended, "only who is killed dies");
        if random.chance(troubles.power_cuts) {
            world.disk = world.disk.any_rest(&mut random);
        }
        world.disk.plan(None);
    }
    chronicle.heads = world.heads.len() as u64;
    Ok(chronicle)
}

/// Which runs are rolled back instead of killed.
fn random_of_rollbacks(seed: u64) -> Random {
    random(!seed, Concern::Trouble)
}

/// Which runs lose a link or node instead of being killed.
fn random_of_losses(seed: u64) -> Random {
    random(!seed.rotate_left(32), Concern::Network)
}

/// What the disk has in store for a run: maybe one that ends while it begins.
fn disk_trouble(troubles: &Troubles, steps: u64, random: &mut Random) -> Option<Trouble> {
    match random.chance(troubles.disk_full) {
        true => Some(Trouble::Full(steps + random.below(100))),
        false => random.chance(0.1).then(|| Trouble::Crash(steps + random.below(20))),
    }
}
