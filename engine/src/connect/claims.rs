//! Claims: the files that an application uses, compared before any of them is changed.
//!
//! Promises: no output goes into a file that the application reads, that another of its outputs
//! writes, or that lies in its state folder, however their paths are spelled: files are compared
//! by device and inode. An output file belongs to one process at a time. Must never do: change a
//! file.

use std::fs::{File, Metadata, TryLockError};
use std::io::{stderr, stdout};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

/// The files that an application uses.
#[derive(Default)]
pub struct Claims {
    claimed: Vec<Claim>,
    /// The state folder.
    state: Option<FileId>,
    /// Outputs: their locks are held as long as they are open.
    locked: Vec<Arc<File>>,
    /// What is locked is so by a process that writes no more.
    passes_over: bool,
}

struct Claim {
    file: FileId,
    /// Who uses it for what.
    what: String,
    /// A standard stream of the process.
    stream: bool,
}

/// Device and inode.
type FileId = (u64, u64);

impl Claims {
    /// What is used besides sources and sinks: standard streams, what is `read` before they open,
    /// each with what it is read for, and the state folder.
    pub fn new<'a>(
        read: impl IntoIterator<Item = (&'static str, &'a Path)>,
        state: Option<&Path>,
    ) -> Self {
        let mut claims = Self::default();
        claims.stream("standard output", stdout());
        claims.stream("standard error", stderr());
        read.into_iter().for_each(|(what, path)| claims.path(what, path));
        claims.state = state.and_then(|path| path.metadata().ok()).map(|facts| id(&facts));
        claims
    }

    /// Whether outputs are taken that another process has locked: one that stands still, and has no
    /// right to write any more. Committed output has its place in the file, so what it may have
    /// begun to write is the same.
    #[must_use]
    pub fn passing_over_locks(self, passes_over: bool) -> Self {
        Self { passes_over, ..self }
    }

    fn stream(&mut self, name: &str, stream: impl AsFd) {
        let facts = stream.as_fd().try_clone_to_owned().map(File::from);
        let facts = facts.and_then(|file| file.metadata());
        // Pipes and terminals may well be those of an output, too.
        if let Some(facts) = facts.ok().filter(Metadata::is_file) {
            let what = format!("{name} goes into it");
            self.claimed.push(Claim { file: id(&facts), what, stream: true });
        }
    }

    fn path(&mut self, what: &str, path: &Path) {
        if let Ok(facts) = path.metadata() {
            self.claimed.push(Claim { file: id(&facts), what: what.to_owned(), stream: false });
        }
    }

    /// The source `name` reads this file.
    ///
    /// # Errors
    /// Cause and remedy: the process writes it.
    pub fn input(&mut self, name: &str, facts: &Metadata) -> Result<(), String> {
        let file = id(facts);
        let written = |claim: &&Claim| claim.stream && claim.file == file;
        if let Some(Claim { what, .. }) = self.claimed.iter().find(written) {
            return Err(format!("{what}: send that elsewhere"));
        }
        let what = format!("source `{name}` reads it");
        self.claimed.push(Claim { file, what, stream: false });
        Ok(())
    }

    /// An output, named `what`, goes into the file at `path`, which may be open.
    ///
    /// # Errors
    /// Cause and remedy: something else uses the file.
    pub fn output(
        &mut self,
        what: &str,
        path: &Path,
        facts: &Metadata,
        open: Option<&Arc<File>>,
    ) -> Result<(), String> {
        let kind = facts.file_type();
        if !(kind.is_file() || kind.is_fifo() || kind.is_block_device()) {
            return Ok(());
        }
        let file = id(facts);
        if let Some(Claim { what, .. }) = self.claimed.iter().find(|claim| claim.file == file) {
            return Err(format!("{what}: give each a file of its own"));
        }
        if self.is_in_state(path) {
            return Err("it lies in the state folder: give a file outside of --state".to_owned());
        }
        self.claimed.push(Claim { file, what: format!("{what} goes into it"), stream: false });
        open.filter(|_| kind.is_file()).map_or(Ok(()), |open| self.lock(path, open))
    }

    fn lock(&mut self, path: &Path, open: &Arc<File>) -> Result<(), String> {
        match open.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) if self.passes_over => tracing::warn!(
                "{} is locked by another process, the lead before: this one goes on with it",
                path.display()
            ),
            Err(TryLockError::WouldBlock) => {
                return Err(
                    "another process writes it: stop that one, or give each a file of its \
                     own (`fuser` shows who has it open)"
                        .to_owned(),
                );
            }
            Err(TryLockError::Error(error)) => tracing::warn!(
                "{} cannot be locked: {error}; let no other process write it",
                path.display()
            ),
        }
        self.locked.push(open.clone());
        Ok(())
    }

    fn is_in_state(&self, path: &Path) -> bool {
        let Some(state) = self.state else { return false };
        let Ok(path) = path.canonicalize() else { return false };
        let is_it = |folder: &Path| folder.metadata().is_ok_and(|facts| id(&facts) == state);
        path.ancestors().skip(1).any(is_it)
    }
}

fn id(facts: &Metadata) -> FileId {
    (facts.dev(), facts.ino())
}
