//! A small disk that a test can fill.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::process::Command;

/// A small disk of its own, which goes away with the test.
pub struct Disk(pub String);

impl Disk {
    /// `None`, with the reason, where no file system can be mounted.
    pub fn new(folder: String) -> Option<Self> {
        fs::create_dir_all(&folder).expect("the scratch folder is ours");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=8m", "none", &folder]);
        if mount.output().is_ok_and(|done| done.status.success()) {
            return Some(Self(folder));
        }
        eprintln!("skipped: a small disk cannot be mounted here; run the tests as root");
        None
    }

    /// Takes all the room that is left.
    pub fn fill(&self) {
        let mut filler = File::create(format!("{}/filler", self.0)).expect("it can be made");
        let mut piece = 1 << 16;
        while piece > 0 {
            match filler.write(&vec![0; piece]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => piece /= 2,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Gives that room back.
    pub fn empty(&self) {
        fs::remove_file(format!("{}/filler", self.0)).expect("it is there");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l", &self.0]).output();
    }
}
