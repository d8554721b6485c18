//! Limits of the process on real applications: descriptors and threads that run out end no
//! application, and a start that does not fit says so.

mod support;

use std::fs;
use std::io::{ErrorKind, Read, Write, stderr};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use potoroo_connector::{Frame, FrameReader, Role, VERSION};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, getuid, prlimit};
use support::{App, LIMIT, Scratch, connect, example};

/// Asks the admin port for something that has a checkpoint taken.
fn ask(admin: SocketAddr, request: &str) -> String {
    let mut stream = connect(admin);
    let request = format!("{request} HTTP/1.1\r\nHost: localhost\r\nX-Potoroo: 1\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("the admin port listens");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the admin port answers");
    answer
}

/// Starts Market Spread with limits of the shell.
fn limited(limits: &str, arguments: &str) -> App {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{limits} && exec \"$0\" --no-progress {arguments}")]);
    shell.arg(example("market_spread"));
    App::spawn(shell)
}

/// Strangers take no descriptor that output, checkpoints or the admin port need.
#[test]
fn idle_strangers_leave_room_for_output_and_checkpoints() {
    let scratch = Scratch::new("limits-strangers");
    let arguments = format!(
        "--source quotes=gen:quotes --source orders=tcp://127.0.0.1:0 --sink rejections=file:{} \
         --cores 0 --checkpoint-ms 10 --admin 127.0.0.1:0 --state {}",
        scratch.path("rejections"),
        scratch.path("state"),
    );
    let mut app = limited("ulimit -n 256", &arguments);
    app.wait_for("the limit of open files allows");
    let (orders, admin) = (app.listening("orders"), app.admin());
    let strangers: Vec<TcpStream> = (0..200).map(|_| connect(orders)).collect();
    app.wait_for("cannot accept");
    for _ in 0..20 {
        let answer = ask(admin, "POST /checkpoint");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}\n{}", app.log_so_far());
    }
    drop(strangers);
    app.signal(Signal::TERM);
    let ended = app.finish();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
}

/// More half-open connections than places: they wait, and end.
#[test]
fn silent_clients_of_the_admin_port_leave_room() {
    let arguments = "--cores 0 --admin 127.0.0.1:0 --seconds 60";
    let mut app = limited("ulimit -n 128", arguments);
    let admin = app.admin();
    let silent: Vec<TcpStream> = (0..100).map(|_| connect(admin)).collect();
    let answer = ask(admin, "GET /status");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    drop(silent);
    app.signal(Signal::TERM);
    assert_eq!(app.finish().code, Some(0));
}

/// Another thread may have the last descriptor: the next output and checkpoint wait for one.
#[test]
fn descriptors_that_run_out_are_waited_for() {
    let scratch = Scratch::new("limits-waiting");
    let (counts, state) = (scratch.path("counts"), scratch.path("state"));
    let mut app = App::start(
        "word_count",
        &format!(
            "--source lines=tcp://127.0.0.1:0 --sink counts=file:{counts} --cores 0 \
             --checkpoint-ms 20 --state {state}"
        ),
    );
    let mut lines = connect(app.listening("lines"));
    let limit = getrlimit(Resource::Nofile);
    let process = app.process();
    let set = |current| {
        let limit = Rlimit { current, ..limit };
        prlimit(Some(process), Resource::Nofile, limit).expect("it is our child");
    };
    // Accepted before there is no descriptor for it.
    lines.write_all(b"before\n").expect("it is connected");
    wait_for_lines(&counts, "before 1\n");
    set(Some(4));
    lines.write_all(b"meanwhile\n").expect("it is connected");
    app.wait_for("a file cannot be opened");
    set(limit.current);
    wait_for_lines(&counts, "before 1\nmeanwhile 1\n");
    drop(lines);
    app.signal(Signal::TERM);
    let ended = app.finish();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
}

