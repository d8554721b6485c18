//! The command line through real binaries: help, check, reports, signals and exit codes.

mod support;

use std::ffi::{OsStr, OsString};
use std::io::{PipeWriter, Write, pipe};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;
use support::{App, Scratch, connect, example, get, market, named, tool, wait_for_status};

const MARKET: &str = "market_spread";

const GENERATED: &str = "--source quotes=gen:quotes --source orders=gen:orders \
                         --sink rejections=null: --cores 0 --report json";

#[test]
fn help_prints_every_default() {
    let ended = App::start(MARKET, "--help").finish();
    assert_eq!(ended.code, Some(0));
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let texts: Vec<String> = ended.out.split("\n      --").map(squeezed).collect();
    let flags = [
        ("config", "none"),
        ("cores", "every allowed CPU but the first"),
        ("state-cores", "all of them"),
        ("idle", "adaptive"),
        ("spin-us", "100"),
        ("seconds", "until the sources end or a signal comes; 10 without any address"),
        ("report", "text"),
        ("admin", "no port is open"),
        ("dead-letters", "it is counted and sampled into the log"),
        ("lane-bytes", "262144"),
        ("inlet-bytes", "65536"),
        ("outlet-bytes", "262144"),
        ("reply-stall-ms", "1000"),
        ("connections-max", "1024"),
        ("partitions", "1024"),
        ("heartbeat-seconds", "5"),
        ("drain-seconds", "10"),
    ];
    for (flag, default) in flags {
        let mut texts = texts.iter();
        let text = texts.find(|text| text.starts_with(&format!("{flag} <"))).expect(flag);
        assert!(text.contains(&format!("[default: {default}]")), "{flag}: {text}");
    }
    let help = squeezed(&ended.out);
    for part in ["tcp://HOST:PORT", "gen:NAME", "stdout:", "null:", "Exit codes:", "POTOROO_LOG"] {
        assert!(help.contains(part), "`{part}` is not in {help}");
    }
}

#[test]
fn check_prints_plan_guarantees_and_bill_and_runs_nothing() {
    let scratch = Scratch::new("cli-check");
    let out = scratch.path("never-made");
    let arguments = format!(
        "--check --source quotes=file:{} --source orders=tcp://127.0.0.1:0 \
         --sink rejections=file:{out} --cores 0,0,0",
        scratch.path("not-there")
    );
    let ended = App::start(MARKET, &arguments).finish();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    for part in [
        "application market-spread",
        "quotes (Quote) from file:",
        "level 0: orders",
        "markets: 32 bytes per row",
        "orders → rejections: at most once in (plain TCP cannot be read again), once per run out",
        "[0, 0, 0], 1024 partitions on [0, 0, 0], idle: adaptive",
        "3072 KiB  lanes: 3 cores × 2 others × 2 levels",
        "65536 KiB  connections: 1024 at most (--connections-max), 64 KiB each when it is open",
        "in all at most, without state",
    ] {
        assert!(ended.out.contains(part), "`{part}` is not in:\n{}", ended.out);
    }
    let state = scratch.path("never-made-too");
    let kept = App::start(MARKET, &format!("{arguments} --state {state}")).finish();
    for part in [
        "markets: 32 bytes per row, about 20 of index, up to 5 of lists of changes",
        "3840 KiB  checkpoints: copies of the frames under way to 3 cores",
        "9216 KiB  checkpoints: pieces of 3 parts on their way",
        "up to 216 MiB of that for each core stay as buffers",
    ] {
        assert!(kept.out.contains(part), "`{part}` is not in:\n{}", kept.out);
        assert!(!ended.out.contains(part), "`{part}` is in:\n{}", ended.out);
    }
    let made = |path: &str| Path::new(path).exists();
    assert!(!made(&out) && !made(&state), "nothing runs");
}

