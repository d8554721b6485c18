//! Output files: none is written that is used otherwise, none is emptied by a start that fails, and
//! limits of their sizes are like full disks.

mod support;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use support::{App, Ended, Scratch, connect, example, receiver};

const WORDS: &str = "word_count";

const INPUT: &str = "1\n2\n";

/// Runs `word_count` over the file `in` with these flags.
fn count(scratch: &Scratch, flags: &str) -> Ended {
    let arguments = format!("--source lines=file:{} --cores 0 {flags}", scratch.path("in"));
    App::start(WORDS, &arguments).finish()
}

fn scratch(test: &str) -> Scratch {
    let scratch = Scratch::new(test);
    scratch.write("in", INPUT.as_bytes());
    scratch
}

/// It refuses to run, names the address, and leaves the input as it was.
#[track_caller]
fn check_refused(scratch: &Scratch, flags: &str, parts: &[&str]) {
    count(scratch, flags).refused(1, parts);
    assert_eq!(scratch.read("in"), INPUT.as_bytes(), "{flags}");
}

#[test]
fn an_output_at_the_input_is_refused_however_it_is_spelt() {
    let scratch = scratch("output-input");
    fs::create_dir(scratch.path("folder")).expect("the folder is ours");
    symlink(scratch.path("in"), scratch.path("symbolic")).expect("the folder is ours");
    fs::hard_link(scratch.path("in"), scratch.path("hard")).expect("the folder is ours");
    let state = format!("--state {}", scratch.path("state"));
    for path in ["in", "folder/../in", "symbolic", "hard"] {
        let path = scratch.path(path);
        for option in ["", "?append=true"] {
            for flags in ["", &state] {
                let flags = format!("--sink counts=file:{path}{option} {flags}");
                check_refused(
                    &scratch,
                    &flags,
                    &["sink `counts`", &path, "source `lines` reads it"],
                );
            }
        }
        let flags = format!("--sink counts=null: --dead-letters file:{path}");
        check_refused(&scratch, &flags, &["dead letters", "source `lines` reads it"]);
    }
}

#[test]
fn two_outputs_at_one_file_are_refused() {
    let scratch = scratch("output-two");
    let out = scratch.write("out", b"before");
    symlink(&out, scratch.path("other")).expect("the folder is ours");
    let other = scratch.path("other");
    for state in [String::new(), format!("--state {}", scratch.path("state"))] {
        let flags = format!("--sink counts=file:{out} --dead-letters file:{other} {state}");
        check_refused(&scratch, &flags, &["dead letters", "sink `counts` goes into it"]);
    }
    assert_eq!(scratch.read("out"), b"before");
}

#[test]
fn files_of_the_application_are_no_outputs() {
    let scratch = scratch("output-own");
    let state = scratch.path("state");
    count(&scratch, &format!("--sink counts=null: --state {state}")).refused(0, &[]);
    let flags = format!("--sink counts=file:{state}/HEAD --state {state}");
    check_refused(&scratch, &flags, &["in the state folder"]);
    let config = scratch.write("config.toml", b"drain_seconds = 3\n");
    let flags = format!("--config {config} --sink counts=file:{config}");
    check_refused(&scratch, &flags, &["the configuration is read from it"]);
    assert_eq!(scratch.read("config.toml"), b"drain_seconds = 3\n");
}

/// Where standard output goes is a file like any other.
#[test]
fn standard_output_in_a_file_that_is_used_is_refused() {
    let scratch = scratch("output-stdout");
    let run = |sink: &str, file: &str| {
        let to = OpenOptions::new().append(true).create(true).open(scratch.path(file));
        let mut command = Command::new(example(WORDS));
        command.args(["--no-progress", "--cores", "0", "--sink", &format!("counts={sink}")]);
        command.args(["--source", &format!("lines=file:{}", scratch.path("in"))]);
        let ended = command.stdout(to.expect("the folder is ours")).output().expect("it starts");
        (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned())
    };
    let (code, log) = run("stdout:", "in");
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("source `lines`") && log.contains("standard output"), "{log}");
    assert_eq!(scratch.read("in"), INPUT.as_bytes());
    let (code, log) = run(&format!("file:{}", scratch.path("out")), "out");
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("sink `counts`") && log.contains("standard output"), "{log}");
}

