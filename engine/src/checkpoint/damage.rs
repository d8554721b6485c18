//! Damage: what can be wrong with something stored, and what to do about it.

use std::io;

/// An object of a checkpoint that is not what was stored.
#[derive(Debug, thiserror::Error)]
#[error("{object} cannot be used, at byte {offset}: {damage}; {}", self.remedy())]
pub struct CorruptObject {
    /// Name of the object.
    pub object: String,
    /// Where it was noticed: the first byte of the record that is not right.
    pub offset: u64,
    /// What is wrong.
    pub damage: Damage,
}

/// What is wrong with an object.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// Its first bytes are not those of what it should be.
    #[error("it is no {0} of Potoroo")]
    Kind(&'static str),
    /// A later version of Potoroo wrote it.
    #[error("a newer version of Potoroo wrote it, in format {found}, and this one reads {known}")]
    Newer {
        /// Its format.
        found: u32,
        /// The newest format that is known here.
        known: u32,
    },
    /// It ends before its end.
    #[error("it is cut off")]
    CutOff,
    /// Something follows its end.
    #[error("something follows its end")]
    Longer,
    /// The checksum of a record does not fit: it was changed, or it is not the one that followed.
    #[error("the checksum of this record does not fit")]
    Checksum,
    /// A record has a kind, a number or a length that no record has.
    #[error("no record begins so")]
    Record,
    /// Its digest, or the length or number of records that goes with it, does not fit.
    #[error("its digest does not fit")]
    Digest,
    /// Its text cannot be understood.
    #[error("{0}")]
    Text(String),
    /// It is whole, but another object than its name or the manifest says.
    #[error("it is not what it is said to be: {0}")]
    Other(String),
    /// The storage cannot read it.
    #[error("it cannot be read: {0}")]
    Unreadable(#[source] io::Error),
}

impl CorruptObject {
    fn is_head(&self) -> bool {
        self.object.rsplit('/').next().is_some_and(|name| name.starts_with("HEAD"))
    }

    fn remedy(&self) -> &'static str {
        match &self.damage {
            Damage::Newer { .. } => "use that version, or a newer one",
            Damage::Unreadable(_) => "see to the disk, then start again",
            _ if self.is_head() => {
                "put it back from a copy of the state folder, or remove all files whose names \
                 begin with HEAD and choose a checkpoint with --restore EPOCH (`potoroo \
                 checkpoint list` names them)"
            }
            _ => {
                "put it back from a copy of the state folder, or go back to an older checkpoint \
                 with --restore EPOCH (`potoroo checkpoint list` names them)"
            }
        }
    }
}

impl From<io::Error> for Damage {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::CutOff,
            _ => Self::Unreadable(error),
        }
    }
}
