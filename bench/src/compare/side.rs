//! One side of a comparison: a program that is run again and again.
//!
//! Promises that what is built or run belongs to the side alone: a commit gets a work tree of its
//! own, in a temporary folder that goes away with it.

use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs, process};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};

use super::request::CompareOptions;
use crate::host;

/// A program that measures, and what it is called.
#[derive(Debug)]
pub struct Side {
    /// What the user called it.
    pub name: String,
    program: PathBuf,
    /// Older programs keep no results and do not know the flag.
    keeps_results: bool,
    tree: Option<Tree>,
}

impl Side {
    /// A program as it is.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn program(name: &str) -> Result<Self> {
        let program = fs::canonicalize(name).with_context(|| format!("{name} is not there"))?;
        Self::new(name, program, None)
    }

    /// The program that a commit builds; it is built now.
    ///
    /// # Errors
    /// There is no such commit, or it does not build.
    pub fn commit(name: &str, letter: &str, request: &CompareOptions, yard: &Yard) -> Result<Self> {
        let commit = git(&["rev-parse", "--verify", &format!("{name}^{{commit}}")])
            .with_context(|| format!("{name} is neither a file nor a commit of the source tree"))?;
        let tree = Tree::check_out(&commit, letter)?;
        eprintln!("{letter}: building {name} ({commit:.12}) with the profile {}", request.profile);
        let program = tree.build(request, yard)?;
        Self::new(&format!("{name} ({commit:.12})"), program, Some(tree))
    }

    fn new(name: &str, program: PathBuf, tree: Option<Tree>) -> Result<Self> {
        let help = Command::new(&program).arg("--help").output();
        let help = help.with_context(|| format!("{} cannot be run", program.display()))?;
        let keeps_results = String::from_utf8_lossy(&help.stdout).contains("--no-results");
        Ok(Self { name: name.to_owned(), program, keeps_results, tree })
    }

    /// Runs one round and returns the object that it prints last.
    ///
    /// # Errors
    /// It failed, or printed no object.
    pub fn measure(&self, request: &CompareOptions, scale: &[&str]) -> Result<Map<String, Value>> {
        let mut command = Command::new(&self.program);
        command.args([&request.bench, "--json", "--rounds", "1"]).args(scale);
        if self.keeps_results {
            command.arg("--no-results");
        }
        if let Some(tree) = &self.tree {
            command.current_dir(&tree.folder);
        }
        // Under Cargo these name our own source tree, in which a program would build its example.
        command.env_remove("CARGO").env_remove("CARGO_MANIFEST_DIR");
        let output = command.stdin(Stdio::null()).output();
        let output = output.with_context(|| format!("{} cannot be run", self.program.display()))?;
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().rev().take(3).collect::<Vec<_>>().join("; ");
        ensure!(output.status.success(), "{} ended with {}: {said}", self.name, output.status);
        let stdout = String::from_utf8_lossy(&output.stdout);
        match serde_json::from_str(stdout.lines().last().unwrap_or_default()) {
            Ok(Value::Object(object)) => Ok(object),
            _ => bail!("{} printed no JSON object as its last line", self.name),
        }
    }
}

/// The folder that commits are built in, one after the other: what they share is built once. It is
/// removed when this is dropped.
#[derive(Debug)]
pub struct Yard(PathBuf);

impl Yard {
    /// A new folder.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new() -> Result<Self> {
        Ok(Self(private("target")?))
    }
}

/// Makes a folder that no other user can have prepared or can write to.
fn private(end: &str) -> Result<PathBuf> {
    for number in 1..=FOLDERS_MAX {
        let name = format!("potoroo-compare-{}-{number}-{end}", process::id());
        let folder = env::temp_dir().join(name);
        match fs::DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => {
                made.with_context(|| format!("{} cannot be made", folder.display()))?;
                return Ok(folder);
            }
        }
    }
    bail!("{} is full of folders potoroo-compare-*: remove them", env::temp_dir().display())
}

/// As many folders of killed processes of one number may be left.
const FOLDERS_MAX: usize = 1000;

impl Drop for Yard {
    fn drop(&mut self) {
        // It is not there when nothing was built.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A work tree of a commit; it is removed when this is dropped.
#[derive(Debug)]
struct Tree {
    folder: PathBuf,
}

impl Tree {
    fn check_out(commit: &str, letter: &str) -> Result<Self> {
        let folder = private(letter)?;
        let path = folder.to_str().context("the temporary folder's name is no text")?;
        let added = git(&["worktree", "add", "--quiet", "--detach", path, commit]);
        if let Err(error) = added {
            let _ = fs::remove_dir(&folder);
            return Err(error).context(format!("{commit} cannot be checked out into {path}"));
        }
        Ok(Self { folder })
    }

    fn build(&self, request: &CompareOptions, yard: &Yard) -> Result<PathBuf> {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let build = |what: &[&str]| {
            let mut command = Command::new(&cargo);
            command.args(["build", "--profile", &request.profile, "--target-dir"]).arg(&yard.0);
            if request.profile == host::PROFILE_TO_MEASURE {
                // Older commits do not have it: their `release` was the same.
                command.args(["--config", "profile.latency.inherits=\"release\""]);
            }
            command.args(what).current_dir(&self.folder).stdout(Stdio::null());
            command.env_remove("CARGO_MANIFEST_DIR").env_remove("CARGO_TARGET_DIR");
            let status = command.status().context("Cargo cannot be run")?;
            ensure!(status.success(), "it does not build: cargo build {}", what.join(" "));
            Ok(())
        };
        let profile = if request.profile == "dev" { "debug" } else { &request.profile };
        let (from, to) = (yard.0.join(profile), self.folder.join("target"));
        let keep = |name: &str| {
            fs::copy(from.join(name), to.join(name)).with_context(|| format!("{name} is not built"))
        };
        fs::create_dir_all(to.join("examples"))?;
        build(&["--package", "potoroo-bench"])?;
        keep("potoroo-bench")?;
        // They start it as a process of its own, and look for it beside themselves.
        if ["wire", "soak", "scale"].contains(&request.bench.as_str()) {
            build(&["--package", "potoroo", "--example", "market_spread"])?;
            keep("examples/market_spread")?;
        }
        Ok(to.join("potoroo-bench"))
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let folder = self.folder.to_string_lossy();
        if let Err(error) = git(&["worktree", "remove", "--force", &folder]) {
            eprintln!("{folder} is left behind: {error:#}");
        }
    }
}

/// Asks git about the source tree; what it says on one line.
fn git(arguments: &[&str]) -> Result<String> {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new("git");
    command.args(["-c", "safe.directory=*", "-C"]).arg(tree).args(arguments);
    let output = command.output().context("git cannot be run")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "git {}: {}", arguments.join(" "), said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
