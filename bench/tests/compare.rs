//! `compare` through its real binary: alternation, judgement, refusals, exit codes.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use support::{bench, folder, last_object, say, text};

/// Runs `compare`; returns the exit code, standard output and standard error.
fn compare(arguments: &[&str]) -> (i32, String, String) {
    let output = bench().arg("compare").args(arguments).output().expect("it can be run");
    let words = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    let code = output.status.code().expect("an exit code");
    (code, words(output.stdout), words(output.stderr))
}

/// A program that notes its letter in a file and prints that a hop takes `hop_ns`.
fn program(folder: &Path, letter: &str, hop_ns: &str) -> PathBuf {
    let path = folder.join(letter);
    let object = format!(
        r#"{{"hop_ns": {hop_ns}, "raw_rtt_ns": {{"hop_ns": 70}},
            "goals": {{"hop_ns": {{"goal": "<= 80", "met": false}}}}}}"#
    );
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = --help ] && exit\nprintf {letter} >> '{}'\necho '{}'\n",
        folder.join("order").display(),
        object.replace('\n', "")
    );
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn programs_are_alternated_and_a_regression_fails() {
    let folder = folder("compare-programs");
    let (a, b) = (program(&folder, "a", "100"), program(&folder, "b", "120"));
    let (code, said, _) = compare(&[text(&a), text(&b), "--json", "--pairs", "6"]);
    assert_eq!(fs::read_to_string(folder.join("order")).unwrap(), "abababababab");
    let figure = &last_object(&said)["figures"][0];
    assert_eq!((code, &figure["verdict"]), (1, &json!("WORSE")), "{said}");
    assert!((figure["ratio"].as_f64().unwrap() - 1.2).abs() < 1e-9, "{said}");
    let (code, said, _) = compare(&[text(&b), text(&a), "--pairs", "6"]);
    assert!(code == 0 && said.contains("better") && said.contains("0.833"), "{said}");
    let (code, said, _) = compare(&[text(&a), text(&a), "--pairs", "6"]);
    assert!(code == 0 && said.contains("no regression of more than 2 %"), "{said}");
}

#[test]
fn what_cannot_be_compared_has_an_exit_code_of_its_own() {
    let folder = folder("compare-refusals");
    let (a, b) = (program(&folder, "a", "100"), program(&folder, "b", "null"));
    let broken = folder.join("broken");
    fs::write(&broken, "#!/bin/sh\n[ \"$1\" = --help ] || { echo no paper >&2; exit 7; }\n")
        .unwrap();
    fs::set_permissions(&broken, fs::Permissions::from_mode(0o755)).unwrap();
    let refused = |arguments: &[&str], reason: &str| {
        let (code, said, why) = compare(arguments);
        assert_eq!(code, 2, "{said}{why}");
        assert!(why.contains(reason), "{why}");
    };
    refused(&[text(&a), "no-such-commit"], "no-such-commit is neither a file nor a commit");
    refused(&[text(&a), text(&a), "--pairs", "5"], "too few rounds");
    refused(&[text(&a), text(&b)], "has values on both sides");
    refused(&[text(&a), text(&broken)], "no paper");
    refused(&[text(&a), "hop.jsonl"], "one side is a results file and the other is not");
    refused(&[text(&a), text(&a), "--tolerance=-1"], "at least 0 percent");
    refused(&["none.jsonl", "none.jsonl"], "none.jsonl cannot be read");
}

/// A recorded run as a benchmark writes it, with other values.
fn recorded(results: &Path, change: impl Fn(&mut Value)) -> PathBuf {
    let line = fs::read_to_string(results.join("hop.jsonl")).unwrap();
    let mut record: Value = serde_json::from_str(line.lines().next().unwrap()).unwrap();
    for figure in record["figures"].as_array_mut().unwrap() {
        figure["rounds"] = json!([100.0, 101.0, 102.0, 103.0, 104.0, 105.0, 106.0]);
        figure.as_object_mut().unwrap().remove("classes");
    }
    change(&mut record);
    let path = results.join("changed.jsonl");
    fs::write(&path, format!("{record}\n")).unwrap();
    path
}

#[test]
fn runs_of_different_hosts_are_compared_by_force_only() {
    let results = folder("compare-hosts");
    say(&["hop", "--toy", "--results", text(&results)]);
    let here = results.join("here.jsonl");
    fs::rename(recorded(&results, |_| {}), &here).unwrap();
    let there = recorded(&results, |record| record["host"]["id"] = json!("0123456789abcdef"));
    let (code, _, why) = compare(&[text(&here), text(&there)]);
    assert_eq!(code, 2, "{why}");
    assert!(why.contains("DIFFERENT HOSTS") && why.contains("0123456789abcdef"), "{why}");
    let (code, said, _) = compare(&[text(&here), text(&there), "--force"]);
    assert!(code == 0 && said.contains("DIFFERENT HOSTS"), "{said}");
    let slower = recorded(&results, |record| {
        record["figures"][0]["rounds"] = json!([150, 151, 152, 153, 154, 155, 156]);
    });
    let (code, said, _) = compare(&[text(&here), text(&slower)]);
    assert!(code == 1 && said.contains("WORSE") && said.contains("not alternated"), "{said}");
    let other = recorded(&results, |record| record["fifo"] = json!("never"));
    assert_eq!(compare(&[text(&here), text(&other)]).0, 2, "a record that is none");
    let other = recorded(&results, |record| record["slice_ms"] = json!(77));
    assert!(compare(&[text(&here), text(&other)]).2.contains("different settings"));
    let single = compare(&[text(&here), text(&here)]);
    assert!(single.0 == 2 && single.2.contains("one run only"), "{}", single.2);
}
