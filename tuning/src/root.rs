//! The files in which a host describes itself, below a root that can be replaced.
//!
//! Owns all reading of `/proc`, `/sys` and `/etc`, and of the few programs that know what no file
//! says. Promises that nothing there can stop it: what is missing, empty, forbidden, binary, huge
//! or no file at all is an [`Unread`] with its reason; and that nothing outside of a recorded root
//! is opened, whatever its files and links say. Must never write.

mod inside;

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use rustix::fs::{Dir, DirEntry, OFlags};

use crate::cpus::Cpus;

/// Where the files of a host lie.
#[derive(Clone, Debug)]
pub struct Root {
    base: PathBuf,
    programs: bool,
}

impl Root {
    /// This host.
    pub fn host() -> Self {
        Self { base: PathBuf::from("/"), programs: true }
    }

    /// This host, by its files alone: starts no program, so what only programs know is unknown.
    pub fn host_files() -> Self {
        Self { programs: false, ..Self::host() }
    }

    /// The host whose files were recorded below `base`; answers of programs are files, too, in
    /// `base/programs`, named by their command line.
    pub fn recorded(base: impl Into<PathBuf>) -> Self {
        Self { base: base.into(), programs: true }
    }

    /// Whether this is the host itself, not a recorded one.
    pub fn is_host(&self) -> bool {
        self.base == Path::new("/")
    }

    /// Opens `path`, absolute on the host; of a recorded host nothing outside of its folder.
    pub(crate) fn open(&self, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
        inside::open_inside(&self.base, path, flags)
    }

    /// The text of a file, without space at its ends and zero bytes behind it.
    ///
    /// # Errors
    /// It is missing, forbidden, empty, or no text.
    pub fn text(&self, path: &str) -> Result<String, Unread> {
        let unread = |reason| Unread { path: path.to_owned(), reason };
        let bytes = self.bytes(path).map_err(unread)?;
        let text =
            String::from_utf8(bytes).map_err(|_| unread(UnreadReason::Odd("no text".into())))?;
        // Some drivers count the zero byte in that ends their text.
        match text.trim_end_matches('\0').trim() {
            "" => Err(unread(UnreadReason::Empty)),
            text => Ok(text.to_owned()),
        }
    }

    /// The text of a file that holds one value of a kind.
    ///
    /// # Errors
    /// As [`Root::text`], or it holds something else.
    pub fn value<T: FromStr>(&self, path: &str) -> Result<T, Unread> {
        let text = self.text(path)?;
        text.parse().map_err(|_| Unread::odd(path, &text))
    }

    /// A list of CPUs; an empty file is an empty list.
    ///
    /// # Errors
    /// The file cannot be read or holds no list.
    pub fn cpus(&self, path: &str) -> Result<Cpus, Unread> {
        match self.value(path) {
            Err(Unread { reason: UnreadReason::Empty, .. }) => Ok(Cpus::default()),
            read => read,
        }
    }

    /// A mask of CPUs in hexadecimal digits.
    ///
    /// # Errors
    /// The file cannot be read or holds no mask.
    pub fn mask(&self, path: &str) -> Result<Cpus, Unread> {
        let text = self.text(path)?;
        Cpus::from_mask(&text).map_err(|_| Unread::odd(path, &text))
    }

    /// A set of CPUs that has two files: a list, and a mask for where there is no list.
    ///
    /// # Errors
    /// Neither can be read.
    pub fn cpu_set(&self, list: &str, mask: &str) -> Result<Cpus, Unread> {
        self.cpus(list).or_else(|unread| self.mask(mask).map_err(|_| unread))
    }

    /// The chosen word of a file such as `always [madvise] never`.
    ///
    /// # Errors
    /// The file cannot be read or nothing is chosen in it.
    pub fn choice(&self, path: &str) -> Result<String, Unread> {
        let text = self.text(path)?;
        chosen(&text).map(str::to_owned).ok_or_else(|| Unread::odd(path, &text))
    }

