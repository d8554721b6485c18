//! `storage`: parts of checkpoints written to a state folder and verified, beside the same bytes in
//! a plain file.
//!
//! What is written is durable when the clock stops: synced, and its name too. What is read was just
//! written, so it comes from memory unless it is larger: the figures tell what checking costs, and
//! not how fast the disk is.

mod lap;

mod output;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::PathBuf;

use anyhow::{Result, ensure};
use potoroo::checkpoint::store::{Folder, FolderView, Name, NameKind, Store, StoreReader};
use potoroo::checkpoint::{Chunk, Epoch, Identity, PartHeader, PartReader, PartWriter, Section};
use potoroo::sdk::random::Random;
use serde_json::json;

use self::lap::{Lap, timed};
use crate::report::Report;
use crate::rounds::{Contender, Series, alternate};

/// Runs all contenders, in the folder for temporary files (`TMPDIR`).
///
/// # Errors
/// The folder cannot be written, or what is read is not what was written.
pub fn bench(report: &mut Report) -> Result<()> {
    let chunks = (report.scale().memory_bytes / 2 / Chunk::BYTES_MAX).max(2);
    let place = Place::new(chunks)?;
    let contenders = vec![
        Contender::new("part", || timed(|| place.write_part())),
        Contender::new("file", || timed(|| place.write_file())),
        Contender::new("verify", || timed(|| place.verify())),
        Contender::new("read", || timed(|| place.read_file())),
    ];
    let series = alternate(report, "parts in a folder, and plain files", contenders)?;
    report_all(report, &series);
    output::bench(report)?;
    let folder = place.path.display().to_string();
    report.configure("storage", json!({ "folder": folder, "bytes": place.bytes() }));
    report.note("`part` and `file` are synced; `verify` and `read` come from the page cache");
    Ok(())
}

fn report_all(report: &mut Report, series: &Series<Lap>) {
    for name in series.names() {
        let rate = series.median(name, Lap::megabytes_per_second);
        report.figure(format!("{name}_mb_per_second"), rate, series.raw_rtt_ns(&[name]));
    }
    for (ours, plain) in [("part", "file"), ("verify", "read")] {
        let ratio = series.ratio(ours, plain, Lap::megabytes_per_second);
        report.figure(format!("{ours}_over_{plain}"), ratio, series.raw_rtt_ns(&[ours, plain]));
    }
}

/// A state folder and a plain file with the same chunks in them, which go away with it.
struct Place {
    path: PathBuf,
    folder: Folder,
    chunk: Chunk,
    chunks: usize,
}

impl Place {
    fn new(chunks: usize) -> Result<Self> {
        let name = format!("potoroo-storage-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let mut random = Random::new(1);
        let bytes = (0..Chunk::BYTES_MAX / 8).flat_map(|_| random.u64().to_le_bytes()).collect();
        let chunk = Chunk { section: Section::Lanes(0), bytes };
        let folder = Folder::open(&path)?;
        let place = Self { path, folder, chunk, chunks };
        // Readers may come first.
        place.write_part()?;
        place.write_file()?;
        Ok(place)
    }

    fn bytes(&self) -> u64 {
        (self.chunk.bytes.len() * self.chunks) as u64
    }

    fn write_part(&self) -> Result<u64> {
        let name = part_name();
        self.folder.delete(&name)?;
        let mut part = PartWriter::new(self.folder.create(&name)?, &header())?;
        for _ in 0..self.chunks {
            part.chunk(&self.chunk)?;
        }
        let (upload, seal) = part.finish()?;
        upload.finish()?;
        Ok(seal.bytes)
    }

    fn write_file(&self) -> Result<u64> {
        let mut file = File::create(self.file())?;
        for _ in 0..self.chunks {
            file.write_all(&self.chunk.bytes)?;
        }
        file.sync_all()?;
        File::open(&self.path)?.sync_all()?;
        Ok(self.bytes())
    }

    fn verify(&self) -> Result<u64> {
        let name = part_name();
        let mut part = PartReader::open(&name, FolderView::open(&self.path)?.open(&name)?)?;
        let mut bytes = 0;
        for chunk in part.by_ref() {
            bytes += chunk?.bytes.len() as u64;
        }
        ensure!(bytes == self.bytes(), "{bytes} bytes were read of {}", self.bytes());
        Ok(part.offset())
    }

    fn read_file(&self) -> Result<u64> {
        let mut file = File::open(self.file())?;
        let mut buffer = vec![0; Chunk::BYTES_MAX];
        for _ in 0..self.chunks {
            file.read_exact(&mut buffer)?;
            ensure!(buffer == self.chunk.bytes, "a file is read as it was written");
        }
        Ok(self.bytes())
    }

    fn file(&self) -> PathBuf {
        self.path.join("plain")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn part_name() -> String {
    Name { generation: 1, epoch: Epoch(1), kind: NameKind::Part(0), random: 1 }.to_string()
}

fn header() -> PartHeader {
    let facts = Identity {
        application: "bench".into(),
        fingerprint: 1,
        partitions: 1024,
        ..Identity::default()
    };
    PartHeader { facts, generation: 1, epoch: Epoch(1), since: Epoch::NONE, core: 0, cores: 1 }
}
