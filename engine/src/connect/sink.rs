//! The cold half of a sink: what its connector does for one address.
//!
//! ```text
//!   address ─ parse ─► SinkConnector ─ open ─► OpenSink ─ start ─► threads and outlets
//!                      promise, demand          nothing is changed  nothing is refused
//! ```

use std::fmt::{Debug, Display};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use potoroo_sdk::host::SinkId;

use super::demand::Demand;
use super::opening::Opening;
use super::promise::{Promise, Survival};
use super::refusal::EdgeRefusal;
use super::resume::CommittedOutput;
use super::starting::Starting;
use crate::checkpoint::Transaction;

/// A sink as its address describes it. Prints the address, without a token.
pub trait SinkConnector: Debug + Display + Send + Sync {
    /// How often an output leaves, with or without `checkpoints`.
    fn promise(&self, checkpoints: bool) -> Promise;

    /// What a cluster makes of it when a node or a machine is lost.
    fn survival(&self) -> Survival {
        Survival::new("as over a crash of one process", Survival::SAME)
    }

    /// What it takes.
    fn demand(&self) -> Demand;

    /// Whether each output has its origin in front, by which repeats are known.
    fn has_origins(&self) -> bool {
        false
    }

    /// Whether it writes to standard output, which a summary would spoil.
    fn is_standard_output(&self) -> bool {
        false
    }

    /// The file from which its token is read: no output may go there.
    fn token_file(&self) -> Option<&Path> {
        None
    }

    /// Whether only a program that embeds the engine can read it.
    fn is_embedded(&self) -> bool {
        false
    }

    /// Opens it, and changes nothing.
    ///
    /// # Errors
    /// It cannot be opened.
    fn open(&self, opening: &mut Opening<'_>) -> Result<Box<dyn OpenSink>, EdgeRefusal>;

    /// Opens it for dead letters, and changes nothing.
    ///
    /// # Errors
    /// It cannot be opened, or takes no dead letters.
    fn open_letters(
        &self,
        _opening: &mut Opening<'_>,
    ) -> Result<Box<dyn OpenLetters>, EdgeRefusal> {
        Err(EdgeRefusal::Reason("they can go to `file:PATH`, `stdout:` or `null:`".to_owned()))
    }
}

/// An opened sink. It belongs to the process, its threads to a generation.
pub trait OpenSink: Send {
    /// Whether it makes output of its name visible that an earlier run prepared as `transaction`.
    fn takes(&self, _transaction: &Transaction) -> bool {
        false
    }

    /// Whether it cannot be [started](Self::start) more than once, as each rollback of a running
    /// application does: it has rollbacks refused.
    fn starts_once(&self) -> bool {
        false
    }

    /// Looks, before a checkpoint counts, whether the sink `name` can go on from its output.
    /// Changes nothing.
    ///
    /// # Errors
    /// It is not what an earlier run has written.
    fn check(&self, _name: &str, _committed: CommittedOutput<'_>) -> Result<(), EdgeRefusal> {
        Ok(())
    }

    /// Completes what is visible in part, of output that an older checkpoint does not have: that
    /// one is about to count.
    ///
    /// # Errors
    /// It cannot be completed.
    fn complete(&self, _name: &str, _newest: CommittedOutput<'_>) -> Result<(), EdgeRefusal> {
        Ok(())
    }

    /// Starts its threads, for one generation; those of the generation before have ended.
    ///
    /// # Errors
    /// It cannot be started, or it is not what an earlier run has written.
    fn start(&mut self, sink: SinkId, starting: &mut Starting<'_>) -> Result<(), EdgeRefusal>;
}

/// An opened output for dead letters.
pub trait OpenLetters: Send {
    /// Their writer, which waits for a reader no longer than `limit`; `None` if they are
    /// dropped.
    ///
    /// # Errors
    /// It cannot be written.
    fn start(
        &mut self,
        starting: &mut Starting<'_>,
        limit: Duration,
    ) -> Result<Option<Box<dyn Write + Send>>, EdgeRefusal>;
}