#[test]
fn a_file_that_another_process_writes_is_refused() {
    let scratch = scratch("output-lock");
    let out = scratch.path("out");
    let arguments = format!("--source lines=tcp://127.0.0.1:0 --sink counts=file:{out} --cores 0");
    let mut first = App::start(WORDS, &arguments);
    let address = first.listening("lines");
    for option in ["", "?append=true"] {
        let flags = format!("--sink counts=file:{out}{option}");
        check_refused(&scratch, &flags, &["sink `counts`", "another process writes it"]);
    }
    connect(address).write_all(b"a\n").expect("it reads");
    while scratch.read("out") != b"a 1\n" {
        std::thread::yield_now();
    }
    drop(first);
    count(&scratch, &format!("--sink counts=file:{out}")).refused(0, &[]);
    assert_eq!(scratch.read("out"), b"1 1\n2 1\n");
}

#[test]
fn a_start_that_fails_empties_nothing() {
    let scratch = scratch("output-failed");
    let (_taken, address) = receiver();
    let out = scratch.write("out", b"yesterday");
    let letters = scratch.write("letters", b"yesterday");
    let failures = [
        format!("--admin {address} --dead-letters file:{letters}"),
        format!("--dead-letters file:{}", scratch.path("absent/letters")),
    ];
    for failure in failures {
        for state in [String::new(), format!("--state {}", scratch.path("state"))] {
            let flags = format!("--sink counts=file:{out} {failure} {state}");
            count(&scratch, &flags).refused(1, &["error: "]);
            assert_eq!(scratch.read("out"), b"yesterday", "{flags}");
            assert_eq!(scratch.read("letters"), b"yesterday", "{flags}");
        }
    }
    count(&scratch, &format!("--sink counts=file:{out}")).refused(0, &[]);
    assert_eq!(scratch.read("out"), b"1 1\n2 1\n");
}

/// An application whose output is taken away after the first line, and that gets another one then.
fn truncated(scratch: &Scratch, arguments: &str) -> (App, TcpStream) {
    let mut app = App::start(WORDS, arguments);
    let mut lines = connect(app.listening("lines"));
    lines.write_all(b"a\n").expect("it reads");
    while scratch.read("out") != b"a 1\n" {
        std::thread::yield_now();
    }
    scratch.write("out", b"");
    lines.write_all(b"a\n").expect("it reads");
    (app, lines)
}

/// As `logrotate` does it with `copytruncate`.
#[test]
fn an_output_that_is_copied_and_truncated_goes_on_at_its_beginning() {
    let scratch = scratch("output-rotated");
    let out = scratch.path("out");
    let arguments = format!(
        "--source lines=tcp://127.0.0.1:0?connections=1 --sink counts=file:{out} --cores 0"
    );
    let (app, lines) = truncated(&scratch, &arguments);
    drop(lines);
    assert_eq!(app.finish().code, Some(0));
    assert_eq!(scratch.read("out"), b"a 2\n");
}

/// With checkpoints each output has its place in the file: it must not be taken away.
#[test]
fn a_committed_output_that_is_truncated_ends_the_application_by_name() {
    let scratch = scratch("output-shrunk");
    let out = scratch.path("out");
    let arguments = format!(
        "--source lines=tcp://127.0.0.1:0 --sink counts=file:{out} --cores 0 --state {} \
         --checkpoint-ms 20",
        scratch.path("state")
    );
    let (app, _lines) = truncated(&scratch, &arguments);
    app.finish().refused(3, &["sink `counts`", "has 0 bytes"]);
}

