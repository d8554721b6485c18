//! The page: runs, percentiles, time, figures, limits, hosts, commands, from top to bottom.

use std::fmt::Write;

use serde_json::Value;

use super::percentile_plot::LEGEND;
use super::plot::{mark, series_class};
use super::runs::{Distribution, Group, Run, Runs};
use super::words::{duration, escape, number, shell, short};
use super::{over_time, percentile_plot};
use crate::host::PROFILE_TO_MEASURE;
use crate::results::{Figure, Goal, Percentiles, RunRecord};

/// The whole page.
pub fn page(runs: &Runs) -> String {
    let mut page = String::new();
    let styles = [include_str!("page.css"), include_str!("plot.css")].concat();
    let title = title(runs);
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<style>\n{styles}</style>\n</head>\n<body>\n<main>\n\
         <h1>{title}</h1>\n"
    );
    page += &warnings(runs);
    page += &section("Runs", &runs_table(runs));
    page += &section("How to read this", HOW_TO_READ);
    for group in runs.groups() {
        page += &section(&escape(&group.title), &group_body(runs, &group));
    }
    page += &figures(runs);
    page += &hosts(runs);
    page += &section("Commands", &commands(runs));
    page += "</main>\n</body>\n</html>\n";
    page
}

fn title(runs: &Runs) -> String {
    let mut names: Vec<&str> =
        runs.runs.iter().flat_map(|run| &run.record).map(|record| record.bench.as_str()).collect();
    names.dedup();
    match names.is_empty() {
        true => "Latencies".into(),
        false => escape(&format!("Potoroo benchmarks: {}", names.join(", "))),
    }
}

fn section(heading: &str, body: &str) -> String {
    format!("<section>\n<h2>{heading}</h2>\n{body}</section>\n")
}

/// A table that scrolls by itself when it is wider than the window.
fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = String::from("<div class=\"scroll\"><table>\n<thead><tr>");
    heads.iter().for_each(|head| text += &format!("<th>{head}</th>"));
    text += "</tr></thead>\n<tbody>\n";
    for row in rows {
        let cells = row.iter().map(|cell| format!("<td>{cell}</td>")).collect::<String>();
        let _ = writeln!(text, "<tr>{cells}</tr>");
    }
    text + "</tbody></table></div>\n"
}

fn warnings(runs: &Runs) -> String {
    let mut texts = runs.warnings.clone();
    if runs.hosts_differ() {
        let note = "These runs were made on different hosts: their figures must not be compared.";
        texts.insert(0, note.into());
    }
    texts.extend(doubts(runs));
    let lines = texts.iter().map(|text| format!("<p class=\"warning\">{}</p>\n", escape(text)));
    lines.collect()
}

/// What a reader should know before the figures, each said once with the runs that it is true of.
fn doubts(runs: &Runs) -> Vec<String> {
    let mut doubts: Vec<(String, Vec<String>)> = Vec::new();
    for record in runs.runs.iter().filter_map(|run| run.record.as_ref()) {
        let run = format!("{} of {}", record.bench, record.time);
        for doubt in doubts_of(record) {
            match doubts.iter_mut().find(|(known, _)| *known == doubt) {
                Some((_, doubted)) => doubted.push(run.clone()),
                None => doubts.push((doubt, vec![run.clone()])),
            }
        }
    }
    doubts.into_iter().map(|(doubt, runs)| format!("{doubt}: {}.", runs.join(", "))).collect()
}

fn doubts_of(record: &RunRecord) -> Vec<String> {
    let no_commit = record.commit.as_ref().is_none_or(|commit| commit.ends_with("-dirty"));
    let profile = record.profile.as_deref().unwrap_or(PROFILE_TO_MEASURE);
    let known = [
        (profile != PROFILE_TO_MEASURE, "Not built with the profile `latency`"),
        (record.interrupted, "Interrupted, with fewer rounds than requested"),
        (record.scale == "toy", "Of toy size, which proves that it runs and measures nothing"),
        (!record.fifo, "At normal priority, so that other tasks are in the figures"),
        (no_commit, "Made from files that are no commit"),
    ];
    let known = known.into_iter().filter(|(is, _)| *is).map(|(_, doubt)| doubt.to_owned());
    let failed = record.failed.iter().map(|(what, why)| format!("{what} failed, {}", plain(why)));
    known.chain(failed).collect()
}

