//! What is kept of a run: independent readers understand it, and trouble with the disk loses
//! nothing.

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use support::{bench, files, folder, last_object, run, say, text};

#[test]
fn a_run_is_kept_whole() {
    let results = folder("kept");
    let said = last_object(&say(&["hop", "--toy", "--json", "--results", text(&results)]));
    let line = fs::read_to_string(results.join("hop.jsonl")).unwrap();
    let record: Value = serde_json::from_str(&line).unwrap();
    // What is printed is what is kept, and more.
    for (field, value) in record.as_object().unwrap() {
        assert_eq!(&said[field], value, "{field}");
    }
    let kept = results.join(record["folder"].as_str().unwrap());
    for series in record["series"].as_array().unwrap() {
        let name = series["name"].as_str().unwrap();
        for end in ["hlog", "hgrm", "outside.hlog", "outside.hgrm", "gaps.csv"] {
            assert!(kept.join(format!("{name}.{end}")).exists(), "{name}.{end}");
        }
        assert!(series["outside"]["count"].as_u64() <= series["all"]["count"].as_u64());
        assert!(series["all"]["count"].as_u64() > Some(0));
    }
    assert!(record["command"][1] == "hop" && record["host"]["id"].is_string());
    // A second run is appended, and takes nothing away.
    say(&["hop", "--toy", "--results", text(&results)]);
    let lines = fs::read_to_string(results.join("hop.jsonl")).unwrap();
    assert!(lines.starts_with(&line) && lines.lines().count() == 2);
}

#[test]
fn the_reader_of_another_language_finds_the_same_values() {
    let results = folder("reader");
    let Some(python) = python(&results.join("python")) else { return };
    say(&["hop", "--toy", "--results", text(&results)]);
    let line = fs::read_to_string(results.join("hop.jsonl")).unwrap();
    let record: Value = serde_json::from_str(&line).unwrap();
    let kept = results.join(record["folder"].as_str().unwrap());
    for series in record["series"].as_array().unwrap() {
        for (view, end) in [("all", ""), ("outside", ".outside")] {
            let name = format!("{}{end}.hlog", series["name"].as_str().unwrap());
            let read = python_reads(&python, &kept.join(name));
            for field in ["count", "p50", "p99", "p9999", "max"] {
                assert_eq!(read[field], series[view][field], "{field} of {view} of {series}");
            }
            assert_eq!(read["distribution"], distribution(&kept, series, end), "{series}");
        }
    }
}

/// Number of events and largest value (µs) that the `.hgrm` says.
fn distribution(kept: &Path, series: &Value, end: &str) -> Value {
    let name = format!("{}{end}.hgrm", series["name"].as_str().unwrap());
    let text = fs::read_to_string(kept.join(name)).unwrap();
    let row = |line: &&str| !line.is_empty() && !line.starts_with('#');
    // No events make no row.
    let Some(last) = text.lines().skip(1).filter(row).last() else {
        return serde_json::json!(["0", "0.000"]);
    };
    let fields: Vec<&str> = last.split_whitespace().collect();
    assert_eq!(fields[1], "1.000000000000");
    serde_json::json!([fields[2], fields[0]])
}

