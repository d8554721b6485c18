//! `topology`: what shares what, distances, and which cores to use.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::Result;
use clap::Args;
use potoroo_tuning::Cpus;
use potoroo_tuning::host::CheckedHost;
use potoroo_tuning::topology::{Choice, Cpu, Matrix, Topology, measure};
use serde_json::json;

use super::exit::DoctorExit;
use super::place::HostSelection;
use super::{console, progress};

/// Arguments of `topology`.
#[derive(Args, Debug)]
pub struct Map {
    #[command(flatten)]
    place: HostSelection,
    /// Do not measure distances.
    #[arg(long)]
    no_measure: bool,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

impl Map {
    /// Reads, measures and answers.
    pub fn run(&self) -> Result<DoctorExit> {
        let root = self.place.root()?;
        let host = CheckedHost::read(&root, self.place.cores()?);
        let topology = Topology::read(&host);
        let choice = Choice::new(&topology);
        // Nothing can be measured on a recorded host.
        let measured = root.is_host() && !self.no_measure && host.cores.len() > 1;
        let matrix = if measured { Some(distances(&host.cores)?) } else { None };
        if self.json {
            let nanos = matrix.as_ref().map(|matrix| {
                json!({
                    "cpus": matrix.cpus, "nanos": matrix.nanos,
                })
            });
            let all = json!({ "topology": topology, "round_trips": nanos, "choice": choice });
            console::answer(all)?;
        } else {
            console::answer(text(&topology, matrix.as_ref(), &choice).trim_end())?;
        }
        Ok(DoctorExit::Fit)
    }
}

fn distances(cores: &Cpus) -> Result<Matrix> {
    let stop = progress::stop_on_signal()?;
    let bar = progress::bar("measuring");
    let matrix = measure(cores, &stop, |share| bar.set(share));
    bar.finish();
    Ok(matrix?)
}

fn text(topology: &Topology, matrix: Option<&Matrix>, choice: &Choice) -> String {
    let mut text = String::new();
    packages(&mut text, topology);
    for node in &topology.nodes {
        let memory = node.memory_mib.map_or("unknown".to_owned(), |mib| format!("{mib} MiB"));
        let cards = match node.cards.is_empty() {
            true => String::new(),
            false => format!(", network cards {}", node.cards.join(", ")),
        };
        let cpus = match node.cpus.as_str() {
            "" => "no CPUs".to_owned(),
            cpus => format!("CPUs {cpus}"),
        };
        let _ = writeln!(text, "node {}: {cpus}, memory {memory}{cards}", node.node);
    }
    for cache in &topology.caches {
        let _ = writeln!(text, "L{} cache {}: CPUs {}", cache.level, cache.size, cache.cpus);
    }
    if !topology.offline.is_empty() {
        let _ = writeln!(text, "offline: CPUs {}", topology.offline);
    }
    if let Some(matrix) = matrix {
        classes(&mut text, topology, matrix);
        if matrix.cpus.len() <= MATRIX_CPUS_MAX {
            table(&mut text, matrix);
        }
    }
    text.push('\n');
    match choice.cores.is_empty() {
        true => text += "for an application: no CPU can be spared here\n",
        false => {
            let _ = writeln!(text, "for an application: --cores {}", choice.cores);
            choice.reasons.iter().for_each(|reason| text += &format!("  because: {reason}\n"));
            if choice.more != choice.cores {
                let _ = writeln!(text, "  if these are too few: --cores {}", choice.more);
            }
        }
    }
    text
}

/// Each package with its cores, and the threads of each core.
fn packages(text: &mut String, topology: &Topology) {
    let mut packages: BTreeMap<usize, BTreeMap<usize, Vec<String>>> = BTreeMap::new();
    for cpu in &topology.cpus {
        let cores = packages.entry(cpu.package).or_default();
        let marks = [(cpu.isolated, "*"), (cpu.efficient, "e")];
        let marks = marks.iter().filter(|(is, _)| *is).map(|(_, mark)| *mark);
        cores.entry(cpu.core).or_default().push(format!(
            "{}{}",
            cpu.cpu,
            marks.collect::<String>()
        ));
    }
    for (package, cores) in packages {
        let threads: Vec<String> = cores.values().map(|threads| threads.join("+")).collect();
        let _ = writeln!(
            text,
            "package {package}: {} physical cores, their CPUs: {}",
            cores.len(),
            threads.join(" ")
        );
    }
    if topology.cpus.iter().any(|cpu| cpu.isolated) {
        text.push_str("(* is isolated)\n");
    }
    if topology.cpus.iter().any(|cpu| cpu.efficient) {
        text.push_str("(e is an efficiency core)\n");
    }
}

/// Shortest, median and longest round trip of pairs that are equally near.
fn classes(text: &mut String, topology: &Topology, matrix: &Matrix) {
    let mut classes: BTreeMap<(usize, &str), Vec<f64>> = BTreeMap::new();
    for (row, left) in matrix.cpus.iter().enumerate() {
        for (column, right) in matrix.cpus.iter().enumerate().skip(row + 1) {
            let ends = topology.cpu(*left).zip(topology.cpu(*right));
            if let (Some(nanos), Some((left, right))) = (matrix.nanos[row][column], ends) {
                classes.entry(nearness(left, right)).or_default().push(nanos);
            }
        }
    }
    text.push_str("\nround trip of a cache line between two CPUs, in ns\n");
    if classes.is_empty() {
        text.push_str("nothing was measured\n");
    }
    for ((_, name), mut nanos) in classes {
        nanos.sort_by(f64::total_cmp);
        let (first, median, last) = (nanos[0], nanos[nanos.len() / 2], nanos[nanos.len() - 1]);
        let _ = writeln!(
            text,
            "{name:32} {first:>6.0} to {last:>6.0}, median {median:>6.0} ({} pairs)",
            nanos.len()
        );
    }
}

fn nearness(left: &Cpu, right: &Cpu) -> (usize, &'static str) {
    match (left, right) {
        _ if left.core == right.core => (0, "two threads of one core"),
        _ if left.last_cache == right.last_cache => (1, "one last cache"),
        _ if left.node == right.node => (2, "one node, several last caches"),
        _ if left.package == right.package => (3, "one package, several nodes"),
        _ => (4, "several packages"),
    }
}

fn table(text: &mut String, matrix: &Matrix) {
    let _ = write!(text, "\n{:>5}", "CPU");
    matrix.cpus.iter().for_each(|cpu| *text += &format!(" {cpu:>5}"));
    for (cpu, row) in matrix.cpus.iter().zip(&matrix.nanos) {
        let _ = write!(text, "\n{cpu:>5}");
        let cell =
            |nanos: &Option<f64>| nanos.map_or("-".to_owned(), |nanos| format!("{nanos:.0}"));
        row.iter().for_each(|nanos| *text += &format!(" {:>5}", cell(nanos)));
    }
    text.push('\n');
}

/// More columns do not fit a screen; JSON has them all.
const MATRIX_CPUS_MAX: usize = 32;
