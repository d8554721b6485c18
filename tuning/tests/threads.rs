//! A limit of threads: a measurement that cannot have its threads ends with a message that names
//! the limit and the remedy.

mod recorded;

use std::io::{Write, stderr};
use std::process::{Command, Stdio};

use potoroo_tuning::Root;
use potoroo_tuning::host::CheckedHost;
use recorded::printed;
use rustix::process::getuid;

/// A command of a user of its own, who may have `threads` threads. The limit does not hold for
/// root, and counts all processes of a user; so root lends one without processes.
fn limited(threads: usize, arguments: &str) -> Command {
    const FIRST: u32 = 1_100_000_000;
    let user = FIRST + std::process::id();
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups"]);
    command.arg("prlimit").arg(format!("--nproc={threads}"));
    command.arg(env!("CARGO_BIN_EXE_potoroo-tuning")).args(arguments.split_whitespace());
    command.stdin(Stdio::null());
    command
}

/// Whether threads can be limited here; prints that the test is skipped otherwise.
fn can_limit_threads() -> bool {
    let version = || limited(1, "--version").output().is_ok_and(|output| output.status.success());
    let can = getuid().is_root() && version();
    if !can {
        // Not by `eprintln`, which the test runner swallows when the test passes.
        let skipped = "skipped: only root can start a process of a user who has no other one\n";
        stderr().write_all(skipped.as_bytes()).expect("standard error is open");
    }
    can
}

#[test]
fn a_measurement_without_threads_names_the_limit() {
    if !can_limit_threads() {
        return;
    }
    let one_cpu = CheckedHost::read(&Root::host(), None).allowed.len() < 2;
    for threads in [1, 2] {
        for measurement in ["jitter --seconds 1", "topology"] {
            let output = limited(threads, measurement).output().expect("setpriv is there");
            let text = printed(&output);
            let refused = text.contains("ulimit -u") && text.ends_with("exit 3\n");
            // One CPU needs one thread besides the first at most.
            let measured = one_cpu && text.ends_with("exit 0\n");
            assert!(refused || measured, "{threads} for {measurement}: {text}");
        }
    }
}