fn python_reads(python: &Path, log: &Path) -> Value {
    const SCRIPT: &str = r#"
import json, sys
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
total = HdrHistogram(1, 3600 * 10**9, 3)
reader = HistogramLogReader(sys.argv[1], HdrHistogram(1, 3600 * 10**9, 3))
while True:
    interval = reader.get_next_interval_histogram()
    if interval is None:
        break
    total.add(interval)
count, largest = total.get_total_count(), total.get_max_value()
def at(per_million):
    # The value of the event whose rank is the quantile of all, rounded up.
    rank, seen = max(1, -(-per_million * count // 1000000)), 0
    for step in total.get_recorded_iterator():
        seen += step.count_added_in_this_iter_step
        if seen >= rank:
            return total.get_highest_equivalent_value(step.value_iterated_to)
    # On a busy host a toy slice may lie in gaps from end to end: nothing is outside of them.
    return 0
print(json.dumps({"count": count, "max": largest, "p50": at(500000), "p99": at(990000),
                  "p9999": at(999900), "distribution": [str(count), "%.3f" % (largest / 1000)]}))
"#;
    let output = Command::new(python).args(["-c", SCRIPT]).arg(log).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} is not read: {said}", log.display());
    serde_json::from_slice(&output.stdout).expect("the script prints JSON")
}

/// A Python that has HdrHistogram's reader; `None`, with the reason, when it cannot be had here.
fn python(folder: &Path) -> Option<PathBuf> {
    let python = folder.join("bin/python");
    let made = Command::new("python3").args(["-m", "venv"]).arg(folder).output();
    let made = made.is_ok_and(|output| output.status.success());
    let install = ["-m", "pip", "install", "--quiet", "--retries=1", "hdrhistogram==0.10.3"];
    if made && Command::new(&python).args(install).output().is_ok_and(|it| it.status.success()) {
        return Some(python);
    }
    eprintln!("skipped: python3 with venv and the package hdrhistogram cannot be had here");
    None
}

#[test]
fn a_full_disk_loses_nothing() {
    for size in ["4k", "48k"] {
        let results = folder(&format!("full-{size}"));
        let (results, program) = (text(&results), env!("CARGO_BIN_EXE_potoroo-bench"));
        let script = format!(
            "mount -t tmpfs -o size={size} none '{results}' || exit 99; \
             '{program}' hop --toy --results '{results}'; code=$?; \
             find '{results}' -name '*.hlog' -exec tail -c 1 {{}} \\; | tr -d '\\n' >&2; exit $code"
        );
        let mut unshare = Command::new("unshare");
        let output = unshare.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
        let Ok(output) = output.output() else { return eprintln!("skipped: no unshare here") };
        let said = String::from_utf8_lossy(&output.stderr);
        match output.status.code() {
            Some(1) if said.contains("No space left") => {}
            Some(99) | None => return eprintln!("skipped: no mounts here: {said}"),
            _ if said.contains("unshare:") => return eprintln!("skipped: {said}"),
            code => panic!("a disk of {size}: {code:?}: {said}"),
        }
        // The record is on standard output, whatever became of the disk.
        let record = last_object(&String::from_utf8(output.stdout).unwrap());
        let series = record["series"].as_array().unwrap();
        assert!(series.len() >= 3 && series.iter().any(|it| it["kept"] == false), "{record}");
    }
}

#[test]
fn a_results_file_that_takes_nothing_leaves_the_record_on_stdout() {
    let results = folder("dev-full");
    symlink("/dev/full", results.join("hop.jsonl")).unwrap();
    let output = run(&["hop", "--toy", "--results", text(&results)]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("hop.jsonl cannot be written: No space left"), "{said}");
    let record = last_object(&String::from_utf8(output.stdout).unwrap());
    assert!(record["folder"].is_string() && !files(&results, ".hlog").is_empty());
}

#[test]
fn a_folder_that_cannot_be_written_is_refused_before_anything_is_measured() {
    let file = folder("no-folder").join("file");
    fs::write(&file, "").unwrap();
    let output = run(&["hop", "--toy", "--results", text(&file.join("below"))]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && output.stdout.is_empty());
    assert!(said.contains("results cannot be kept in") && said.contains("--results DIR"), "{said}");
    assert!(!said.contains("round 1"), "{said}");
}

#[test]
fn half_a_line_of_a_killed_run_stays_by_itself() {
    let results = folder("half-line");
    fs::write(results.join("hop.jsonl"), "{\"schema\":1,\"ben").unwrap();
    say(&["hop", "--toy", "--results", text(&results)]);
    let lines = fs::read_to_string(results.join("hop.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 2);
    let out = results.join("page");
    let output = bench().args(["report", "--results", text(&results), "--out"]).arg(&out).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("hop.jsonl:1: not a record, passed over"), "{said}");
    assert!(fs::read_to_string(out.join("index.html")).unwrap().contains("hop.jsonl:1: not a rec"));
}

#[test]
fn a_soak_that_is_killed_loses_nothing_of_its_finished_parts() {
    let results = folder("killed");
    let mut command = bench();
    command.args(["soak", "--toy", "--rate", "2000", "--seconds", "9"]);
    command.args(["--results", text(&results)]).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut soak = command.spawn().unwrap();
    let mut said = BufReader::new(soak.stderr.take().unwrap()).lines();
    // What is printed of the third part comes after the second one was stored.
    let part = |line: &std::io::Result<String>| line.as_ref().unwrap().contains(" answers, ");
    assert!(said.by_ref().filter(part).nth(2).is_some(), "it ended before its parts were printed");
    soak.kill().unwrap();
    soak.wait().unwrap();
    let [unfinished] = &files(&results, ".unfinished.jsonl")[..] else { panic!("no record") };
    let record = last_object(&fs::read_to_string(unfinished).unwrap());
    assert_eq!(record["interrupted"], true);
    let series = &record["series"][0];
    assert!(series["seconds"].as_f64() > Some(0.5) && series["kept"] == true, "{series}");
    let out = results.join("page");
    say(&["report", "--results", text(&results), "--out", text(&out)]);
    let page = fs::read_to_string(out.join("index.html")).unwrap();
    assert!(
        page.contains("Interrupted, with fewer rounds") && page.contains("p50_last_over_first")
    );
}

#[test]
fn a_run_that_ends_leaves_no_unfinished_one() {
    let results = folder("finished");
    say(&["hop", "--toy", "--results", text(&results)]);
    assert_eq!(files(&results, ".jsonl"), [results.join("hop.jsonl")]);
    assert_eq!(files(&results, ".half"), Vec::<PathBuf>::new());
}
