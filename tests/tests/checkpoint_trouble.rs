//! What becomes of a running application when the world does to its checkpoints and committed
//! output what it should not.

mod support;

use std::fs::{File, OpenOptions};
use std::time::{Duration, Instant};

use support::{App, LIMIT, Scratch};

/// Waits until the file `name` has that many bytes.
fn wait_for_bytes(scratch: &Scratch, name: &str, bytes: u64) {
    let length = || File::open(scratch.path(name)).and_then(|file| file.metadata());
    let deadline = Instant::now() + LIMIT;
    while length().map_or(0, |metadata| metadata.len()) < bytes {
        assert!(Instant::now() < deadline, "{name} does not grow within {LIMIT:?}");
        // Leaves the CPU to the application.
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

fn windows(scratch: &Scratch, more: &str) -> App {
    let (state, output) = (scratch.path("state"), scratch.path("windows"));
    App::start(
        "sequence_windows",
        &format!(
            "--source numbers=gen:numbers?rate=20000 --sink windows=file:{output} --state {state} \
             --checkpoint-ms 5 --report json {more}"
        ),
    )
}

/// What was committed is gone, and no try can bring it back: it does not go on as if it could.
#[test]
fn an_output_that_is_truncated_ends_the_application() {
    let scratch = Scratch::new("trouble-cut");
    let app = windows(&scratch, "");
    wait_for_bytes(&scratch, "windows", 1000);
    let output = OpenOptions::new().write(true).open(scratch.path("windows"));
    output.and_then(|file| file.set_len(1)).expect("it can be cut off");
    let ended = app.finish();
    assert_eq!(ended.code, Some(3), "{}", ended.log);
    for part in ["sink `windows`", "another process has changed it", "start the application again"]
    {
        assert!(ended.log.contains(part), "`{part}` is not in {}", ended.log);
    }
    let said = ended.log.matches("another process has changed it").count();
    assert_eq!(said, 1, "it is said once: {}", ended.log);
}

/// What is in the way of committed output is logged once, it is tried again, and the output becomes
/// visible as soon as it can be.
#[test]
fn an_output_that_cannot_be_written_for_a_while_loses_nothing() {
    let scratch = Scratch::new("trouble-while");
    let mut app = windows(&scratch, "--seconds 2");
    wait_for_bytes(&scratch, "windows", 1000);
    std::fs::rename(scratch.path("windows"), scratch.path("aside")).expect("it is ours");
    std::fs::create_dir(scratch.path("windows")).expect("it can be made");
    app.wait_for("committed output of sink `windows` cannot be written");
    std::fs::remove_dir(scratch.path("windows")).expect("it is empty");
    std::fs::rename(scratch.path("aside"), scratch.path("windows")).expect("it is ours");
    let ended = app.finish();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    let said = ended.log.matches("cannot be written").count();
    assert_eq!(said, 1, "it is said once: {}", ended.log);
    let judged = std::process::Command::new(support::example("sequence_windows"))
        .args(["--validate", &scratch.path("windows")])
        .output()
        .expect("it can be started");
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stderr));
}