#[test]
fn a_json_report_is_one_object_on_the_last_line() {
    let arguments = "--source quotes=gen:quotes?count=1000&rate=max --cores 0,0 --report json \
                     --source orders=gen:orders?count=2000&rate=max --sink rejections=null:";
    let report = App::start(MARKET, arguments).finish().report();
    let Value::Object(object) = &report else { panic!("{report} is no object") };
    let keys: Vec<&str> = object.keys().map(String::as_str).collect();
    let schema = include_str!("../../engine/src/control/report/summary.json");
    let schema: Value = serde_json::from_str(schema).expect("the schema is JSON");
    let documented = schema.as_object().expect("an object").keys();
    // Nothing is stored, and nothing goes by event time.
    let absent = |key: &&str| !["checkpoints", "time"].contains(key);
    let documented: Vec<&str> = documented.map(String::as_str).filter(absent).collect();
    assert!(documented.len() > 10, "{documented:?}");
    assert_eq!(keys, documented);
    assert_eq!((&report["stop"], &report["events"]), (&"ended".into(), &3000.into()));
    assert_eq!((&report["cores"], &report["idle"]), (&2.into(), &"adaptive".into()));
    let latency = &report["paths"][0]["latency_ns"];
    for quantile in ["p50", "p90", "p99", "p99_9", "p99_99", "max"] {
        assert!(latency[quantile].is_u64(), "{quantile} in {latency}");
    }
}

#[test]
fn a_text_report_has_the_percentiles_of_each_path() {
    let arguments = "--source quotes=gen:quotes?count=1000 --cores 0 \
                     --source orders=gen:orders?count=1000 --sink rejections=null:";
    let ended = App::start(MARKET, arguments).finish();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    for part in ["orders → rejections", "p50", "p90", "p99", "p99.9", "p99.99", "max"] {
        assert!(ended.out.contains(part), "`{part}` is not in:\n{}", ended.out);
    }
}

#[test]
fn signals_drain_and_report() {
    for signal in [Signal::TERM, Signal::INT] {
        let scratch = Scratch::new(&format!("cli-signal-{}", signal.as_raw()));
        let arguments = format!(
            "--source numbers=gen:numbers?rate=50000 --sink windows=file:{} \
             --admin 127.0.0.1:0 --cores 0,0 --report json",
            scratch.path("windows")
        );
        let mut app = App::start("sequence_windows", &arguments);
        let admin = app.admin();
        wait_for_status(admin, |status| status["events"].as_u64() > Some(1000));
        app.signal(signal);
        let report = app.finish().report();
        assert_eq!(report["stop"], "signal");
        assert_eq!((&report["undelivered"], &report["failures"]), (&0.into(), &0.into()));
        let lines = scratch.read("windows").split(|byte| *byte == b'\n').count() as u64 - 1;
        assert_eq!(named(&report, "sources", "numbers")["events"], lines);
        assert_eq!(named(&report, "sinks", "windows")["events"], lines);
    }
}

#[test]
fn seconds_end_a_run() {
    let report = App::start(MARKET, &format!("{GENERATED} --seconds 1")).finish().report();
    assert_eq!(report["stop"], "seconds");
    assert!(report["seconds"].as_f64() >= Some(1.0), "{report}");
}

#[test]
fn without_addresses_a_demonstration_runs() {
    for name in [MARKET, "word_count", "sequence_windows"] {
        let ended = App::start(name, "--cores 0 --seconds 1 --report json").finish();
        assert!(ended.report()["events"].as_u64() > Some(0), "{name}");
        assert!(ended.log.contains("runs on generated events for 1 s"), "{}", ended.log);
    }
}

#[test]
fn the_admin_port_tells_what_happens() {
    let mut app = App::start(MARKET, &format!("{GENERATED} --admin 127.0.0.1:0"));
    let admin = app.admin();
    let status = wait_for_status(admin, |status| status["events"].as_u64() > Some(0));
    assert_eq!(status["application"], "market-spread");
    assert_eq!(status["per_core"][0]["cpu"], 0);
    let metrics = get(admin, "/metrics");
    assert!(metrics.contains("potoroo_source_events_total{source=\"orders\"}"), "{metrics}");
    app.signal(Signal::TERM);
    app.finish().report();
}

#[test]
fn a_configuration_file_is_under_the_flags() {
    let scratch = Scratch::new("cli-config");
    let file = scratch.write(
        "deploy.toml",
        b"cores = '0,0'\nidle = 'park'\nseconds = 1\n\
          [sources]\nquotes = 'gen:quotes'\norders = 'gen:orders'\n\
          [sinks]\nrejections = 'null:'\n",
    );
    let arguments = format!("--config {file} --idle adaptive --report json");
    let report = App::start(MARKET, &arguments).finish().report();
    assert_eq!((&report["cores"], &report["idle"]), (&2.into(), &"adaptive".into()));
    assert_eq!(report["stop"], "seconds");
}

