//! A limit of threads: a benchmark that cannot have its threads ends with a message that names the
//! limit and the remedy.

use std::io::{Write, stderr};
use std::process::{Command, Stdio};

use rustix::process::getuid;

/// A command of a user of its own, who may have `threads` threads. The limit does not hold for
/// root, and counts all processes of a user; so root lends one without processes.
fn limited(threads: usize, arguments: &str) -> Command {
    const FIRST: u32 = 1_200_000_000;
    let user = FIRST + std::process::id();
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups"]);
    command.arg("prlimit").arg(format!("--nproc={threads}"));
    command.arg(env!("CARGO_BIN_EXE_potoroo-bench")).args(arguments.split_whitespace());
    command.stdin(Stdio::null());
    command
}

#[test]
fn a_benchmark_without_threads_names_the_limit() {
    let version = || limited(1, "--version").output().is_ok_and(|output| output.status.success());
    if !getuid().is_root() || !version() {
        // Not by `eprintln`, which the test runner swallows when the test passes.
        let skipped = "skipped: only root can start a process of a user who has no other one\n";
        stderr().write_all(skipped.as_bytes()).expect("standard error is open");
        return;
    }
    // None besides the first, and one of the two sides.
    for threads in [1, 2] {
        let output = limited(threads, "limits --toy --json").output().expect("setpriv is there");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("ulimit -u"), "{threads}: {text}");
        assert!(!text.contains("panicked"), "{threads}: {text}");
    }
}
