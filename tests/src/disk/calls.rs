//! The calls that the engine makes. All files lie in one folder, however their paths are written.

use std::fmt::{self, Debug, Formatter};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::MutexGuard;

use potoroo::disk::{Disk, DiskFile, Open, Room};

use super::{Broken, Change, File, SimDisk, State, WRITE_BYTES_MAX};

impl SimDisk {
    /// Puts a file there that is certain.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let mut state = self.state();
        let file = state.files.len();
        state.files.push(File { bytes: bytes.to_vec(), synced: bytes.len(), cleared: None });
        state.names.insert(name.to_owned(), file);
        state.names_synced.insert(name.to_owned(), file);
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn DiskFile>> {
        let name = name(path);
        let mut state = self.step(![Open::Read, Open::Follow].contains(&how))?;
        let found = state.file(name);
        let file = match (found, how) {
            (Ok(_), Open::New) => return Err(ErrorKind::AlreadyExists.into()),
            (Ok(file), _) => file,
            (Err(missing), Open::Read | Open::Follow) => return Err(missing),
            (Err(_), _) => {
                let file = state.files.len();
                state.files.push(File::default());
                state.change(Change::Add(name.to_owned(), file));
                file
            }
        };
        Ok(Box::new(SimFile { disk: self.clone(), file, counts_reads: how != Open::Follow }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.step(false)?;
        state.file(name(path))?;
        state.change(Change::Remove(name(path).to_owned()));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.step(true)?;
        let file = state.file(name(from))?;
        state.change(Change::Move(name(from).to_owned(), name(to).to_owned(), file));
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.step(true)?;
        if !(is_head(name(to)) && state.broken == Some(Broken::HeadOverwritten)) {
            state.vacant(name(to))?;
        }
        let file = state.file(name(from))?;
        state.change(Change::Add(name(to).to_owned(), file));
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(self.step(false)?.names.keys().map(|name| folder.join(name)).collect())
    }

    /// No step of its own: it belongs to the listing.
    fn length(&self, path: &Path) -> io::Result<u64> {
        let state = self.state();
        let file = state.file(name(path))?;
        Ok(state.files[file].bytes.len() as u64)
    }

    fn room(&self, _: &Path) -> io::Result<Option<Room>> {
        Ok(None)
    }

    fn make_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.step(false)?;
        let links_head = |change: &Change| change.names().into_iter().any(is_head);
        let left_out = match state.changes.last() {
            // Of a file of output.
            _ if folder != Path::new(Self::CHECKPOINTS) => None,
            Some(Change::Move(..)) => Some(Broken::FenceName),
            _ if state.changes.iter().any(links_head) => Some(Broken::HeadName),
            _ => Some(Broken::ObjectNames),
        };
        if left_out.is_none() || state.broken != left_out {
            state.names_synced = state.names.clone();
            state.changes.clear();
        }
        Ok(())
    }
}

/// An open file.
#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    file: usize,
    /// Whether a read is a step: one of a checkpoint is not, since it changes nothing on the disk.
    counts_reads: bool,
}

impl SimFile {
    fn read_step(&self) -> io::Result<MutexGuard<'_, State>> {
        if self.counts_reads { self.disk.step(false) } else { Ok(self.disk.state()) }
    }
}

impl DiskFile for SimFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.read_step()?.files[self.file].bytes.len() as u64)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let state = self.read_step()?;
        let rest = state.files[self.file].bytes.get(offset as usize..).unwrap_or_default();
        let read = rest.get(..bytes.len()).ok_or(ErrorKind::UnexpectedEof)?;
        bytes.copy_from_slice(read);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], mut offset: u64) -> io::Result<()> {
        for piece in bytes.chunks(WRITE_BYTES_MAX) {
            self.disk.step(true)?.files[self.file].write_at(piece, offset as usize);
            offset += piece.len() as u64;
        }
        Ok(())
    }

    fn clear(&self) -> io::Result<()> {
        self.disk.step(false)?.files[self.file].clear();
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.step(true)?;
        let temporary =
            state.names.iter().any(|(name, file)| *file == self.file && name.starts_with("tmp-"));
        let head = state.files[self.file].bytes.starts_with(b"potoroo head");
        let left_out = match () {
            () if temporary && head => Broken::HeadBytes,
            () if temporary => Broken::ObjectBytes,
            () => Broken::OutputBytes,
        };
        if state.broken != Some(left_out) {
            state.files[self.file].settle();
        }
        Ok(())
    }
}

impl Debug for SimDisk {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "a disk with {:?}", self.names())
    }
}

/// Whether it is the name of a numbered HEAD.
fn is_head(name: &str) -> bool {
    name.starts_with("HEAD-")
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}
