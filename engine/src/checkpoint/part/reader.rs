//! Reads a part, chunk by chunk, and believes nothing.

use std::io::{BufReader, Read};

use crc32c::crc32c_append;
use potoroo_sdk::host::TableId;
use xxhash_rust::xxh3::Xxh3;

use super::*;
use crate::checkpoint::{Chunk, CorruptObject, Damage, Section};

/// A part that is being read from `R`: its header, then its chunks.
///
/// A chunk that it yields was stored as it is and follows the one before; that nothing is missing
/// after it is known when the iterator has ended without an error.
pub struct PartReader<R: Read> {
    object: String,
    from: BufReader<R>,
    header: PartHeader,
    checksum: u32,
    digest: Xxh3,
    /// Of the record that is being read.
    offset: u64,
    chunks: u64,
    /// A buffer for the next chunk.
    spare: Vec<u8>,
    seal: Option<PartSeal>,
    ended: bool,
}

impl<R: Read> PartReader<R> {
    /// Reads and checks the opening; `object` is its name for errors.
    ///
    /// # Errors
    /// It is no part, a newer version wrote it, it is damaged, or it cannot be read.
    pub fn open(object: &str, from: R) -> Result<Self, CorruptObject> {
        let mut from = BufReader::new(from);
        let mut digest = Xxh3::new();
        let opened = open(&mut from, &mut digest);
        let corrupt = |damage| CorruptObject { object: object.to_owned(), offset: 0, damage };
        let (header, bytes, checksum) = opened.map_err(corrupt)?;
        let object = object.to_owned();
        let (offset, chunks, spare, seal, ended) = (bytes, 0, Vec::new(), None, false);
        Ok(Self { object, from, header, checksum, digest, offset, chunks, spare, seal, ended })
    }

    /// What it says of itself.
    pub fn header(&self) -> &PartHeader {
        &self.header
    }

    /// Takes a buffer for the next chunk.
    pub fn recycle(&mut self, spare: Vec<u8>) {
        self.spare = spare;
    }

    /// How far it was read, in bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// What it came to; `None` before the iterator has ended without an error.
    pub fn seal(&self) -> Option<PartSeal> {
        self.seal
    }

    fn next_chunk(&mut self) -> Result<Option<Chunk>, Damage> {
        let mut head = [0; RECORD_BYTES];
        self.from.read_exact(&mut head)?;
        let (number, length) = (u16_at(&head, 2), u32_at(&head, 4));
        if head[0] == KIND_END {
            return self.end(&head).map(|()| None);
        }
        let section = self.section(head[0], number).filter(|_| head[1] == 0);
        let section = section.filter(|_| length <= CHUNK_BYTES_MAX).ok_or(Damage::Record)?;
        let bytes = take(&mut self.from, length, std::mem::take(&mut self.spare))?;
        self.check(&head, &bytes)?;
        self.digest.update(&head);
        self.digest.update(&bytes);
        self.offset += (RECORD_BYTES + bytes.len()) as u64;
        self.chunks += 1;
        Ok(Some(Chunk { section, bytes }))
    }

    fn end(&mut self, head: &[u8; RECORD_BYTES]) -> Result<(), Damage> {
        if head[1..4] != [0; 3] || u32_at(head, 4) != END_BYTES {
            return Err(Damage::Record);
        }
        let mut end = [0; END_BYTES as usize];
        self.from.read_exact(&mut end)?;
        self.check(head, &end)?;
        let digest = self.digest.digest128();
        if end[..8] != self.chunks.to_le_bytes() || end[8..] != digest.to_le_bytes() {
            return Err(Damage::Digest);
        }
        self.offset += (RECORD_BYTES + end.len()) as u64;
        if self.from.read(&mut [0])? != 0 {
            return Err(Damage::Longer);
        }
        self.seal = Some(PartSeal { bytes: self.offset, chunks: self.chunks, digest });
        Ok(())
    }

    fn check(&mut self, head: &[u8; RECORD_BYTES], bytes: &[u8]) -> Result<(), Damage> {
        self.checksum = crc32c_append(crc32c_append(self.checksum, &head[..8]), bytes);
        if self.checksum == u32_at(head, 8) { Ok(()) } else { Err(Damage::Checksum) }
    }

    fn section(&self, kind: u8, number: u16) -> Option<Section> {
        let level = u8::try_from(number).ok();
        let table = Some(TableId(number)).filter(|id| self.header.facts.tables.len() > id.0.into());
        match kind {
            KIND_ROWS => table.map(Section::Rows),
            KIND_REMOVED => table.map(Section::Removed),
            KIND_LANES => level.map(Section::Lanes),
            KIND_OUTBOXES => level.map(Section::Outboxes),
            _ => None,
        }
    }
}

impl<R: Read> Iterator for PartReader<R> {
    type Item = Result<Chunk, CorruptObject>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let chunk = self.next_chunk().transpose();
        self.ended = !matches!(chunk, Some(Ok(_)));
        let (object, offset) = (&self.object, self.offset);
        chunk.map(|chunk| {
            chunk.map_err(|damage| CorruptObject { object: object.clone(), offset, damage })
        })
    }
}

/// The header, the bytes up to its end, and their checksum.
fn open(from: &mut impl Read, digest: &mut Xxh3) -> Result<(PartHeader, u64, u32), Damage> {
    let mut opening = [0; OPENING_BYTES];
    from.read_exact(&mut opening)?;
    let (format, length) = (u32_at(&opening, 8), u32_at(&opening, 12));
    if opening[..8] != MAGIC || format == 0 {
        return Err(Damage::Kind("part"));
    }
    if format > FORMAT {
        return Err(Damage::Newer { found: format, known: FORMAT });
    }
    if length > HEADER_BYTES_MAX {
        return Err(Damage::Record);
    }
    let text = take(from, length, Vec::new())?;
    let checksum = crc32c_append(crc32c::crc32c(&opening[..16]), &text);
    if checksum != u32_at(&opening, 16) {
        return Err(Damage::Checksum);
    }
    let header = serde_json::from_slice(&text).map_err(|error| Damage::Text(error.to_string()))?;
    digest.update(&opening);
    digest.update(&text);
    Ok((header, (opening.len() + text.len()) as u64, checksum))
}

/// Exactly `length` bytes, in the buffer `into`. Memory is taken as bytes arrive: a wrong length
/// cannot exhaust it.
fn take(from: &mut impl Read, length: u32, into: Vec<u8>) -> Result<Vec<u8>, Damage> {
    let mut bytes = into;
    bytes.clear();
    bytes.reserve((length as usize).min(Chunk::BYTES_MAX));
    from.take(length.into()).read_to_end(&mut bytes)?;
    if bytes.len() == length as usize { Ok(bytes) } else { Err(Damage::CutOff) }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
