//! The control groups of this process, of version 1, version 2, or both beside each other.
//!
//! Owns the way from `/proc/self/cgroup` and `/proc/self/mountinfo` to the folders of a controller,
//! and the CPU quota. The files of another controller lie in the same folders, for others to read.
//! Promises that a quota of any group above counts, and that a host whose groups cannot be read is
//! no host without a quota.
//!
//! ```text
//!   /proc/self/cgroup      4:cpu,cpuacct:/docker/7f      0::/docker/7f
//!   /proc/self/mountinfo   … /docker /sys/fs/cgroup/cpu … - cgroup … rw,cpu,cpuacct
//!   folders                /sys/fs/cgroup/cpu/7f, /sys/fs/cgroup/cpu
//! ```
//!
//! In a namespace of its own a process reads the path `/`; the mounted folder is then its group.

use crate::root::{Root, Unread, UnreadReason};

/// All hierarchies that the process is in.
#[derive(Clone, Debug, Default)]
pub struct Cgroups {
    hierarchies: Vec<Hierarchy>,
    /// Why they are not known.
    unread: Option<Unread>,
}

/// One hierarchy.
#[derive(Clone, Debug)]
struct Hierarchy {
    /// Its controllers in version 1; `None` is version 2, which may have any.
    controllers: Option<Vec<String>>,
    /// The group of the process and those above it, as far as they are mounted.
    folders: Vec<String>,
}

/// The version of the hierarchy that a group belongs to: its files have other names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A hierarchy for each controller, or for a few of them.
    One,
    /// One hierarchy for all controllers.
    Two,
}

/// A limit of CPU time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// The file that sets it.
    pub file: String,
    /// Microseconds of CPU time in each period.
    pub quota_us: u64,
    /// Length of a period in microseconds; never 0.
    pub period_us: u64,
}

impl Cgroups {
    /// Of this process on the host below `root`.
    pub fn read(root: &Root) -> Self {
        let mounts = mounts(root);
        let text = match root.text("/proc/self/cgroup") {
            Ok(text) => text,
            // A kernel without control groups; but without /proc nothing is known.
            Err(unread) if unread.is_absent() && root.exists("/proc/self/status") => {
                return Self::default();
            }
            Err(unread) => return Self { unread: Some(unread), ..Self::default() },
        };
        let hierarchy = |line| Hierarchy::read(root, &mounts, line);
        Self { hierarchies: text.lines().filter_map(hierarchy).collect(), unread: None }
    }

    /// Whether a controller belongs to version 1 here.
    pub fn is_first_version(&self, controller: &str) -> bool {
        self.hierarchies.iter().any(|it| it.controllers.is_some() && it.has(controller))
    }

    /// Why the groups of this process are not known; `None` if they are.
    pub fn unread(&self) -> Option<&Unread> {
        self.unread.as_ref()
    }

    /// Folders of the groups that may have `controller`, in each hierarchy the own one first.
    pub fn folders(&self, controller: &str) -> impl Iterator<Item = (Version, &str)> {
        let serving = self.hierarchies.iter().filter(move |it| it.has(controller));
        serving.flat_map(|it| it.folders.iter().map(|folder| (it.version(), folder.as_str())))
    }

    /// Folders of the groups of version 2, the own one first.
    pub fn unified(&self) -> impl Iterator<Item = &str> {
        let unified = self.hierarchies.iter().filter(|it| it.controllers.is_none());
        unified.flat_map(|it| &it.folders).map(String::as_str)
    }

    /// The tightest quota of the own group and those above it.
    ///
    /// # Errors
    /// The groups cannot be read, or a quota is no number.
    pub fn quota(&self, root: &Root) -> Result<Option<Quota>, Unread> {
        self.unread.clone().map_or(Ok(()), Err)?;
        let mut tightest: Option<Quota> = None;
        for (version, folder) in self.folders("cpu") {
            let found = match version {
                Version::One => first_version(root, folder)?,
                Version::Two => second_version(root, folder)?,
            };
            tightest =
                found.into_iter().chain(tightest).min_by(|a, b| a.cpus().total_cmp(&b.cpus()));
        }
        if tightest.is_none() && self.is_hidden("cpu") {
            return Err(Unread { path: FOLDER.to_owned(), reason: UnreadReason::Absent });
        }
        Ok(tightest)
    }

    /// Whether the process is in groups of the controller, and none of them is mounted.
    fn is_hidden(&self, controller: &str) -> bool {
        let first = self.is_first_version(controller);
        let serves = |it: &&Hierarchy| it.has(controller) && it.controllers.is_some() == first;
        let mut serving = self.hierarchies.iter().filter(serves).peekable();
        serving.peek().is_some() && serving.all(|it| it.folders.is_empty())
    }
}

impl Quota {
    /// How many CPUs it is worth.
    pub fn cpus(&self) -> f64 {
        self.quota_us as f64 / self.period_us as f64
    }
}

