//! What a part promises: what was written is read, what was damaged is noticed where it is.

use potoroo_sdk::host::TableId;

use super::*;
use crate::checkpoint::{Chunk, CorruptObject, Damage, Section, facts};

fn header() -> PartHeader {
    PartHeader {
        facts: facts::example(),
        generation: 3,
        epoch: Epoch(17),
        since: Epoch(16),
        core: 1,
        cores: 2,
    }
}

fn chunks() -> Vec<Chunk> {
    let chunk = |section, byte: u8, length| Chunk { section, bytes: vec![byte; length] };
    vec![
        chunk(Section::Removed(TableId(0)), 1, 30),
        chunk(Section::Rows(TableId(0)), 2, 100_000),
        chunk(Section::Rows(TableId(1)), 3, 0),
        chunk(Section::Lanes(2), 4, 40),
        chunk(Section::Outboxes(0), 5, 40),
        chunk(Section::Outboxes(0), 5, 40),
    ]
}

fn write(header: &PartHeader, chunks: &[Chunk]) -> (Vec<u8>, PartSeal) {
    let mut writer = PartWriter::new(Vec::new(), header).expect("memory takes it");
    chunks.iter().for_each(|chunk| writer.chunk(chunk).expect("memory takes it"));
    writer.finish().expect("memory takes it")
}

/// All chunks, or those before the damage, and the damage.
fn read(bytes: &[u8]) -> (Vec<Chunk>, Result<PartSeal, CorruptObject>) {
    let mut reader = match PartReader::open("part-3-17-1-0", bytes) {
        Ok(reader) => reader,
        Err(corrupt) => return (Vec::new(), Err(corrupt)),
    };
    let mut chunks = Vec::new();
    for chunk in reader.by_ref() {
        match chunk {
            Ok(chunk) => chunks.push(chunk),
            Err(corrupt) => return (chunks, Err(corrupt)),
        }
    }
    (chunks, Ok(reader.seal().expect("it ended without an error")))
}

/// Where each record begins, the end record last.
fn records(bytes: &[u8]) -> Vec<usize> {
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4")) as usize;
    let mut at = OPENING_BYTES + word(12);
    let mut records = Vec::new();
    while at < bytes.len() {
        records.push(at);
        at += RECORD_BYTES + word(at + 4);
    }
    records
}

#[test]
fn what_was_written_is_read() {
    for count in 0..=chunks().len() {
        let (bytes, seal) = write(&header(), &chunks()[..count]);
        let (found, end) = read(&bytes);
        assert_eq!(found, &chunks()[..count]);
        assert_eq!(end.expect("it is whole"), seal);
        assert_eq!((seal.bytes, seal.chunks), (bytes.len() as u64, count as u64));
        let reader = PartReader::open("part", bytes.as_slice()).expect("it is whole");
        assert_eq!(reader.header(), &header());
    }
}

#[test]
fn the_layout_is_that_of_the_documentation() {
    let chunk = Chunk { section: Section::Lanes(7), bytes: vec![9; 8] };
    let (bytes, seal) = write(&header(), &[chunk]);
    assert_eq!(&bytes[..12], b"potopart\x02\0\0\0");
    let at = records(&bytes);
    assert_eq!(bytes[at[0]..at[0] + 8], [3, 0, 7, 0, 8, 0, 0, 0]);
    assert_eq!(bytes[at[1]..at[1] + 8], [255, 0, 0, 0, 24, 0, 0, 0]);
    assert_eq!(bytes[at[1] + 12..at[1] + 20], 1u64.to_le_bytes());
    assert_eq!(bytes[at[1] + 20..], seal.digest.to_le_bytes());
    assert_eq!(seal.digest, xxhash_rust::xxh3::xxh3_128(&bytes[..at[1]]));
}

#[test]
fn every_cut_is_noticed() {
    let (bytes, _) = write(&header(), &chunks());
    let near = |at: &usize| bytes.len() - at < 300 || *at < 1200;
    for end in (0..bytes.len()).filter(near) {
        let (_, result) = read(&bytes[..end]);
        let corrupt = result.expect_err("it was cut");
        assert!(matches!(corrupt.damage, Damage::CutOff), "cut at {end}: {corrupt}");
    }
}

