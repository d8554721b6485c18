//! Rollbacks to checkpoints that no longer fit the files and addresses around the application: each
//! is refused before HEAD changes, and the application goes on as if nothing had happened.

mod support;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use potoroo::checkpoint::Epoch;
use potoroo::prelude::*;
use potoroo::sdk::codec::LineText;
use potoroo::{Config, SinkAddress, SourceAddress};
use rustix::process::Signal;
use support::disk::Disk;
use support::history::{History, repeated};
use support::ledger::Place;
use support::operator::{checkpoint, restore};
use support::{App, Scratch, check_windows, head, named, wait_for_status};

const WINDOWS: &str = "sequence_windows";

fn windows(output: &str, state: &str, more: &str) -> App {
    App::start(
        WINDOWS,
        &format!(
            "--source numbers=gen:numbers?rate=20000 --sink windows=file:{output} --state {state} \
             --checkpoint-ms 3600000 --checkpoints-kept 9 --cores 0,1 --admin 127.0.0.1:0 {more}"
        ),
    )
}

/// Until more is processed than now.
fn go_on(admin: SocketAddr) {
    let events = |status: &serde_json::Value| status["events"].as_u64();
    let before = events(&wait_for_status(admin, |_| true));
    wait_for_status(admin, |status| events(status) > before.map(|count| count + 1000));
}

#[track_caller]
fn check_text(refused: &str, parts: &[&str]) {
    parts.iter().for_each(|part| assert!(refused.contains(part), "`{part}` is not in {refused}"));
}

/// Refused, with all as it was.
#[track_caller]
fn check_refused(admin: SocketAddr, state: &str, epoch: u64, parts: &[&str]) {
    let before = head(state);
    let refused = restore(admin, epoch).expect_err("it does not fit");
    check_text(&refused, parts);
    assert_eq!(head(state), before, "nothing was swapped");
    let status = wait_for_status(admin, |_| true);
    assert_eq!(status["checkpoints"]["rollbacks"], 0);
}

