//! Epoch: the number of a checkpoint.
//!
//! Markers of lanes and tags of rows hold the same 32 bits as a bare number: neither the runtime
//! nor the SDK knows this type, and `flow` converts where it calls them. Files hold it as a decimal
//! number of any width; one above [`Epoch::MAX`] is refused when it is read.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The number of a checkpoint; from 1, one more with each that is begun.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "u32", into = "u32")]
pub struct Epoch(pub u32);

/// The number of no checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no epoch: the last one is {last}", last = Epoch::MAX)]
pub struct NoEpoch(u32);

impl TryFrom<u32> for Epoch {
    type Error = NoEpoch;

    fn try_from(number: u32) -> Result<Self, NoEpoch> {
        if number <= Self::MAX.0 { Ok(Self(number)) } else { Err(NoEpoch(number)) }
    }
}

impl From<Epoch> for u32 {
    fn from(epoch: Epoch) -> Self {
        epoch.0
    }
}

impl Epoch {
    /// No checkpoint: before the first one, or what a full part builds upon.
    pub const NONE: Self = Self(0);

    /// The last one that is read: tags of rows end after two billion, and a run that goes on from
    /// it has as many as it can make.
    pub const MAX: Self = Self(1_000_000_000);

    /// The epoch after this one.
    ///
    /// # Panics
    /// There is none: a run has made billions.
    pub fn next(self) -> Self {
        Self(self.0.checked_add(1).expect("a run makes no billions of epochs"))
    }

    /// Whether it is that of no checkpoint.
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Epoch {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_hold_a_plain_number_of_32_bits() {
        assert_eq!(serde_json::to_string(&Epoch(17)).expect("it is a number"), "17");
        assert_eq!(serde_json::from_str::<Epoch>("1000000000").expect("it fits"), Epoch::MAX);
        for beyond in ["1000000001", "4294967296", "-1"] {
            assert!(serde_json::from_str::<Epoch>(beyond).is_err(), "{beyond} is not cut off");
        }
        assert!("4294967296".parse::<Epoch>().is_err(), "nor in a name");
        assert_eq!(format!("{:>4}", Epoch(17)), "  17", "columns are filled");
    }
}
