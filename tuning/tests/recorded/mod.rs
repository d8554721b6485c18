//! Hosts of several kinds, each recorded in one text file: unpacked into a folder of the test.
//!
//! A file begins with prose. `== PATH` begins a file of the host, `== PATH/` an empty folder.
//! `{LIST}` in a path, or at the beginning of a line, stands for one copy per number; `{}`,
//! `{+N}` and `{-N}` in the content for that number.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use potoroo_tuning::Cpus;

/// All of them.
pub const HOSTS: [&str; 5] =
    ["bare-metal-default", "bare-metal-tuned", "cloud-vm", "container", "laptop"];

/// A recorded host, or an empty one, in a folder that goes away with it.
pub struct Recorded(PathBuf);

impl Recorded {
    /// Unpacks a host for a test.
    pub fn unpack(host: &str, test: &str) -> Self {
        let recorded = Self::empty(&format!("{host}-{test}"));
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hosts");
        let text = fs::read_to_string(file.join(format!("{host}.txt"))).expect("it is recorded");
        for part in text.split("\n== ").skip(1) {
            let (path, content) = part.split_once('\n').unwrap_or((part, ""));
            copies(path).into_iter().for_each(|(path, number)| {
                recorded.write(&path, &filled(content, number));
            });
        }
        recorded
    }

    /// A host without any file.
    pub fn empty(test: &str) -> Self {
        let name = format!("{test}-{}", std::process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).expect("the target folder can be written");
        Self(folder)
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Puts a file there; a path that ends with `/` is a folder.
    pub fn write(&self, path: &str, content: &str) {
        let to = self.0.join(path.trim_start_matches('/'));
        let folder = if path.ends_with('/') { &to } else { to.parent().expect("it has a folder") };
        fs::create_dir_all(folder).expect("folders can be made");
        if !path.ends_with('/') {
            fs::write(&to, content).expect("files can be written");
        }
    }

    /// Takes a file away.
    pub fn remove(&self, path: &str) {
        fs::remove_file(self.0.join(path.trim_start_matches('/'))).expect("it was there");
    }

    /// The paths of all its files.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut folders = vec![self.0.clone()];
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("it is a folder") {
                let path = entry.expect("it can be read").path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        files
    }

    /// Runs the binary on it; arguments are separated by spaces.
    pub fn run(&self, arguments: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_potoroo-tuning"));
        command.args(arguments.split_whitespace()).arg("--root").arg(&self.0).stdin(Stdio::null());
        command.output().expect("the binary runs")
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Standard output, standard error and exit code, as one text.
pub fn printed(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().expect("it ends by itself");
    format!("{}{}exit {code}\n", text(&output.stdout), text(&output.stderr))
}

/// One copy per number of the first list in braces, all further ones with their only number.
fn copies(path: &str) -> Vec<(String, usize)> {
    let Some((head, rest)) = path.split_once('{') else { return vec![(path.to_owned(), 0)] };
    let (list, tail) = rest.split_once('}').expect("a brace closes");
    let numbers: Cpus = list.parse().expect("braces hold a list");
    let copy = |number| {
        let tails = copies(tail).into_iter();
        tails.map(move |(tail, _)| (format!("{head}{number}{tail}"), number))
    };
    numbers.iter().flat_map(copy).collect()
}

/// The content with the number put in, and lines with a list repeated.
fn filled(content: &str, number: usize) -> String {
    let mut text = String::new();
    for line in content.lines() {
        let list = line.split_once('{').and_then(|(head, rest)| {
            let (list, tail) = rest.split_once('}')?;
            let numbers = list.parse::<Cpus>().ok().filter(|numbers| !numbers.is_empty())?;
            Some((head, numbers, tail))
        });
        match list {
            Some((head, numbers, tail)) => {
                numbers.iter().for_each(|number| text += &format!("{head}{number}{tail}\n"));
            }
            None => text += &(shifted(line, number) + "\n"),
        }
    }
    text
}

/// A line with `{}`, `{+N}` and `{-N}` replaced.
fn shifted(line: &str, number: usize) -> String {
    let Some((head, rest)) = line.split_once('{') else { return line.to_owned() };
    let (shift, tail) = rest.split_once('}').expect("a brace closes");
    let shift: i64 = if shift.is_empty() { 0 } else { shift.parse().expect("a shift is a number") };
    format!("{head}{}{}", number as i64 + shift, shifted(tail, number))
}
