//! What people do with stored state: look into it, have it stored now, and go on with it under
//! another shape.

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use potoroo::prelude::*;
use potoroo::sdk::codec::LineText;
use potoroo::{Config, Running, SinkAddress, SourceAddress};
use serde_json::{Value, json};
use support::{App, Ended, Scratch, example, tool};

fn ask(words: &[&str]) -> Ended {
    let mut command = Command::new(tool());
    command.args(words);
    App::spawn(command).finish()
}

/// Runs word count over `text` to its end, with its state kept.
fn count(scratch: &Scratch, text: &str) {
    let input = scratch.write("lines", text.as_bytes());
    let (state, counts) = (scratch.path("state"), scratch.path("counts"));
    let edges = format!("--source lines=file:{input} --sink counts=file:{counts}");
    let arguments = format!("{edges} --state {state} --cores 0,0 --report json");
    App::start("word_count", &arguments).finish().report();
}

#[test]
fn a_table_is_exported_as_lines_of_json() {
    let scratch = Scratch::new("stored-export");
    count(&scratch, "to be or not to be\nthat is the question\n");
    let program = example("word_count");
    let program = program.to_str().expect("a plain name");
    let state = scratch.path("state");
    let of = ["--program", program, "--state", &state];
    let exported = ask(&[&["checkpoint", "export", "totals"], &of[..]].concat());
    assert_eq!(exported.code, Some(0), "{}", exported.log);
    let rows = exported.out.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    let mut rows: Vec<Value> = rows.collect();
    rows.sort_by_key(|row| row["key"].to_string());
    assert_eq!(rows.len(), 8);
    assert_eq!(rows[0], json!({ "key": "be", "state": 2 }));
    assert_eq!(rows[6], json!({ "key": "the", "state": 1 }));

    let nothing = ask(&[&["checkpoint", "export", "sums"], &of[..]].concat());
    assert_eq!(nothing.code, Some(1));
    assert!(nothing.log.contains("there is no table `sums`; there are: totals"), "{}", nothing.log);
    let nothing = ask(&[&["checkpoint", "export", "totals", "99"], &of[..]].concat());
    assert!(nothing.log.contains("no checkpoint of epoch 99"), "{}", nothing.log);
    let other = example("market_spread");
    let other = ["--program", other.to_str().expect("a plain name"), "--state", &state];
    let refused = ask(&[&["checkpoint", "export", "markets"], &other[..]].concat());
    assert_eq!(refused.code, Some(1));
    assert!(refused.log.contains("belongs to application `word-count`"), "{}", refused.log);

    for file in fs::read_dir(&state).expect("it is there") {
        let path = file.expect("it is there").path();
        if path.display().to_string().contains("/part-") {
            let bytes = fs::read(&path).expect("it is ours");
            fs::write(&path, &bytes[..bytes.len() - 1]).expect("it is ours");
        }
    }
    let damaged = ask(&[&["checkpoint", "export", "totals"], &of[..]].concat());
    damaged.refused(1, &["error: --state ", "part-1-1-0-", "it is cut off; put it back"]);
}

/// Another structure that has the same table, given by a flag of the program's own; and what the
/// program prints besides.
#[test]
fn a_table_is_exported_by_a_program_with_flags_of_its_own() {
    let scratch = Scratch::new("stored-export-flags");
    let state = scratch.path("state");
    let arguments = format!(
        "--reply --source quotes=gen:quotes?count=1000 --source orders=gen:orders?count=10 --state \
         {state} --cores 0 --report json"
    );
    App::start("market_spread", &arguments).finish().report();
    let program = example("market_spread");
    let program = program.to_str().expect("a plain name");
    let script = |name: &str, text: &str| {
        let path = scratch.write(name, format!("#!/bin/sh\n{text}\n").as_bytes());
        fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("it is ours");
        path
    };
    let chatty = script("chatty", &format!("echo hello; printf 'no line feed '; {program} $@"));
    let export = |program: &str, more: &[&str]| {
        let of = ["--program", program, "--state", &state];
        ask(&[&["checkpoint", "export", "markets"], &of[..], more].concat())
    };
    let rows = |ended: &Ended| {
        assert_eq!(ended.code, Some(0), "{}", ended.log);
        let mut rows: Vec<String> = ended.out.lines().map(str::to_owned).collect();
        rows.sort();
        rows
    };
    let all = rows(&export(program, &["--", "--reply"]));
    assert!(all.len() > 10 && all[0].starts_with("{\"key\":"), "{all:?}");
    assert_eq!(rows(&export(program, &[])), all, "the table is the same in both");
    let noisy = export(&chatty, &["--", "--reply"]);
    assert_eq!(rows(&noisy), all);
    assert!(noisy.log.contains("hello") && noisy.log.contains("no line feed"), "{}", noisy.log);
    let failing = export(&script("failing", &format!("{program} $@; exit 7")), &[]);
    assert_eq!((failing.code, failing.out.lines().count()), (Some(1), all.len()));
    assert!(failing.log.contains("not the whole table"), "{}", failing.log);
    let unknown = export(program, &["--", "--replay"]);
    unknown.refused(1, &["--replay", "not the whole table"]);
    export("market_spread", &[]).refused(1, &["cannot be started", "begins with ./"]);
}

