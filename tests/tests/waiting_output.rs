//! Output that waits in the store: copied, damaged, lost. What was committed is shown as it was, by
//! whom it belongs to, or the application says by name what is wrong.

mod support;

use std::fs;
use std::process::Command;

use potoroo_connector::Piece;
use rustix::process::Signal;
use serde_json::Value;
use support::{App, Ended, Scratch, check_windows, free_port, sink_at, take_output, tool};

const NUMBERS: u64 = 20_000;

/// Makes all numbers; their windows go to `sink`.
fn windows(sink: &str, state: &str, more: &str) -> App {
    App::start(
        "sequence_windows",
        &format!(
            "--source numbers=gen:numbers?count={NUMBERS}&rate=20000 --sink windows={sink} \
             --state {state} --checkpoint-ms 10 --cores 0 --report json {more}"
        ),
    )
}

/// A state folder in which all output waits for a client that never came.
fn waiting(scratch: &Scratch) -> String {
    let state = scratch.path("state");
    let ended = windows(&to(free_port()), &state, "--drain-seconds 1").finish();
    assert_eq!(ended.code, Some(3), "{}{}", ended.out, ended.log);
    state
}

fn to(port: u16) -> String {
    format!("potoroo://127.0.0.1:{port}")
}

/// Takes everything from an application that goes on from `state`, until it has ended.
fn take_all(state: &str) -> (Vec<u8>, Ended) {
    let port = free_port();
    let mut app = windows(&to(port), state, "");
    let all = take_output(port, "", |_| app.has_ended());
    (all, app.finish())
}

/// The names in a state folder that begin so.
fn names(state: &str, kind: &str) -> Vec<String> {
    let entries = fs::read_dir(state).expect("it is there");
    let names = entries.map(|entry| entry.expect("too").file_name().into_string());
    let mut names: Vec<String> = names.map(|name| name.expect("it is text")).collect();
    names.retain(|name| name.starts_with(kind));
    names.sort();
    names
}

/// The objects with the output that waits, as the last checkpoint names them.
fn outputs(state: &str) -> Vec<String> {
    let mut command = Command::new(tool());
    command.args(["checkpoint", "show", "--json", "--state", state]);
    let shown = App::spawn(command).finish().report();
    let transactions = shown["manifest"]["transactions"].as_array().expect("it has some");
    let object = |one: &Value| one["object"].as_str().expect("it is text").to_owned();
    transactions.iter().map(object).collect()
}

fn copy(from: &str, to: &str) {
    let copied = Command::new("cp").args(["-r", from, to]).status().expect("it can be run");
    assert!(copied.success(), "{from} cannot be copied");
}

fn verify(state: &str) -> Ended {
    let mut command = Command::new(tool());
    command.args(["checkpoint", "verify", "--no-progress", "--state", state]);
    App::spawn(command).finish()
}

/// An instance is killed with committed output that it could not show, and a copy of it is
/// started for a look: both have everything, and neither takes anything from the other.
#[test]
fn a_copy_of_a_killed_instance_leaves_the_original_alone() {
    let scratch = Scratch::new("waiting-copy");
    let (state, output) = (scratch.path("state"), scratch.path("windows"));
    let mut app = windows(&format!("file:{output}"), &state, "");
    app.wait_for("windows: exactly once");
    // From now on no output can be shown.
    while fs::rename(&output, scratch.path("aside")).is_err() {
        assert!(!app.has_ended(), "{}", app.log_so_far());
    }
    let in_the_way = fs::create_dir(&output);
    if in_the_way.is_ok() {
        app.wait_for("committed output of sink `windows` cannot be written");
    }
    app.signal(Signal::KILL);
    app.finish();
    if in_the_way.is_ok() {
        fs::remove_dir(&output).expect("it is empty");
        fs::rename(scratch.path("aside"), &output).expect("it is ours");
    }
    let before = names(&state, "");
    let folder = scratch.path("copy");
    fs::create_dir(&folder).expect("it is ours");
    copy(&state, &folder);
    copy(&output, &folder);
    let shown = fs::read(&output).expect("it is ours");
    let sink = format!("file:{folder}/windows");
    windows(&sink, &format!("{folder}/state"), "").finish().report();
    check_windows(&format!("{folder}/windows"), NUMBERS);
    assert_eq!(names(&state, ""), before, "the original has not shown it");
    assert_eq!(fs::read(&output).expect("it is ours"), shown);
    windows(&format!("file:{output}"), &state, "").finish().report();
    check_windows(&output, NUMBERS);
}

#[test]
fn a_copy_of_a_state_folder_has_the_output_that_waits_in_it() {
    let scratch = Scratch::new("waiting-state");
    let state = waiting(&scratch);
    copy(&state, &scratch.path("copy"));
    for state in [scratch.path("copy"), state] {
        let (output, ended) = take_all(&state);
        ended.report();
        check_windows(&scratch.write("windows", &output), NUMBERS);
    }
}