#[test]
fn exit_codes_tell_usage_from_configuration() {
    App::start(MARKET, "--secnods 1").finish().refused(2, &["--secnods", "--seconds"]);
    for admin in ["9090", "localhost:9090", "127.0.0.1"] {
        let ended = App::start(MARKET, &format!("--admin {admin}")).finish();
        ended.refused(2, &["--admin", "127.0.0.1:9090"]);
    }
    App::start(MARKET, "--idle busy").finish().refused(2, &["`spin`, `adaptive` or `park`"]);
    let unknown = "--source trades=gen:quotes --sink rejections=null:";
    App::start(MARKET, unknown).finish().refused(1, &["no source `trades`", "`orders`"]);
}

/// Arguments and variables are bytes: those that are no text are refused, not stumbled over.
#[test]
fn what_is_not_utf_8_is_refused_by_name() {
    let bad = |text: &[u8]| OsString::from_vec(text.to_vec());
    for name in [MARKET, "word_count", "sequence_windows"] {
        for (arguments, part) in [
            (vec![bad(b"\xff")], "unexpected argument"),
            (vec![bad(b"--source"), bad(b"a=file:\xff")], "not UTF-8"),
            (vec![bad(b"--dead-letters"), bad(b"file:\xff")], "invalid UTF-8"),
        ] {
            let mut command = Command::new(example(name));
            command.args(arguments);
            App::spawn(command).finish().refused(2, &[part]);
        }
    }
    let output = Command::new(tool()).arg(bad(b"\xff")).output().expect("the tool is built");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let mut logged = Command::new(example("sequence_windows"));
    logged.args(["--seconds", "1", "--cores", "0"]).env("POTOROO_LOG", bad(b"\xff"));
    let output = logged.output().expect("the example is built");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("POTOROO_LOG cannot be"), "{log}");
    assert_eq!(output.status.code(), Some(0), "{log}");
}

/// A state folder, and what others put into it, may have any name.
#[test]
fn a_state_folder_need_not_be_text() {
    let scratch = Scratch::new("cli-bytes");
    let folder = Path::new(&scratch.path("")).join(OsStr::from_bytes(b"state-\xff"));
    let run = || {
        let mut command = Command::new(example("sequence_windows"));
        command.args(["--source", "numbers=gen:numbers?count=1000", "--sink"]);
        command.arg(format!("windows=file:{}", scratch.path("windows")));
        command.arg("--state").arg(&folder);
        App::spawn(command).finish()
    };
    let first = run();
    assert_eq!(first.code, Some(0), "{}", first.log);
    std::fs::write(folder.join(OsStr::from_bytes(b"part-\xfe")), b"not ours").expect("ours");
    let second = run();
    assert_eq!(second.code, Some(0), "{}", second.log);
    assert!(second.log.contains("goes on from checkpoint"), "{}", second.log);
}

/// A pipe without a reader.
fn closed() -> PipeWriter {
    pipe().expect("a descriptor").1
}

