//! Bytes: the one archive format of frames, links and logs.
//!
//! Nothing that is marked `#[inline]` allocates; the rest builds owned strings and lists.

use super::event::{Event, Value};
use super::stored::Stored;
use alloc::{vec, vec::Vec};
use core::{fmt, mem::MaybeUninit};
use rkyv::{
    Archive, Archived,
    api::low::{access as access_low, deserialize},
    rancor::Failure,
    ser::{Positional, allocator::SubAllocator, writer::Buffer},
};

/// The room given to [`write()`] is too small for the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value does not fit into the room")
    }
}

impl core::error::Error for Full {}

/// The archive of a value would be longer than [`ARCHIVE_BYTES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value would take more than 1 GiB as it is stored")
    }
}

impl core::error::Error for TooLong {}

/// Bytes are not the archive of the expected type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

impl fmt::Display for Corrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes are not an archive of this type")
    }
}

impl core::error::Error for Corrupt {}

/// Size in bytes of the archive of a `T` without what it points to.
///
/// For a plain `T` this is exactly what [`write()`] writes; otherwise the least that it writes.
#[must_use]
pub const fn archived_bytes<T: Archive>() -> usize {
    size_of::<Archived<T>>()
}

/// Writes `event` at the start of `room` and returns the exact length in bytes.
///
/// Allocates nothing. After an error `room` holds rubbish.
///
/// # Errors
/// [`Full`] when it does not fit. A list of more than about four thousand values that are not
/// plain fits into no room: its scratch space is bounded.
#[inline]
pub fn write<E: Event>(event: &E, room: &mut [u8]) -> Result<usize, Full> {
    if E::PLAIN {
        let bytes = archived_bytes::<E>();
        let room = room.get_mut(..bytes).ok_or(Full)?;
        return write_with(event, room, SubAllocator::empty());
    }
    let mut scratch = [MaybeUninit::uninit(); SCRATCH_BYTES];
    let written = write_with(event, room, SubAllocator::new(&mut scratch));
    written.or_else(|Full| write_large(event, room))
}

/// The same with much scratch space, for long lists. Not inlined, to keep the stack of [`write()`]
/// small.
#[cold]
#[inline(never)]
fn write_large<E: Event>(event: &E, room: &mut [u8]) -> Result<usize, Full> {
    let mut scratch = [MaybeUninit::uninit(); SCRATCH_LARGE_BYTES];
    write_with(event, room, SubAllocator::new(&mut scratch))
}

#[inline]
fn write_with<'a, T: Stored>(
    value: &T,
    room: &'a mut [u8],
    scratch: SubAllocator<'a>,
) -> Result<usize, Full> {
    rkyv::api::low::to_bytes_in_with_alloc::<_, _, Failure>(value, Buffer::from(room), scratch)
        .map(|buffer| buffer.pos())
        .map_err(|Failure| Full)
}

/// The archive of `event` on the heap: for tests and other cold code.
///
/// # Panics
/// When the archive would take a gigabyte.
// cold: not for the event path
#[must_use]
pub fn to_vec<E: Event>(event: &E) -> Vec<u8> {
    let mut room = vec![0; archived_bytes::<E>()];
    loop {
        if let Ok(bytes) = write(event, &mut room) {
            room.truncate(bytes);
            return room;
        }
        assert!(room.len() < 1 << 30, "an event is smaller than a gigabyte");
        room.resize(room.len() * 2 + 64, 0);
    }
}

/// Writes the archive of `value` at the start of `room` and returns its length in bytes; `None`
/// when it does not fit, or needs much scratch space.
#[inline]
pub(crate) fn try_write<T: Stored>(value: &T, room: &mut [u8]) -> Option<usize> {
    let mut scratch = [MaybeUninit::uninit(); SCRATCH_BYTES];
    write_with(value, room, SubAllocator::new(&mut scratch)).ok()
}

/// Appends the archive of `value` and returns its length in bytes. Allocates: not for the event
/// path.
///
/// # Errors
/// [`TooLong`] when the archive would be longer than [`ARCHIVE_BYTES_MAX`], or there is no memory
/// for it; `out` is then as it was.
pub fn append<T: Stored>(value: &T, out: &mut Vec<u8>) -> Result<u32, TooLong> {
    append_within(value, out, ARCHIVE_BYTES_MAX)
}

