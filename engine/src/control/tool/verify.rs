//! `potoroo checkpoint verify`: reads everything once, and says what is not whole.

use std::collections::BTreeMap;
use std::io::{IsTerminal, stderr};
use std::path::Path;
use std::time::{Duration, Instant};

use potoroo_sdk::table::Record;
use serde::Serialize;
use serde_json::Value;

use super::answer::{Error, PlaceArgs, ToolExit, answer, to_json};
use super::stored::StoredCheckpoints;
use crate::checkpoint::store::{self, StoreReader};
use crate::checkpoint::{
    CorruptObject, Damage, Epoch, Manifest, PartEntry, Past, Section, Transaction, each_chunk_of,
    open_output, unreadable,
};
use crate::connect::spools;
use crate::control::console;
use crate::control::report::thousands;

/// Verifies the checkpoint of `epoch`, or all that are retained.
pub fn run(epoch: Option<Epoch>, progress: bool, state: &PlaceArgs) -> Result<ToolExit, Error> {
    let mut report = look(epoch, progress, state)?;
    for _ in 1..LOOKS_MAX {
        if !report.is_void() {
            break;
        }
        report = look(epoch, progress, state)?;
    }
    if report.is_void() {
        return Err(Error::Overtaken(state.state.to_string()));
    }
    let exit = if report.is_whole() { ToolExit::Whole } else { ToolExit::Damaged };
    if state.json { answer(report.as_json(), exit) } else { answer(report.as_text(), exit) }
}

/// How often it begins again when an application has deleted all of it meanwhile.
const LOOKS_MAX: usize = 5;

fn look(epoch: Option<Epoch>, progress: bool, state: &PlaceArgs) -> Result<Report, Error> {
    let mut stored = StoredCheckpoints::open(state)?;
    let past = match epoch {
        Some(_) => vec![stored.one(epoch)?],
        None => std::mem::take(&mut stored.past),
    };
    if past.is_empty() && stored.damaged_head.is_none() {
        return Err(Error::Empty(stored.place));
    }
    let verifier = Verifier::new(stored.view.as_ref(), &past, progress);
    let mut verifier = Verifier { state: state.state.folder(), ..verifier };
    let checkpoints: Vec<Checked> = past.into_iter().map(|past| verifier.check(past)).collect();
    let report = verifier.end(checkpoints, stored.damaged_head);
    // What an application has deleted meanwhile is not damaged.
    Ok(report.of_retained(&StoredCheckpoints::open(state)?))
}

/// What was found of one checkpoint.
#[derive(Serialize)]
struct Checked {
    epoch: Epoch,
    #[serde(rename = "manifest")]
    name: String,
    errors: Vec<String>,
}

#[derive(Serialize)]
struct Report {
    checkpoints: Vec<Checked>,
    head_error: Option<String>,
    parts: usize,
    outputs: usize,
    bytes: u64,
    seconds: f64,
}

/// A report, and what follows from it.
#[derive(Serialize)]
struct Verified<'a> {
    whole: bool,
    #[serde(flatten)]
    report: &'a Report,
}

struct Verifier<'a> {
    view: &'a dyn StoreReader,
    /// The state folder, where earlier versions kept output.
    state: Option<&'a Path>,
    /// By name of the part: several checkpoints refer to it, and it is read once.
    parts: BTreeMap<String, Option<String>>,
    /// The same of output.
    outputs: BTreeMap<String, Option<String>>,
    bytes: u64,
    bytes_all: u64,
    start: Instant,
    /// When progress was last shown; `None` without a terminal.
    shown: Option<Instant>,
}

/// Progress is shown so often.
const PROGRESS: Duration = Duration::from_millis(200);

impl<'a> Verifier<'a> {
    fn new(view: &'a dyn StoreReader, past: &[Past], progress: bool) -> Self {
        let manifests = past.iter().filter_map(|past| past.manifest.as_ref().ok());
        let lengths: BTreeMap<&str, u64> = manifests.flat_map(lengths).collect();
        let (parts, outputs) = (BTreeMap::new(), BTreeMap::new());
        let (bytes, bytes_all, start) = (0, lengths.values().sum(), Instant::now());
        let shown = (progress && stderr().is_terminal()).then_some(start);
        Self { view, state: None, parts, outputs, bytes, bytes_all, start, shown }
    }

    fn check(&mut self, past: Past) -> Checked {
        let Past { name, epoch, manifest } = past;
        let errors = match manifest {
            Err(error) => vec![error.to_string()],
            Ok(manifest) => {
                let parts = manifest.parts.iter();
                let parts: Vec<_> = parts.filter_map(|of| self.check_part(&manifest, of)).collect();
                let outputs = manifest.transactions.iter();
                parts.into_iter().chain(outputs.filter_map(|of| self.check_output(of))).collect()
            }
        };
        Checked { epoch, name, errors }
    }

