//! A folder for the state of an engine under measurement.

use std::fs;
use std::path::PathBuf;

/// A state folder that goes away with it.
pub struct StateFolder(pub PathBuf);

impl StateFolder {
    /// One of this process, for a benchmark of this name.
    pub fn new(bench: &str) -> Self {
        Self(std::env::temp_dir().join(format!("potoroo-{bench}-{}", std::process::id())))
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.0.clone()
    }
}

impl Drop for StateFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
