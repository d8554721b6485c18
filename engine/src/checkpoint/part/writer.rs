//! Writes a part, chunk by chunk.

use std::io::{self, BufWriter, Error, ErrorKind, Write};

use crc32c::crc32c_append;
use xxhash_rust::xxh3::Xxh3;

use super::*;
use crate::checkpoint::{Chunk, Section};

/// Small records are gathered into writes of this size; chunks of full length pass by.
const BUFFER_BYTES: usize = 64 * 1024;

/// A part that is being written to `W`.
pub struct PartWriter<W: Write> {
    to: BufWriter<W>,
    checksum: u32,
    digest: Xxh3,
    bytes: u64,
    chunks: u64,
}

impl<W: Write> PartWriter<W> {
    /// Begins a part with its header.
    ///
    /// # Errors
    /// `to` cannot be written.
    pub fn new(to: W, header: &PartHeader) -> io::Result<Self> {
        let header = serde_json::to_vec(header)?;
        let length = length(&header, HEADER_BYTES_MAX)?;
        let mut opening = Vec::with_capacity(OPENING_BYTES + header.len());
        opening.extend(MAGIC);
        opening.extend(FORMAT.to_le_bytes());
        opening.extend(length.to_le_bytes());
        let checksum = crc32c_append(crc32c::crc32c(&opening), &header);
        opening.extend(checksum.to_le_bytes());
        opening.extend(header);
        let to = BufWriter::with_capacity(BUFFER_BYTES, to);
        let mut writer = Self { to, checksum, digest: Xxh3::new(), bytes: 0, chunks: 0 };
        writer.put(&opening)?;
        Ok(writer)
    }

    /// Appends a chunk.
    ///
    /// # Errors
    /// The destination cannot be written, or the chunk is longer than 2 GiB.
    pub fn chunk(&mut self, chunk: &Chunk) -> io::Result<()> {
        let (kind, number) = code(chunk.section);
        self.record(kind, number, &chunk.bytes)?;
        self.chunks += 1;
        Ok(())
    }

    /// Ends the part, and gives back what it was written to: nothing is durable before that is.
    ///
    /// # Errors
    /// The destination cannot be written.
    pub fn finish(mut self) -> io::Result<(W, PartSeal)> {
        let digest = self.digest.digest128();
        let mut end = Vec::with_capacity(END_BYTES as usize);
        end.extend(self.chunks.to_le_bytes());
        end.extend(digest.to_le_bytes());
        self.record(KIND_END, 0, &end)?;
        let seal = PartSeal { bytes: self.bytes, chunks: self.chunks, digest };
        let to = self.to.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok((to, seal))
    }

    fn record(&mut self, kind: u8, number: u16, bytes: &[u8]) -> io::Result<()> {
        let mut head = [0; RECORD_BYTES];
        head[0] = kind;
        head[2..4].copy_from_slice(&number.to_le_bytes());
        head[4..8].copy_from_slice(&length(bytes, CHUNK_BYTES_MAX)?.to_le_bytes());
        self.checksum = crc32c_append(crc32c_append(self.checksum, &head[..8]), bytes);
        head[8..].copy_from_slice(&self.checksum.to_le_bytes());
        self.put(&head)?;
        self.put(bytes)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
        self.to.write_all(bytes)
    }
}

fn code(section: Section) -> (u8, u16) {
    match section {
        Section::Rows(table) => (KIND_ROWS, table.0),
        Section::Removed(table) => (KIND_REMOVED, table.0),
        Section::Lanes(level) => (KIND_LANES, level.into()),
        Section::Outboxes(level) => (KIND_OUTBOXES, level.into()),
    }
}

fn length(bytes: &[u8], max: u32) -> io::Result<u32> {
    let length = u32::try_from(bytes.len()).ok().filter(|length| *length <= max);
    length.ok_or_else(|| Error::new(ErrorKind::InvalidInput, "a record is longer than 2 GiB"))
}
