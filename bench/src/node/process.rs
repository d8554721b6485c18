//! Processes of the application, and the folder that they share.

use std::env;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

/// A folder for agreement, state and logs, which goes away with it.
pub struct NodeFolder(PathBuf);

impl NodeFolder {
    /// A new one in the folder for temporary files (`TMPDIR`).
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new(name: &str) -> Result<Self> {
        let path = env::temp_dir().join(format!("potoroo-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path)
            .with_context(|| format!("{} cannot be made: set TMPDIR", path.display()))?;
        Ok(Self(path))
    }

    /// Something in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for NodeFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A process of the application. It is killed if it still runs when this is dropped.
pub struct NodeProcess {
    /// Its name in the cluster.
    pub name: String,
    child: Child,
    log: PathBuf,
}

impl NodeProcess {
    /// Starts one with these flags of the application. What it prints goes to a file of `folder`.
    ///
    /// # Errors
    /// The system starts no further process.
    pub fn start(name: &str, flags: &[String], folder: &NodeFolder) -> Result<Self> {
        let log = folder.path(&format!("log-{name}"));
        let out = File::options().create(true).append(true).open(&log);
        let out = out.with_context(|| format!("{} cannot be written", log.display()))?;
        let program = env::current_exe().context("the path of this program is unknown")?;
        let mut command = Command::new(program);
        command.args(["node", "--parent", &std::process::id().to_string(), "--"]).args(flags);
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        // A Ctrl-C is for this process, which ends its nodes.
        command.process_group(0);
        let child = command.spawn().with_context(|| format!("no process for node {name}"))?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once, as the kernel does when memory is short.
    ///
    /// # Errors
    /// It has ended before.
    pub fn kill(&self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::KILL)
            .with_context(|| format!("node {} has ended{}", self.name, self.last_words()))
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// Never in practice: it is a child.
    pub fn wait(&mut self) -> Result<()> {
        self.child.wait().context("a node cannot be waited for").map(drop)
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// The end of what it printed, for an error.
    pub fn last_words(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let from = text.len().saturating_sub(LAST_WORDS_BYTES);
        let text = String::from_utf8_lossy(&text[from..]);
        format!("; node {} printed: …{}", self.name, text.trim_end())
    }

    /// Time that a CPU spent on its threads, in nanoseconds.
    ///
    /// # Errors
    /// It has ended.
    pub fn cpu_ns(&self) -> Result<u64> {
        let folder = format!("/proc/{}/task", self.id());
        let tasks = fs::read_dir(&folder);
        let tasks = tasks.with_context(|| format!("node {} has ended", self.name))?;
        let time = |task: PathBuf| {
            let text = fs::read_to_string(task.join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        };
        // A thread that has ended meanwhile has no file.
        Ok(tasks.flatten().filter_map(|task| time(task.path())).sum())
    }

    /// Bytes of it that lie in memory.
    ///
    /// # Errors
    /// It has ended.
    pub fn resident_bytes(&self) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.id()))
            .with_context(|| format!("node {} has ended", self.name))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kibibytes = kibibytes.and_then(|text| text.trim().parse::<u64>().ok());
        Ok(1024 * kibibytes.with_context(|| format!("node {} has ended", self.name))?)
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // Both fail only when the process has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Bytes that the application says it takes at most, without state, when it is started so: the
/// memory bill of `--check`.
///
/// # Errors
/// It prints none.
pub fn bill_bytes(flags: &[String]) -> Result<u64> {
    let program = env::current_exe().context("the path of this program is unknown")?;
    let mut command = Command::new(program);
    command.args(["node", "--parent", &std::process::id().to_string(), "--"]).args(flags);
    let output = command.arg("--check").stdin(Stdio::null()).output();
    let output = output.context("the application cannot be started")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find(|line| line.contains("in all at most, without state"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    let said = || format!("no memory bill: {text}{}", String::from_utf8_lossy(&output.stderr));
    Ok(1024 * kibibytes.with_context(said)?)
}

/// A port that is free now.
///
/// # Errors
/// There is no loopback.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no loopback")?;
    Ok(listener.local_addr()?.port())
}

/// A path as a flag has it.
pub fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Some lines.
const LAST_WORDS_BYTES: usize = 1500;
