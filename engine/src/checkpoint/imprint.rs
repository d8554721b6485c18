//! Imprint: what distinguishes an input file from another one of the same name.
//!
//! A checkpoint holds how far a file was read. That means nothing for another file: one that was
//! rotated, replaced, or truncated and written anew would be continued in its middle.
//!
//! A start of which nothing was read says nothing of the file: what is written anew in the first
//! interval of a file that is read from its beginning is not noticed.
//!
//! Promises: 2 KiB are read for an imprint, whatever the file's length. Waits for the disk: for
//! threads beside the cores.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::hex;

/// A file as it was when it had been read up to a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Imprint {
    /// The device that the file is on.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// Digest of its first [`Imprint::BYTES`] before the position, and of the last.
    #[serde(with = "hex")]
    pub digest: u128,
}

impl Imprint {
    /// Bytes at each end of what was read.
    pub const BYTES: u64 = 1024;

    /// That of `file`, read up to `position`.
    ///
    /// # Errors
    /// The file is shorter (`UnexpectedEof`), or cannot be read.
    pub fn of(file: &File, position: u64) -> io::Result<Self> {
        let facts = file.metadata()?;
        let bytes = position.min(Self::BYTES);
        let mut piece = vec![0; bytes as usize];
        let mut digest = Xxh3::new();
        for at in [0, position - bytes] {
            file.read_exact_at(&mut piece, at)?;
            digest.update(&piece);
        }
        Ok(Self { device: facts.dev(), inode: facts.ino(), digest: digest.digest128() })
    }

    /// Of a file that was changed before its position: no file has it.
    fn of_nothing(self) -> Self {
        Self { digest: !self.digest, ..self }
    }
}

/// An input file while it is read: takes its imprint for each checkpoint.
#[derive(Debug)]
pub struct Watched {
    file: Arc<File>,
    last: (u64, Imprint),
    changed: bool,
}

impl Watched {
    /// Watches `file`, which is read from a position on, and has this imprint there.
    pub fn new(file: Arc<File>, start: (u64, Imprint)) -> Self {
        Self { file, last: start, changed: false }
    }

    /// The imprint at `position`, which never becomes less. When what was read before was changed
    /// since, which is logged once with `name`, it is one that no file has: no later run may
    /// continue there.
    pub fn imprint(&mut self, name: &str, position: u64) -> Imprint {
        let (at, before) = self.last;
        let same = || Imprint::of(&self.file, at).is_ok_and(|now| now == before);
        let unchanged = !self.changed && same();
        let now = Imprint::of(&self.file, position);
        if !std::mem::replace(&mut self.changed, !unchanged || now.is_err()) && self.changed {
            tracing::error!(
                "source `{name}`: its file was changed before byte {position} while it was read: \
                 it was truncated or written anew; what was read counts, but no later start can \
                 go on in it"
            );
        }
        let imprint = now.unwrap_or(before);
        if self.changed {
            return imprint.of_nothing();
        }
        self.last = (position, imprint);
        imprint
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str, bytes: &[u8]) -> Self {
            let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
            fs::write(&path, bytes).expect("there is a place for temporary files");
            Self(path)
        }

        fn open(&self) -> File {
            File::open(&self.0).expect("it is there")
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    #[test]
    fn an_imprint_tells_files_apart_at_both_ends_of_what_was_read() {
        let bytes: Vec<u8> = (0..5000u32).flat_map(u32::to_le_bytes).collect();
        let scratch = Scratch::new("imprint", &bytes);
        let imprint = Imprint::of(&scratch.open(), 15_000).expect("it is long enough");
        for (at, noticed) in
            [(0, true), (1023, true), (13_976, true), (14_999, true), (15_000, false)]
        {
            let mut other = bytes.clone();
            other[at] ^= 1;
            fs::write(&scratch.0, &other).expect("it is ours");
            let now = Imprint::of(&scratch.open(), 15_000).expect("it is long enough");
            assert_eq!(now != imprint, noticed, "byte {at}");
        }
        let short = Imprint::of(&scratch.open(), 20_001).expect_err("it is shorter");
        assert_eq!(short.kind(), io::ErrorKind::UnexpectedEof);
        Imprint::of(&scratch.open(), 0).expect("nothing is no less");
    }

    #[test]
    fn a_file_that_is_written_anew_has_no_imprint_any_more() {
        let scratch = Scratch::new("watched", &[7; 3000]);
        let of = |position| Imprint::of(&scratch.open(), position).expect("it is long enough");
        let mut watched = Watched::new(Arc::new(scratch.open()), (0, of(0)));
        assert_eq!(watched.imprint("a", 1500), of(1500));
        // Another run goes on there, and takes no checkpoint before the file is written anew.
        let mut next = Watched::new(Arc::new(scratch.open()), (1500, of(1500)));
        fs::write(&scratch.0, [8; 4000]).expect("it is ours");
        for watched in [&mut watched, &mut next] {
            assert_ne!(watched.imprint("a", 2000), of(2000));
            assert_ne!(watched.imprint("a", 4000), of(4000), "it stays so");
        }
    }

    #[test]
    fn a_file_that_becomes_shorter_has_no_imprint_any_more() {
        let scratch = Scratch::new("shorter", &[7; 3000]);
        let before = Imprint::of(&scratch.open(), 2000).expect("it is long enough");
        let mut watched = Watched::new(Arc::new(scratch.open()), (2000, before));
        fs::write(&scratch.0, [7; 1000]).expect("it is ours");
        assert_eq!(watched.imprint("a", 3000), before.of_nothing());
    }
}
