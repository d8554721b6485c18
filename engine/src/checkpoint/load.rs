//! Load: a checkpoint is read once, and each core gets what is its own.
//!
//! ```text
//!   parts, by epoch ─► checked, chunk by chunk ─► records by owner ─┬─► chunks of core 0
//!                                                 frames to all ────┼─► chunks of core 1
//!                                                                   └─► …
//! ```
//!
//! Promises: records of one partition keep their order; a record that does not count for its part
//! is passed over; memory holds one chunk, and one for each core that is being filled. Must never
//! do: know what a core makes of it.

use potoroo_sdk::table::Record;

use super::chains::ChainLink;
use super::partition_set::partition_of;
use super::recover::each_chunk_of;
use super::store::{self, StoreReader};
use super::{Chunk, CorruptObject, Damage, Manifest, PartEntry, Section};

/// Reads the checkpoint of `manifest` and calls `hand` with each chunk for one of `cores` cores: it
/// restores the chunk, or takes its bytes and leaves another buffer. `owner` has the core for the
/// hash of a key. Nothing may be made of it before this returned without an error.
///
/// # Errors
/// A part is missing, damaged or not the one that the manifest names; or what `hand` returned.
///
/// # Panics
/// An owner is none of `cores`.
pub fn load<E: From<store::Error>>(
    view: &dyn StoreReader,
    manifest: &Manifest,
    (cores, owner): (usize, impl Fn(u64) -> usize),
    mut hand: impl FnMut(usize, &PartEntry, &mut Chunk) -> Result<(), E>,
) -> Result<(), E> {
    let nothing = |_| Chunk { section: Section::Lanes(0), bytes: Vec::new() };
    let mut filling: Vec<Chunk> = (0..cores).map(nothing).collect();
    for ChainLink { part, partitions } in manifest.links() {
        let counts = |partition: &u16| partitions.as_ref().is_none_or(|set| set.has(*partition));
        let owner_of = |partition: u16| {
            Some(partition).filter(counts).map(|partition| owner(partition.into()))
        };
        let owners = (0..manifest.facts.partitions).map(|of| owner_of(of as u16)).collect();
        let mut splitter = Splitter { part, owners, filling: &mut filling, hand: &mut hand };
        each_chunk_of(view, manifest, part, |chunk| match chunk.has_frames() {
            true => splitter.frames(chunk),
            false => splitter.records(chunk),
        })?;
        splitter.end()?;
    }
    Ok(())
}

/// Takes the chunk of a part for a core.
type Hand<'a, E> = &'a mut dyn FnMut(usize, &PartEntry, &mut Chunk) -> Result<(), E>;

/// Sorts what is in one part by cores.
struct Splitter<'a, E> {
    part: &'a PartEntry,
    /// By partition: the core that gets its records, if they count.
    owners: Vec<Option<usize>>,
    /// By core.
    filling: &'a mut [Chunk],
    hand: Hand<'a, E>,
}

impl<E: From<store::Error>> Splitter<'_, E> {
    /// Which frames are its own is for a core to say: it notes the connections of all.
    fn frames(&mut self, chunk: &mut Chunk) -> Result<(), E> {
        let last = self.filling.len() - 1;
        (0..last).try_for_each(|core| (self.hand)(core, self.part, &mut chunk.clone()))?;
        (self.hand)(last, self.part, chunk)
    }

    fn records(&mut self, chunk: &mut Chunk) -> Result<(), E> {
        if let Some(core) = self.only_owner(&chunk.bytes)? {
            self.hand_over(core)?;
            return (self.hand)(core, self.part, chunk);
        }
        let mut rest = chunk.bytes.as_slice();
        while !rest.is_empty() {
            let (record, left) = self.split(rest)?;
            let bytes = &rest[..rest.len() - left.len()];
            rest = left;
            if let Some(core) = self.owner(record) {
                self.append(core, chunk.section, bytes)?;
            }
        }
        Ok(())
    }

    /// The core that gets all of these records; `None` if they have to be sorted.
    fn only_owner(&self, records: &[u8]) -> Result<Option<usize>, E> {
        let (mut rest, mut only) = (records, None);
        while !rest.is_empty() {
            let (record, left) = self.split(rest)?;
            rest = left;
            match self.owner(record) {
                Some(core) if only.is_none_or(|only| only == core) => only = Some(core),
                _ => return Ok(None),
            }
        }
        Ok(only)
    }

    fn owner(&self, record: Record<'_>) -> Option<usize> {
        let partition = partition_of(record.hash, self.owners.len() as u32);
        self.owners[usize::from(partition)]
    }

    fn split<'r>(&self, records: &'r [u8]) -> Result<(Record<'r>, &'r [u8]), E> {
        let cut_off = || {
            let damage = Damage::Other("a record of it is cut off".to_owned());
            let corrupt = CorruptObject { object: self.part.name.clone(), offset: 0, damage };
            store::Error::from(corrupt)
        };
        Ok(Record::split(records).ok_or_else(cut_off)?)
    }

    fn append(&mut self, core: usize, section: Section, record: &[u8]) -> Result<(), E> {
        if self.filling[core].section != section {
            self.hand_over(core)?;
            self.filling[core].section = section;
        }
        self.filling[core].bytes.extend_from_slice(record);
        match self.filling[core].bytes.len() < Chunk::BYTES_MAX {
            true => Ok(()),
            false => self.hand_over(core),
        }
    }

    /// Hands over what is there for a core.
    fn hand_over(&mut self, core: usize) -> Result<(), E> {
        let chunk = &mut self.filling[core];
        if !chunk.bytes.is_empty() {
            (self.hand)(core, self.part, chunk)?;
            chunk.bytes.clear();
        }
        Ok(())
    }

    /// A chunk is of one part.
    fn end(&mut self) -> Result<(), E> {
        (0..self.filling.len()).try_for_each(|core| self.hand_over(core))
    }
}