/// The application under a limit of file sizes, in blocks of 512 or 1024 bytes.
fn limited(blocks: u32, flags: &str) -> Ended {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -f {blocks}; exec \"$0\" \"$@\"")]);
    command.arg(example(WORDS)).arg("--no-progress").args(flags.split_whitespace());
    App::spawn(command).finish()
}

#[test]
fn an_output_above_the_limit_of_file_sizes_is_reported() {
    let scratch = Scratch::new("output-limit");
    let out = scratch.path("out");
    let flags = format!(
        "--source lines=gen:lines?rate=max&count=100000 --cores 0 --sink counts=file:{out}"
    );
    limited(8, &flags).refused(3, &["sink `counts`", "File too large"]);
    let state = scratch.path("state");
    limited(8, &format!("{flags} --state {state} --checkpoint-ms 50 --drain-seconds 1"))
        .refused(3, &["File too large"]);
}

#[test]
fn dead_letters_above_the_limit_of_file_sizes_are_reported() {
    let scratch = Scratch::new("output-letters");
    let line = [&[b'x'; 70_000][..], b"\n"].concat();
    scratch.write("in", &line);
    let flags = format!(
        "--source lines=file:{} --sink counts=null: --cores 0 --dead-letters file:{}",
        scratch.path("in"),
        scratch.path("letters")
    );
    limited(8, &flags).refused(3, &["dead letters cannot be written", "File too large"]);
}

#[test]
fn a_report_without_a_reader_is_noticed() {
    let scratch = scratch("output-report");
    let run = |flags: &str, to: Stdio| {
        let mut command = Command::new(example(WORDS));
        command.args(["--no-progress", "--cores", "0", "--sink", "counts=null:"]);
        command.args(["--source", &format!("lines=file:{}", scratch.path("in"))]);
        let ended = command.args(flags.split_whitespace()).stdout(to).stderr(Stdio::piped());
        let ended = ended.spawn().and_then(|child| child.wait_with_output()).expect("it starts");
        let log = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(3), "{flags}: {log}");
        assert!(log.contains("standard output cannot be written"), "{flags}: {log}");
    };
    for flags in ["", "--report json", "--check", "--version"] {
        let full = OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
        run(flags, full.into());
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        run(flags, writer.into());
    }
}

/// Closed before the start, not only by its reader: else `/dev/null` would take the report.
#[test]
fn a_closed_standard_output_is_noticed() {
    let scratch = scratch("output-closed");
    let run = |flags: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$0\" \"$@\" >&-"]).arg(example(WORDS));
        let source = format!("lines=file:{}", scratch.path("in"));
        command.args(["--no-progress", "--cores", "0", "--source", &source]);
        command.args(flags.split_whitespace());
        App::spawn(command).finish()
    };
    run("--sink counts=null:").refused(3, &["standard output cannot be written"]);
    run("--sink counts=null: --check").refused(3, &["standard output cannot be written"]);
    run("--sink counts=stdout:").refused(1, &["sink `counts`", "standard output is closed"]);
}

/// The word of a terminal that goes away: what was taken is delivered.
#[test]
fn a_hangup_drains() {
    let scratch = Scratch::new("output-hangup");
    let out = scratch.path("out");
    let arguments = format!("--source lines=tcp://127.0.0.1:0 --sink counts=file:{out} --cores 0");
    // Tests that run under `nohup` inherit that the signal is ignored.
    let mut command = Command::new("env");
    command.arg("--default-signal=HUP").arg(example(WORDS)).arg("--no-progress");
    command.args(arguments.split_whitespace());
    let mut app = App::spawn(command);
    let mut lines = connect(app.listening("lines"));
    lines.write_all(b"a\n").expect("it reads");
    while scratch.read("out") != b"a 1\n" {
        std::thread::yield_now();
    }
    app.signal(Signal::HUP);
    let ended = app.finish();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(ended.out.contains("counts"), "{}", ended.out);
}
