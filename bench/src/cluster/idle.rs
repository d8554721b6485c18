//! Three nodes that have nothing to do: what they take of a CPU, and of memory.

use std::thread;
use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::json;

use super::nodes::{NAMES, Nodes};
use super::part::{progress, raw_rtt_ns};
use crate::interrupt;
use crate::node::{MadeOutputs, bill_bytes, free_port};
use crate::report::{Goal, Report};
use crate::spread::Spread;

/// Measures both.
///
/// # Errors
/// The nodes do not become one application.
pub fn bench(report: &mut Report) -> Result<()> {
    let (scale, place) = (report.scale(), report.place());
    let outputs = MadeOutputs::listen(1)?;
    let source = format!("items=potoroo://127.0.0.1:{}", free_port()?);
    let (sink, raw) = (outputs.sink(), raw_rtt_ns(report)?);
    let mut nodes = Nodes::new("idle", &["--source", &source, "--sink", &sink], place)?;
    let progress = progress(report, "three idle nodes", scale.rounds);
    let bill = bill_bytes(&nodes.flags(NAMES[0]))?;
    nodes.start_three()?;
    nodes.wait_for_checkpoint()?;
    let mut shares = Vec::new();
    for round in 0..scale.rounds {
        if interrupt::asked() {
            break;
        }
        progress.begin(format_args!("round {} of {}", round + 1, scale.rounds));
        let (before, begun) = (cpu_ns(&nodes)?, Instant::now());
        thread::sleep(scale.steady);
        let took_ns = begun.elapsed().as_nanos() as f64;
        shares.push(100.0 * (cpu_ns(&nodes)? - before) as f64 / took_ns);
        progress.end();
    }
    ensure!(!shares.is_empty(), "nothing was measured");
    let shares: Spread = shares.into_iter().collect();
    report.goal("idle_cpu_percent", shares, raw, Goal::AtMost(3.0));
    let resident = nodes.running().iter().map(|node| node.resident_bytes());
    let resident = resident.collect::<Result<Vec<_>>>()?;
    let largest = resident.iter().copied().max().unwrap_or(0) as f64;
    report.goal("resident_over_bill", largest / bill as f64, raw, Goal::AtMost(1.0));
    let mib = f64::from(1 << 20);
    report.figure("resident_mib", largest / mib, raw);
    report.figure("bill_mib", bill as f64 / mib, raw);
    report.detail("idle", json!({ "resident_bytes": resident, "bill_bytes": bill }));
    Ok(())
}

fn cpu_ns(nodes: &Nodes) -> Result<u64> {
    nodes.running().iter().map(|node| node.cpu_ns()).sum()
}
