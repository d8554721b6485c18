//! What is determined of the output of a random application, and can be compared.

/// What keys are made of: each is finer than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grain {
    /// Everything is one group.
    Whole,
    /// Groups of keys.
    Coarse,
    /// The key of the item.
    Fine,
}

impl Grain {
    /// The group of an item with this `key`.
    pub fn group(self, key: u32) -> u32 {
        match self {
            Self::Whole => 0,
            Self::Coarse => key % COARSE_GROUPS,
            Self::Fine => key,
        }
    }
}

/// Few enough that groups meet, enough that they spread.
const COARSE_GROUPS: u32 = 5;

/// What is determined of the output of a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Determined {
    /// Which items come, not their order.
    Items,
    /// The sequence for each origin, branch and group of keys.
    Order(Grain),
}

/// A sink of a topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkPromise {
    /// Its name; `reply` for replies.
    pub name: String,
    /// What can be compared.
    pub determined: Determined,
}
