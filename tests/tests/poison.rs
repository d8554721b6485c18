//! An event on which the application panics: what is printed names it, and `--skip` turns it into a
//! dead letter; the events before and after it are processed once.

mod support;

use std::io::Write;
use std::process::{Command, ExitCode};

use potoroo::prelude::*;
use potoroo::sdk::codec::{LineText, Lines};
use potoroo_connector::{Options, Source};
use serde_json::Value;
use support::{App, Ended, Scratch, connect};

const NAME: &str = "an_application";

/// Set for [`an_application`] in a process of its own: its arguments, one a line.
const ARGUMENTS: &str = "POTOROO_TEST_ARGUMENTS";

/// Panics where the text says.
fn touch(text: &str, place: &str) {
    assert_ne!(text, place, "a poisoned {place}");
}

/// Lines, read and written by a codec that panics on some.
struct Touchy;

impl Decode for Touchy {
    type Event = String;
    type Framing = Lines;

    fn framing(&self) -> Lines {
        Lines::new()
    }

    fn decode(&self, payload: &[u8]) -> Result<String, Reason> {
        let text = str::from_utf8(payload).map_err(|_| Reason::new("no text"))?;
        touch(text, "decode");
        Ok(text.to_owned())
    }
}

impl Encode for Touchy {
    type Event = String;

    fn encode(&self, line: &str, out: &mut Vec<u8>) {
        touch(line, "encode");
        writeln!(out, "{line}").expect("memory takes every write");
    }
}

#[event]
struct Numbered {
    index: u64,
    key: u64,
}

/// Two ways through it: of lines, which are no plain data, and of numbers, which are.
fn application() -> Application {
    let app = Application::new("touchy");
    let seen = app.table::<String, u64>("seen");
    let counts = app.table::<u64, u64>("counts");
    app.source("lines", Touchy)
        .map(|line| {
            touch(line, "map");
            line.to_owned()
        })
        .key_by(|line| {
            touch(line, "key");
            format!("key of {line}")
        })
        .update(&seen, |seen, line| {
            touch(line, "update");
            *seen += 1;
            line.to_owned()
        })
        .sink("lines", Touchy);
    app.generator("numbers", |_| {
        |index| {
            assert_ne!(index, 700, "a poisoned generator");
            Some(Numbered { index, key: index % 7 })
        }
    });
    app.source("numbers", LineText::new())
        .map(|_: &str| None::<Numbered>)
        .merge(&app.source("made", NumberedCodec))
        .key_by(|number| number.key)
        .update(&counts, |count, number| {
            assert_ne!(number.index, 500, "a poisoned number");
            *count += 1;
            *count
        })
        .map(|count| count.to_string())
        .sink("counts", LineText::new());
    app
}

/// Never used: its events are generated.
struct NumberedCodec;

impl Decode for NumberedCodec {
    type Event = Numbered;
    type Framing = Lines;

    fn framing(&self) -> Lines {
        Lines::new()
    }

    fn decode(&self, _: &[u8]) -> Result<Numbered, Reason> {
        Err(Reason::new("no number"))
    }
}

#[test]
fn an_application() {
    let Ok(arguments) = std::env::var(ARGUMENTS) else { return };
    let arguments = std::iter::once(NAME).chain(arguments.lines()).map(str::to_owned);
    let code = potoroo::main_with(arguments, application);
    std::process::exit(i32::from(code != ExitCode::SUCCESS));
}

/// Where input, state and output of a run are.
struct Run {
    scratch: Scratch,
    source: String,
    numbers: String,
    cores: &'static str,
    state: bool,
}

impl Run {
    fn new(test: &str, lines: &str) -> Self {
        let scratch = Scratch::new(&format!("poison-{test}"));
        let source = format!("file:{}", scratch.write("in", lines.as_bytes()));
        let numbers = "gen:numbers?count=0".to_owned();
        Self { scratch, source, numbers, cores: "0", state: true }
    }

    fn start(&self, more: &[&str]) -> App {
        let file = |name: &str| format!("file:{}", self.scratch.path(name));
        let nothing = self.scratch.write("nothing", b"");
        let state = self.scratch.path("state");
        let mut arguments: Vec<String> =
            ["--no-progress", "--cores", self.cores, "--checkpoint-ms", "20"]
                .map(str::to_owned)
                .into();
        for (flag, name, url) in [
            ("--source", "lines", &self.source),
            ("--source", "numbers", &format!("file:{nothing}")),
            ("--source", "made", &self.numbers),
            ("--sink", "lines", &file("lines")),
            ("--sink", "counts", &file("counts")),
        ] {
            arguments.extend([flag.to_owned(), format!("{name}={url}")]);
        }
        arguments.extend(["--dead-letters".to_owned(), file("letters")]);
        if self.state {
            arguments.extend(["--state".to_owned(), state]);
        }
        arguments.extend(more.iter().map(|text| (*text).to_owned()));
        let mut process = Command::new(std::env::current_exe().expect("a test knows its path"));
        process.args([NAME, "--exact", "--nocapture"]).env(ARGUMENTS, arguments.join("\n"));
        process.env("RUST_BACKTRACE", "0");
        App::spawn(process)
    }

