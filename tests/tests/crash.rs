//! Real applications killed with SIGKILL under load, again and again, on another number of cores
//! each time: what they leave is what they leave when nothing disturbs them.

mod support;

use std::fs;

use potoroo_sdk::random::Random;
use rustix::process::Signal;
use support::kills::kill_until_it_ends;
use support::{App, Scratch, check_windows};

/// Numbers of a run: enough that it is killed many times before its end.
const NUMBERS: u64 = 400_000;

#[test]
fn windows_are_complete_and_in_order_however_often_it_is_killed() {
    let scratch = Scratch::new("crash-windows");
    let arguments = format!(
        "--source numbers=gen:numbers?count={NUMBERS}&rate=300000 --sink windows=file:{}",
        scratch.path("windows")
    );
    let kills = kill_until_it_ends("sequence_windows", &arguments, &scratch, 1);
    assert!(kills > 0, "it was never killed");
    check_windows(&scratch.path("windows"), NUMBERS);
}

/// Words of a file are counted; the counts of each word come in order, whatever the cores.
#[test]
fn words_of_a_file_are_counted_once() {
    let scratch = Scratch::new("crash-words");
    let mut random = Random::new(7);
    let mut line = || {
        let words: Vec<String> = (0..8).map(|_| format!("w{}", random.below(500))).collect();
        words.join(" ") + "\n"
    };
    let text: String = (0..40_000).map(|_| line()).collect();
    let input = scratch.write("input", text.as_bytes());
    let run = |output: &str| {
        let output = scratch.path(output);
        format!("--source lines=file:{input} --sink counts=file:{output}")
    };
    App::start("word_count", &format!("{} --report json", run("expected"))).finish().report();
    let kills = kill_until_it_ends("word_count", &run("counts"), &scratch, 2);
    assert!(kills > 0, "it was never killed");
    let sorted = |name: &str| {
        let bytes = scratch.read(name);
        let mut lines: Vec<Vec<u8>> = bytes.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
        // Stable: of one word they stay in order.
        lines.sort_by(|a, b| word(a).cmp(word(b)));
        lines
    };
    assert!(sorted("counts") == sorted("expected"), "killed {kills} times");
    let left = fs::read_dir(scratch.path("")).expect("the folder is ours");
    let hidden = left.filter(|entry| {
        let name = entry.as_ref().expect("it can be read").file_name();
        name.to_string_lossy().starts_with('.')
    });
    assert_eq!(hidden.count(), 0, "nothing is left beside the output");
}

fn word(line: &[u8]) -> &[u8] {
    line.split(|byte| !byte.is_ascii_alphanumeric()).next().unwrap_or_default()
}

/// A state folder belongs to one process, one application and one shape of its types.
#[test]
fn a_foreign_state_folder_is_refused() {
    let scratch = Scratch::new("crash-refused");
    let state = scratch.path("state");
    let windows = "--source numbers=gen:numbers?rate=1000 --sink windows=null:";
    let mut first = App::start("sequence_windows", &format!("{windows} --state {state}"));
    first.wait_for("numbers → windows: exactly once in");
    let second = App::start("sequence_windows", &format!("{windows} --state {state}")).finish();
    let pid = first.process().as_raw_nonzero().to_string();
    let in_use =
        format!("{state} is in use by process {pid}: stop that one, or give another --state");
    second.refused(1, &[&in_use]);
    first.signal(Signal::TERM);
    assert_eq!(first.finish().code, Some(0));
    let words = "--source lines=gen:lines --sink counts=null:";
    let other = App::start("word_count", &format!("{words} --state {state}")).finish();
    let belongs = "belongs to application `sequence-windows`";
    let remedy = "start the program that wrote it, or give another --state";
    other.refused(1, &["cannot be used by application `word-count`", belongs, remedy]);
    let file = scratch.write("file", b"");
    let no_folder = App::start("sequence_windows", &format!("{windows} --state {file}")).finish();
    no_folder.refused(1, &["--state", &file]);
}

/// Output that followed a checkpoint is output again after a return to it, and the log says so.
#[test]
fn an_older_checkpoint_is_used_on_the_operators_word_only() {
    let scratch = Scratch::new("crash-restore");
    let arguments = |more: &str| {
        format!(
            "--source numbers=gen:numbers?count=20000&rate=100000 --sink windows=file:{} --state \
             {} --checkpoint-ms 20 --checkpoints-kept 3 --report json {more}",
            scratch.path("windows"),
            scratch.path("state")
        )
    };
    App::start("sequence_windows", &arguments("")).finish().report();
    let nothing = App::start("sequence_windows", &arguments("--restore 999999")).finish();
    nothing.refused(1, &["999999", "retained"]);
    let report = App::start("sequence_windows", &arguments("")).finish().report();
    assert_eq!(report["events"], 0, "there is nothing left to do");
    let epoch = report["checkpoints"]["epoch"].as_u64().expect("a number") - 2;
    let again = App::start("sequence_windows", &arguments(&format!("--restore {epoch}"))).finish();
    assert!(again.log.contains("goes on from checkpoint"), "{}", again.log);
    again.report();
    // A supervisor repeats the same flags at each start: it must not be thrown back each time.
    let again = App::start("sequence_windows", &arguments(&format!("--restore {epoch}"))).finish();
    assert!(again.log.contains("done at an earlier start"), "{}", again.log);
    again.report();
}
