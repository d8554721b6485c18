//! The nodes of one cluster.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::interrupt;
use crate::node::{self, NodeFolder, NodeProcess, Sighting};
use crate::place::Place;

/// Names of three nodes.
pub const NAMES: [&str; 3] = ["a", "b", "c"];

/// The nodes of one cluster on this machine. All of them end when this is dropped.
pub struct Nodes {
    running: Vec<NodeProcess>,
    /// What all of them are started with.
    flags: Vec<String>,
    place: Place,
    folder: NodeFolder,
}

impl Nodes {
    /// No node yet, of an application with these flags: sources and sinks, and what differs from
    /// the defaults.
    ///
    /// # Errors
    /// The folder for temporary files cannot be written.
    pub fn new(name: &str, flags: &[&str], place: Place) -> Result<Self> {
        let folder = NodeFolder::new(name)?;
        let cluster = node::text(&folder.path("cluster"));
        let common = ["--cluster", &cluster, "--idle", "park", "--no-progress"];
        let flags = common.iter().chain(flags).map(|flag| (*flag).to_owned()).collect();
        Ok(Self { running: Vec::new(), flags, place, folder })
    }

    /// Flags of the node with this name, which takes one of the two CPUs.
    pub fn flags(&self, name: &str) -> Vec<String> {
        let at = NAMES.iter().position(|known| *known == name).unwrap_or_default();
        let cpu = [self.place.left, self.place.right][at % 2].to_string();
        let own = ["--node", name, "--cores", &cpu].map(str::to_owned);
        self.flags.iter().cloned().chain(own).collect()
    }

    /// Starts a node. Returns the number of its process.
    ///
    /// # Errors
    /// The system starts no further process.
    pub fn start(&mut self, name: &str) -> Result<u32> {
        let node = NodeProcess::start(name, &self.flags(name), &self.folder)?;
        let id = node.id();
        self.running.push(node);
        Ok(id)
    }

    /// Starts the three nodes and waits until they are one application.
    ///
    /// # Errors
    /// They do not become one.
    pub fn start_three(&mut self) -> Result<()> {
        NAMES.iter().try_for_each(|name| self.start(name).map(drop))?;
        self.wait_for_members()
    }

    /// The nodes that run.
    pub fn running(&self) -> &[NodeProcess] {
        &self.running
    }