fn runs_table(runs: &Runs) -> String {
    let row = |run: &Run| match &run.record {
        None => vec![escape(&run.label), "a log without a record".into()],
        Some(record) => vec![
            format!("<strong>{}</strong>", escape(&record.bench)),
            escape(&record.time),
            format!("<code>{}</code>", escape(record.commit.as_deref().unwrap_or("unknown"))),
            escape(record.profile.as_deref().unwrap_or("unknown")),
            format!("<code>{}</code>", escape(host_id(record))),
            escape(&format!("{:?}", record.cpus)),
            if record.fifo { "SCHED_FIFO" } else { "normal" }.into(),
            format!("{}, {} × {} ms", escape(&record.scale), record.rounds, record.slice_ms),
        ],
    };
    let heads = ["run", "time (UTC)", "commit", "profile", "host", "CPUs", "priority", "scale"];
    table(&heads, &runs.runs.iter().map(row).collect::<Vec<_>>())
}

fn host_id(record: &RunRecord) -> &str {
    record.host.get("id").and_then(Value::as_str).unwrap_or("unknown")
}

fn group_body(runs: &Runs, group: &Group) -> String {
    let mut body = format!("<p>{}</p>\n<ul class=\"legend\">\n", how_it_counts(runs, group));
    for (index, &line) in group.lines.iter().enumerate() {
        let _ = writeln!(
            body,
            "<li class=\"{}\"><svg viewBox=\"0 0 14 14\">{}</svg> <span>{}</span></li>",
            series_class(index),
            mark(7.0, 7.0, index),
            escape(&runs.name(group, line))
        );
    }
    let _ = writeln!(body, "</ul>\n<figure>{}", percentile_plot::plot(runs, group));
    let _ = writeln!(body, "<figcaption>{LEGEND}</figcaption></figure>");
    body += "<h3>Percentiles</h3>\n";
    body += &percentile_table(runs, group);
    body += "<h3>Gaps</h3>\n";
    body += &gap_table(runs, group);
    body += "<h3>Over time</h3>\n<div class=\"pair\">\n";
    for &line in &group.lines {
        let name = runs.name(group, line);
        let plot = over_time::plot(&runs.lines[line], &name);
        let plot = if plot.is_empty() { "its log is not there\n".into() } else { plot };
        let _ = writeln!(
            body,
            "<figure><figcaption><strong>{}</strong>; red: a gap</figcaption>{plot}</figure>",
            escape(&name)
        );
    }
    body + "</div>\n"
}

fn how_it_counts(runs: &Runs, group: &Group) -> &'static str {
    match runs.lines[group.lines[0]].open_loop {
        Some(true) => OPEN_LOOP,
        Some(false) => CLOSED_LOOP,
        None => "The log does not say how its latencies were taken.",
    }
}

fn percentile_table(runs: &Runs, group: &Group) -> String {
    let mut rows = Vec::new();
    for &index in &group.lines {
        let line = &runs.lines[index];
        let name = escape(&runs.name(group, index));
        rows.push(percentile_row(&name, "as it was", &line.all));
        match &line.outside {
            Some(outside) => rows.push(percentile_row("", "outside gaps", outside)),
            None => rows.push(vec![String::new(), UNWATCHED.into()]),
        }
    }
    let heads = ["series", "tail", "events", "p50", "p90", "p99", "p99.9", "p99.99", "max"];
    table(&heads, &rows) + THIN
}

fn percentile_row(name: &str, tail: &str, view: &Distribution) -> Vec<String> {
    let Percentiles { count, p50, p90, p99, p999, p9999, max, .. } = view.percentiles;
    let mut row = vec![name.to_owned(), tail.to_owned(), number(count as f64)];
    for (ns, nines) in [(p50, 0.3), (p90, 1.0), (p99, 2.0), (p999, 3.0), (p9999, 4.0)] {
        row.push(percentile(ns, count as f64 / 10f64.powf(nines)));
    }
    row.push(if count > 0 { duration(max as f64) } else { "–".into() });
    row
}

