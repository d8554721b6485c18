//! A rollback in a running process, beside the recovery of the same state when a process starts.
//!
//! Both are seen from outside, in a process of the application on one core, which the generator
//! keeps busy: a rollback from the start of `potoroo checkpoint restore` to the first output after
//! it, which is one that came before; a recovery from the start of a process, whose predecessor was
//! killed, to its first output. Each output has the number of events of its key, so what was not
//! restored would be noticed.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::interrupt;
use crate::node::{
    GENERATORS, MadeOutputs, NodeFolder, NodeProcess, Sighting, ask, free_port, text,
};
use crate::report::{Goal, Report};
use crate::rounds::{Contender, alternate};
use crate::spread::Spread;
use crate::stamp;

/// Events per second while it runs: few rows change between two checkpoints.
const RATE: u64 = 10_000;

/// Measures both, several times each.
///
/// # Errors
/// The application does not start, or does not go back.
pub fn bench(report: &mut Report) -> Result<()> {
    let keys = report.scale().keys_max.min(1_000_000);
    let running = RefCell::new(Running::start(keys, report.place().left)?);
    let contenders = vec![
        Contender::new("rollback", || running.borrow_mut().roll_back()),
        Contender::new("recovery", || running.borrow_mut().start_again()),
    ];
    let what = format!("rollback and recovery of {keys} keys");
    let series = alternate(report, &what, contenders)?;
    let raw = series.raw_rtt_ns(&["rollback", "recovery"]);
    let ratio = series.ratio("rollback", "recovery", |ms| *ms);
    report.goal("rollback_over_recovery", ratio, raw, Goal::AtMost(1.0));
    for name in series.names() {
        report.figure(format!("{name}_of_process_ms"), series.median(name, |ms| *ms), raw);
    }
    let recovery = series.median("recovery", |ms| *ms);
    let stopped = running.borrow().stopped_ms.iter().copied().collect::<Spread>();
    let pairs = stopped.values().iter().zip(recovery.values());
    let over_recovery: Spread = pairs.map(|(stopped, recovery)| stopped / recovery).collect();
    report.figure("rollback_stopped_over_recovery", over_recovery, raw);
    report.figure("rollback_stopped_ms", stopped, raw);
    let wrong = running.borrow().outputs.seen().wrong;
    ensure!(wrong == 0, "{wrong} outputs are of another state than that of their checkpoint");
    Ok(())
}

/// An application with all keys in its state.
struct Running {
    process: NodeProcess,
    outputs: MadeOutputs,
    flags: Vec<String>,
    admin: SocketAddr,
    state: String,
    folder: NodeFolder,
    /// Of each rollback: how long nothing was processed, as its answer has it.
    stopped_ms: Vec<f64>,
}

impl Running {
    fn start(keys: u64, cpu: usize) -> Result<Self> {
        let folder = NodeFolder::new("rollback")?;
        let outputs = MadeOutputs::of_generator(keys)?;
        let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let state = text(&folder.path("state"));
        let generator = GENERATORS.into_iter().find(|it| it.1 == keys).context("no generator")?.0;
        let (port, cpu, sink) = (admin.to_string(), cpu.to_string(), outputs.sink());
        let common = ["--state", &state, "--admin", &port, "--cores", &cpu, "--sink", &sink];
        let flags = |source: &str| {
            let own = ["--checkpoint-ms", "200", "--no-progress", "--source", source];
            common.iter().chain(&own).map(|flag| (*flag).to_owned()).collect::<Vec<_>>()
        };
        let all = flags(&format!("items=gen:{generator}?rate=max&count={keys}"));
        let mut filling = NodeProcess::start("filling", &all, &folder)?;
        while !filling.has_ended() {
            interrupt::check()?;
            thread::sleep(LOOK);
        }
        let made = outputs.seen().owners.iter().filter(|owner| **owner != 0).count() as u64;
        ensure!(made == keys, "{made} of {keys} keys came in{}", filling.last_words());
        let flags = flags(&format!("items=gen:{generator}?rate={RATE}"));
        let process = NodeProcess::start("running", &flags, &folder)?;
        let first = outputs.watch_process(process.id());
        let mut running =
            Self { process, outputs, flags, admin, state, folder, stopped_ms: Vec::new() };
        running.see(&first)?;
        Ok(running)
    }

    /// Returns how long that took, in milliseconds.
    fn roll_back(&mut self) -> Result<f64> {
        let epoch = self.next_checkpoint()?.to_string();
        let repeated = self.outputs.watch(|seen, made| made.number < seen.highest);
        let begun = stamp::now();
        let answer = ask(&["checkpoint", "restore", &epoch, "--admin", &self.admin.to_string()])?;
        let answer: Value = serde_json::from_str(&answer).context("the answer is no JSON")?;
        self.stopped_ms.push(answer["stopped_ms"].as_f64().context("no time without events")?);
        Ok((self.see(&repeated)? - begun) as f64 / 1e6)
    }

    /// Returns how long that took, in milliseconds.
    fn start_again(&mut self) -> Result<f64> {
        self.next_checkpoint()?;
        self.process.kill()?;
        self.process.wait()?;
        let begun = stamp::now();
        self.process = NodeProcess::start("running", &self.flags, &self.folder)?;
        let first = self.outputs.watch_process(self.process.id());
        Ok((self.see(&first)? - begun) as f64 / 1e6)
    }

    /// Waits until a checkpoint is committed, and returns its epoch.
    fn next_checkpoint(&mut self) -> Result<u64> {
        let before = self.last_checkpoint()?;
        let until = Instant::now() + LIMIT;
        loop {
            let epoch = self.last_checkpoint()?;
            if epoch > before {
                return Ok(epoch);
            }
            self.look(until)?;
            thread::sleep(LOOK);
        }
    }

    fn last_checkpoint(&self) -> Result<u64> {
        let list = ask(&["checkpoint", "list", "--json", "--state", &self.state])?;
        let list: Value = serde_json::from_str(&list).context("the list is no JSON")?;
        let epochs = list["checkpoints"].as_array().into_iter().flatten();
        let newest = epochs.filter_map(|checkpoint| checkpoint["epoch"].as_u64()).max();
        newest.with_context(|| format!("no checkpoint is listed: {list}"))
    }

    fn see(&mut self, sighting: &Receiver<Sighting>) -> Result<u64> {
        let until = Instant::now() + LIMIT;
        loop {
            match sighting.recv_timeout(LOOK) {
                Ok(Sighting { at_ns }) => return Ok(at_ns),
                Err(RecvTimeoutError::Timeout) => self.look(until)?,
                Err(RecvTimeoutError::Disconnected) => bail!("nothing takes outputs any more"),
            }
        }
    }

    fn look(&mut self, until: Instant) -> Result<()> {
        interrupt::check()?;
        let ended = self.process.has_ended();
        ensure!(!ended, "the application has ended{}", self.process.last_words());
        let late = Instant::now() >= until;
        ensure!(!late, "nothing came within {LIMIT:?}{}", self.process.last_words());
        Ok(())
    }
}

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(10);
/// Far longer than a checkpoint or a recovery takes.
const LIMIT: Duration = Duration::from_secs(60);