/// The same with another limit.
pub(crate) fn append_within<T: Stored>(
    value: &T,
    out: &mut Vec<u8>,
    bytes_max: usize,
) -> Result<u32, TooLong> {
    let start = out.len();
    out.resize(start + archived_bytes::<T>(), 0);
    let bytes = match try_write(value, &mut out[start..]) {
        Some(bytes) => Some(bytes),
        None => append_large(value, start, out, bytes_max),
    };
    let bytes = bytes.filter(|bytes| *bytes <= bytes_max);
    out.truncate(start + bytes.unwrap_or(0));
    match bytes {
        // Cut to 32 bits nowhere: the limit is below.
        Some(bytes) => Ok(bytes as u32),
        None => {
            // The room that it took to find out is given back.
            out.shrink_to(start);
            Err(TooLong)
        }
    }
}

/// The same with as much room and scratch space as it takes, up to the limit.
#[cold]
fn append_large<T: Stored>(
    value: &T,
    start: usize,
    out: &mut Vec<u8>,
    bytes_max: usize,
) -> Option<usize> {
    let mut room = 2 * SCRATCH_BYTES;
    loop {
        // Scratch space for a list is up to twice its archive.
        let mut scratch = Vec::new();
        scratch.try_reserve_exact(2 * room).ok()?;
        scratch.resize(2 * room, MaybeUninit::uninit());
        out.try_reserve(room.saturating_sub(out.len() - start)).ok()?;
        out.resize(start + room, 0);
        if let Ok(bytes) = write_with(value, &mut out[start..], SubAllocator::new(&mut scratch)) {
            return Some(bytes);
        }
        if room >= bytes_max {
            return None;
        }
        room = bytes_max.min(room * 2);
    }
}

/// The owned value in `bytes`, validated.
///
/// # Errors
/// [`Corrupt`] when `bytes` are not an archive of a `T`.
pub fn read<T: Stored>(bytes: &[u8]) -> Result<T, Corrupt> {
    access_low::<Archived<T>, Failure>(bytes).map(restore).map_err(|Failure| Corrupt)
}

/// The archived value in `bytes`, validated: whatever the bytes are, the result is sound.
///
/// For plain data this costs about a nanosecond.
///
/// # Errors
/// [`Corrupt`] when `bytes` are not exactly what [`write()`] wrote for an `E`, as far as that can
/// be seen.
#[inline]
pub fn access<E: Value>(bytes: &[u8]) -> Result<&Archived<E>, Corrupt> {
    if E::PLAIN && bytes.len() != archived_bytes::<E>() {
        return Err(Corrupt);
    }
    access_low::<Archived<E>, Failure>(bytes).map_err(|Failure| Corrupt)
}

/// The owned value of an archived one. Allocates for strings and lists: not for the event path.
///
/// # Panics
/// Never for an archive that came from [`access`].
#[must_use]
pub fn restore<T: Stored>(archived: &Archived<T>) -> T {
    deserialize::<T, Failure>(archived).expect("a checked archive can be restored")
}

/// Most bytes of a stored key or state. Pointers within an archive have 31 bits, and writing one
/// delays the events that follow.
pub const ARCHIVE_BYTES_MAX: usize = 1 << 30;

/// Scratch for lists of values that are not plain: 16 bytes per element while they are written.
const SCRATCH_BYTES: usize = 512;

/// On the stack of a cold function; a thread has at least 2 MiB.
const SCRATCH_LARGE_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    #[test]
    fn what_is_too_long_leaves_nothing_behind() {
        let value: Vec<String> = (0..5000).map(|number| alloc::format!("{number}")).collect();
        let mut whole = Vec::new();
        let bytes = append(&value, &mut whole).expect("it is short") as usize;
        for (limit, fits) in [(bytes, true), (bytes - 1, false), (64, false)] {
            let mut out = vec![7; 3];
            assert_eq!(append_within(&value, &mut out, limit).is_ok(), fits);
            assert_eq!(out.len(), if fits { 3 + bytes } else { 3 });
            assert!(fits || out.capacity() < 64, "its memory is given back");
        }
        assert_eq!(read::<Vec<String>>(&whole), Ok(value));
    }
}