    fn finish(&self, more: &[&str]) -> Ended {
        self.start(more).finish()
    }

    fn text(&self, name: &str) -> String {
        String::from_utf8(self.scratch.read(name)).expect("it is text")
    }

    fn letters(&self) -> Vec<Value> {
        let letter = |line: &str| serde_json::from_str(line).expect("it is JSON");
        self.text("letters").lines().map(letter).collect()
    }
}

/// The flag that the report of a panic names.
#[track_caller]
fn flag(ended: &Ended) -> String {
    assert_ne!(ended.code, Some(0), "{}", ended.log);
    let flag = ended.log.split("`--skip ").nth(1).and_then(|rest| rest.split('`').next());
    flag.unwrap_or_else(|| panic!("no flag in:\n{}", ended.log)).to_owned()
}

#[track_caller]
fn check(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in:\n{text}");
    }
}

/// Handlers, key functions and both halves of a codec; on one core, and where events go from one
/// core to another; with and without checkpoints.
#[test]
fn each_poisoned_line_is_named_and_can_be_skipped() {
    for place in ["decode", "map", "key", "update", "encode"] {
        for (cores, state) in [("0", true), ("0,0", true), ("0,0", false)] {
            let test = format!("{place}-{}-{state}", cores.len());
            let good: Vec<String> = (0..40).map(|number| format!("good {number}")).collect();
            let (before, after) = good.split_at(30);
            let before = before.join("\n") + "\n";
            let lines = format!("{before}{place}\n{}\n", after.join("\n"));
            let run = Run { cores, state, ..Run::new(&test, &lines) };
            let ended = run.finish(&[]);
            let position = before.len();
            let at = format!("source `lines` at byte {position} of its file");
            check(&ended.log, &[&format!("a poisoned {place}"), "poison.rs", &at]);
            let keyed = matches!(place, "update" | "encode");
            let key = format!("the key of the event under way: \"key of {place}\"");
            assert_eq!(ended.log.contains(&key), keyed, "{}", ended.log);
            let flag = flag(&ended);
            assert_eq!(flag, format!("lines={position}"));
            let skipped = run.finish(&["--skip", &flag]);
            assert_eq!(skipped.code, Some(0), "{}", skipped.log);
            check(&skipped.log, &[&format!("--skip {flag}: that event is a dead letter")]);
            let text = run.text("lines");
            let mut out: Vec<&str> = text.lines().collect();
            out.sort_unstable();
            let mut expected = good.clone();
            expected.sort_unstable();
            assert_eq!(out, expected, "{test}");
            let letters = run.letters();
            assert_eq!(letters.len(), 1, "{letters:?}");
            assert_eq!(letters[0]["position"], position);
            check(letters[0]["reason"].as_str().expect("a reason"), &["--skip"]);
            if state {
                // Committed: the flag has no effect any more, and is not needed.
                let again = run.finish(&["--skip", &flag]);
                assert_eq!(again.code, Some(0), "{}", again.log);
                check(&again.log, &[&format!("--skip {flag} has no effect")]);
                assert_eq!(run.finish(&[]).code, Some(0));
            }
        }
    }
}

/// Several flags, one of them in a file; flags that name nothing are reported.
#[test]
fn flags_and_file_are_taken_together() {
    let run = Run::new("file", "a\nmap\nb\nupdate\nc\n");
    let first = flag(&run.finish(&[]));
    let config = run.scratch.write("deploy.toml", format!("skip = ['{first}']").as_bytes());
    let second = flag(&run.finish(&["--config", &config]));
    assert_eq!((&*first, &*second), ("lines=2", "lines=8"));
    let more =
        ["--config", &*config, "--skip", &*second, "--skip", "lines=7", "--skip", "lines=90"];
    let ended = run.finish(&more);
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    check(&ended.log, &["--skip lines=7 has no effect", "--skip lines=90 had no effect"]);
    assert_eq!(run.text("lines"), "a\nb\nc\n");
    // Those of earlier runs stay where they are.
    let mut positions: Vec<_> = run.letters().iter().map(|one| one["position"].as_u64()).collect();
    positions.dedup();
    assert_eq!(positions, [Some(2), Some(8)]);
}

