//! A connector outside of the engine is a folder and one line: `src/bin/toy` has both. Here its
//! application runs as any other does.

mod support;

use std::fs;
use std::process::{Command, Output};

use support::Scratch;

/// Runs the application of the toy to its end.
fn toy(arguments: &[&str]) -> Output {
    let toy = Command::new(env!("CARGO_BIN_EXE_toy")).args(arguments).output();
    toy.expect("it was built with the tests")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn check(bytes: &[u8], parts: &[&str]) {
    let text = text(bytes);
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

#[test]
fn it_runs_from_end_to_end() {
    let scratch = Scratch::new("toy-run");
    let sink = format!("out=toy:{}", scratch.path("out"));
    let source = "lines=toy:hop hop?count=3";
    let ended = toy(&["--source", source, "--sink", &sink, "--cores", "0,0", "--report", "json"]);
    assert_eq!(ended.status.code(), Some(0), "{}", text(&ended.stderr));
    let written = fs::read_to_string(scratch.path("out")).expect("it was written");
    assert_eq!(written, "HOP HOP\n".repeat(3));
    let promise = "lines → out: at most once in (a toy sends nothing again), once per run out (in \
                   capital letters)";
    check(&ended.stderr, &[promise]);
    check(&ended.stdout, &["\"events\":3"]);
}

#[test]
fn help_and_check_know_it() {
    let help = toy(&["--help"]).stdout;
    check(&help, &["toy:TEXT sends a line; ?count=N times [default: 1]", "gen:NAME"]);
    check(&help, &["null: counts and drops toy:PATH writes a file in capital letters"]);
    let sink = "out=toy:/never/made";
    let checked = toy(&["--check", "--source", "lines=toy:hop", "--sink", sink, "--cores", "0"]);
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
    let guarantee = "at most once in (a toy sends nothing again), once per run out";
    let parts = ["from toy:hop?count=1", "out to toy:/never/made", guarantee, "channels: 2 pipes"];
    check(&checked.stdout, &parts);
}

#[test]
fn its_mistakes_are_found_before_anything_runs() {
    let refused = |source: &str, parts: &[&str]| {
        let ended = toy(&["--source", source, "--sink", "out=null:", "--cores", "0"]);
        assert_ne!(ended.status.code(), Some(0), "{source}");
        check(&ended.stderr, parts);
    };
    refused("lines=toy:", &["source `lines` cannot use toy:?count=1: it has no text"]);
    refused("lines=toy:x?count=many", &["option `count` cannot be `many`", "a number of lines"]);
    refused("lines=toy:x?cuont=3", &["unknown option `cuont`: `toy` has `count`"]);
    refused("lines=no:x", &["`gen:NAME` (generates events), `toy:TEXT` (sends a line)"]);
}
