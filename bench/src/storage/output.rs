//! Output of a transactional file sink: through the store, beside a spool by hand.
//!
//! Each contender takes one transaction from the first byte that a core sends until its file has
//! it, durably:
//!
//! ```text
//!   store   scratch file ─► object, synced ─► digest compared ─► file, synced ─► mark
//!   spool   spool beside the file, synced ─► digest compared ─► file, synced ─► removed
//! ```
//!
//! The spool is what an earlier version did. Nothing collects the objects in between, so they are
//! deleted here, out of the time that is measured.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use potoroo::checkpoint::coordinator::CoordinatorInput;
use potoroo::checkpoint::store::{Folder, Store, StoreReader, draw};
use potoroo::checkpoint::{Epoch, Transaction};
use potoroo::connect::file::Target;
use potoroo::connect::gather::Gatherer;
use potoroo::control::checkpoints::output_storage::OutputStorage;
use potoroo::sdk::host::SinkId;
use xxhash_rust::xxh3::Xxh3;

use super::lap::Lap;
use crate::report::{Goal, Report};
use crate::rounds::{Contender, alternate};

/// Bytes that a core hands over at once.
const PIECE_BYTES: usize = 64 * 1024;
/// Pieces of a transaction: 16 MiB.
const PIECES: usize = 256;

/// Measures both, in the folder for temporary files (`TMPDIR`).
///
/// # Errors
/// The folder cannot be written, or a file has not what was written.
pub fn bench(report: &mut Report) -> Result<()> {
    let pieces = PIECES.min(report.scale().memory_bytes / PIECE_BYTES).max(2);
    let (mut store, mut spool) = (Stored::new(pieces)?, Spooled::new(pieces)?);
    let contenders = vec![
        Contender::new("store", || store.transaction()),
        Contender::new("spool", || spool.transaction()),
    ];
    let series = alternate(report, "output through the store, and a spool by hand", contenders)?;
    let raw = series.raw_rtt_ns(&["store", "spool"]);
    let ratio = series.ratio("store", "spool", Lap::megabytes_per_second);
    report.goal("output_over_spool", ratio, raw, Goal::AtLeast(0.8));
    let rate = series.median("store", Lap::megabytes_per_second);
    report.figure("output_mb_per_second", rate, raw);
    Ok(())
}

/// A folder that goes away, with a file for output.
struct Site {
    path: PathBuf,
    piece: Vec<u8>,
    pieces: usize,
    /// Where in the file the next transaction goes.
    offset: u64,
}

impl Site {
    fn new(name: &str, pieces: usize) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("potoroo-{name}-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        let piece = (0..PIECE_BYTES).map(|at| at as u8).collect();
        Ok(Self { path, piece, pieces, offset: 0 })
    }

    fn file(&self) -> PathBuf {
        self.path.join("out")
    }

    /// The transaction that has begun at `start` is in the file.
    fn end(&mut self, start: Instant) -> Result<Lap> {
        let seconds = start.elapsed().as_secs_f64();
        let bytes = (self.piece.len() * self.pieces) as u64;
        self.offset += bytes;
        let length = fs::metadata(self.file())?.len();
        ensure!(length == self.offset, "the file has {length} bytes instead of {}", self.offset);
        Ok(Lap { bytes, seconds })
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Through the store.
struct Stored {
    site: Site,
    store: Arc<Folder>,
    gatherer: Gatherer,
    storage: OutputStorage,
    target: Target,
    epoch: Epoch,
}

impl Stored {
    fn new(pieces: usize) -> Result<Self> {
        let site = Site::new("output", pieces)?;
        let store = Arc::new(Folder::open(&site.path.join("state"))?);
        let target = Target::new("out", site.file(), store.clone());
        File::create(site.file())?;
        let gatherer = Gatherer::new(store.clone(), "out", Some(target.file_name()), 0);
        let storage = OutputStorage::new(1);
        Ok(Self { site, store, gatherer, storage, target, epoch: Epoch::NONE })
    }

    fn transaction(&mut self) -> Result<Lap> {
        let start = Instant::now();
        self.epoch = self.epoch.next();
        for _ in 0..self.site.pieces {
            self.gatherer.write(&self.site.piece)?;
        }
        let output = self.gatherer.mark(self.epoch);
        let stored = self.storage.store(SinkId(0), self.epoch, output, draw)?;
        let CoordinatorInput::Marked { prepared, .. } = stored else { bail!("it is not stored") };
        self.storage.commit(self.epoch);
        prepared.iter().try_for_each(|transaction: &Transaction| self.target.show(transaction))?;
        let lap = self.site.end(start)?;
        for (object, _) in self.store.list()? {
            self.store.delete(&object)?;
        }
        Ok(lap)
    }
}

/// By hand.
struct Spooled {
    site: Site,
    number: u64,
}

impl Spooled {
    fn new(pieces: usize) -> Result<Self> {
        let site = Site::new("spool", pieces)?;
        File::create(site.file())?;
        Ok(Self { site, number: 0 })
    }

    fn transaction(&mut self) -> Result<Lap> {
        let start = Instant::now();
        self.number += 1;
        let path = self.site.path.join(format!(".out.1-{}.spool", self.number));
        let (mut spool, digest) = self.spool(&path)?;
        spool.sync_all()?;
        File::open(&self.site.path)?.sync_all()?;
        ensure!(self.digest(&mut spool)? == digest, "the spool is damaged");
        self.show(&mut spool)?;
        fs::remove_file(path)?;
        self.site.end(start)
    }

    fn spool(&self, path: &Path) -> Result<(File, u128)> {
        let mut options = OpenOptions::new();
        let mut spool = options.read(true).write(true).create_new(true).open(path)?;
        let mut digest = Xxh3::new();
        for _ in 0..self.site.pieces {
            spool.write_all(&self.site.piece)?;
            digest.update(&self.site.piece);
        }
        Ok((spool, digest.digest128()))
    }

    fn digest(&self, spool: &mut File) -> Result<u128> {
        let mut digest = Xxh3::new();
        self.each_piece(spool, |piece| {
            digest.update(piece);
            Ok(())
        })?;
        Ok(digest.digest128())
    }

    fn show(&self, spool: &mut File) -> Result<()> {
        let mut file = OpenOptions::new().write(true).open(self.site.file())?;
        file.seek(SeekFrom::Start(self.site.offset))?;
        self.each_piece(spool, |piece| Ok(file.write_all(piece)?))?;
        Ok(file.sync_all()?)
    }

    fn each_piece(
        &self,
        spool: &mut File,
        mut each: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        spool.seek(SeekFrom::Start(0))?;
        let mut buffer = vec![0; 4 * PIECE_BYTES];
        loop {
            match spool.read(&mut buffer).context("the spool cannot be read")? {
                0 => return Ok(()),
                read => each(&buffer[..read])?,
            }
        }
    }
}
