//! The tables as Markdown, for a README or a pull request.

use std::fmt::Write;

use super::html::percentile;
use super::runs::{Distribution, Runs};
use super::words::{duration, number, shell, short};
use crate::results::RunRecord;

/// Percentiles of all groups, figures of all runs, and where they come from.
pub fn tables(runs: &Runs) -> String {
    let mut text = String::new();
    if runs.hosts_differ() {
        text += "**These runs were made on different hosts: they must not be compared.**\n\n";
    }
    for group in runs.groups() {
        let _ = writeln!(text, "### {}\n", cell(&group.title));
        text += "| series | tail | events | p50 | p90 | p99 | p99.9 | p99.99 | max |\n";
        text += "|---|---|---|---|---|---|---|---|---|\n";
        for &index in &group.lines {
            let (line, name) = (&runs.lines[index], cell(&runs.name(&group, index)));
            text += &percentile_row(&name, "as it was", &line.all);
            text += &match &line.outside {
                Some(outside) => percentile_row(&name, "outside gaps", outside),
                None => format!("| {name} | no loop was watched | | | | | | | |\n"),
            };
        }
        text += "\n";
    }
    for record in runs.runs.iter().filter_map(|run| run.record.as_ref()) {
        text += &figures(record);
    }
    text
}

fn percentile_row(name: &str, tail: &str, view: &Distribution) -> String {
    let it = view.percentiles;
    let mut row = format!("| {name} | {tail} | {}", number(it.count as f64));
    let nines = [(it.p50, 0.3), (it.p90, 1.0), (it.p99, 2.0), (it.p999, 3.0), (it.p9999, 4.0)];
    for (ns, nines) in nines {
        row += &format!(" | {}", percentile(ns, it.count as f64 / 10f64.powf(nines)));
    }
    let max = if it.count > 0 { duration(it.max as f64) } else { "–".into() };
    row + &format!(" | {max} |\n")
}

fn figures(record: &RunRecord) -> String {
    let commit = record.commit.as_deref().unwrap_or("unknown");
    let host = record.host.get("cpu").and_then(serde_json::Value::as_str).unwrap_or("unknown");
    let mut text = format!("### {}\n\n", cell(&record.bench));
    let _ = writeln!(text, "`{}`\n", cell(&shell(&record.command)).replace('`', "'"));
    let profile = record.profile.as_deref().unwrap_or("unknown");
    let (commit, profile) = (cell(commit), cell(profile));
    let (host, time) = (cell(host), cell(&record.time));
    let _ = writeln!(text, "Commit {commit}, profile {profile}, host {host}, {time}.\n");
    text += "| figure | median | goal | raw round trip |\n|---|---|---|---|\n";
    for figure in &record.figures {
        let value = figure.value.map_or("–".into(), short);
        let goal = figure.goal.map(|goal| goal.to_string()).unwrap_or_default();
        let raw = figure.raw_rtt_ns.filter(|raw| *raw > 0.0).map_or("–".into(), duration);
        let _ = writeln!(text, "| `{}` | {value} | {goal} | {raw} |", cell(&figure.name));
    }
    text + "\n"
}

/// Text that stays in its cell and becomes no markup.
fn cell(text: &str) -> String {
    let line = text.replace(['\n', '\r'], " ").replace('|', "\\|");
    line.replace('&', "&amp;").replace('<', "&lt;")
}
