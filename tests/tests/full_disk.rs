//! Output that waits for a client that is away, on a disk that has no room for all of it: sources
//! are held back, no process ends, and a start works on the full disk.

mod support;

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::disk::Disk;
use support::operator::{ask, checkpoint, restore};
use support::{App, LIMIT, Scratch, check_windows, free_port, take_output, wait_for_status};

const NUMBERS: u64 = 400_000;

fn windows(port: u16, state: &str, more: &str) -> App {
    App::start(
        "sequence_windows",
        &format!(
            "--source numbers=gen:numbers?count={NUMBERS}&rate=1000000 --sink \
             windows=potoroo://127.0.0.1:{port} --state {state} --checkpoint-ms 20 --cores 0 \
             --admin 127.0.0.1:0 --drain-seconds 60 --report json {more}"
        ),
    )
}

#[test]
fn a_client_that_is_away_and_a_full_disk_end_no_process() {
    let scratch = Scratch::new("full-disk");
    let Some(disk) = Disk::new(scratch.path("disk")) else { return };
    let (state, port) = (scratch.path("disk/state"), free_port());
    let mut app = windows(port, &state, "");
    let admin = app.admin();
    app.wait_for("sources are held back");
    let committed = |status: &serde_json::Value| status["checkpoints"]["committed"].as_u64();
    let before = wait_for_status(admin, |status| committed(status) > Some(0));
    assert!(before["sources"][0]["events"].as_u64() < Some(NUMBERS), "{before}");
    // Checkpoints are taken as before.
    wait_for_status(admin, |status| committed(status) > committed(&before));
    disk.fill();
    let deadline = Instant::now() + LIMIT;
    while !app.log_so_far().contains("was aborted") {
        assert!(!app.has_ended(), "{}", app.log_so_far());
        assert!(Instant::now() < deadline, "checkpoints go on: {}", app.log_so_far());
        disk.fill();
        std::thread::park_timeout(Duration::from_millis(1));
    }
    app.signal(Signal::KILL);
    app.finish();
    // Whatever the crash has given back.
    disk.fill();
    for _ in 0..3 {
        let mut app = windows(port, &state, "");
        app.wait_for("goes on from checkpoint");
        app.wait_for("sources are held back");
        app.signal(Signal::KILL);
        app.finish();
        disk.fill();
    }
    let mut app = windows(port, &state, "");
    let mut full = true;
    let output = take_output(port, "", |came| {
        if !came.is_empty() && std::mem::take(&mut full) {
            disk.empty();
        }
        app.has_ended()
    });
    app.finish().report();
    check_windows(&scratch.write("windows", &output), NUMBERS);
}

/// By the command line and by the file.
#[test]
fn sources_are_held_back_beyond_the_backlog_that_is_configured() {
    let scratch = Scratch::new("full-backlog");
    let file = scratch.write("config.toml", b"sink_backlog_bytes = 65536\n");
    for (name, more) in
        [("flag", "--sink-backlog-bytes 65536".to_owned()), ("file", format!("--config {file}"))]
    {
        let (state, port) = (scratch.path(name), free_port());
        let mut app = windows(port, &state, &more);
        let line = app.wait_for("sources are held back");
        assert!(line.contains("bytes wait for it"), "{line}");
        let output = take_output(port, "", |_| app.has_ended());
        let ended = app.finish();
        ended.report();
        assert!(ended.log.contains("sources go on"), "{}", ended.log);
        check_windows(&scratch.write("windows", &output), NUMBERS);
    }
    let ended = windows(free_port(), &scratch.path("state"), "--sink-backlog-bytes 1").finish();
    ended.refused(1, &["sink_backlog_bytes", "65536"]);
}

/// The reserve is for HEAD, by which a rollback counts; without it nothing stops.
#[test]
fn a_rollback_on_a_full_disk_is_done_or_refused() {
    let scratch = Scratch::new("full-rollback");
    let Some(disk) = Disk::new(scratch.path("disk")) else { return };
    let state = format!("{}/state", disk.0);
    let mut app = App::start(
        "sequence_windows",
        &format!(
            "--source numbers=gen:numbers?rate=1000 --sink windows=null: --state {state} \
             --checkpoint-ms 3600000 --cores 0,1 --admin 127.0.0.1:0"
        ),
    );
    let admin = app.admin();
    let epoch = checkpoint(admin);
    disk.fill();
    let full = || ask(admin, &["now"]).expect_err("there is no room for a part");
    for _ in 0..2 {
        restore(admin, epoch).unwrap_or_else(|error| panic!("{error}"));
        assert!(full().contains("No space left"));
    }
    fs::remove_file(format!("{state}/RESERVE")).expect("a rollback makes it again");
    disk.fill();
    let refused = restore(admin, epoch).expect_err("there is no room for HEAD");
    assert!(refused.contains("free space there"), "{refused}");
    let status = wait_for_status(admin, |_| true);
    assert_eq!(status["checkpoints"]["rollbacks"], 2);
    wait_for_status(admin, |later| later["events"].as_u64() > status["events"].as_u64());
    disk.empty();
    restore(admin, epoch).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(checkpoint(admin), epoch + 1);
    app.signal(Signal::TERM);
    assert_eq!(app.finish().code, Some(0));
}
