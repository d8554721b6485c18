//! The same disk by paths, as output goes to it. All files lie in one folder, however their paths
//! are written.

use std::fmt::{self, Debug, Formatter};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use potoroo::connect::spool::{Disk, DiskFile, Open, Room};

use super::{Broken, Change, File, SimDisk, SimFile, WRITE_BYTES_MAX, sync_names};

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
        let mut state = self.step(how != Open::Read)?;
        let found = state.file(name);
        let file = match (found, how) {
            (Ok(_), Open::New) => return Err(ErrorKind::AlreadyExists.into()),
            (Ok(file), _) => file,
            (Err(missing), Open::Read) => return Err(missing),
            (Err(_), _) => {
                let file = state.files.len();
                state.files.push(File::default());
                state.change(Change::Add(name.to_owned(), file));
                file
            }
        };
        Ok(Box::new(SimFile { disk: self.clone(), file }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        potoroo::checkpoint::store::Disk::remove(self, name(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        potoroo::checkpoint::store::Disk::rename(self, name(from), name(to))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let state = self.step(false)?;
        Ok(state.names.keys().map(|name| folder.join(name)).collect())
    }

    fn room(&self, _: &Path) -> io::Result<Option<Room>> {
        Ok(None)
    }

    fn make_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self, _: &Path) -> io::Result<()> {
        sync_names(self.step(false)?, Broken::SpoolNames);
        Ok(())
    }
}

impl DiskFile for SimFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.step(false)?.files[self.file].bytes.len() as u64)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let state = self.disk.step(false)?;
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
        let is_spool =
            |(name, file): (&String, &usize)| *file == self.file && name.ends_with(".spool");
        let spool = state.names.iter().any(is_spool);
        let left_out = if spool { Broken::SpoolBytes } else { Broken::OutputBytes };
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

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}