/// A handler that panics on a generated event, and a generator that panics itself.
#[test]
fn generated_events_are_named_by_their_index() {
    for (cores, state) in [("0", true), ("0,0", true), ("0", false)] {
        let test = format!("made-{}-{state}", cores.len());
        let numbers = "gen:numbers?count=1000&rate=max".to_owned();
        let run = Run { cores, state, numbers, ..Run::new(&test, "") };
        // Where a core makes events and another one runs them, either may be first.
        let mut flags = Vec::new();
        let ended = loop {
            let given: Vec<&str> = flags.iter().map(String::as_str).collect();
            let ended = run.finish(&given);
            if ended.code == Some(0) {
                break ended;
            }
            let panicked = ["a poisoned generator", "a poisoned number"];
            match panicked.map(|panic| ended.log.contains(panic)) {
                [true, false] => {
                    check(&ended.log, &["source `made` at index 700", "had no key yet"]);
                }
                [false, true] => {
                    check(&ended.log, &["source `made` at index 500", "event under way: 3"]);
                }
                // Two cores panicked: the process may end in the middle of the second report.
                both => assert_eq!(both, [true, true], "{}", ended.log),
            }
            assert!(flags.len() < 4, "{}", ended.log);
            flags.extend(["--skip".to_owned(), flag(&ended)]);
        };
        flags.sort_unstable();
        assert_eq!(flags, ["--skip", "--skip", "made=500", "made=700"]);
        assert_eq!(run.text("counts").lines().count(), 998, "{}", ended.log);
        if state {
            // What was made before is made again to no effect: the generator still panics.
            check(&ended.log, &["unless the generator itself panics on it: then keep the flag"]);
            assert_eq!(flag(&run.finish(&[])), "made=700");
            assert_eq!(run.finish(&["--skip", "made=700"]).code, Some(0));
        }
    }
}

/// What came over a connection is gone, unless a checkpoint holds it: a new start needs no flag,
/// and takes one only with checkpoints.
#[test]
fn an_event_of_a_connection_is_gone_with_the_process() {
    let source = "tcp://127.0.0.1:0?connections=1".to_owned();
    let run = Run { source, ..Run::new("tcp", "") };
    let mut app = run.start(&[]);
    let mut stream = connect(app.listening("lines"));
    stream.write_all(b"good\nupdate\n").expect("it listens");
    let ended = app.finish();
    assert_ne!(ended.code, Some(0));
    check(&ended.log, &["source `lines` at position 5 of connection", "nothing sends it again"]);
    check(&ended.log, &["unless a checkpoint holds it"]);
    let exact = flag(&ended);
    assert!(exact.starts_with("lines=") && exact.ends_with(":5"), "{exact}");
    let mut app = run.start(&["--skip", &exact]);
    drop(connect(app.listening("lines")));
    let ended = app.finish();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    check(&ended.log, &[&format!("--skip {exact} had no effect")]);
    let run = Run { state: false, ..run };
    run.finish(&["--skip", &exact]).refused(1, &["cannot be read again", "--state"]);
    let run = Run { state: true, ..run };
    let refused = run.finish(&["--skip", "lines=5"]);
    refused.refused(1, &["`--skip lines=5`", "cannot be read again", "leave the flag out"]);
    run.finish(&["--skip", "absent=5"]).refused(1, &["no source `absent`"]);
    let connector = Run { source: "potoroo://127.0.0.1:0".to_owned(), ..run };
    connector.finish(&["--skip", "lines=5"]).refused(1, &["STREAM:POSITION"]);
}

/// A client sends again what was not acknowledged: the poisoned event, too.
#[test]
fn an_event_of_a_stream_is_skipped_by_stream_and_position() {
    let source = "potoroo://127.0.0.1:0?streams=1".to_owned();
    let run = Run { source, ..Run::new("stream", "") };
    let mut app = run.start(&[]);
    let connect = |app: &mut App| {
        Source::connect(Options::new(app.listening("lines").to_string())).expect("it is let in")
    };
    let mut client = connect(&mut app);
    let (stream, _) = client.open("east", 0).expect("it is opened");
    client.send(stream, 1, b"good\nupdate\n").expect("it is taken");
    let _ = client.flush();
    let ended = app.finish();
    check(&ended.log, &["source `lines` at byte 5 of stream"]);
    let flag = flag(&ended);
    let mut app = run.start(&["--skip", &flag]);
    let mut client = connect(&mut app);
    let (stream, after) = client.open("east", 0).expect("it is opened");
    assert_eq!(after, 0);
    client.send(stream, 1, b"good\nupdate\n").expect("it is taken");
    client.send(stream, 2, b"better\n").expect("it is taken");
    client.end(stream);
    client.finish().expect("all of it is acknowledged");
    let ended = app.finish();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert_eq!(run.text("lines"), "good\nbetter\n");
    assert_eq!(run.letters()[0]["position"], 5);
}