    /// Names in a folder, numbers in their order; none when it cannot be read.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let opened = self.open(folder, OFlags::RDONLY | OFlags::DIRECTORY);
        let Ok(Ok(entries)) = opened.map(Dir::new) else { return Vec::new() };
        let name = |entry: DirEntry| entry.file_name().to_str().ok().map(str::to_owned);
        let mut names: Vec<String> = entries.flatten().filter_map(name).collect();
        names.retain(|name| ![".", ".."].contains(&name.as_str()));
        names.sort_by_cached_key(|name| (number_in(name), name.clone()));
        names
    }

    /// The numbers of the entries of a folder that are called `prefix` and a number.
    pub fn numbers(&self, folder: &str, prefix: &str) -> Vec<usize> {
        let names = self.names(folder);
        names.iter().filter_map(|name| name.strip_prefix(prefix)?.parse().ok()).collect()
    }

    /// Whether there is something at `path`.
    pub fn exists(&self, path: &str) -> bool {
        self.open(path, OFlags::PATH).is_ok()
    }

    /// Whether `path` is a folder.
    pub fn is_folder(&self, path: &str) -> bool {
        self.open(path, OFlags::PATH | OFlags::DIRECTORY).is_ok()
    }

    fn bytes(&self, path: &str) -> Result<Vec<u8>, UnreadReason> {
        // Opening a pipe would wait for its other end.
        let file =
            self.open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY).map(File::from);
        let file = file.map_err(reason)?;
        if !file.metadata().map_err(reason)?.is_file() {
            return Err(UnreadReason::Failed("is no file".into()));
        }
        let mut bytes = Vec::new();
        file.take(BYTES_MAX).read_to_end(&mut bytes).map_err(reason)?;
        if bytes.len() as u64 == BYTES_MAX {
            return Err(UnreadReason::Failed(format!("has {} MiB or more", BYTES_MAX >> 20)));
        }
        Ok(bytes)
    }

    /// The output of a program of the system, for facts that no file has.
    ///
    /// # Errors
    /// It is not installed, refuses, or must not be started.
    pub fn ask(&self, program: &str, arguments: &[&str]) -> Result<String, Unread> {
        let line = format!("{program} {}", arguments.join(" "));
        if !self.is_host() {
            return self.text(&format!("/programs/{line}"));
        }
        let unread =
            |why: &str| Unread { path: line.clone(), reason: UnreadReason::Failed(why.into()) };
        if !self.programs {
            return Err(unread("not requested"));
        }
        // The `sbin` folders are not in the path of plain users.
        let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("PATH", path)
            .env("LC_ALL", "C")
            .stdin(std::process::Stdio::null());
        match command.output() {
            Ok(output) if output.status.success() => {
                Ok(String::from_utf8_lossy(&output.stdout).into_owned())
            }
            Ok(output) => Err(unread(String::from_utf8_lossy(&output.stderr).trim())),
            Err(_) => Err(unread("not installed")),
        }
    }
}

/// Why something is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct Unread {
    /// The file, or the command line of the program.
    pub path: String,
    /// What was in the way.
    pub reason: UnreadReason,
}

impl Unread {
    /// Something is there, but `text` is not what belongs there.
    pub fn odd(path: &str, text: &str) -> Self {
        let text = text.trim().chars().take(60).collect();
        Self { path: path.to_owned(), reason: UnreadReason::Odd(text) }
    }

    /// Whether there is no such file: usually the kernel has no such feature.
    pub fn is_absent(&self) -> bool {
        self.reason == UnreadReason::Absent
    }
}

/// What was in the way of reading.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadReason {
    /// Nothing is there.
    #[error("is not there")]
    Absent,
    /// Permission is missing.
    #[error("may not be read: try it as root")]
    Denied,
    /// A file without content.
    #[error("is empty")]
    Empty,
    /// Something else than expected.
    #[error("not understood: {0}")]
    Odd(String),
    /// What the system says.
    #[error("{0}")]
    Failed(String),
}

/// The word in brackets.
pub(crate) fn chosen(text: &str) -> Option<&str> {
    Some(text.split_once('[')?.1.split_once(']')?.0.trim())
}

fn reason(error: io::Error) -> UnreadReason {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => UnreadReason::Absent,
        ErrorKind::PermissionDenied => UnreadReason::Denied,
        _ => UnreadReason::Failed(error.to_string()),
    }
}

fn number_in(name: &str) -> Option<u64> {
    let digits: String = name.chars().filter(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// `/proc/interrupts` of a thousand interrupts on a thousand CPUs has 12 MiB.
const BYTES_MAX: u64 = 32 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_says_why() {
        let root = Root::host();
        let reason = |path| root.text(path).expect_err(path).reason;
        assert_eq!(reason("/proc/no-such-file"), UnreadReason::Absent);
        assert_eq!(reason("/proc/version/below-a-file"), UnreadReason::Absent);
        assert_eq!(reason("/dev/null"), UnreadReason::Failed("is no file".into()));
        assert!(matches!(reason("/proc"), UnreadReason::Failed(_)));
        assert!(root.value::<u64>("/proc/version").is_err());
        assert!(root.names("/no-such-folder").is_empty());
    }

    #[test]
    fn a_program_that_is_not_there_is_no_accident() {
        let refused = Root::host().ask("no-such-program", &["-c"]).expect_err("it is not there");
        assert_eq!(refused.to_string(), "no-such-program -c: not installed");
        assert!(Root::host_files().ask("true", &[]).is_err());
    }
}
