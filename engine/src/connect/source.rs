//! The cold half of a source: what its connector does for one address.
//!
//! ```text
//!   address ─ parse ─► SourceConnector ─ open ─► OpenSource ─ start ─► threads and inlets
//!                      promise, demand            nothing is changed    nothing is refused
//! ```

use std::fmt::{Debug, Display};
use std::path::Path;

use potoroo_sdk::host::SourceId;

use super::address::GeneratorAddress;
use super::demand::Demand;
use super::opening::Opening;
use super::promise::{Promise, Replayable, SkipMistake, Survival};
use super::refusal::EdgeRefusal;
use super::starting::Starting;
use super::upstream::Upstream;
use crate::checkpoint::{PositionUnit, SourcePosition};

/// A source as its address describes it. Prints the address, without a token.
pub trait SourceConnector: Debug + Display + Send + Sync {
    /// How often an event enters, with or without `checkpoints`.
    fn promise(&self, checkpoints: bool) -> Promise;

    /// What a cluster makes of it when a node or a machine is lost.
    fn survival(&self) -> Survival {
        match self.replay() {
            Replayable::Never => {
                Survival::new("what came after the last checkpoint is lost", Survival::SAME)
            }
            _ => Survival::new("goes on from the last checkpoint, each event once", Survival::SAME),
        }
    }

    /// How often a reply to one of its events leaves: only connections can be answered.
    fn reply_promise(&self) -> Promise {
        Promise::new(
            "none",
            "there is no connection to answer: replies are counted as lost; give tcp:",
        )
    }

    /// Whether it can be read again, and what its positions count.
    fn replay(&self) -> Replayable {
        Replayable::Never
    }

    /// Whether `--skip` can name an event of it.
    ///
    /// # Errors
    /// It cannot, with a stream if one is `named`.
    fn check_skip(&self, named: bool, checkpoints: bool) -> Result<(), SkipMistake> {
        self.replay().check_skip(named, checkpoints)
    }

    /// Whether one core reads all of it, from its beginning to its end: then the time of its events
    /// is waited for from the start.
    fn is_read_by_one(&self) -> bool {
        false
    }

    /// What it takes, with receive buffers of `inlet_bytes`.
    fn demand(&self, inlet_bytes: usize) -> Demand;

    /// The file from which its token is read: no output may go there.
    fn token_file(&self) -> Option<&Path> {
        None
    }

    /// Whether only a program that embeds the engine can feed it.
    fn is_embedded(&self) -> bool {
        false
    }

    /// Opens it, and changes nothing.
    ///
    /// # Errors
    /// It cannot be opened.
    fn open(&self, opening: &mut Opening<'_>) -> Result<Box<dyn OpenSource>, EdgeRefusal>;
}

/// An opened source. It belongs to the process, its threads to a generation.
pub trait OpenSource: Send {
    /// What its positions count, if it goes on from the one that a checkpoint holds.
    fn unit(&self) -> Option<PositionUnit> {
        None
    }

    /// The generator with which its core makes its events, if no thread reads them.
    fn generator(&self) -> Option<&GeneratorAddress> {
        None
    }

    /// Whether it cannot be [started](Self::start) more than once, as each rollback of a running
    /// application does: it has rollbacks refused.
    fn starts_once(&self) -> bool {
        false
    }

    /// Looks, before a checkpoint counts, whether the source `name` can go on from there. Changes
    /// nothing.
    ///
    /// # Errors
    /// It is not what an earlier run has read.
    fn check(&self, _name: &str, _at: &SourcePosition) -> Result<(), EdgeRefusal> {
        Ok(())
    }

    /// Starts its threads, for one generation; those of the generation before have ended. Returns
    /// what takes part in checkpoints, if the source can be read again.
    ///
    /// # Errors
    /// It cannot be started, or it is not what an earlier run has read.
    fn start(
        &mut self,
        source: SourceId,
        starting: &mut Starting<'_>,
    ) -> Result<Option<Box<dyn Upstream>>, EdgeRefusal>;
}
