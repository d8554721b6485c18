//! Records: rows as bytes, one after the other.
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
use crate::value::{self, State, TooLong, archived_bytes};

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

    /// The bytes of which [`split`](Self::split) makes it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let length = |archive: &[u8]| (archive.len() as u32).to_le_bytes();
        let lengths = [length(self.key), length(self.state)].concat();
        [&self.hash.to_le_bytes(), &lengths[..], self.key, self.state].concat()
    }
}

/// Appends the record of a row whose key and state may take `bytes_max` bytes each. Returns how
/// many bytes the row owns on the heap, in stored form.
///
/// # Errors
/// Key or state takes more than `bytes_max`; `out` is unchanged.
#[inline]
pub(super) fn append_row<K: Key, S: State>(
    key: &K,
    state: &S,
    bytes_max: usize,
    out: &mut Vec<u8>,
) -> Result<usize, TooLong> {
    // A row without heap data: both archives have a fixed size.
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
        return Ok(0);
    }
    out.truncate(start);
    append(key, Some(state), bytes_max, out)?;
    Ok((out.len() - start).saturating_sub(HEAD_BYTES + key_bytes + state_bytes))
}

/// Appends the record of a key without a row.
///
/// # Errors
/// As of [`append_row`].
pub(super) fn append_removed<K: Key>(
    key: &K,
    bytes_max: usize,
    out: &mut Vec<u8>,
) -> Result<(), TooLong> {
    append(key, None::<&()>, bytes_max, out)
}

#[cold]
fn append<K: Key, S: State>(
    key: &K,
    state: Option<&S>,
    bytes_max: usize,
    out: &mut Vec<u8>,
) -> Result<(), TooLong> {
    let start = out.len();
    let appended = append_to(key, state, bytes_max, out);
    if appended.is_err() {
        out.truncate(start);
    }
    appended
}

fn append_to<K: Key, S: State>(
    key: &K,
    state: Option<&S>,
    bytes_max: usize,
    out: &mut Vec<u8>,
) -> Result<(), TooLong> {
    let start = out.len();
    out.extend_from_slice(&key.hash().to_le_bytes());
    out.extend_from_slice(&[0; LENGTHS_BYTES]);
    let key_bytes = value::append_within(key, out, bytes_max)?;
    let state_bytes = match state {
        Some(state) => value::append_within(state, out, bytes_max)?,
        None => 0,
    };
    let lengths = &mut out[start + size_of::<u64>()..][..LENGTHS_BYTES];
    lengths[..4].copy_from_slice(&key_bytes.to_le_bytes());
    lengths[4..].copy_from_slice(&state_bytes.to_le_bytes());
    Ok(())
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
        let (max, seven, eight) = (100, String::from("seven"), String::from("eight"));
        assert_eq!(append_row(&7u64, &seven, max, &mut bytes), Ok(0));
        assert_eq!(append_row(&7u64, &"x".repeat(max), max, &mut bytes), Err(TooLong));
        assert_eq!(append_removed(&eight, max, &mut bytes), Ok(()));
        let (seven, rest) = Record::split(&bytes).expect("whole");
        assert_eq!((seven.hash, seven.key), (7u64.hash(), &7u64.to_le_bytes()[..]));
        assert!(!seven.state.is_empty());
        assert_eq!([&seven.to_bytes()[..], rest].concat(), bytes);
        let (eight, rest) = Record::split(rest).expect("whole");
        assert_eq!((eight.hash, eight.state), (String::from("eight").hash(), &[][..]));
        assert_eq!(rest, []);
        assert!((0..bytes.len()).all(|end| {
            let mut rest = &bytes[..end];
            while let Some((_, after)) = Record::split(rest) {
                rest = after;
            }
            end == 0 || !rest.is_empty() || end == bytes.len() - (16 + eight.key.len())
        }));
    }
}
