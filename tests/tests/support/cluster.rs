//! Several processes that are one application.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use potoroo_sdk::random::Random;
use rustix::process::Signal;
use serde_json::Value;

use super::{App, LIMIT, Scratch, check_windows, example as example_path, tool};

/// What all nodes of one cluster are started with.
pub struct Cluster {
    pub scratch: Scratch,
    /// Its name, or `ledger CHANGE`.
    pub example: &'static str,
    /// `NODE` in them stands for the name of the node.
    pub arguments: String,
    /// Where the nodes agree.
    pub place: String,
    pub lease_ms: u64,
}

/// Far longer than a busy machine keeps a thread from a CPU: for tests in which all
/// nodes go on.
pub const PATIENT_MS: u64 = 30_000;

impl Cluster {
    /// Sequence windows of `count` numbers, `rate` in a second, into a file.
    pub fn windows(test: &str, count: u64, rate: &str) -> Self {
        let scratch = Scratch::new(test);
        let arguments = format!(
            "--source numbers=gen:numbers?count={count}&rate={rate} --sink windows=file:{} \
             --checkpoint-ms 50 --idle park --cores 0,0",
            scratch.path("windows")
        );
        let place = scratch.path("cluster");
        Self { scratch, example: "sequence_windows", arguments, place, lease_ms: PATIENT_MS }
    }

    /// The same, which agrees at `place`, with state in a folder.
    pub fn windows_at(scratch: Scratch, place: String, count: u64, rate: &str) -> Self {
        let windows = Self::windows("cluster-arguments", count, rate);
        let own = windows.scratch.path("windows");
        let arguments = windows.arguments.replace(&own, &scratch.path("windows"));
        let arguments = format!("{arguments} --state {}", scratch.path("state"));
        Self { scratch, arguments, place, ..windows }
    }

    pub fn folder(&self) -> String {
        self.scratch.path("cluster")
    }

    pub fn start(&self, node: &str) -> App {
        self.start_with(node, "")
    }

    pub fn start_with(&self, node: &str, more: &str) -> App {
        self.start_within(&[], node, more)
    }

    /// Starts a node by a command with `within` in front.
    pub fn start_within(&self, within: &[String], node: &str, more: &str) -> App {
        let Self { arguments, example, place, lease_ms, .. } = self;
        let change = example.strip_prefix("ledger ");
        let program = match change {
            Some(_) => env!("CARGO_BIN_EXE_ledger").to_owned(),
            None => example_path(example).display().to_string(),
        };
        let words: Vec<&String> = within.iter().chain([&program]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args(change).arg("--no-progress");
        let given =
            format!("{arguments} --cluster {place} --lease-ms {lease_ms} --node {node} {more}");
        command.args(given.replace("NODE", node).split_whitespace());
        App::spawn(command)
    }

    /// What `potoroo cluster` answers, and whether it could.
    pub fn ask(&self, arguments: &str) -> (String, bool) {
        let mut command = Command::new(tool());
        command.arg("cluster").args(arguments.split_whitespace());
        command.args(["--cluster", &self.place]).args(self.tls_flags());
        let output = command.output().expect("it can be run");
        let text = if output.status.success() { output.stdout } else { output.stderr };
        (String::from_utf8(text).expect("answers are text"), output.status.success())
    }

    /// The flags of TLS for the tool, which is shown as the first node.
    fn tls_flags(&self) -> Vec<String> {
        let words: Vec<&str> = self.arguments.split_whitespace().collect();
        let pairs = words.windows(2).filter(|pair| pair[0].starts_with("--tls-"));
        pairs.flatten().map(|word| word.replace("NODE", THREE[0])).collect()
    }

    pub fn status(&self) -> Value {
        let (text, _) = self.ask("status --json --agreed");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// What the agreement in a folder has.
    pub fn agreed(&self) -> Value {
        let text = fs::read(Path::new(&self.place).join("agreement")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Waits until the cluster is as it should be.
    pub fn wait(&self, mut enough: impl FnMut(&Value) -> bool) -> Value {
        let deadline = Instant::now() + LIMIT;
        loop {
            let status = self.status();
            if enough(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "not within {LIMIT:?}: {status}");
            thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Waits until these nodes, and no others, share the partitions.
    pub fn wait_for_nodes(&self, expected: &[&str]) -> Value {
        self.wait(|status| {
            let mut names: Vec<&str> = nodes(status).map(name_of).collect();
            names.sort_unstable();
            names == expected && nodes(status).all(|node| node["partitions"].as_u64() > Some(0))
        })
    }

    /// Waits until `commits` more checkpoints are committed.
    pub fn wait_for_commits(&self, commits: u64) -> Value {
        let before = self.wait(|status| status["epoch"].is_u64())["epoch"].as_u64();
        self.wait(|status| status["epoch"].as_u64() > before.map(|epoch| epoch + commits))
    }

    /// Ends all nodes, and checks that they have written each window of a prefix once.
    pub fn stop_and_check(&self, apps: Vec<App>) {
        let (text, done) = self.ask("stop");
        assert!(done, "{text}");
        for app in apps {
            let ended = app.finish();
            assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.log);
        }
        let written = self.scratch.read("windows").iter().filter(|byte| **byte == b'\n').count();
        assert!(written > 0, "nothing was written");
        self.check(written as u64);
    }

    pub fn lead(&self) -> String {
        let status = self.wait(|status| status["lead"].is_string());
        status["lead"].as_str().expect("it was just looked at").to_owned()
    }

    /// Checks that the output has each window of `count` numbers once.
    #[track_caller]
    pub fn check(&self, count: u64) {
        check_windows(&self.scratch.path("windows"), count);
    }
}

/// The nodes of a status.
pub fn nodes(status: &Value) -> impl Iterator<Item = &Value> {
    status["nodes"].as_array().into_iter().flatten()
}

fn name_of(node: &Value) -> &str {
    node["node"].as_str().expect("a name")
}

/// Names of three nodes.
pub const THREE: [&str; 3] = ["a", "b", "c"];

impl Cluster {
    /// Starts three nodes, kills one of them `kills` times at some point of their progress, and
    /// waits until they end by themselves. Returns how often one was killed.
    pub fn survive(&self, seed: u64, kills: u64) -> u64 {
        let mut random = Random::new(seed);
        let mut apps: Vec<App> = THREE.iter().map(|node| self.start(node)).collect();
        let mut killed = 0;
        while killed < kills {
            // After some further commits, or in the midst of a change.
            let before = self.status()["epoch"].as_u64();
            let commits = random.below(3);
            self.wait(|status| {
                apps.iter_mut().any(App::has_ended)
                    || status["epoch"].as_u64() >= before.map(|epoch| epoch + commits)
            });
            if apps.iter_mut().any(App::has_ended) {
                break;
            }
            let one = random.below(3) as usize;
            apps[one].signal(Signal::KILL);
            apps[one] = self.start(THREE[one]);
            killed += 1;
        }
        for (app, node) in apps.into_iter().zip(THREE) {
            let ended = app.finish();
            // One that comes when the others are done learns that there is nothing to do.
            let said = format!("seed {seed}, node {node}: {}{}", ended.out, ended.log);
            assert_eq!(ended.code, Some(0), "{said}");
        }
        killed
    }
}
