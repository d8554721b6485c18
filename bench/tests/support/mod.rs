//! What the tests of the kit share: the real binary, and folders that are their own.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The program under test.
pub fn bench() -> Command {
    Command::new(env!("CARGO_BIN_EXE_potoroo-bench"))
}

/// Runs it to its end.
pub fn run(arguments: &[&str]) -> Output {
    bench().args(arguments).output().expect("it can be run")
}

/// Runs it to a good end and returns what it said on standard output.
#[track_caller]
pub fn say(arguments: &[&str]) -> String {
    let output = run(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?} ended with {}: {said}", output.status);
    String::from_utf8(output.stdout).expect("text")
}

/// The object on the last line.
#[track_caller]
pub fn last_object(stdout: &str) -> Value {
    serde_json::from_str(stdout.lines().last().expect("a line")).expect("JSON")
}

/// An empty folder; the name is that of the test.
pub fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the target folder can be written");
    folder
}

/// Files below a folder whose names end so, in the order of their names.
pub fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = entries
        .flat_map(|path| if path.is_dir() { files(&path, end) } else { vec![path] })
        .filter(|path| path.to_string_lossy().ends_with(end))
        .collect();
    found.sort();
    found
}

/// The path as text.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("paths of tests are text")
}