impl Hierarchy {
    /// Of a line `ID:CONTROLLERS:PATH`.
    fn read(root: &Root, mounts: &[Mount], line: &str) -> Option<Self> {
        let mut fields = line.splitn(3, ':');
        let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let controllers = match (id, controllers) {
            ("0", "") => None,
            _ => Some(controllers.split(',').map(str::to_owned).collect::<Vec<_>>()),
        };
        let serves = |mount: &&Mount| match (&controllers, &mount.options) {
            (None, None) => true,
            (Some(controllers), Some(options)) => controllers.iter().all(|it| options.contains(it)),
            _ => false,
        };
        let mut folders: Vec<String> =
            mounts.iter().filter(serves).flat_map(|mount| mount.folders(path)).collect();
        folders.retain(|folder| root.is_folder(folder));
        folders.dedup();
        Some(Self { controllers, folders })
    }

    fn version(&self) -> Version {
        if self.controllers.is_some() { Version::One } else { Version::Two }
    }

    fn has(&self, controller: &str) -> bool {
        self.controllers.as_ref().is_none_or(|all| all.iter().any(|it| it == controller))
    }
}

/// Where a hierarchy is mounted.
struct Mount {
    /// The group that is visible there.
    group: String,
    folder: String,
    /// Options of version 1, the controllers among them; `None` is version 2.
    options: Option<Vec<String>>,
}

impl Mount {
    /// The folders of a group and those above it.
    fn folders(&self, group: &str) -> Vec<String> {
        let group: Vec<&str> = group.split('/').filter(|name| !name.is_empty()).collect();
        let mounted: Vec<&str> = self.group.split('/').filter(|name| !name.is_empty()).collect();
        // A group that is not below the one that is mounted is out of sight.
        let below = group.strip_prefix(&mounted[..]).unwrap_or_default();
        let below = if below.contains(&"..") { &[] } else { below };
        let mut folders = vec![self.folder.clone()];
        for name in below {
            folders.push(format!("{}/{name}", folders[folders.len() - 1]));
        }
        folders.reverse();
        folders
    }
}

/// What is mounted; where the host does not report it, the usual folders.
fn mounts(root: &Root) -> Vec<Mount> {
    let text = root.text("/proc/self/mountinfo").unwrap_or_default();
    let mounts: Vec<Mount> = text.lines().filter_map(mount).collect();
    if !mounts.is_empty() {
        return mounts;
    }
    let usual = |folder: &str, options: Option<&[&str]>| Mount {
        group: "/".to_owned(),
        folder: folder.to_owned(),
        options: options.map(|options| options.iter().map(|&it| it.to_owned()).collect()),
    };
    let both: Option<&[&str]> = Some(&["cpu", "cpuacct"]);
    vec![
        usual(&format!("{FOLDER}/unified"), None),
        usual(FOLDER, None),
        usual(&format!("{FOLDER}/cpu,cpuacct"), both),
        usual(&format!("{FOLDER}/cpuacct,cpu"), both),
        usual(&format!("{FOLDER}/cpu"), both),
    ]
}

/// Reads `ID PARENT DEVICE ROOT FOLDER OPTIONS … - TYPE SOURCE OPTIONS`.
fn mount(line: &str) -> Option<Mount> {
    let (place, system) = line.split_once(" - ")?;
    let mut place = place.split(' ').skip(3);
    let (group, folder) = (unescaped(place.next()?), unescaped(place.next()?));
    let mut system = system.split(' ');
    let options = match system.next()? {
        "cgroup2" => None,
        "cgroup" => Some(system.nth(1)?.split(',').map(str::to_owned).collect()),
        _ => return None,
    };
    Some(Mount { group, folder, options })
}

/// Spaces and the like stand in a mount table as `\040`.
fn unescaped(text: &str) -> String {
    let mut plain = text.to_owned();
    for (escape, letter) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
        plain = plain.replace(escape, letter);
    }
    plain
}

/// `QUOTA PERIOD` or `max PERIOD`.
fn second_version(root: &Root, folder: &str) -> Result<Option<Quota>, Unread> {
    let file = format!("{folder}/cpu.max");
    let Some(text) = there(root.text(&file))? else { return Ok(None) };
    let mut words = text.split_whitespace();
    let quota = words.next().unwrap_or_default();
    if quota == "max" {
        return Ok(None);
    }
    limit(&file, quota, words.next().unwrap_or(PERIOD_US)).map(Some)
}

/// Two files; -1 is no quota.
fn first_version(root: &Root, folder: &str) -> Result<Option<Quota>, Unread> {
    let file = format!("{folder}/cpu.cfs_quota_us");
    let Some(quota) = there(root.text(&file))? else { return Ok(None) };
    if quota.starts_with('-') && quota.parse::<i64>().is_ok() {
        return Ok(None);
    }
    let period = there(root.text(&format!("{folder}/cpu.cfs_period_us")))?;
    limit(&file, &quota, period.as_deref().unwrap_or(PERIOD_US)).map(Some)
}

fn limit(file: &str, quota: &str, period: &str) -> Result<Quota, Unread> {
    match (quota.parse(), period.parse()) {
        (Ok(quota_us), Ok(period_us)) if period_us > 0 => {
            Ok(Quota { file: file.to_owned(), quota_us, period_us })
        }
        _ => Err(Unread::odd(file, &format!("{quota} of {period}"))),
    }
}

/// A group need not have a file of a controller.
fn there(text: Result<String, Unread>) -> Result<Option<String>, Unread> {
    match text {
        Err(unread) if unread.is_absent() => Ok(None),
        text => text.map(Some),
    }
}

const FOLDER: &str = "/sys/fs/cgroup";
/// The kernel's own default.
const PERIOD_US: &str = "100000";