    /// Takes out a node that is to end, or has been killed.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn take(&mut self, name: &str) -> Result<NodeProcess> {
        let at = self.running.iter().position(|node| node.name == name);
        Ok(self.running.remove(at.with_context(|| format!("no node {name} runs"))?))
    }

    /// The process of a node.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn named(&self, name: &str) -> Result<&NodeProcess> {
        let found = self.running.iter().find(|node| node.name == name);
        found.with_context(|| format!("no node {name} runs"))
    }

    /// What `potoroo cluster` answers.
    ///
    /// # Errors
    /// It answers with an error.
    pub fn ask(&self, arguments: &[&str]) -> Result<String> {
        let cluster = node::text(&self.folder.path("cluster"));
        let arguments = [&["cluster"], arguments, &["--cluster", &cluster]].concat();
        node::ask(&arguments)
    }

    /// What `potoroo cluster status` or `history` answers.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub fn ask_json(&self, what: &str) -> Result<Value> {
        let text = self.ask(&[what, "--json"])?;
        serde_json::from_str(&text).with_context(|| format!("no JSON: {text}"))
    }

    /// The name of the lead.
    ///
    /// # Errors
    /// There is none.
    pub fn lead(&self) -> Result<String> {
        let status = self.ask_json("status")?;
        Ok(status["lead"].as_str().context("no node leads")?.to_owned())
    }

    /// Milliseconds in which the last change of nodes had nothing processed.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub fn last_pause_ms(&self) -> Result<f64> {
        let history = self.ask_json("history")?;
        let last = history.as_array().and_then(|changes| changes.last());
        last.and_then(|last| last["ms"].as_f64()).context("the history has no change")
    }

    /// Waits until those that run, and no others, share the partitions.
    ///
    /// # Errors
    /// They do not within a minute.
    pub fn wait_for_members(&mut self) -> Result<()> {
        let mut expected: Vec<String> = self.running.iter().map(|it| it.name.clone()).collect();
        expected.sort_unstable();
        self.wait_for(&format!("nodes {} to be one application", expected.join(", ")), |nodes| {
            let Ok(status) = nodes.ask_json("status") else { return false };
            members(&status) == expected
        })
    }

    /// Waits until another checkpoint is committed.
    ///
    /// # Errors
    /// None is within a minute.
    pub fn wait_for_checkpoint(&mut self) -> Result<()> {
        let epoch = |nodes: &Self| nodes.ask_json("status").ok()?["epoch"].as_u64();
        let before = epoch(self);
        self.wait_for("a checkpoint", |nodes| epoch(nodes) > before)
    }

    /// Waits until something is as it should be.
    ///
    /// # Errors
    /// It is not within a minute, a node has ended, or the run was asked to end.
    pub fn wait_for(&mut self, what: &str, is_it: impl Fn(&Self) -> bool) -> Result<()> {
        let until = Instant::now() + LIMIT;
        while !is_it(self) {
            self.look(what, until)?;
            thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Waits for an output. Returns when it came.
    ///
    /// # Errors
    /// As [`wait_for`](Self::wait_for).
    pub fn see(&mut self, what: &str, sighting: &Receiver<Sighting>) -> Result<u64> {
        let until = Instant::now() + LIMIT;
        loop {
            match sighting.recv_timeout(LOOK) {
                Ok(Sighting { at_ns }) => return Ok(at_ns),
                Err(RecvTimeoutError::Timeout) => self.look(what, until)?,
                Err(RecvTimeoutError::Disconnected) => bail!("nothing takes outputs any more"),
            }
        }
    }

    fn look(&mut self, what: &str, until: Instant) -> Result<()> {
        interrupt::check()?;
        let ended = self.running.iter_mut().find_map(|node| {
            node.has_ended().then(|| format!("node {} has ended{}", node.name, node.last_words()))
        });
        if let Some(ended) = ended {
            bail!("while waiting for {what}: {ended}");
        }
        if Instant::now() >= until {
            let words: String = self.running.iter().map(NodeProcess::last_words).collect();
            bail!("waited {LIMIT:?} for {what} in vain{words}");
        }
        Ok(())
    }
}

/// Names of the nodes with partitions, none of them gone or about to join.
fn members(status: &Value) -> Vec<String> {
    let nodes = status["nodes"].as_array().into_iter().flatten();
    let name = |node: &Value| {
        let whole = node["partitions"].as_u64() > Some(0) && node["process"].is_string();
        whole.then(|| node["node"].as_str().map(str::to_owned)).flatten()
    };
    // One that is not whole makes the list another one than any that is waited for.
    let mut names: Vec<String> = nodes.map(|node| name(node).unwrap_or_default()).collect();
    names.sort_unstable();
    names
}

/// Checkpoints while nodes change: five in a second.
pub const FREQUENT: [&str; 2] = ["--checkpoint-ms", "200"];
/// Far longer than any change of nodes takes.
const LIMIT: Duration = Duration::from_secs(60);
/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nodes_that_come_or_are_gone_are_no_members() {
        let node = |name: &str, process: Option<&str>, partitions: u64| {
            let fields = [("node", json!(name)), ("process", json!(process))];
            let fields = fields.into_iter().chain([("partitions", json!(partitions))]);
            fields.map(|(name, value)| (name.to_owned(), value)).collect::<Value>()
        };
        let of = |nodes: Vec<Value>| members(&json!({ "nodes": nodes }));
        assert_eq!(of(vec![node("b", Some("1"), 5), node("a", Some("2"), 5)]), ["a", "b"]);
        assert_eq!(of(vec![node("a", Some("1"), 5), node("b", None, 5)]), ["", "a"]);
        assert_eq!(of(vec![node("a", Some("1"), 5), node("b", Some("2"), 0)]), ["", "a"]);
        assert!(members(&json!({})).is_empty());
    }
}
