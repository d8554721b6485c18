//! Name: of objects, never used twice.

use std::fmt;
use std::str::FromStr;

use super::{Error, Head};
use crate::checkpoint::Epoch;

/// Name of an object: `part-GENERATION-EPOCH-CORE-RANDOM`, `manifest-GENERATION-EPOCH-RANDOM`,
/// `output-GENERATION-EPOCH-SINK-RANDOM` or `shown-…`, with the numbers of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// Generation of the coordinator under which it was made.
    pub generation: u64,
    /// The checkpoint that it was made for.
    pub epoch: Epoch,
    /// What it is.
    pub kind: NameKind,
    /// Distinguishes the objects of a coordinator that repeats an epoch; see [`draw`].
    pub random: u64,
}

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NameKind {
    /// The part of this core.
    Part(u32),
    /// A manifest.
    Manifest,
    /// Output of this sink. The number is for eyes: manifests have the name of the sink.
    Output(u32),
    /// A mark: the output with the same numbers is visible, or its client has it.
    Shown(u32),
}

impl Name {
    /// The mark of this output; `None` if it is something else.
    pub fn mark(self) -> Option<Self> {
        let NameKind::Output(sink) = self.kind else { return None };
        Some(Self { kind: NameKind::Shown(sink), ..self })
    }

    /// Whether `text` is a name: others never reach a file system.
    pub(super) fn check(text: &str) -> Result<(), Error> {
        let name = Self::from_str(text);
        name.map(|_| ()).map_err(|_| Error::Name { object: text.to_owned() })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { generation, epoch, kind, random } = self;
        match kind {
            NameKind::Part(core) => write!(f, "part-{generation}-{epoch}-{core}-{random:016x}"),
            NameKind::Manifest => write!(f, "manifest-{generation}-{epoch}-{random:016x}"),
            NameKind::Output(sink) => write!(f, "output-{generation}-{epoch}-{sink}-{random:016x}"),
            NameKind::Shown(sink) => write!(f, "shown-{generation}-{epoch}-{sink}-{random:016x}"),
        }
    }
}

/// The text is not the name of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no object of a checkpoint has such a name")]
pub struct NotOne;

impl FromStr for Name {
    type Err = NotOne;

    fn from_str(text: &str) -> Result<Self, NotOne> {
        let parse = || {
            let words: Vec<&str> = text.split('-').collect();
            let number = |index: usize| words.get(index)?.parse::<u64>().ok();
            let (kind, length) = match words[0] {
                "part" => (NameKind::Part(words.get(3)?.parse().ok()?), 5),
                "manifest" => (NameKind::Manifest, 4),
                "output" => (NameKind::Output(words.get(3)?.parse().ok()?), 5),
                "shown" => (NameKind::Shown(words.get(3)?.parse().ok()?), 5),
                _ => return None,
            };
            let random = u64::from_str_radix(words.get(length - 1)?, 16).ok()?;
            Some(Self { generation: number(1)?, epoch: words.get(2)?.parse().ok()?, kind, random })
        };
        // Accept only the canonical spelling, and numbers after which there are more.
        let is_one = |name: &Self| {
            name.generation <= Head::GENERATION_MAX
                && name.epoch <= Epoch::MAX
                && name.to_string() == text
        };
        parse().filter(is_one).ok_or(NotOne)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written_and_not_otherwise() {
        let kinds =
            [NameKind::Part(7), NameKind::Manifest, NameKind::Output(7), NameKind::Shown(7)];
        for kind in kinds {
            let name = Name { generation: 3, epoch: Epoch(17), kind, random: 0xab };
            assert_eq!(name.to_string().parse(), Ok(name));
        }
        for text in [
            "",
            "HEAD",
            "part",
            "part-3-17-00000000000000ab",
            "part-3-17-7-ab",
            "part-3-17-7-00000000000000AB",
            "part-+3-17-7-00000000000000ab",
            "part-3-017-7-00000000000000ab",
            "manifest-3-17-7-00000000000000ab",
            "manifest-3-17-00000000000000ab/..",
            "manifest-3-17-00000000000000ab.tmp",
            "manifest-4294967295-17-00000000000000ab",
            "manifest-3-1000000001-00000000000000ab",
            "output-3-17-00000000000000ab",
            "shown-3-17--7-00000000000000ab",
        ] {
            assert_eq!(text.parse::<Name>(), Err(NotOne), "{text}");
        }
    }
}