/// A percentile with `beyond` events above it: few of them are a guess, none is nothing.
pub fn percentile(ns: u64, beyond: f64) -> String {
    match beyond {
        beyond if beyond < 1.0 => "–".into(),
        beyond if beyond < 10.0 => format!("≈ {}", duration(ns as f64)),
        _ => duration(ns as f64),
    }
}

fn gap_table(runs: &Runs, group: &Group) -> String {
    let mut rows = Vec::new();
    for &index in &group.lines {
        let name = escape(&runs.name(group, index));
        if runs.lines[index].gaps.is_empty() {
            rows.push(vec![name.clone(), UNWATCHED.into()]);
        }
        rows.extend(runs.lines[index].gaps.iter().map(|gaps| {
            let share = gaps.total_ns as f64 / (gaps.watched_seconds * 1e7).max(1.0);
            vec![
                name.clone(),
                escape(&gaps.name),
                duration(gaps.watched_seconds * 1e9),
                number(gaps.count as f64),
                duration(gaps.longest_ns as f64),
                duration(gaps.total_ns as f64),
                format!("{} %", number(share)),
                number(gaps.switches as f64),
            ]
        }));
    }
    let heads =
        ["series", "loop", "watched", "gaps", "longest", "together", "share", "taken off the CPU"];
    table(&heads, &rows)
}

/// Figures of all runs; a run of `limits` comes under a heading of its own.
fn figures(runs: &Runs) -> String {
    let records = || runs.runs.iter().filter_map(|run| Some((run, run.record.as_ref()?)));
    let of = |(run, record): (&Run, &RunRecord)| {
        let mut body = format!("<h3>{}</h3>\n", escape(&run.label));
        body += &figure_table(&record.figures);
        let notes = record.notes.iter().map(|note| format!("<li>{}</li>\n", escape(note)));
        body + "<ul class=\"notes\">\n" + &notes.collect::<String>() + "</ul>\n"
    };
    let is_limits = |(_, record): &(&Run, &RunRecord)| record.bench == "limits";
    let limits: String = records().filter(is_limits).map(of).collect();
    let rest: String = records().filter(|run| !is_limits(run)).map(of).collect();
    let limits = if limits.is_empty() { NO_LIMITS.into() } else { limits };
    section("Limits of the host", &limits) + &section("Figures", &rest)
}

fn figure_table(figures: &[Figure]) -> String {
    let row = |figure: &Figure| {
        let value = figure.value.map_or("–".into(), short);
        let verdict = match (figure.goal, figure.value) {
            (None, _) | (_, None) => String::new(),
            _ if figure.is_met() => " <span class=\"met\">✓ met</span>".into(),
            _ => " <span class=\"missed\">✗ missed</span>".into(),
        };
        let goal = match figure.goal {
            Some(Goal::AtMost(bar)) => format!("≤ {}", short(bar)),
            Some(Goal::AtLeast(bar)) => format!("≥ {}", short(bar)),
            Some(Goal::OneWithin(share)) => format!("1 ± {}", short(share)),
            None => String::new(),
        };
        let raw = figure.raw_rtt_ns.filter(|raw| *raw > 0.0).map_or("–".into(), duration);
        vec![
            format!("<code>{}</code>", escape(&figure.name)),
            format!("<strong>{value}</strong>"),
            spread(&figure.rounds),
            goal + &verdict,
            raw,
        ]
    };
    let heads = ["figure", "median", "rounds, from – to", "goal", "raw round trip"];
    table(&heads, &figures.iter().map(row).collect::<Vec<_>>())
}

fn spread(rounds: &[Option<f64>]) -> String {
    let values = || rounds.iter().flatten().copied();
    let (low, high) = (values().fold(f64::MAX, f64::min), values().fold(f64::MIN, f64::max));
    match values().count() {
        0 => "–".into(),
        1 => "once".into(),
        count => format!("{count}: {} – {}", short(low), short(high)),
    }
}

