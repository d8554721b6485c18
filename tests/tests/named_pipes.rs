//! Named pipes as sources and sinks: a wait for their other end is logged, and has an end.

mod support;

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::process::Command;

use rustix::process::Signal;
use support::{App, Scratch, connect};

const WORDS: &str = "word_count";

fn fifo(scratch: &Scratch, name: &str) -> String {
    let path = scratch.path(name);
    let made = Command::new("mkfifo").arg(&path).status().expect("coreutils have it");
    assert!(made.success());
    path
}

/// Both ends wait for their peers, and a signal ends the application all the same.
#[test]
fn a_pipe_without_a_peer_is_reported_and_a_signal_ends_the_wait() {
    let scratch = Scratch::new("pipe-alone");
    let (lines, counts) = (fifo(&scratch, "in"), fifo(&scratch, "out"));
    for state in [String::new(), format!("--state {}", scratch.path("state"))] {
        let flags = format!(
            "--source lines=file:{lines} --sink counts=file:{counts} --cores 0 --dead-letters \
             file:{} {state}",
            scratch.path("letters")
        );
        let mut app = App::start(WORDS, &flags);
        app.wait_for(&format!("source `lines` waits for a writer of file:{lines}"));
        app.signal(Signal::TERM);
        let ended = app.finish();
        assert_eq!(ended.code, Some(0), "{}", ended.log);
    }
}

#[test]
fn pipes_carry_everything_once_their_peers_come() {
    let scratch = Scratch::new("pipe-late");
    let (lines, counts) = (fifo(&scratch, "in"), fifo(&scratch, "out"));
    let flags = format!("--source lines=file:{lines} --sink counts=file:{counts} --cores 0");
    let mut app = App::start(WORDS, &flags);
    app.wait_for("source `lines` waits");
    let mut writer = OpenOptions::new().write(true).open(&lines).expect("the application reads");
    writer.write_all(b"a\nb").expect("the application reads");
    app.wait_for("sink `counts` waits for a reader of");
    let mut reader = File::open(&counts).expect("it is there");
    writer.write_all(b"c\nlast").expect("the application reads");
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("it is text");
    assert_eq!(text, "a 1\nbc 1\nlast 1\n");
    assert_eq!(app.finish().code, Some(0));
}

/// A writer that keeps its end open and says nothing.
#[test]
fn a_silent_writer_does_not_hold_up_the_end() {
    let scratch = Scratch::new("pipe-silent");
    let lines = fifo(&scratch, "in");
    let out = scratch.path("out");
    let flags = format!("--source lines=file:{lines} --sink counts=file:{out} --cores 0");
    let mut app = App::start(WORDS, &flags);
    app.wait_for("source `lines` waits");
    let mut writer = OpenOptions::new().write(true).open(&lines).expect("the application reads");
    writer.write_all(b"a\n").expect("the application reads");
    while scratch.read("out") != b"a 1\n" {
        std::thread::yield_now();
    }
    app.signal(Signal::TERM);
    assert_eq!(app.finish().code, Some(0));
}

/// No reader takes what waits: that is reported, within the time to drain.
#[test]
fn output_for_a_pipe_without_a_reader_is_reported() {
    let scratch = Scratch::new("pipe-unread");
    scratch.write("in", b"a\n");
    let counts = fifo(&scratch, "out");
    let flags = format!(
        "--source lines=file:{} --sink counts=file:{counts} --cores 0 --drain-seconds 1",
        scratch.path("in")
    );
    App::start(WORDS, &flags).finish().refused(3, &["`counts`: no process reads it"]);
}

#[test]
fn a_reader_that_leaves_is_reported() {
    let scratch = Scratch::new("pipe-left");
    let counts = fifo(&scratch, "out");
    let flags = format!("--source lines=tcp://127.0.0.1:0 --sink counts=file:{counts} --cores 0");
    let mut app = App::start(WORDS, &flags);
    let mut lines = connect(app.listening("lines"));
    lines.write_all(b"a\n").expect("it reads");
    let mut reader = File::open(&counts).expect("it is there");
    let mut first = [0; 4];
    reader.read_exact(&mut first).expect("it writes");
    assert_eq!(&first, b"a 1\n");
    drop(reader);
    lines.write_all(b"a\n").expect("it reads");
    app.finish().refused(3, &["sink `counts` cannot be written"]);
}