#[test]
fn a_running_application_takes_a_checkpoint_and_tells_what_it_has_for_a_key() {
    let scratch = Scratch::new("stored-now");
    let state = scratch.path("state");
    let mut app = App::start(
        "word_count",
        &format!(
            "--source lines=tcp://127.0.0.1:0 --sink counts=null: --state {state} --cores 0,0 \
             --checkpoint-ms 3600000 --admin 127.0.0.1:0"
        ),
    );
    let (lines, admin) = (app.listening("lines"), app.admin());
    let of = ["--admin", &admin.to_string()];
    let taken = ask(&[&["checkpoint", "now"], &of[..]].concat());
    assert_eq!(taken.last_line(), json!({ "epoch": 1 }));
    let get = |key: &str| ask(&[&["state", "get", "totals", key], &of[..]].concat());
    let missing = get("löwe");
    assert_eq!(missing.code, Some(1), "{}", missing.out);
    assert!(missing.log.contains("there is no such key"), "{}", missing.log);
    support::exchange(lines, "Löwe and löwe\n".as_bytes());
    support::wait_for_status(admin, |status| status["tables"][0]["rows"] == 2);
    let found = get("löwe");
    assert_eq!(
        found.last_line(),
        json!({ "epoch": 3, "key": "löwe", "state": 2 }),
        "{}",
        found.log
    );
    assert!(get("and").out.contains("\"state\":1"));
    drop(app);
    let silent = get("and");
    assert_eq!(silent.code, Some(1));
    assert!(silent.log.contains("no application answers"), "{}", silent.log);
}

#[test]
fn an_application_without_checkpoints_says_so() {
    let mut app = App::start(
        "word_count",
        "--source lines=tcp://127.0.0.1:0 --sink counts=null: --admin 127.0.0.1:0",
    );
    let admin = app.admin().to_string();
    let refused = ask(&["checkpoint", "now", "--admin", &admin]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.log.contains("start it with --state"), "{}", refused.log);
}

/// The index of an event says nothing about bytes of a file.
#[test]
fn a_source_of_another_kind_does_not_go_on() {
    let scratch = Scratch::new("stored-kind");
    let (state, input) = (scratch.path("state"), scratch.write("lines", b"to be\n"));
    let run = |lines: &str| {
        let edges = format!("--source lines={lines} --sink counts=null:");
        let arguments = format!("{edges} --state {state} --cores 0 --report json");
        App::start("word_count", &arguments).finish()
    };
    run("gen:lines?count=3").report();
    let refused = run(&format!("file:{input}"));
    refused.refused(1, &["source `lines`", "3 events", "another --state"]);
}

/// Everything was visible at the first address: nothing holds the sink there.
#[test]
fn an_output_may_get_another_address() {
    let scratch = Scratch::new("stored-address");
    let state = scratch.path("state");
    scratch.write("other", b"somebody's\n");
    let addresses = ["file", "null", "other", "stdout"].map(|name| match name {
        "file" | "other" => format!("file:{}", scratch.path(name)),
        _ => format!("{name}:"),
    });
    for (run, address) in addresses.iter().enumerate() {
        let count = 20 * (run + 1);
        let edges = format!("--source lines=gen:lines?count={count} --sink counts={address}");
        let arguments = format!("{edges} --state {state} --cores 0,0 --report json");
        let ended = App::start("word_count", &arguments).finish();
        assert_eq!(ended.report()["events"], 20, "{address}: {}", ended.log);
    }
    let lines = |name: &str| scratch.read(name).iter().filter(|byte| **byte == b'\n').count();
    assert_eq!((lines("file"), lines("other")), (160, 161));
}

/// A pipe is read once, whatever is kept; it is not announced as more.
#[test]
fn a_source_that_cannot_be_read_again_is_said_to_be_none() {
    let scratch = Scratch::new("stored-device");
    let state = scratch.path("state");
    for _ in 0..2 {
        let arguments = format!(
            "--source lines=file:/dev/null --sink counts=file:/dev/null --state {state} --cores 0 \
             --report json"
        );
        let ended = App::start("word_count", &arguments).finish();
        ended.report();
        assert!(ended.log.contains("lines → counts: at most once in"), "{}", ended.log);
        assert!(ended.log.contains("at least once out"), "{}", ended.log);
    }
}

mod v1 {
    use potoroo::prelude::*;

    #[state]
    pub struct Account {
        pub total: u64,
    }
}

