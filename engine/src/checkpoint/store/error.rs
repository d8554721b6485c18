//! Why the storage did not do what it was asked to.

use std::io::{self, ErrorKind};

use super::Head;
use crate::checkpoint::CorruptObject;
use crate::scarce::is_scarce;

/// Why the storage did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read or written.
    #[error("cannot {action} {object}: {cause}; {}", remedy(.cause))]
    Io {
        /// What was to be done.
        action: &'static str,
        /// With what; for files, the path.
        object: String,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// An object is not there.
    #[error(
        "{object} is missing; put it back from a copy of the state folder, or go back to an older \
         checkpoint with --restore EPOCH (`potoroo checkpoint list` names them)"
    )]
    Missing {
        /// Its name; for files, the path.
        object: String,
    },
    /// The name of a new object is taken.
    #[error("{object} is there already and is not overwritten; the next checkpoint takes another")]
    Taken {
        /// Its name; for files, the path.
        object: String,
    },
    /// A name that no object has: it came from something damaged or forged.
    #[error("`{object}` is not the name of an object; restore what refers to it from a copy")]
    Name {
        /// The name.
        object: String,
    },
    /// Another process uses the storage.
    #[error(
        "{place} is in use by {}: stop that one, or give another --state",
        .process.map_or("a process of an unknown number".to_owned(), |it| format!("process {it}"))
    )]
    InUse {
        /// The storage.
        place: String,
        /// Who uses it.
        process: Option<u32>,
    },
    /// Another coordinator has changed HEAD.
    #[error(
        "another coordinator has taken over: HEAD is at {}, and here it was {}; this one may \
         commit nothing more and has to stop",
        shown(.found), shown(.expected)
    )]
    Overtaken {
        /// What HEAD was to be.
        expected: Option<Box<Head>>,
        /// What it is.
        found: Option<Box<Head>>,
    },
    /// HEAD may or may not have been changed.
    #[error(
        "it is unclear whether {object} was changed: {cause}; it is tried again, and after a \
         restart what it says then counts"
    )]
    Unclear {
        /// HEAD; for files, its path.
        object: String,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// It is unknown what of new bytes is on the disk.
    #[error("{object} cannot be made durable: {cause}; {}", remedy(.cause))]
    NotDurable {
        /// Its name; for files, the path.
        object: String,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// What was read is damaged.
    #[error(transparent)]
    Corrupt(#[from] CorruptObject),
}

impl Error {
    /// `object` cannot be read or written: what the system says becomes an error with a remedy.
    /// `action` completes "cannot … the object".
    pub fn io(action: &'static str, object: impl Into<String>, cause: io::Error) -> Self {
        let object = object.into();
        match cause.kind() {
            ErrorKind::NotFound if action == "read" => Self::Missing { object },
            ErrorKind::AlreadyExists => Self::Taken { object },
            _ => Self::Io { action, object, cause },
        }
    }

    /// Whether the storage does not answer: what was to be done may be done later. One that answers
    /// that something is damaged, missing or forbidden answers.
    pub fn is_away(&self) -> bool {
        let Self::Io { cause, .. } = self else { return false };
        !matches!(cause.kind(), ErrorKind::PermissionDenied | ErrorKind::InvalidData)
    }

    /// Whether the storage is full: the checkpoint fails, and the application runs on.
    pub fn is_full(&self) -> bool {
        let full = [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::FileTooLarge];
        let (Self::Io { cause, .. } | Self::NotDurable { cause, .. }) = self else { return false };
        full.contains(&cause.kind())
    }
}

fn remedy(cause: &io::Error) -> &'static str {
    match cause.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "free space there, or give --state a larger disk; until then no checkpoint is made"
        }
        ErrorKind::FileTooLarge => {
            "raise the limit of file sizes (`ulimit -f`, LimitFSIZE=); until then no checkpoint is \
             made"
        }
        ErrorKind::PermissionDenied => {
            "give the user of this process the right to it, or give another --state"
        }
        ErrorKind::ReadOnlyFilesystem => "make the disk writable, or give another --state",
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            "see that the folder or bucket of --state exists and stays"
        }
        ErrorKind::NotConnected | ErrorKind::TimedOut | ErrorKind::ConnectionAborted => {
            "see that the endpoint of --state is up; until then no checkpoint is made"
        }
        ErrorKind::Unsupported => "give a --state whose storage can do that",
        _ if is_scarce(cause) => "raise the limit of open files (`ulimit -n`, LimitNOFILE=)",
        _ => "see to the storage, or give another --state",
    }
}

fn shown(head: &Option<Box<Head>>) -> String {
    head.as_ref().map_or("nothing".to_owned(), |head| head.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_names_object_cause_and_remedy() {
        let check = |kind: ErrorKind, parts: &[&str]| {
            let text = Error::io("write", "/state/part-1", kind.into()).to_string();
            for part in parts.iter().chain(&["/state/part-1"]) {
                assert!(text.contains(part), "`{part}` is not in {text}");
            }
        };
        check(ErrorKind::StorageFull, &["cannot write", "free space there"]);
        check(ErrorKind::PermissionDenied, &["cannot write", "the right to it"]);
        check(ErrorKind::ReadOnlyFilesystem, &["cannot write", "writable"]);
        check(ErrorKind::AlreadyExists, &["is there already"]);
        let missing = Error::io("read", "part-1", ErrorKind::NotFound.into()).to_string();
        assert!(missing.starts_with("part-1 is missing; put it back"), "{missing}");
        let owned = Error::InUse { place: "/state".into(), process: Some(7) }.to_string();
        assert_eq!(owned, "/state is in use by process 7: stop that one, or give another --state");
    }

    #[test]
    fn a_full_disk_is_recognised() {
        assert!(Error::io("write", "it", ErrorKind::StorageFull.into()).is_full());
        assert!(Error::io("write", "it", ErrorKind::FileTooLarge.into()).is_full());
        assert!(!Error::io("write", "it", ErrorKind::PermissionDenied.into()).is_full());
    }
}
