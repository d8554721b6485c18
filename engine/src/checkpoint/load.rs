//! Load: a checkpoint is read once, and each core gets what is its own.
//!
//! ```text
//!   parts, by epoch ─► checked, chunk by chunk ─► records by owner ─┬─► chunks of core 0
//!                                                 frames to all ────┼─► chunks of core 1
//!                                                                   └─► …
//! ```
//!
//! The thread that starts the cores reads, while they restore. It needs no thread of its own: it
//! has nothing else to do then, and ends with the start. Buffers go round.
//!
//! Promises: records of one partition keep their order; a record that does not count for its part
//! is passed over; memory holds one chunk, one for each core that is being filled, and those
//! on their way. Must never do: know what a core makes of it.

mod channel;

use potoroo_sdk::table::Record;

use super::chains::ChainLink;
use super::partition_set::partition_of;
use super::recover::each_chunk_of;
use super::store::{self, StoreReader};
use super::{Chunk, CorruptObject, Damage, Manifest, PartEntry, Section};

pub use channel::{EndGone, LoadReceiver, LoadSender, load_bytes, load_channel};

/// Reads the checkpoint of `manifest` and calls `hand` with each chunk for one of `cores` cores: it
/// restores the chunk, or takes its bytes and leaves another buffer. `owner` has the core for the
/// hash of a key, if it is one of these. Nothing may be made of it before this returned without an
/// error.
///
/// # Errors
/// A part is missing, damaged or not the one that the manifest names; or what `hand` returned.
///
/// # Panics
/// An owner is none of `cores`.
pub fn load<E: From<store::Error>>(
    view: &dyn StoreReader,
    manifest: &Manifest,
    (cores, owner): (usize, impl Fn(u64) -> Option<usize>),
    mut hand: impl FnMut(usize, &PartEntry, &mut Chunk) -> Result<(), E>,
) -> Result<(), E> {
    let nothing = |_| Chunk { section: Section::Lanes(0), bytes: Vec::new() };
    let mut filling: Vec<Chunk> = (0..cores).map(nothing).collect();
    for ChainLink { part, partitions } in manifest.links() {
        let counts = |partition: &u16| partitions.as_ref().is_none_or(|set| set.has(*partition));
        let owner_of = |partition: u16| {
            Some(partition).filter(counts).and_then(|partition| owner(partition.into()))
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
    /// By partition: the core that gets its records, if they count and it is one of these.
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

#[cfg(test)]
mod tests {
    use potoroo_sdk::host::TableId;

    use super::*;
    use crate::checkpoint::store::Memory;
    use crate::checkpoint::{Epoch, PartHeader, PartWriter, PartitionSet, facts};

    const ROWS: Section = Section::Rows(TableId(0));
    const REMOVED: Section = Section::Removed(TableId(0));

    /// The key is the hash, and its partition modulo 1024.
    fn records(keys: &[u64]) -> Vec<u8> {
        let record = |key: &u64| Record { hash: *key, key: &[], state: &[] }.to_bytes();
        keys.iter().flat_map(record).collect()
    }

    /// A checkpoint of one part, with all partitions but the last one.
    fn stored(chunks: &[(Section, Vec<u8>)]) -> (Memory, Manifest) {
        let (memory, name) = (Memory::new(), "part-1-1-0-0000000000000001");
        let (facts, generation, epoch, since) = (facts::example(), 1, Epoch(1), Epoch::NONE);
        let header =
            PartHeader { facts: facts.clone(), generation, epoch, since, core: 0, cores: 1 };
        let mut writer = PartWriter::new(Vec::new(), &header).expect("memory takes it");
        for (section, bytes) in chunks {
            let chunk = Chunk { section: *section, bytes: bytes.clone() };
            writer.chunk(&chunk).expect("memory takes it");
        }
        let (bytes, seal) = writer.finish().expect("memory takes it");
        memory.damage(name, &bytes);
        let covers = PartitionSet::all(1023);
        let parts = vec![PartEntry::new(name.to_owned(), &header, covers, seal, 0)];
        (memory, Manifest { facts, generation, epoch, parts, ..Manifest::default() })
    }

    /// Two cores of which the second one has the upper half. What came, by core.
    fn loaded((memory, manifest): &(Memory, Manifest)) -> Result<[Vec<Chunk>; 2], store::Error> {
        let mut came: [Vec<Chunk>; 2] = Default::default();
        let owner = |hash: u64| Some(usize::from(hash % 1024 >= 512));
        load(memory, manifest, (2, owner), |core, part, chunk| {
            assert_eq!(part.name, manifest.parts[0].name);
            came[core].push(chunk.clone());
            Ok::<_, store::Error>(())
        })?;
        Ok(came)
    }

    #[test]
    fn records_come_to_their_owners_in_order_and_frames_to_all() {
        let frames = (Section::Lanes(1), b"frames".to_vec());
        let mixed = (REMOVED, records(&[1, 600, 2, 1023, 1026, 1624]));
        let alone = (ROWS, records(&[5, 6]));
        let stored = stored(&[mixed, alone.clone(), (ROWS, records(&[1, 601])), frames.clone()]);
        let chunk = |(section, bytes)| Chunk { section, bytes };
        let [low, high] = loaded(&stored).expect("it is whole");
        // Frames do not wait for rows that are being collected: their order is their own.
        assert!(low.contains(&chunk(frames.clone())) && high.contains(&chunk(frames)));
        let rows = |came: Vec<Chunk>| came.into_iter().filter(|it| !it.has_frames());
        let expected = [(REMOVED, records(&[1, 2, 1026])), alone, (ROWS, records(&[1]))];
        assert!(rows(low).eq(expected.map(chunk)));
        assert!(
            rows(high).eq([(REMOVED, records(&[600, 1624])), (ROWS, records(&[601]))].map(chunk))
        );
    }

    #[test]
    fn chunks_stay_bounded() {
        let keys: Vec<u64> = (0..20_000).collect();
        let [low, high] = loaded(&stored(&[(ROWS, records(&keys))])).expect("it is whole");
        for (came, of) in [(low, 0..512), (high, 512..1023)] {
            let sizes: Vec<usize> = came.iter().map(|chunk| chunk.bytes.len()).collect();
            let (last, full) = sizes.split_last().expect("there are some");
            assert!(full.iter().all(|size| *size == Chunk::BYTES_MAX), "{sizes:?}");
            let count = keys.iter().filter(|key| of.contains(&(*key % 1024))).count();
            assert_eq!(full.len() * Chunk::BYTES_MAX + last, count * 16);
        }
    }

    #[test]
    fn what_is_not_whole_is_refused() {
        let refused =
            |stored: &(Memory, Manifest)| loaded(stored).expect_err("it is not whole").to_string();
        let mut cut_off = records(&[1, 600]);
        cut_off.pop();
        let text = refused(&stored(&[(ROWS, cut_off)]));
        assert!(text.contains("a record of it is cut off"), "{text}");
        let (memory, mut manifest) = stored(&[(ROWS, records(&[1]))]);
        manifest.parts[0].digest ^= 1;
        let text = refused(&(memory, manifest));
        assert!(text.contains("its length, number of chunks or digest differs"), "{text}");
    }
}