/// Waits until a file has these lines.
fn wait_for_lines(path: &str, lines: &str) {
    let deadline = Instant::now() + LIMIT;
    while fs::read_to_string(path).unwrap_or_default() != lines {
        assert!(Instant::now() < deadline, "not within {LIMIT:?}: {path}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

#[test]
fn the_soft_limit_of_descriptors_is_raised_to_the_hard_one() {
    let mut app = limited("ulimit -S -n 100 && ulimit -H -n 700", "--cores 0 --admin 127.0.0.1:0");
    app.admin();
    let limits = format!("/proc/{}/limits", app.process().as_raw_nonzero());
    let limits = fs::read_to_string(limits).expect("it runs");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("a line");
    let numbers: Vec<&str> = line.split_whitespace().skip(3).take(2).collect();
    assert_eq!(numbers, ["700", "700"], "{line}");
}

/// An application of a user of its own, who may have `threads` threads. The limit does not hold for
/// root, and counts all processes of a user; so root lends one without processes.
fn with_threads(threads: usize, name: &str, arguments: &str) -> App {
    let user = user();
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups"]);
    command.arg("prlimit").arg(format!("--nproc={threads}")).arg(example(name));
    command.args(["--no-progress"]).args(arguments.split_whitespace());
    App::spawn(command)
}

/// A number that is no user of this host, and no other test's.
fn user() -> u32 {
    const FIRST: u32 = 1_000_000_000;
    FIRST + std::process::id()
}

/// Whether threads can be limited here; says so otherwise.
fn can_limit_threads() -> bool {
    let can = getuid().is_root()
        && Command::new("setpriv")
            .args([&format!("--reuid={}", user()), "--clear-groups", "--"])
            .arg(example("word_count"))
            .arg("--version")
            .status()
            .is_ok_and(|status| status.success());
    if !can {
        // Not by `eprintln`, which the test runner swallows when the test passes.
        let skipped = "skipped: only root can start a process of a user who has no other one\n";
        stderr().write_all(skipped.as_bytes()).expect("standard error is open");
    }
    can
}

/// A folder that every user may write.
fn open_scratch(test: &str) -> Scratch {
    let scratch = Scratch::new(test);
    let folder = scratch.path("");
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).expect("it is ours");
    scratch
}

#[test]
fn too_few_threads_are_refused_without_a_panic() {
    if !can_limit_threads() {
        return;
    }
    let scratch = open_scratch("limits-threads");
    let mut started = 0;
    for threads in 1..40 {
        let arguments = format!(
            "--source numbers=potoroo://127.0.0.1:0?streams=1 --sink windows=file:{} --cores 0,0 \
             --admin 127.0.0.1:0 --state {} --seconds 1",
            scratch.path("windows"),
            scratch.path("state"),
        );
        let ended = with_threads(threads, "sequence_windows", &arguments).finish();
        match ended.code {
            Some(0) => started += 1,
            _ => ended.refused(1, &["thread"]),
        }
        if started == 3 {
            return;
        }
    }
    panic!("40 threads are enough");
}

/// Says hello to a source; returns why it is refused, `None` if it is welcome.
fn hello(source: SocketAddr) -> (TcpStream, Option<String>) {
    let mut to = connect(source);
    let mut out = Vec::new();
    let (version, role, token) = (VERSION, Role::Source, "");
    Frame::Hello { version, role, token, application: "", endpoint: "" }.encode(&mut out);
    to.write_all(&out).expect("it is connected");
    let mut reader = FrameReader::new(to.try_clone().expect("a descriptor"));
    let refused = match reader.read().expect("an answer").expect("a frame") {
        Frame::Refused { reason } => Some(reason.to_owned()),
        // The thread that answers may be refused after the welcome.
        Frame::Welcome { .. } => {
            to.set_read_timeout(Some(Duration::from_millis(50))).expect("a limit");
            match reader.read() {
                Ok(Some(Frame::Refused { reason })) => Some(reason.to_owned()),
                Err(potoroo_connector::Error::Io(error))
                    if error.kind() == ErrorKind::WouldBlock =>
                {
                    None
                }
                other => panic!("{other:?}"),
            }
        }
        other => panic!("{}", other.name()),
    };
    to.set_read_timeout(Some(LIMIT)).expect("a limit");
    (to, refused)
}

#[test]
fn a_client_without_a_thread_is_refused_and_the_application_goes_on() {
    if !can_limit_threads() {
        return;
    }
    let scratch = open_scratch("limits-clients");
    let arguments = format!(
        "--source numbers=potoroo://127.0.0.1:0 --sink windows=file:{} --cores 0 --admin \
         127.0.0.1:0 --state {}",
        scratch.path("windows"),
        scratch.path("state"),
    );
    let mut app = with_threads(40, "sequence_windows", &arguments);
    let (source, admin) = (app.listening("numbers"), app.admin());
    let clients: Vec<_> = (0..60).map(|_| hello(source)).collect();
    let refused: Vec<&String> =
        clients.iter().filter_map(|(_, refused)| refused.as_ref()).collect();
    assert!(!refused.is_empty() && refused.len() < 60, "{} of 60", refused.len());
    for reason in refused {
        assert!(reason.contains("no thread") && reason.contains("ulimit -u"), "{reason}");
    }
    app.wait_for("no thread");
    let answer = ask(admin, "GET /state/windows/0");
    assert!(answer.contains("HTTP/1.1 404") || answer.contains("HTTP/1.1 200"), "{answer}");
    drop(clients);
    app.signal(Signal::TERM);
    let ended = app.finish();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
}

/// A recovery may take long; a stop does not wait for its end.
#[test]
fn a_signal_while_a_checkpoint_is_recovered_ends_it() {
    let scratch = Scratch::new("limits-recovery");
    let words: String = (0..400_000).map(|word| format!("w{word}\n")).collect();
    let lines = scratch.write("lines", words.as_bytes());
    let arguments = format!(
        "--source lines=file:{lines} --sink counts=null: --cores 0 --state {}",
        scratch.path("state")
    );
    let ended = App::start("word_count", &arguments).finish();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    // A process that was fast enough before the signal came ends as always.
    let stopped = (0..20).any(|_| {
        let mut app = App::start("word_count", &arguments);
        app.wait_for("goes on from checkpoint");
        app.signal(Signal::TERM);
        let ended = app.finish();
        if ended.code != Some(0) {
            ended.refused(3, &["stopped before the last checkpoint was recovered"]);
        }
        ended.code == Some(3)
    });
    assert!(stopped, "20 recoveries were over before the signal came");
}
