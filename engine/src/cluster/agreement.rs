//! Agreement: what all nodes of a cluster agree upon: who lives, and who leads. Small, slow, and
//! never in the way of an event.
//!
//! ```text
//!   folder     in a folder of one machine: the default
//!   etcd       in etcd, for processes on any machines: the feature `etcd`
//!   contract   what each implementation promises, as one test
//! ```
//!
//! Promises: what is [listed](Agreement::list) was so at one moment between the call and its
//! return; a [change](Agreement::change) is done once, or not at all; an entry that is bound to a
//! session goes with it. The end of a session is known from a list only: never from a broken
//! connection, nor from an answer that does not come.

// In reading order; the blank lines keep it.
mod folder;

#[cfg(feature = "etcd")]
mod etcd;

pub mod contract;

#[cfg(feature = "etcd")]
pub use etcd::{EtcdAddress, EtcdAgreement, Login};
pub use folder::FolderAgreement;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What all nodes of a cluster agree upon, as one of them sees it: it has one session at a time.
pub trait Agreement: Send + Sync {
    /// The number of the own session.
    fn session(&self) -> u64;

    /// What is agreed upon; nothing of sessions that are over.
    ///
    /// # Errors
    /// It cannot be read.
    fn list(&self) -> Result<AgreedEntries, Disagreement>;

    /// Does `change`, if everything is as it expects. A change whose answer was lost is settled
    /// before this returns.
    ///
    /// # Errors
    /// It may have been done if nothing answers any more; else nothing is changed.
    fn change(&self, change: &EntryChange<'_>) -> Result<Changed, Disagreement>;

    /// Keeps the own session. Returns how long it stands at least, counted from before this call.
    ///
    /// # Errors
    /// [`Disagreement::Over`]: it is over, for good. With others it may stand.
    fn renew(&self) -> Result<Duration, Disagreement>;

    /// Begins another session in place of the own one, which is over. Nothing is bound to it.
    ///
    /// # Errors
    /// None can be had.
    fn begin_session(&self) -> Result<(), Disagreement>;

    /// Something that differs from what it was, once an entry was changed: a hint to list, never
    /// the truth. A session that ends by itself need not change it.
    ///
    /// # Errors
    /// It cannot be read.
    fn version(&self) -> Result<u64, Disagreement>;

    /// Has `key`, which no other session has, be `value` for as long as the own session stands.
    /// Returns who has it, if it is taken.
    ///
    /// # Errors
    /// As of [`change`](Self::change).
    fn claim(&self, key: &str, value: &str) -> Result<Option<Agreed>, Disagreement> {
        let session = Some(self.session());
        let new = Some(Agreed { value: value.to_owned(), session });
        let mut found: Option<Agreed> = None;
        loop {
            let expected = found.as_ref().map_or(Expected::Nothing, Expected::Entry);
            match self.change(&EntryChange { key, expected, new: new.clone(), held: None })? {
                Changed::Done => return Ok(None),
                // A claim that came to nobody's knowledge.
                Changed::Differs(Some(other)) if other.session == session => found = Some(other),
                Changed::Differs(Some(other)) => return Ok(Some(other)),
                Changed::Differs(None) | Changed::NotHeld => found = None,
            }
        }
    }
}

/// What is agreed under one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agreed {
    /// Of it.
    pub value: String,
    /// The session that it goes with; `None` if it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<u64>,
}

/// All entries, by key.
pub type AgreedEntries = BTreeMap<String, Agreed>;

/// A change of one entry.
#[derive(Clone, Debug)]
pub struct EntryChange<'a> {
    /// Of the entry.
    pub key: &'a str,
    /// What it has to be.
    pub expected: Expected<'a>,
    /// What it becomes; `None` removes it.
    pub new: Option<Agreed>,
    /// A key that the own session has to hold: what one that is overtaken writes is refused.
    pub held: Option<&'a str>,
}

/// What an entry has to be before it is changed.
#[derive(Clone, Copy, Debug)]
pub enum Expected<'a> {
    /// Whatever it is.
    Anything,
    /// There is none.
    Nothing,
    /// This.
    Entry(&'a Agreed),
}

/// What came of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It is done.
    Done,
    /// The entry is this one, which was not expected.
    Differs(Option<Agreed>),
    /// The own session does not hold what it has to hold.
    NotHeld,
}

/// Why nothing can be agreed upon.
#[derive(Debug, thiserror::Error)]
pub enum Disagreement {
    /// The own session is over: others went on without it.
    #[error("the session of this node is over: it was not renewed in time")]
    Over,
    /// No etcd answers.
    #[error(
        "no etcd answers at {endpoints} ({cause}): start it, correct the address, or see to the \
         network between"
    )]
    Unreachable {
        /// Hosts and ports.
        endpoints: String,
        /// What the last one said.
        cause: String,
    },
    /// Etcd does not do what it is asked for.
    #[error("etcd at {endpoint} refuses: {reason}")]
    Refused {
        /// Host and port.
        endpoint: String,
        /// Cause and remedy.
        reason: String,
    },
    /// Files for the encrypted way to etcd cannot be used.
    #[error("{place} cannot be reached: {reason}")]
    Files {
        /// Where etcd is.
        place: String,
        /// Which file, why and the remedy.
        reason: String,
    },
    /// The folder cannot be used.
    #[error("cannot {action} {}: {cause}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// A process that stands still keeps all others out.
    #[error(
        "{} is locked for {seconds} s by a process that stands still: `fuser` shows it; continue \
         it (`kill -CONT`) or kill it",
        .path.display()
    )]
    Locked {
        /// The file.
        path: PathBuf,
        /// How long it was waited for.
        seconds: u64,
    },
    /// What is there was not written by this version.
    #[error(
        "{} is damaged, or of another version ({cause}): stop all nodes and remove this file; no \
         checkpoint is in it",
        .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: serde_json::Error,
    },
    /// It has all that is ever read.
    #[error(
        "{} would have {bytes} bytes, and {most} are read: stop all nodes and remove this file; no \
         checkpoint is in it",
        .path.display()
    )]
    Full {
        /// The file.
        path: PathBuf,
        /// Bytes that it would have.
        bytes: u64,
        /// Bytes that it may have.
        most: u64,
    },
    /// Locks of its file system mean nothing between processes.
    #[error(
        "{} lies on a file system of kind {kind:#x}, on which a lock may not keep others away: use \
         a folder of a local disk (ext4, xfs, btrfs, zfs, f2fs, tmpfs or overlay)",
        .path.display()
    )]
    FileSystem {
        /// The folder.
        path: PathBuf,
        /// As of `statfs`.
        kind: i64,
    },
}
