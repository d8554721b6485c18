//! Containers, sandboxes and small hosts: io_uring refused as a whole or in part, no `/sys`, little
//! locked memory. The application runs, says once what that costs, and does the same work.

#[path = "support/seccomp.rs"]
mod seccomp;
mod support;

use std::process::Command;

use rustix::process::Signal;
use seccomp::{ENTER, REGISTER, SETUP, refuse};
use support::{App, Scratch, check_windows, example, wait_for_status};

const COUNT: u64 = 3000;

/// Generated numbers on two cores, into a file.
fn windows(scratch: &Scratch, idle: &str) -> Command {
    let mut command = Command::new(example("sequence_windows"));
    let source = format!("numbers=gen:numbers?count={COUNT}&rate=max");
    let sink = format!("windows=file:{}", scratch.path("windows.txt"));
    command.args(["--no-progress", "--report", "json", "--cores", "0,0", "--idle", idle]);
    command.args(["--source", &source, "--sink", &sink]);
    command
}

/// Runs `command` to its end, checks what it wrote, and returns its log.
#[track_caller]
fn run(command: Command, scratch: &Scratch) -> String {
    let ended = App::spawn(command).finish();
    ended.report();
    check_windows(&scratch.path("windows.txt"), COUNT);
    ended.log
}

#[track_caller]
fn check_notice(log: &str, parts: &[&str]) {
    assert_eq!(log.matches("cores run on plain threads").count(), 1, "{log}");
    for part in parts {
        assert!(log.contains(part), "`{part}` is not in:\n{log}");
    }
}

#[test]
fn without_io_uring_the_application_runs() {
    for errno in [libc::EPERM, libc::ENOSYS, libc::ENOMEM] {
        let scratch = Scratch::new(&format!("no-uring-{errno}"));
        let mut command = windows(&scratch, "adaptive");
        refuse(&mut command, &[SETUP, ENTER, REGISTER], errno);
        let log = run(command, &scratch);
        check_notice(&log, &["io_uring is refused here", "0.2 µs", "kernel.io_uring_disabled"]);
        assert!(log.contains(&std::io::Error::from_raw_os_error(errno).to_string()), "{log}");
    }
}

#[test]
fn with_a_part_of_io_uring_the_application_runs() {
    for (calls, name) in [([SETUP], "setup"), ([ENTER], "enter"), ([REGISTER], "register")] {
        let scratch = Scratch::new(&format!("no-uring-{name}"));
        let mut command = windows(&scratch, "park");
        refuse(&mut command, &calls, libc::EPERM);
        check_notice(&run(command, &scratch), &["io_uring is refused here"]);
    }
}

#[test]
fn the_status_says_on_what_cores_run() {
    let mut command = Command::new(example("sequence_windows"));
    let source = "numbers=gen:numbers?rate=1000";
    command.args(["--no-progress", "--admin", "127.0.0.1:0", "--cores", "0", "--source", source]);
    command.args(["--sink", "windows=null:"]);
    refuse(&mut command, &[SETUP], libc::EPERM);
    let mut app = App::spawn(command);
    let status = wait_for_status(app.admin(), |_| true);
    let core = &status["per_core"][0];
    assert_eq!((&core["poller"], &core["plain_thread"]), (&"epoll".into(), &true.into()), "{core}");
    app.signal(Signal::TERM);
    assert_eq!(app.finish().code, Some(0));
}

#[test]
fn with_little_locked_memory_the_application_runs() {
    for kib in ["0", "64", "511"] {
        let scratch = Scratch::new(&format!("memlock-{kib}"));
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -l {kib} && exec \"$0\" \"$@\"")]);
        let inner = windows(&scratch, "adaptive");
        shell.arg(inner.get_program()).args(inner.get_args());
        let log = run(shell, &scratch);
        check_notice(&log, &["locked memory is limited", "524288", "ulimit -l"]);
    }
}

#[test]
fn without_sys_the_application_runs() {
    let hidden = "mount -t tmpfs none /sys && exec \"$0\" \"$@\"";
    let hide = |inner: &Command| {
        let mut shell = Command::new("unshare");
        shell.args(["--mount", "sh", "-c", hidden]);
        shell.arg(inner.get_program()).args(inner.get_args());
        shell
    };
    if !hide(&Command::new("true")).output().is_ok_and(|ended| ended.status.success()) {
        eprintln!("skipped: only root can hide /sys");
        return;
    }
    let scratch = Scratch::new("no-sys");
    check_notice(&run(hide(&windows(&scratch, "adaptive")), &scratch), &["/sys", "mount it"]);
}