#[test]
fn an_output_file_that_was_changed_since_is_not_gone_back_to() {
    let scratch = Scratch::new("edges-output");
    let (output, state) = (scratch.path("windows"), scratch.path("state"));
    let mut app = windows(&output, &state, "");
    let admin = app.admin();
    let [first, _] = [(); 2].map(|()| {
        go_on(admin);
        checkpoint(admin)
    });
    // Without its mark, what was shown is compared.
    let mark = fs::read_dir(&state).expect("it is there").map(|entry| entry.expect("one").path());
    let is_mark = |path: &PathBuf| path.to_string_lossy().contains(&format!("/shown-1-{first}-"));
    let mark = mark.into_iter().find(is_mark).expect("it was shown");
    // It becomes shorter, or begins with another byte.
    let harms = [(true, "it has 2 bytes"), (false, "they are not what was written")];
    let parts = |what| ["sink `windows` cannot use file:", what, "put the file back"];
    let harm = |shown: &[u8], shorter: bool| {
        let mut other = shown.to_vec();
        other[0] ^= 1;
        other.truncate(if shorter { 2 } else { other.len() });
        fs::write(&output, &other).expect("it is ours");
        if !shorter {
            fs::remove_file(&mark).expect("it is there");
        }
        other
    };
    let mend = |shown: &[u8]| {
        fs::write(&output, shown).expect("it is ours");
        fs::write(&mark, b"").expect("it is ours");
    };
    for (shorter, what) in harms {
        let shown = scratch.read("windows");
        harm(&shown, shorter);
        check_refused(admin, &state, first, &parts(what));
        mend(&shown);
        go_on(admin);
        checkpoint(admin);
    }
    app.signal(Signal::TERM);
    let ended = app.finish();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    // At a start, too; what is refused there can be put right.
    let (shown, before) = (scratch.read("windows"), head(&state));
    for (shorter, what) in harms {
        let harmed = harm(&shown, shorter);
        windows(&output, &state, &format!("--restore {first}")).finish().refused(1, &parts(what));
        assert_eq!(head(&state), before, "nothing was swapped");
        assert!(scratch.read("windows") == harmed, "nor was the file written");
        mend(&shown);
    }
    let mut app = windows(&output, &state, &format!("--restore {first}"));
    app.wait_for(&format!("goes on from checkpoint {first} in"));
    let admin = app.admin();
    restore(admin, first).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_source_file_that_is_another_one_is_not_gone_back_to() {
    let place = Place::new("edges-source", 600);
    let path = |name: &str| place.scratch.path(name);
    let made = Command::new("mkfifo").arg(path("pipe")).status().expect("there is mkfifo");
    assert!(made.success());
    let start = |more: &str| {
        let arguments = format!(
            "--source orders=file:{} --sink totals=null: --checkpoint-ms 3600000 \
             --checkpoints-kept 9 --admin 127.0.0.1:0 {more}",
            path("pipe")
        );
        place.start_from("source", &arguments)
    };
    let mut app = start("");
    let admin = app.admin();
    let read = |status: &serde_json::Value| {
        named(status, "sources", "corrections")["events"].as_u64() == Some(500)
    };
    wait_for_status(admin, read);
    let epoch = checkpoint(admin);
    let (file, corrections) = (path("corrections"), place.scratch.read("corrections"));
    let mut other = corrections.clone();
    other[0] ^= 1;
    let harms: [(&[u8], &str); 2] =
        [(&corrections[1..], "and the checkpoint has read"), (&other, "is not what was read")];
    let parts = |what| ["source `corrections` cannot use file:", what, "put back the file"];
    for (bytes, what) in harms {
        fs::write(&file, bytes).expect("it is ours");
        check_refused(admin, &path("state"), epoch, &parts(what));
        fs::write(&file, &corrections).expect("it is ours");
        checkpoint(admin);
    }
    app.signal(Signal::TERM);
    assert_eq!(app.finish().code, Some(0));
    let before = place.head();
    for (bytes, what) in harms {
        fs::write(&file, bytes).expect("it is ours");
        start(&format!("--restore {epoch}")).finish().refused(1, &parts(what));
        assert_eq!(place.head(), before, "nothing was swapped");
    }
    fs::write(&file, &corrections).expect("it is ours");
    let mut app = start(&format!("--restore {epoch}"));
    let admin = app.admin();
    restore(admin, epoch).unwrap_or_else(|error| panic!("{error}"));
}

/// Dropped, and added again with another kind of address.
#[test]
fn a_source_that_counted_something_else_is_not_gone_back_to() {
    let scratch = Scratch::new("edges-unit");
    let (state, numbers) = (scratch.path("state"), scratch.write("numbers", b"1\n2\n3\n"));
    let described = |with_numbers: bool| {
        move || {
            let app = Application::new("units");
            let lines = app.source("lines", LineText::new());
            if with_numbers {
                app.generator("numbers", |_| |index| Some(index.to_string()));
                lines.merge(&app.source("numbers", LineText::new())).sink("out", LineText::new());
            } else {
                lines.sink("out", LineText::new());
            }
            app
        }
    };
    let config = Config {
        cores: vec![0, 1],
        progress: false,
        checkpoints_kept: 9,
        admin: Some("127.0.0.1:0".parse().expect("an address")),
        state: Some(PathBuf::from(&state).into()),
        ..Config::default()
    };
    let lines: SourceAddress = "tcp://127.0.0.1:0".parse().expect("an address");
    let config = config.source("lines", lines).sink("out", SinkAddress::Null);
    let at = |address: &str| address.parse::<SourceAddress>().expect("an address");
    let run = |with_numbers: bool, config: Config, look: &dyn Fn(SocketAddr) -> u64| {
        let running = potoroo::run(described(with_numbers), config);
        let running = running.unwrap_or_else(|error| panic!("{error}"));
        let epoch = look(running.admin().expect("it was given"));
        running.stop();
        running.wait().unwrap_or_else(|error| panic!("{error}"));
        epoch
    };
    let of_file = config.clone().source("numbers", at(&format!("file:{numbers}")));
    let epoch = run(true, of_file, &|admin| {
        wait_for_status(admin, |status| status["events"] == 3);
        checkpoint(admin)
    });
    let dropped = Config { drop: vec!["numbers".to_owned()], ..config.clone() };
    run(false, dropped, &checkpoint);
    let made = config.source("numbers", at("gen:numbers?rate=1000"));
    let parts = ["source `numbers` stands at 6 bytes of another address"];
    run(true, made.clone(), &|admin| {
        check_refused(admin, &state, epoch, &parts);
        checkpoint(admin)
    });
    let before = head(&state);
    let restored = Config { restore: Some(Epoch(epoch as u32)), ..made };
    let refused = potoroo::run(described(true), restored).err().expect("it does not fit");
    check_text(&refused.to_string(), &parts);
    assert_eq!(head(&state), before, "nothing was swapped");
}

/// What is visible in part is completed before an older checkpoint counts: the next output would
/// begin in the middle of a line.
#[test]
fn output_that_is_visible_in_part_is_completed_before_it_is_gone_back_from() {
    const COUNT: u64 = 60_000;
    let scratch = Scratch::new("edges-part");
    let Some(disk) = Disk::new(scratch.path("disk")) else { return };
    let (output, state) = (format!("{}/windows", disk.0), scratch.path("state"));
    let arguments = |more: &str| {
        format!(
            "--source numbers=gen:numbers?rate=20000&count={COUNT} --sink windows=file:{output} \
             --state {state} --checkpoint-ms 3600000 --checkpoints-kept 9 --cores 0,1 \
             --admin 127.0.0.1:0 {more}"
        )
    };
    let length = || fs::metadata(&output).expect("it is there").len() as usize;
    let mut history = History::default();
    let parts = ["sink `windows` cannot use file:", "which is committed", "No space left"];
    let mut app = App::start(WINDOWS, &arguments(""));
    let admin = app.admin();
    // The disk is full in the middle of a transaction.
    let tear = |app: &mut App, admin| {
        // The last page of the file has room for the beginning.
        while length() % 4096 == 0 {
            go_on(admin);
            checkpoint(admin);
        }
        disk.fill();
        let before = length();
        go_on(admin);
        let epoch = checkpoint(admin);
        app.wait_for("committed output of sink `windows` cannot be written");
        assert!(length() > before, "a part of {epoch} is visible");
    };
    go_on(admin);
    let first = checkpoint(admin);
    tear(&mut app, admin);
    check_refused(admin, &state, first, &parts);
    disk.empty();
    let answer = restore(admin, first).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(fs::read(&output).expect("it is there").last(), Some(&b'\n'));
    history.roll_back(length(), repeated(&answer));
    // Killed then, and gone back at the next start.
    tear(&mut app, admin);
    app.signal(Signal::KILL);
    app.finish();
    let (before, flag) = (head(&state), arguments(&format!("--restore {first}")));
    App::start(WINDOWS, &flag).finish().refused(1, &parts);
    assert_eq!(head(&state), before, "nothing was swapped");
    disk.empty();
    let mut app = App::start(WINDOWS, &flag);
    let line = app.wait_for("receives the output of epochs");
    let bytes = line.split(' ').rev().nth(1).expect("bytes").parse().expect("a number");
    app.admin();
    history.roll_back(length(), bytes);
    assert_eq!(app.finish().code, Some(0));
    scratch.write("history", &history.bytes(&fs::read(&output).expect("it is there")));
    check_windows(&scratch.path("history"), COUNT);
}