    fn check_part(&mut self, manifest: &Manifest, part: &PartEntry) -> Option<String> {
        if let Some(known) = self.parts.get(&part.name) {
            return known.clone();
        }
        let found = self.read(manifest, part).err().map(|error| error.to_string());
        self.parts.insert(part.name.clone(), found.clone());
        found
    }

    /// What is wrong with output that waits, or waited.
    fn check_output(&mut self, of: &Transaction) -> Option<String> {
        if let Some(known) = self.outputs.get(&of.object) {
            return known.clone();
        }
        let read = match of.name() {
            Some(_) => open_output(self.view, of).map(drop).map_err(unreadable),
            None => spools::verify(of, self.state.unwrap_or(Path::new(""))),
        };
        self.bytes += of.bytes;
        self.progress();
        let found = read.err().map(|error| format!("sink {}: {error}", of.sink));
        self.outputs.insert(of.object.clone(), found.clone());
        found
    }

    fn read(&mut self, manifest: &Manifest, part: &PartEntry) -> Result<(), store::Error> {
        let mut rows = 0;
        let other = |offset, text: String| {
            let (object, damage) = (part.name.clone(), Damage::Other(text));
            store::Error::from(CorruptObject { object, offset, damage })
        };
        let mut offset = 0;
        each_chunk_of(self.view, manifest, part, |chunk| {
            offset += chunk.bytes.len() as u64;
            self.bytes += chunk.bytes.len() as u64;
            self.progress();
            if let Section::Rows(_) | Section::Removed(_) = chunk.section {
                let count = records(&chunk.bytes)
                    .ok_or_else(|| other(offset, "a record of it is cut off".to_owned()))?;
                rows += if let Section::Rows(_) = chunk.section { count } else { 0 };
            }
            Ok::<_, store::Error>(())
        })?;
        if rows == part.rows {
            return Ok(());
        }
        Err(other(part.bytes, format!("it holds {rows} rows, and should hold {}", part.rows)))
    }

    fn progress(&mut self) {
        if self.shown.is_some_and(|shown| shown.elapsed() >= PROGRESS) {
            self.shown = Some(Instant::now());
            let percent = self.bytes * 100 / self.bytes_all.max(1);
            let (mib, all) = (self.bytes >> 20, self.bytes_all >> 20);
            console::renew(format_args!("{percent:>3} %  {mib} of {all} MiB"));
        }
    }

    fn end(self, checkpoints: Vec<Checked>, head: Option<store::Error>) -> Report {
        if self.shown.is_some() {
            console::renew("");
        }
        let (parts, outputs, bytes) = (self.parts.len(), self.outputs.len(), self.bytes);
        let seconds = self.start.elapsed().as_secs_f64();
        let head_error = head.map(|error| error.to_string());
        Report { checkpoints, head_error, parts, outputs, bytes, seconds }
    }
}

/// Objects with their lengths.
fn lengths(manifest: &Manifest) -> impl Iterator<Item = (&str, u64)> {
    let parts = manifest.parts.iter().map(|part| (part.name.as_str(), part.bytes));
    parts.chain(manifest.transactions.iter().map(|one| (one.object.as_str(), one.bytes)))
}

/// How many records there are; `None` when the last one is not whole.
fn records(bytes: &[u8]) -> Option<u64> {
    let (mut rest, mut count) = (bytes, 0);
    while !rest.is_empty() {
        (_, rest) = Record::split(rest)?;
        count += 1;
    }
    Some(count)
}

impl Report {
    fn is_whole(&self) -> bool {
        self.head_error.is_none() && self.checkpoints.iter().all(|one| one.errors.is_empty())
    }

    /// Leaves out checkpoints with errors that are not retained any more.
    fn of_retained(mut self, now: &StoredCheckpoints) -> Self {
        let retained = |name: &str| now.past.iter().any(|past| past.name == name);
        self.checkpoints.retain(|one| one.errors.is_empty() || retained(&one.name));
        self
    }

    /// Whether nothing is left of which something can be said.
    fn is_void(&self) -> bool {
        self.head_error.is_none() && self.checkpoints.is_empty()
    }

    fn as_json(&self) -> Value {
        to_json(&Verified { whole: self.is_whole(), report: self })
    }

    fn as_text(&self) -> String {
        let mut lines: Vec<String> = self.head_error.iter().cloned().collect();
        for one in &self.checkpoints {
            match one.errors.as_slice() {
                [] => lines.push(format!("epoch {}: whole", one.epoch)),
                errors => {
                    lines.push(format!("epoch {}: not whole", one.epoch));
                    lines.extend(errors.iter().map(|error| format!("  - {error}")));
                }
            }
        }
        let rate = self.bytes as f64 / 1e6 / self.seconds.max(f64::MIN_POSITIVE);
        let (parts, bytes, seconds) = (self.parts, thousands(self.bytes), self.seconds);
        let outputs = self.outputs;
        lines.push(format!(
            "{parts} parts, {outputs} outputs, {bytes} bytes in {seconds:.2} s ({rate:.0} MB/s)"
        ));
        lines.join("\n")
    }
}
