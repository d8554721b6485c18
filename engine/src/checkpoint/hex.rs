//! Hashes in JSON: hexadecimal text, since many readers of JSON round large numbers.

use std::fmt::LowerHex;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

/// Writes `value` as text such as `0x1f`.
pub fn serialize<S: Serializer>(value: &impl LowerHex, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&format_args!("{value:#x}"))
}

/// The same for a hash that may be missing; to be left out then.
pub mod option {
    use super::{Deserializer, LowerHex, Serializer};

    /// Writes the hash that is there.
    pub fn serialize<S: Serializer>(
        value: &Option<impl LowerHex>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => super::serialize(value, to),
            None => to.serialize_none(),
        }
    }

    /// Reads what [`serialize`] wrote.
    pub fn deserialize<'de, D, T>(from: D) -> Result<Option<T>, D::Error>
    where
        D: Deserializer<'de>,
        T: TryFrom<u128>,
    {
        super::deserialize(from).map(Some)
    }
}

/// Reads what [`serialize`] wrote.
pub fn deserialize<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u128>,
{
    let text = String::deserialize(from)?;
    let digits = text.strip_prefix("0x").and_then(|text| u128::from_str_radix(text, 16).ok());
    let value = digits.and_then(|value| T::try_from(value).ok());
    value.ok_or_else(|| D::Error::custom(format!("`{text}` is no hash such as 0x1f")))
}