/// Each host once, with what the doctor said in its newest run.
fn hosts(runs: &Runs) -> String {
    let mut shown: Vec<&str> = Vec::new();
    let mut sections = String::new();
    for record in runs.runs.iter().rev().filter_map(|run| run.record.as_ref()) {
        if shown.contains(&host_id(record)) {
            continue;
        }
        shown.push(host_id(record));
        let mut body = table(&["fact", "value"], &facts(&record.host));
        body += "<h3>What the host doctor found</h3>\n";
        body += &findings(&record.findings);
        sections += &section(&format!("Host <code>{}</code>", escape(host_id(record))), &body);
    }
    sections
}

fn facts(host: &Value) -> Vec<Vec<String>> {
    let facts = host.as_object().into_iter().flatten().filter(|(name, _)| *name != "id");
    let row = |(name, value): (&String, &Value)| {
        let text = plain(value);
        let text = if text.is_empty() { "none".into() } else { text };
        vec![escape(&name.replace('_', " ")), escape(&text)]
    };
    facts.map(row).collect()
}

fn findings(findings: &[Value]) -> String {
    if findings.is_empty() {
        return "<p>Nothing that should be otherwise.</p>\n".into();
    }
    let of = |finding: &Value, field: &str| escape(&plain(&finding[field]));
    let row = |finding: &Value| {
        let severity = of(finding, "severity");
        let costs = [&finding["cost"]["from_us"], &finding["cost"]["to_us"]].map(Value::as_f64);
        let cost = match costs {
            [Some(from), Some(to)] => format!("{} – {} µs", number(from), number(to)),
            _ => String::new(),
        };
        vec![
            format!("<span class=\"severity {severity}\">{severity}</span>"),
            format!("<code>{}</code><br>{}", of(finding, "check"), of(finding, "is")),
            of(finding, "should"),
            cost,
        ]
    };
    let rows: Vec<_> = findings.iter().map(row).collect();
    table(&["severity", "what is", "what should be", "cost of one occurrence"], &rows)
}

fn commands(runs: &Runs) -> String {
    let mut body = String::new();
    for (run, record) in runs.runs.iter().filter_map(|run| Some((run, run.record.as_ref()?))) {
        let _ = write!(
            body,
            "<h3>{}</h3>\n<pre>{}</pre>\n",
            escape(&run.label),
            escape(&shell(&record.command))
        );
        let settings = record.configuration.iter().chain(&record.checksums);
        let settings: Vec<_> = settings
            .map(|(name, value)| {
                vec![escape(name), format!("<code>{}</code>", escape(&plain(value)))]
            })
            .collect();
        if !settings.is_empty() {
            body += &table(&["configuration and checksums", "value"], &settings);
        }
    }
    body
}

/// A value as people write it.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "unknown".into(),
        other => other.to_string(),
    }
}

const HOW_TO_READ: &str = "<ul>\n\
    <li>Contenders ran one after the other in each round, in a different order each time. A figure \
    is the median of its rounds; a ratio is formed within a round.</li>\n\
    <li>Beside each figure stands the <em>raw round trip</em>: a bare cache line to the other CPU \
    and back, measured just before. It is what the machine was capable of in that minute.</li>\n\
    <li>A <em>gap</em> is a stop of more than 25 µs in a loop that only spins: an interrupt, \
    another task, or the machine below. The tail <em>as it was</em> has everything in it. The tail \
    <em>outside gaps</em> leaves out each event during which a watched loop stood still at some \
    time; events that waited after it stay in, and so do shorter stops. One never stands without \
    the other.</li>\n</ul>\n";
const OPEN_LOOP: &str = "Open loop. Departures are fixed beforehand, and latency counts from the \
    intended departure. The load never waits for the system under test: an event that could not be \
    sent in time is late, not missing. Coordinated omission is excluded this way, without any \
    correction afterwards.";
const CLOSED_LOOP: &str = "Closed loop: the next event departs when the answer to the one before \
    is there. This says what a trip costs. A stall is seen by one event only, so the tail must not \
    be read as that of a load with departures of its own.";
const THIN: &str = "<p class=\"small\">≈: fewer than ten events lie beyond it. –: none does.</p>\n";
const UNWATCHED: &str = "no loop was watched";
const NO_LIMITS: &str = "<p>No run of <code>limits</code> is among these runs: \
    what this host could do at best is not known.</p>\n";
