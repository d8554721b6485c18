//! Records: rows as bytes, one behind the other.
//!
//! ```text
//!   0      8           12             16
//!   ├──────┼───────────┼──────────────┼─────────────┬───────────────┐
//!   │ hash │ key bytes │ state bytes  │ key archive │ state archive │
//!   └──────┴───────────┴──────────────┴─────────────┴───────────────┘
//!     u64    u32         u32            little-endian, no padding
//! ```
//!
//! The record of a key that was removed has no state: its state bytes are 0.

use alloc::vec::Vec;

use crate::key::Key;
use crate::value::{self, State, archived_bytes};

/// One record, its archives not yet checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Hash of the key.
    pub hash: u64,
    /// Archive of the key.
    pub key: &'a [u8],
    /// Archive of the state; empty for a key that was removed.
    pub state: &'a [u8],
}

impl<'a> Record<'a> {
    /// The first record of `bytes` and what follows it; `None` if no whole one is there.
    pub fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (hash, bytes) = bytes.split_first_chunk()?;
        let (key, bytes) = bytes.split_first_chunk()?;
        let (state, bytes) = bytes.split_first_chunk()?;
        let (key, bytes) = bytes.split_at_checked(u32::from_le_bytes(*key) as usize)?;
        let (state, bytes) = bytes.split_at_checked(u32::from_le_bytes(*state) as usize)?;
        Some((Self { hash: u64::from_le_bytes(*hash), key, state }, bytes))
    }
}

/// Appends the record of a row.
#[inline]
pub(super) fn append_row<K: Key, S: State>(key: &K, state: &S, out: &mut Vec<u8>) {
    // In one piece, which is right for what points to nothing.
    let (key_bytes, state_bytes) = (archived_bytes::<K>(), archived_bytes::<S>());
    let start = out.len();
    out.resize(start + HEAD_BYTES + key_bytes + state_bytes, 0);
    let (head, archives) = out[start..].split_at_mut(HEAD_BYTES);
    let (key_room, state_room) = archives.split_at_mut(key_bytes);
    let written = (value::try_write(key, key_room), value::try_write(state, state_room));
    if written == (Some(key_bytes), Some(state_bytes)) {
        let (hash, lengths) = head.split_at_mut(size_of::<u64>());
        hash.copy_from_slice(&key.hash().to_le_bytes());
        lengths[..4].copy_from_slice(&(key_bytes as u32).to_le_bytes());
        lengths[4..].copy_from_slice(&(state_bytes as u32).to_le_bytes());
    } else {
        out.truncate(start);
        append(key, Some(state), out);
    }
}

/// Appends the record of a key without a row.
pub(super) fn append_removed<K: Key>(key: &K, out: &mut Vec<u8>) {
    append(key, None::<&()>, out);
}

#[cold]
fn append<K: Key, S: State>(key: &K, state: Option<&S>, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&key.hash().to_le_bytes());
    out.extend_from_slice(&[0; LENGTHS_BYTES]);
    let key_bytes = value::append(key, out);
    let state_bytes = state.map_or(0, |state| value::append(state, out));
    let lengths = &mut out[start + size_of::<u64>()..][..LENGTHS_BYTES];
    lengths[..4].copy_from_slice(&key_bytes.to_le_bytes());
    lengths[4..].copy_from_slice(&state_bytes.to_le_bytes());
}

/// Both lengths.
const LENGTHS_BYTES: usize = 8;

/// Hash and lengths.
const HEAD_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    #[test]
    fn records_follow_each_other() {
        let mut bytes = Vec::new();
        append_row(&7u64, &String::from("seven"), &mut bytes);
        append_removed(&String::from("eight"), &mut bytes);
        let (seven, rest) = Record::split(&bytes).expect("whole");
        assert_eq!((seven.hash, seven.key), (7u64.hash(), &7u64.to_le_bytes()[..]));
        assert!(!seven.state.is_empty());
        let (eight, rest) = Record::split(rest).expect("whole");
        assert_eq!((eight.hash, eight.state), (String::from("eight").hash(), &[][..]));
        assert_eq!(rest, []);
        assert!((0..bytes.len()).all(|end| {
            let mut rest = &bytes[..end];
            while let Some((_, behind)) = Record::split(rest) {
                rest = behind;
            }
            end == 0 || !rest.is_empty() || end == bytes.len() - (16 + eight.key.len())
        }));
    }
}
