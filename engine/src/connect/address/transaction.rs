//! The name of a transaction in an address.

use std::str::FromStr;

/// The id of a transaction, in hexadecimal, as messages have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionId(pub u128);

impl FromStr for TransactionId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).map(Self)
    }
}
