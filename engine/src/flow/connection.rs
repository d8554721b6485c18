//! Ids of connections, and what stands in their place where a source can be read again.

use crate::checkpoint::Identity;

/// Id of a connection: `core + 1 (16 bits) | serial (32 bits) | inlet (16 bits)`.
///
/// The inlet number finds the connection without a search. The serial distinguishes it from
/// all others that used the same inlet, in this run and in earlier ones with frames under way.
/// Each generation begins a range of serials of its own: ids repeat after about a million
/// connections of one core in one generation, or after 4096 generations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionId(pub u64);

impl ConnectionId {
    /// The connection with `serial` at `inlet` of `core`.
    pub fn new(core: usize, serial: u32, inlet: u16) -> Self {
        Self(((core as u64 + 1) << 48) | (u64::from(serial) << 16) | u64::from(inlet))
    }

    /// The core that owns it; `None` for no connection, and for what was due in a row.
    pub fn core(self) -> Option<usize> {
        let core = ((self.0 >> 48) as usize).checked_sub(1);
        core.filter(|core| *core < CORES_MAX)
    }

    /// Its number among the connections of that core.
    pub fn serial(self) -> u32 {
        (self.0 >> 16) as u32
    }

    /// The number of its inlet on that core.
    pub fn inlet(self) -> usize {
        (self.0 & 0xffff) as usize
    }
}

/// Ids of greater cores are [origins](potoroo_sdk::host::Origin::of_due) of what was due in a row.
const CORES_MAX: usize = (1 << 15) - 1;

/// In the place of the connection, for events of a source that can be read again: the same in every
/// run: `source` is [what stands for it](potoroo_sdk::plan::PlannedSource::origin). The id of no
/// connection.
pub(crate) fn replayed_origin(source: u16) -> u64 {
    assert!(source <= Identity::ORIGIN_MAX, "an origin has {SOURCE_BITS} bits for its source");
    1 + u64::from(source)
}

/// The same for a stream, of the source with this origin, whose name has this hash.
pub(super) fn stream_origin(source: u64, name_hash: u64) -> u64 {
    source | (name_hash >> STREAM_HASH_SHIFT << SOURCE_BITS)
}

/// Bits of an origin that name a source.
const SOURCE_BITS: u32 = 9;

/// Takes as many bits of a hash as are left below the number of a core in the id of a connection.
const STREAM_HASH_SHIFT: u32 = 64 - (48 - SOURCE_BITS);
