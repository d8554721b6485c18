//! Input files: lines above the limit, ends within a frame, and files that grow between two runs.

mod support;

use std::fs::{self, OpenOptions};
use std::io::Write;

use potoroo::prelude::*;
use serde_json::Value;
use support::{App, Ended, Scratch, connect, market, named};

const WORDS: &str = "word_count";

/// Runs `word_count` over the file `in`; its outputs and checkpoints stay in `scratch`.
fn count(scratch: &Scratch, flags: &str) -> Ended {
    let (lines, counts) = (scratch.path("in"), scratch.path("out"));
    let letters = scratch.path("letters");
    let arguments = format!(
        "--source lines=file:{lines} --sink counts=file:{counts} --dead-letters file:{letters} \
         --cores 0 --report json {flags}"
    );
    App::start(WORDS, &arguments).finish()
}

fn state(scratch: &Scratch) -> String {
    format!("--state {}", scratch.path("state"))
}

fn append(scratch: &Scratch, bytes: &[u8]) {
    let mut file = OpenOptions::new().append(true).open(scratch.path("in")).expect("it is there");
    file.write_all(bytes).expect("the folder is ours");
}

fn output(scratch: &Scratch) -> String {
    String::from_utf8(scratch.read("out")).expect("counts are text")
}

fn letters(scratch: &Scratch) -> Vec<Value> {
    let text = String::from_utf8(scratch.read("letters")).expect("JSON is text");
    text.lines().map(|line| serde_json::from_str(line).expect("an object per line")).collect()
}

/// Longer than the limit by more than two buffers; its last piece would be a good line.
fn long_line() -> Vec<u8> {
    [&vec![b'x'; 200_000][..], b" 99\n"].concat()
}

#[test]
fn the_rest_of_a_refused_line_is_no_line() {
    let scratch = Scratch::new("input-long");
    scratch.write("in", &[b"1\n", &long_line()[..], b"2\n"].concat());
    let report = count(&scratch, "").report();
    assert_eq!(output(&scratch), "1 1\n2 1\n");
    assert_eq!(named(&report, "sources", "lines")["refused"], 1);
    assert_eq!(letters(&scratch)[0]["reason"], "line is above the limit");
}

#[test]
fn a_line_above_the_receive_buffer_is_passed_over_too() {
    let scratch = Scratch::new("input-buffer");
    scratch.write("in", &[b"1\n", &[b'x'; 9000][..], b" 99\n2\n"].concat());
    count(&scratch, "--inlet-bytes 4096").report();
    assert_eq!(output(&scratch), "1 1\n2 1\n");
}

#[test]
fn a_connection_goes_on_after_a_refused_line() {
    let scratch = Scratch::new("input-tcp");
    let out = scratch.path("out");
    let arguments = format!(
        "--source lines=tcp://127.0.0.1:0?connections=1 --sink counts=file:{out} --cores 0"
    );
    let mut app = App::start(WORDS, &arguments);
    let address = app.listening("lines");
    connect(address).write_all(&[&long_line()[..], b"2\n"].concat()).expect("it is read");
    assert_eq!(app.finish().code, Some(0));
    assert_eq!(output(&scratch), "2 1\n");
}

/// A checkpoint falls within the refused line: the next run goes on passing it over.
#[test]
fn the_rest_of_a_refused_line_is_no_line_after_a_recovery() {
    let scratch = Scratch::new("input-recovered");
    scratch.write("in", &[b"1\n", &[b'x'; 150_000][..]].concat());
    count(&scratch, &state(&scratch)).report();
    append(&scratch, b"xxx");
    count(&scratch, &state(&scratch)).report();
    append(&scratch, b" 99\n2\n");
    count(&scratch, &state(&scratch)).report();
    assert_eq!(output(&scratch), "1 1\n2 1\n");
    assert_eq!(letters(&scratch).len(), 1);
}

/// Nothing after a broken length is an event, in the next run either.
#[test]
fn a_broken_length_is_broken_in_the_next_run_too() {
    let scratch = Scratch::new("input-broken");
    let mut bytes = vec![0xff; 65_536];
    bytes.extend(market::order(1, b"ZZZ1", 2.0));
    let orders = scratch.write("in", &bytes);
    let state = state(&scratch);
    let arguments = format!(
        "--source quotes=gen:quotes?count=1 --source orders=file:{orders} --sink \
         rejections=null: --cores 0 --report json {state}"
    );
    for _ in 0..2 {
        let report = App::start("market_spread", &arguments).finish().report();
        assert_eq!(named(&report, "sources", "orders")["events"], 0);
        assert_eq!(named(&report, "sources", "orders")["refused"], 1);
    }
}

#[test]
fn an_unfinished_last_line_waits_for_its_rest() {
    let scratch = Scratch::new("input-rest");
    scratch.write("in", b"1\n2\n3");
    let ended = count(&scratch, &state(&scratch));
    ended.report();
    assert!(ended.log.contains("source `lines` ends with 1 bytes"), "{}", ended.log);
    assert!(ended.log.contains("position 4"), "{}", ended.log);
    assert_eq!(output(&scratch), "1 1\n2 1\n");
    append(&scratch, b"5\n");
    let ended = count(&scratch, &state(&scratch));
    ended.report();
    assert!(!ended.log.contains("unfinished"), "{}", ended.log);
    assert_eq!(output(&scratch), "1 1\n2 1\n35 1\n");
}