#[test]
fn every_flipped_bit_is_noticed_before_its_chunk_is_seen() {
    let (bytes, _) = write(&header(), &chunks());
    let records = records(&bytes);
    let near = |at: &usize| bytes.len() - at < 300 || *at < 1200;
    for at in (0..bytes.len()).filter(near) {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            let (seen, result) = read(&damaged);
            assert!(result.is_err(), "bit {bit} of byte {at}");
            let before = records.iter().filter(|record| **record <= at).count();
            assert_eq!(seen, &chunks()[..before.saturating_sub(1)], "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn records_swapped_doubled_or_left_out_are_noticed_at_their_place() {
    let (bytes, _) = write(&header(), &chunks());
    let at = records(&bytes);
    let record = |index: usize| &bytes[at[index]..at[index + 1]];
    let opening = &bytes[..at[0]];
    let end = &bytes[at[6]..];
    let orders: [&[usize]; 5] =
        [&[1, 0, 2, 3, 4, 5], &[0, 1, 2, 3, 5], &[0, 1, 1, 2, 3, 4, 5], &[1, 2, 3, 4, 5], &[]];
    for order in orders {
        let mut damaged = opening.to_vec();
        order.iter().for_each(|index| damaged.extend(record(*index)));
        damaged.extend(end);
        let whole = order.iter().enumerate().take_while(|(place, index)| place == *index).count();
        let (seen, result) = read(&damaged);
        // Records 4 and 5 hold the same: only their checksums tell them apart.
        assert_eq!(seen, &chunks()[..whole.min(5)], "{order:?}");
        let corrupt = result.expect_err("it was changed");
        assert!(matches!(corrupt.damage, Damage::Checksum), "{order:?}: {corrupt}");
    }
}

#[test]
fn a_record_of_another_part_is_noticed() {
    let (bytes, _) = write(&header(), &chunks());
    let (other, _) = write(&PartHeader { epoch: Epoch(18), ..header() }, &chunks());
    let (from, to) = (records(&bytes)[1], records(&other)[1]);
    let spliced = [&bytes[..from], &other[to..]].concat();
    let (seen, result) = read(&spliced);
    assert_eq!(seen.len(), 1);
    assert!(matches!(result.expect_err("it was spliced").damage, Damage::Checksum));
}

#[test]
fn what_follows_the_end_is_noticed() {
    let (bytes, _) = write(&header(), &chunks());
    let (_, result) = read(&[bytes.as_slice(), b"x"].concat());
    let corrupt = result.expect_err("it is longer");
    assert!(matches!(corrupt.damage, Damage::Longer), "{corrupt}");
}

#[test]
fn a_length_beyond_all_bounds_takes_no_memory() {
    let (bytes, _) = write(&header(), &chunks());
    for length in [u32::MAX, CHUNK_BYTES_MAX] {
        let mut damaged = bytes.clone();
        let at = records(&bytes)[0] + 4;
        damaged[at..at + 4].copy_from_slice(&length.to_le_bytes());
        assert!(read(&damaged).1.is_err());
        let mut damaged = bytes.clone();
        damaged[12..16].copy_from_slice(&length.to_le_bytes());
        assert!(read(&damaged).1.is_err());
    }
}

#[test]
fn errors_name_object_place_cause_and_remedy() {
    let (bytes, _) = write(&header(), &chunks());
    let at = records(&bytes)[1];
    let cut = read(&bytes[..at + 20]).1.expect_err("it was cut");
    assert_eq!(
        cut.to_string(),
        format!(
            "part-3-17-1-0 cannot be used, at byte {at}: it is cut off; put it back from a copy \
             of the state folder, or go back to an older checkpoint with --restore EPOCH \
             (`potoroo checkpoint list` names them)"
        )
    );
    let mut newer = bytes.clone();
    newer[8] = 3;
    assert_eq!(
        read(&newer).1.expect_err("it is newer").to_string(),
        "part-3-17-1-0 cannot be used, at byte 0: a newer version of Potoroo wrote it, in format \
         3, and this one reads 2; use that version, or a newer one"
    );
    let other = read(b"#!/bin/sh and some more").1.expect_err("it is no part");
    assert!(other.to_string().contains("it is no part of Potoroo"), "{other}");
}

#[test]
fn a_destination_that_fails_fails_the_part() {
    struct Full(usize);
    impl std::io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            if taken == 0 { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(taken) }
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let whole = write(&header(), &chunks()).0.len();
    for room in [0, 10, 70_000, whole - 1, whole] {
        let written = PartWriter::new(Full(room), &header()).and_then(|mut writer| {
            chunks().iter().try_for_each(|chunk| writer.chunk(chunk))?;
            writer.finish().map(|_| ())
        });
        assert_eq!(written.is_ok(), room == whole, "{room} of {whole}");
    }
}
