//! One change and its way back.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use rustix::fs::{OFlags, ftruncate};
use serde::{Deserialize, Serialize};

use crate::cpus::Cpus;
use crate::remedy::Remedy;
use crate::root::{Root, Unread, chosen};

/// A change with the state before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Step {
    /// A file of the kernel.
    Write {
        /// The file.
        path: String,
        /// What it held.
        before: String,
        /// What it is to hold.
        value: String,
    },
    /// A running service of systemd that is to be stopped until the next start.
    Stop {
        /// Its name.
        service: String,
    },
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepOutcome {
    /// The value was written and read back.
    Done,
    /// It was so already.
    Already,
    /// The system did not do it; the reason.
    Refused(String),
}

impl StepOutcome {
    /// Whether it is not as it should be.
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}

impl Step {
    /// The step that a remedy asks for; `None` if it is done, or for people.
    pub(super) fn new(root: &Root, remedy: &Remedy) -> Option<Self> {
        match remedy {
            Remedy::Write { path, value, .. } => {
                let before = held(root, path).ok()?;
                let (path, value) = (path.clone(), value.clone());
                (!same(&before, &value)).then_some(Self::Write { path, before, value })
            }
            Remedy::Stop(service) => Some(Self::Stop { service: service.clone() }),
            Remedy::Boot(_) | Remedy::Hand(..) => None,
        }
    }

    /// Why a step of a record was not written by this program; `None` if it may have been.
    pub(super) fn is_foreign(&self) -> Option<String> {
        match self {
            Self::Write { path, .. } => {
                let below = SETTINGS.iter().find_map(|folder| path.strip_prefix(folder));
                let odd = |name: &str| ["", ".", ".."].contains(&name) || name.contains('\0');
                let ours = below.is_some_and(|below| !below.split('/').any(odd));
                (!ours).then(|| format!("{path:?} is no setting of the kernel"))
            }
            Self::Stop { service } => (!SERVICES.contains(&service.as_str()))
                .then(|| format!("{service:?} is no service that `apply` stops")),
        }
    }

    /// Makes the change.
    pub(super) fn take(&self, root: &Root) -> StepOutcome {
        match self {
            Self::Write { path, value, .. } => put(root, path, value),
            Self::Stop { service } => systemctl(root, "stop", service),
        }
    }

    /// Puts the state before back.
    pub(super) fn restore(&self, root: &Root) -> StepOutcome {
        match self {
            Self::Write { path, before, .. } => put(root, path, before),
            Self::Stop { service } => systemctl(root, "start", service),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write { path, before, value } => write!(f, "{path}: {before} -> {value}"),
            Self::Stop { service } => write!(f, "service {service}: running -> stopped"),
        }
    }
}

impl fmt::Display for StepOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => write!(f, "done"),
            Self::Already => write!(f, "is so already"),
            Self::Refused(reason) => write!(f, "refused: {reason}"),
        }
    }
}

/// What a file holds; of `always [madvise] never` the chosen word.
fn held(root: &Root, path: &str) -> Result<String, Unread> {
    let text = root.text(path)?;
    Ok(chosen(&text).map_or(text.clone(), str::to_owned))
}

/// Writes a value, unless it is there, and reads it back.
fn put(root: &Root, path: &str, value: &str) -> StepOutcome {
    match held(root, path) {
        Ok(now) if same(&now, value) => return StepOutcome::Already,
        Ok(_) => {}
        Err(unread) => return StepOutcome::Refused(unread.reason.to_string()),
    }
    if let Err(error) = overwrite(root, path, value) {
        let managed = match path.starts_with("/proc/irq/") {
            true => "; the kernel manages it: isolcpus=managed_irq keeps it off isolated CPUs",
            false => "",
        };
        return StepOutcome::Refused(format!("{error}{managed}"));
    }
    match held(root, path) {
        Ok(now) if same(&now, value) => StepOutcome::Done,
        Ok(now) => StepOutcome::Refused(format!("{value} was written, and {now} is there")),
        Err(unread) => StepOutcome::Refused(unread.reason.to_string()),
    }
}

/// Writes a file that is there, and no other one.
fn overwrite(root: &Root, path: &str, value: &str) -> io::Result<()> {
    let mut file = File::from(root.open(path, OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?);
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.nlink() > 1 {
        let other = "is no file, or has a second name (hard link), perhaps outside of the root";
        return Err(io::Error::other(other));
    }
    // Files of the kernel have no length, and take each write call as a value of its own.
    ftruncate(&file, 0)?;
    file.write_all(value.as_bytes())
}

/// Whether two texts are one value: the kernel writes sets of CPUs in a form of its own.
fn same(left: &str, right: &str) -> bool {
    let lists = || left.parse::<Cpus>().is_ok_and(|set| right.parse() == Ok(set));
    let masks = || Cpus::from_mask(left).is_ok_and(|set| Cpus::from_mask(right) == Ok(set));
    left == right || lists() || masks()
}

fn systemctl(root: &Root, verb: &str, service: &str) -> StepOutcome {
    if !root.is_host() {
        return StepOutcome::Refused("a recorded host has no services".to_owned());
    }
    let mut command = Command::new("systemctl");
    command.args([verb, service]).stdin(Stdio::null());
    match command.output() {
        Ok(output) if output.status.success() => StepOutcome::Done,
        Ok(output) => {
            StepOutcome::Refused(String::from_utf8_lossy(&output.stderr).trim().to_owned())
        }
        Err(error) => StepOutcome::Refused(format!("systemctl: {error}; {verb} it by hand")),
    }
}

/// All settings that the plan changes lie below these.
const SETTINGS: [&str; 3] = ["/proc/sys/", "/proc/irq/", "/sys/"];
/// All services that the plan stops.
const SERVICES: [&str; 1] = ["irqbalance"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_that_were_not_planned_are_foreign() {
        let step = |path: &str| {
            let (before, value) = (String::new(), String::new());
            Step::Write { path: path.to_owned(), before, value }.is_foreign()
        };
        for path in ["/proc/sys/vm/swappiness", "/proc/irq/1/smp_affinity_list", "/sys/a"] {
            assert_eq!(step(path), None);
        }
        for path in [
            "/etc/passwd",
            "/proc/sys/../../etc/passwd",
            "/sys/./a",
            "/sys//a",
            "/sys/",
            "sys/a",
            "",
            "/proc/1/mem",
            "/sys/a\0",
        ] {
            assert!(step(path).is_some(), "{path:?}");
        }
        let stop = |service: &str| Step::Stop { service: service.to_owned() }.is_foreign();
        assert_eq!(stop("irqbalance"), None);
        assert!(stop("sshd").is_some() && stop("--help").is_some());
    }

    #[test]
    fn sets_are_compared_as_sets() {
        for (left, right) in [("0-1", "0,1"), ("03", "00000003"), ("a", "a"), ("1", "01")] {
            assert!(same(left, right), "{left} {right}");
        }
        for (left, right) in [("0-1", "3"), ("10", "2"), ("always", "madvise"), ("0", "1")] {
            assert!(!same(left, right), "{left} {right}");
        }
    }
}