/// Runs an example whose standard output has no reader. Returns its exit code and its log.
fn unread(name: &str, arguments: &str, log: Stdio) -> (Option<i32>, String) {
    let mut command = Command::new(example(name));
    command.args(arguments.split_whitespace()).stdin(Stdio::null()).stdout(closed());
    let output = command.stderr(log).output().expect("the example is built");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_reader_that_went_away_aborts_nothing() {
    for (arguments, expected) in
        [("--help", 0), ("--check", 3), ("--seconds 1 --cores 0 --report json", 3)]
    {
        let (code, log) = unread(MARKET, arguments, Stdio::piped());
        assert_eq!(code, Some(expected), "{arguments}: {log}");
        assert!(!log.contains("panicked"), "{arguments}: {log}");
        let reported = log.contains("standard output cannot be written");
        assert_eq!(reported, expected == 3, "{arguments}: {log}");
    }
    let (code, _) = unread(MARKET, "--seconds 1 --cores 0", closed().into());
    assert_eq!(code, Some(3), "standard error has no reader either");
    let (code, _) = unread(MARKET, "--source orders=gen:orders", closed().into());
    assert_eq!(code, Some(1), "the reason has no reader");
}

#[test]
fn a_sink_without_a_reader_ends_the_process() {
    let arguments = "--source lines=gen:lines --sink counts=stdout: --cores 0 --no-progress";
    let (code, log) = unread("word_count", arguments, Stdio::piped());
    assert_eq!(code, Some(3), "{log}");
    assert!(log.contains("sink `counts` cannot be written"), "{log}");
    assert!(!log.contains("panicked"), "{log}");
}

/// A generator with a rate that no machine reaches: the events that were due and not generated are
/// reported at the end.
#[test]
fn events_that_were_due_and_not_generated_are_counted() {
    let arguments = "--source numbers=gen:numbers?rate=1000000000 --sink windows=null: --cores 0 \
                     --seconds 1";
    let report = App::start("sequence_windows", &format!("{arguments} --report json")).finish();
    let report = report.report();
    let numbers = named(&report, "sources", "numbers");
    assert!(numbers["overdue"].as_u64() > Some(0), "{numbers}");
    let ended = App::start("sequence_windows", arguments).finish();
    assert!(ended.out.contains("events of numbers were due before the stop"), "{}", ended.out);
    let all = "--source numbers=gen:numbers?rate=50000&count=1000 --sink windows=null: --cores 0 \
               --report json";
    let report = App::start("sequence_windows", all).finish().report();
    assert_eq!(named(&report, "sources", "numbers")["overdue"], 0);
}

/// A parked core does not turn: its rows are published when it becomes idle.
#[test]
fn the_admin_port_shows_rows_of_an_idle_core() {
    let arguments = "--source quotes=tcp://127.0.0.1:0 --source orders=gen:orders?count=0 \
                     --sink rejections=null: --admin 127.0.0.1:0 --cores 0 --idle park \
                     --report json";
    let mut app = App::start(MARKET, arguments);
    let quotes = app.listening("quotes");
    let admin = app.admin();
    let mut stream = connect(quotes);
    for (rows, symbol) in [(1, b"AAA1"), (2, b"BBB1")] {
        stream.write_all(&market::quote(symbol, 1.0, 2.0)).expect("the application reads");
        wait_for_status(admin, |status| named(status, "tables", "markets")["rows"] == rows);
    }
    app.signal(Signal::TERM);
    app.finish().report();
}

/// No connection waits for the answer to a generated order, and its latency is shown all the same.
#[test]
fn replies_to_generated_events_have_a_latency() {
    let arguments = "--reply --cores 0,0 --seconds 1 --report json";
    let ended = App::start(MARKET, arguments).finish();
    let report = ended.report();
    let replies = named(&report, "sinks", "reply")["events"].as_u64().expect("a number");
    assert!(replies > 0, "{report}");
    assert_eq!(report["replies_without_connection"], 0);
    let paths = report["paths"].as_array().expect("a list");
    let path = paths.iter().find(|path| path["end"] == "reply").expect("the path of replies");
    assert_eq!(path["events"], replies);
    assert!(path["latency_ns"]["p50"].is_u64(), "{path}");
    assert!(ended.log.contains("generated events have no connection"), "{}", ended.log);
}

/// What a sink writes can be piped on: the summary for people does not stand in between.
#[test]
fn a_sink_at_standard_output_has_it_for_itself() {
    let arguments = "--source numbers=gen:numbers?count=100&rate=max --sink windows=stdout: \
                     --cores 0";
    let ended = App::start("sequence_windows", arguments).finish();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert_eq!(ended.out.lines().count(), 100, "{}", ended.out);
    assert!(ended.log.contains("all sources ended"), "{}", ended.log);
    let ended = App::start("sequence_windows", &format!("{arguments} --report json")).finish();
    assert_eq!(ended.report()["events"], 100);
}

#[test]
fn the_version_names_application_and_engine() {
    for flag in ["-V", "--version"] {
        let ended = App::start(MARKET, flag).finish();
        assert_eq!(ended.code, Some(0), "{}", ended.log);
        let version = ended.out.trim_end().strip_prefix("market-spread on potoroo ");
        assert!(version.is_some_and(|version| version.contains('.')), "{}", ended.out);
    }
}