/// Committed output that is damaged ends the application by name, and the tool reports it before.
#[test]
fn damaged_output_is_reported_by_name_and_never_delivered() {
    let scratch = Scratch::new("waiting-damaged");
    let state = waiting(&scratch);
    let sound = verify(&state);
    assert_eq!(sound.code, Some(0), "{}{}", sound.out, sound.log);
    let object = outputs(&state).remove(0);
    let path = format!("{state}/{object}");
    let whole = fs::read(&path).expect("it is ours");
    let (mut flipped, mut longer) = (whole.clone(), whole.clone());
    flipped[whole.len() / 2] ^= 1;
    longer.remove(0);
    longer.push(b'\n');
    let shorter = whole[..whole.len() - 1].to_vec();
    let cases = [
        (flipped, "its digest does not fit"),
        (longer, "its digest does not fit"),
        (shorter, "were committed"),
        (Vec::new(), "it has 0 bytes"),
    ];
    for (damaged, reason) in cases {
        fs::write(&path, damaged).expect("it is ours");
        let parts = [object.clone(), reason.to_owned(), "--restore EPOCH".to_owned()];
        let verified = verify(&state);
        assert_eq!(verified.code, Some(3), "{}{}", verified.out, verified.log);
        parts
            .iter()
            .for_each(|part| assert!(verified.out.contains(part), "{part}: {}", verified.out));
        let (output, ended) = take_all(&state);
        assert_eq!((ended.code, output), (Some(3), Vec::new()), "{}", ended.log);
        parts.iter().for_each(|part| assert!(ended.log.contains(part), "{part}: {}", ended.log));
    }
    fs::write(&path, whole).expect("it is ours");
    let (output, ended) = take_all(&state);
    ended.report();
    check_windows(&scratch.write("windows", &output), NUMBERS);
    let sound = verify(&state);
    assert_eq!(sound.code, Some(0), "all of it is whole: {}{}", sound.out, sound.log);
}

/// An error by name, for a client and for a file, also of the first transaction of all.
#[test]
fn output_that_is_missing_is_reported() {
    let scratch = Scratch::new("waiting-missing");
    let state = waiting(&scratch);
    let object = outputs(&state).remove(0);
    fs::remove_file(format!("{state}/{object}")).expect("it is ours");
    let verified = verify(&state);
    assert_eq!(verified.code, Some(3), "{}{}", verified.out, verified.log);
    let parts = [&object, "is missing", "--restore EPOCH"];
    parts.iter().for_each(|part| assert!(verified.out.contains(part), "{part}: {}", verified.out));
    let (output, ended) = take_all(&state);
    assert_eq!((ended.code, output), (Some(3), Vec::new()), "{}", ended.log);
    parts.iter().for_each(|part| assert!(ended.log.contains(part), "{part}: {}", ended.log));
}

/// Takes one transaction; returns its id.
fn take_one(app: &mut App, port: u16, last: u128) -> u128 {
    let mut sink = sink_at(port, "", last);
    loop {
        assert!(!app.has_ended(), "{}", app.log_so_far());
        if let Some(Piece::End { transaction }) = sink.try_next().expect("it listens") {
            sink.commit(transaction);
            return transaction;
        }
    }
}

/// Serves nothing until the application says `part`.
fn refused_as(app: &mut App, port: u16, last: u128, part: &str) {
    let mut sink = sink_at(port, "", last);
    while !app.log_so_far().contains(part) {
        assert!(!app.has_ended(), "`{part}` was not said: {}", app.log_so_far());
        assert_eq!(sink.try_next().expect("it listens"), None, "it gets nothing");
    }
}

/// What it had would be missing without a word, now and after any restart, unless the operator
/// says that it is lost.
#[test]
fn a_client_that_lost_its_storage_gets_no_gap_in_later_runs() {
    let scratch = Scratch::new("waiting-lost");
    let (state, port) = (waiting(&scratch), free_port());
    let mut app = windows(&to(port), &state, "--drain-seconds 60");
    let first = take_one(&mut app, port, 0);
    // It has answered; perhaps that was read.
    app.signal(Signal::KILL);
    app.finish();
    let mut app = windows(&to(port), &state, "--drain-seconds 60");
    let last = take_one(&mut app, port, first);
    let mut sink = sink_at(port, "", last);
    let marked = |name: &String| name.contains(&format!("-{}-", last & 0xffff_ffff));
    while !names(&state, "shown-").iter().any(marked) {
        let _ = sink.try_next().expect("it listens");
    }
    drop(sink);
    app.signal(Signal::KILL);
    app.finish();
    let only = |last: u128| format!("it has transaction {last:x} only");
    for _ in 0..2 {
        let mut app = windows(&to(port), &state, "");
        refused_as(&mut app, port, 0, &only(0));
        assert!(app.log_so_far().contains("give it back what it had, or start with `lost="));
        app.signal(Signal::KILL);
        app.finish();
    }
    let mut app = windows(&to(port), &state, "");
    refused_as(&mut app, port, last + (1 << 60), "which is not of this state folder");
    refused_as(&mut app, port, 0, &only(0));
    let log = app.log_so_far().to_owned();
    app.signal(Signal::KILL);
    app.finish();
    let (_, lost) = log.split_once("`lost=").expect("it was logged");
    let (lost, _) = lost.split_once('`').expect("it has an end");
    let mut app = windows(&format!("{}?lost={lost}", to(port)), &state, "");
    let next = take_one(&mut app, port, 0);
    assert!(next > last, "what it had is lost");
    app.signal(Signal::KILL);
    app.finish();
}

/// Output that waits for one kind of address is not taken by another one.
#[test]
fn output_that_waits_for_a_client_is_not_given_to_a_file() {
    let scratch = Scratch::new("waiting-kind");
    let state = waiting(&scratch);
    let before = outputs(&state);
    for sink in [format!("file:{}", scratch.path("windows")), "null:".to_owned()] {
        let ended = windows(&sink, &state, "").finish();
        let object = &before[0];
        ended.refused(1, &["sink `windows`", object, "start once with the address that it had"]);
        assert_eq!(outputs(&state), before);
    }
    // The operator's word.
    for object in before {
        scratch.write(&format!("state/{}", object.replace("output-", "shown-")), b"");
    }
    windows("null:", &state, "").finish().report();
}
