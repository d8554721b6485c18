//! HEAD: which checkpoint counts, and who may commit the next.

use serde::{Deserialize, Serialize};

use crate::checkpoint::text::TextKind;
use crate::checkpoint::{CorruptObject, Damage, Epoch, hex, text};

/// Apart from the format of manifests. A start that takes over writes HEAD anew before it has
/// restored anything; where it replaces one object and fails, the version before has to be able to
/// read HEAD.
const KIND: TextKind = TextKind { name: "head", format: 2 };

/// Each version of HEAD has a number, and an object of its own. Versions before know none of that,
/// and refuse the format.
const NUMBERED: TextKind = TextKind { format: 3, ..KIND };

/// The one pointer. The process that swapped it last is the coordinator. The default is that of no
/// coordinator, before the first one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// One more with every coordinator; from 1. A coordinator of an older one can commit nothing.
    pub generation: u64,
    /// Random number of the coordinator: two that start at once do not take each other's HEAD for
    /// their own.
    #[serde(with = "hex")]
    pub owner: u64,
    /// Random number of the folder, which stays: what belongs to another is known by it. 0 until a
    /// coordinator of a version that knows it has taken over.
    #[serde(with = "hex", default)]
    pub folder: u64,
    /// The last committed epoch; 0 when there is none.
    pub epoch: Epoch,
    /// Its manifest; `None` when there is none.
    pub manifest: Option<String>,
    /// The epoch of `--restore` of this coordinator, and of all since then. It is applied once: a
    /// process that is started again with the same epoch goes on. 0 without `--restore`.
    #[serde(default)]
    pub restored: Epoch,
    /// The epoch that the application last went back to, at whichever start; 0 for none, and where
    /// an earlier version has written it. While it equals [`epoch`](Self::epoch), nothing was
    /// committed since.
    #[serde(default)]
    pub gone_back_to: Epoch,
    /// The generation that last went back to an older checkpoint; 0 for none. Clients of sinks may
    /// have transactions of generations before it that no manifest names any more. `None` where an
    /// earlier version has written it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewound: Option<u64>,
}

impl Head {
    /// The last generation that is read: ids of transactions have 32 bits for it.
    pub const GENERATION_MAX: u64 = (u32::MAX - 1) as u64;

    /// As text, for stores that replace one object.
    pub fn write(&self) -> Vec<u8> {
        text::write(KIND, self)
    }

    /// As text, for stores that number the versions of HEAD.
    pub fn write_numbered(&self, number: u64) -> Vec<u8> {
        text::write(NUMBERED, &Numbered { number, head: self.clone() })
    }

    /// From its text.
    ///
    /// # Errors
    /// It is damaged, or a newer version wrote it.
    pub fn parse(bytes: &[u8]) -> Result<Self, CorruptObject> {
        text::read("HEAD", KIND, bytes).and_then(Self::checked)
    }

    /// From the text that has this `number`.
    ///
    /// # Errors
    /// It is damaged, of another number, or a newer version wrote it.
    pub fn parse_numbered(bytes: &[u8], number: u64) -> Result<Self, CorruptObject> {
        let found: Numbered = text::read("HEAD", NUMBERED, bytes)?;
        match found.number == number {
            true => found.head.checked(),
            false => Err(corrupt(format!("it is number {}", found.number))),
        }
    }

    fn checked(self) -> Result<Self, CorruptObject> {
        self.mistake().map_or(Ok(self), |text| Err(corrupt(text)))
    }
}

/// A version of HEAD: it is not taken for another.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Numbered {
    number: u64,
    head: Head,
}

fn corrupt(text: String) -> CorruptObject {
    CorruptObject { object: "HEAD".to_owned(), offset: 0, damage: Damage::Text(text) }
}

impl std::fmt::Display for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { generation, epoch, owner, .. } = self;
        write!(f, "epoch {epoch}, generation {generation} of coordinator {owner:016x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let manifest = Some("manifest-3-17-00000000000000ab".into());
        let owner = u64::MAX;
        let (generation, folder, epoch, rewound) = (3, 9, Epoch(17), Some(2));
        let (restored, gone_back_to) = (Epoch(16), Epoch(16));
        let head =
            Head { generation, owner, folder, epoch, manifest, restored, gone_back_to, rewound };
        assert_eq!(Head::parse(&head.write()).expect("it is whole"), head);
        let older = Head { rewound: None, ..head.clone() };
        assert_eq!(Head::parse(&text::oldest(&older.write())).expect("it is whole"), older);
        let text = String::from_utf8(head.write()).expect("it is text");
        assert!(text.starts_with("potoroo head 2\n"), "a version before reads it: {text}");
        let numbered = head.write_numbered(7);
        assert_eq!(Head::parse_numbered(&numbered, 7).expect("it is whole"), head);
        let other = Head::parse_numbered(&numbered, 8).expect_err("it is another");
        assert!(other.to_string().contains("it is number 7"), "{other}");
        let refused = Head::parse(&numbered).expect_err("a version before does so").to_string();
        assert!(refused.contains("a newer version of Potoroo wrote it, in format 3"), "{refused}");
        let torn = Head::parse(&head.write()[..40]).expect_err("it is cut off");
        assert!(torn.to_string().starts_with("HEAD cannot be used, at byte 40: it is cut off"));
    }
}