#[state]
struct Account {
    events: u64,
    total: u64,
}

fn account_before() -> Application {
    let app = Application::new("accounts");
    let accounts = app.table::<u64, v1::Account>("accounts");
    app.source("lines", LineText::new())
        .key_by(|line| line.len() as u64)
        .update(&accounts, |account, line| {
            account.total += line.len() as u64;
            format!("{}", account.total)
        })
        .sink("totals", LineText::new());
    app
}

fn accounts(choose: fn(Table<u64, Account>) -> Table<u64, Account>) -> Application {
    let app = Application::new("accounts");
    let table = choose(app.table("accounts"));
    app.source("lines", LineText::new())
        .key_by(|line| line.len() as u64)
        .update(&table, |account, line| {
            account.events += 1;
            account.total += line.len() as u64;
            format!("{} {}", account.events, account.total)
        })
        .sink("totals", LineText::new());
    app
}

fn account_refused() -> Application {
    accounts(|table| table)
}

fn account_migrated() -> Application {
    accounts(|table| table.migrating(|old: v1::Account| Account { events: 1000, total: old.total }))
}

fn account_broken() -> Application {
    accounts(|table| table.migrating(|old: v1::Account| panic!("{} is no total", old.total)))
}

/// Starts the application on two cores.
fn start(application: fn() -> Application, state: &str) -> Result<Running, String> {
    let config = Config {
        cores: vec![0, 0],
        progress: false,
        state: Some(Path::new(state).to_path_buf().into()),
        ..Config::default()
    };
    let config =
        config.source("lines", SourceAddress::Channel).sink("totals", SinkAddress::Channel);
    potoroo::run(application, config).map_err(|error| error.to_string())
}

/// Gives the application one line after the other; returns what it says.
fn say(application: fn() -> Application, state: &str, lines: &[&str]) -> Result<String, String> {
    let mut running = start(application, state)?;
    let mut source = running.source("lines").expect("it is a channel");
    let mut sink = running.sink("totals").expect("it is a channel");
    for line in lines {
        source.send(&(*line).to_string()).expect("the application runs");
    }
    drop(source);
    let mut said = Vec::new();
    while let Some(bytes) = sink.recv() {
        said.extend_from_slice(&bytes);
    }
    running.wait().map_err(|error| error.to_string())?;
    Ok(String::from_utf8(said).expect("it is text"))
}

/// Counts lines, which are milliseconds, in windows of this size.
fn counts_per(size: Duration) -> Application {
    let app = Application::new("counts");
    let counts = app.windows::<(), Count>("counts", tumbling(size));
    app.source("lines", LineText::new())
        .map(|line| line.parse::<i64>().ok())
        .event_time(EventTime::from_millis, IN_ORDER)
        .collect()
        .window(&counts, |count, _| count.add(1));
    counts
        .closed(|count, window| format!("{} to {}", count.get(), window.end()))
        .sink("totals", LineText::new());
    app
}

#[test]
fn windows_that_changed_are_refused_with_what_they_were_and_are() {
    let scratch = Scratch::new("stored-windows");
    let state = scratch.path("state");
    let (one, two) = (|| counts_per(seconds(1)), || counts_per(seconds(2)));
    let counts = |numbers: &[&str]| say(one, &state, numbers);
    assert_eq!(counts(&["1", "2"]), Ok("2 to 1.000000000\n".to_owned()));
    let refused = say(two, &state, &["3"]).expect_err("its windows are others");
    let text = "table `counts`: its windows were tumbling 1s and are tumbling 2s; give them \
                another name, and --drop the old ones";
    assert!(refused.contains(text), "{refused}");
    assert_eq!(counts(&["1000"]), Ok("1 to 2.000000000\n".to_owned()));
}

#[test]
fn a_state_of_another_shape_is_refused_unless_a_migration_is_registered() {
    let scratch = Scratch::new("stored-migration");
    let state = scratch.path("state");
    assert_eq!(say(account_before, &state, &["four", "five"]), Ok("4\n8\n".to_owned()));
    let refused = say(account_refused, &state, &["four"]).expect_err("its shape is another");
    assert!(refused.contains("table `accounts`: its state was `Account`"), "{refused}");
    assert!(refused.contains("Table::migrating"), "{refused}");
    // Before anything was sent or received.
    let panicked = start(account_broken, &state).err().expect("a core cannot restore its share");
    assert!(panicked.contains("8 is no total"), "{panicked}");
    assert_eq!(say(account_migrated, &state, &["four"]), Ok("1001 12\n".to_owned()));
    // From now on it is stored in its present shape.
    assert_eq!(say(account_refused, &state, &["four"]), Ok("1002 16\n".to_owned()));
    let refused = say(account_before, &state, &["four"]).expect_err("there is no way back");
    assert!(refused.contains("table `accounts`"), "{refused}");
}