/// People expect it of text files, and a run without checkpoints has no later start that could read
/// the rest of the line.
#[test]
fn without_checkpoints_the_last_line_needs_no_line_feed() {
    let scratch = Scratch::new("input-last");
    scratch.write("in", b"1\n2");
    count(&scratch, "").report();
    assert_eq!(output(&scratch), "1 1\n2 1\n");
}

/// The bytes of a frame that was cut off are its own when the rest has come.
#[test]
fn a_frame_cut_off_by_the_end_of_a_file_waits_for_its_rest() {
    let scratch = Scratch::new("input-cut");
    let frame = market::order(1, b"ZZZ1", 2.0);
    let orders = scratch.write("in", &frame[..frame.len() - 3]);
    let state = state(&scratch);
    let arguments = format!(
        "--source quotes=gen:quotes?count=1 --source orders=file:{orders} --sink \
         rejections=null: --cores 0 --report json {state}"
    );
    let run = || {
        let report = App::start("market_spread", &arguments).finish().report();
        let orders = named(&report, "sources", "orders");
        (orders["events"].clone(), orders["refused"].clone())
    };
    assert_eq!(run(), (0.into(), 0.into()));
    append(&scratch, &frame[frame.len() - 3..]);
    assert_eq!(run(), (1.into(), 0.into()));
}

fn lines() -> Application {
    let app = Application::new("lines");
    app.source("lines", LineText::new()).map(|line| line.to_owned()).sink("out", LineText::new());
    app
}

#[test]
fn the_reference_passes_over_what_the_engine_does() {
    let mut reference = Reference::new(lines()).expect("the application is sound");
    for piece in [&long_line()[..], b"2\n"].concat().chunks(7_000) {
        reference.feed("lines", piece);
    }
    assert_eq!(reference.output("out"), b"2\n");
    assert_eq!(reference.refused().len(), 1);
    reference.feed("lines", &[b'x'; 70_000]);
    reference.end("lines");
    reference.feed("lines", b"3\n");
    assert_eq!(reference.output("out"), b"2\n3\n");
}

/// Lines of a file, numbered, as a log has them.
fn numbered(day: u32, count: u32) -> Vec<u8> {
    (0..count).flat_map(|line| format!("d{day}n{line}\n").into_bytes()).collect()
}

/// What an operator does to an input between two runs, and what the next run says to it.
#[track_caller]
fn check_rotated(test: &str, change: impl FnOnce(&Scratch), parts: &[&str]) {
    let scratch = Scratch::new(test);
    scratch.write("in", &numbered(1, 500));
    count(&scratch, &state(&scratch)).report();
    let before = output(&scratch);
    change(&scratch);
    count(&scratch, &state(&scratch)).refused(1, parts);
    assert_eq!(output(&scratch), before, "nothing is lost");
}

#[test]
fn an_input_that_was_rotated_is_refused_by_name() {
    let rotated = ["source `lines`", "/in: ", "it was rotated"];
    check_rotated(
        "input-renamed",
        |scratch| {
            fs::rename(scratch.path("in"), scratch.path("in.1")).expect("it is ours");
            scratch.write("in", &numbered(2, 2000));
        },
        &rotated,
    );
    let same_file = |scratch: &Scratch| drop(scratch.write("in", &numbered(2, 2000)));
    check_rotated("input-truncated", same_file, &rotated);
    let shorter = |scratch: &Scratch| drop(scratch.write("in", &numbered(2, 20)));
    check_rotated(
        "input-shorter",
        shorter,
        &["source `lines`", "bytes, and the checkpoint has read"],
    );
    let empty = |scratch: &Scratch| drop(scratch.write("in", b""));
    check_rotated("input-empty", empty, &["source `lines`", "it has 0 bytes"]);
}

#[test]
fn an_input_that_grew_or_was_moved_is_read_on() {
    let scratch = Scratch::new("input-moved");
    scratch.write("in", &numbered(1, 500));
    count(&scratch, &state(&scratch)).report();
    append(&scratch, &numbered(2, 10));
    let ended = count(&scratch, &state(&scratch));
    assert!(!ended.log.contains("another file"), "{}", ended.log);
    assert_eq!(named(&ended.report(), "sources", "lines")["events"], 10);
    fs::copy(scratch.path("in"), scratch.path("copy")).expect("it is ours");
    fs::rename(scratch.path("copy"), scratch.path("in")).expect("it is ours");
    append(&scratch, &numbered(3, 10));
    let ended = count(&scratch, &state(&scratch));
    assert!(ended.log.contains("another file than before and has the same"), "{}", ended.log);
    assert_eq!(named(&ended.report(), "sources", "lines")["events"], 10);
    assert_eq!(output(&scratch).lines().count(), 520);
}
