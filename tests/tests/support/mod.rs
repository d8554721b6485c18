//! What tests through real binaries share: processes with an end, frames of Market Spread, files
//! that go away, and waiting for a condition within a limit.
#![allow(dead_code, reason = "each test binary uses its part")]

pub mod certificates;
pub mod cluster;
pub mod disk;
pub mod etcd;
pub mod gate;
pub mod history;
pub mod kills;
pub mod ledger;
pub mod market;
pub mod moto;
pub mod network;
pub mod operator;
pub mod walk;

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use potoroo::checkpoint::store::{FolderView, Head, StoreReader};
use potoroo_connector::{Error, Piece, Sink};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Nothing that works takes so long, even on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(60);

/// The examples that tests run.
const EXAMPLES: [&str; 6] = [
    "market_spread",
    "word_count",
    "sequence_windows",
    "bars",
    "order_timeout",
    "prevailing_quote",
];

/// The binary of an example, built once per test process with the profile of the tests.
pub fn example(name: &str) -> PathBuf {
    built().join("examples").join(name)
}

/// The tool `potoroo`, built as examples are.
pub fn tool() -> PathBuf {
    built().join("potoroo")
}

fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(build)
}

/// Tests lie at `TARGET/PROFILE/deps/NAME`, examples at `TARGET/PROFILE/examples/NAME`.
fn build() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its path");
    let folder = test.ancestors().nth(2).expect("tests lie in `PROFILE/deps`");
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(profile) => profile,
        None => panic!("{} has no profile in it", test.display()),
    };
    let target = folder.parent().expect("a profile lies in the target folder");
    let mut build = Command::new(env!("CARGO"));
    build.current_dir(root()).args(["build", "--quiet", "--bin", "potoroo"]);
    for example in EXAMPLES {
        build.args(["--example", example]);
    }
    build.args(["--profile", profile, "--target-dir"]).arg(target);
    // Packages that are selected together share the features of their dependencies, which these
    // tests have all on. Where the whole workspace is tested, nothing is built a second time.
    match std::env::var_os("POTOROO_TEST_WORKSPACE") {
        Some(_) => build.arg("--workspace"),
        None => build.args(["--package=potoroo", "--package=potoroo-tests"]),
    };
    assert!(build.status().expect("cargo can be run").success(), "the examples do not build");
    folder.to_owned()
}

/// What HEAD of a state folder says; nothing where there is none.
pub fn head(state: &str) -> Vec<u8> {
    head_of(state).map(|head| head.write()).unwrap_or_default()
}

/// HEAD of a state folder.
pub fn head_of(state: &str) -> Option<Head> {
    FolderView::open(Path::new(state)).and_then(|view| view.head()).ok().flatten()
}

/// The newest file of HEAD in a state folder.
pub fn newest_head(state: &str) -> PathBuf {
    let entries = fs::read_dir(state).expect("it is there");
    let paths = entries.map(|entry| entry.expect("it is there").path());
    let is_head = |path: &PathBuf| path.display().to_string().contains("/HEAD-");
    paths.filter(is_head).max().expect("it was swapped")
}

/// The workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests lie in the workspace")
}

/// A folder of one test that goes away with it.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(test: &str) -> Self {
        let name = format!("{test}-{}", std::process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).expect("the target folder can be written");
        Self(folder)
    }

    /// The path of a file in it, as text for a command line.
    pub fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> String {
        fs::write(self.0.join(name), bytes).expect("the folder is ours");
        self.path(name)
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.join(name)).unwrap_or_else(|error| panic!("{}: {error}", self.path(name)))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A running example. Killed when it is dropped.
pub struct App {
    child: Child,
    lines: Receiver<String>,
    /// What it wrote to standard error so far, as far as it was looked at.
    log: String,
    out: Option<JoinHandle<String>>,
}

/// An example that has ended.
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub log: String,
}

impl App {
    /// Starts an example; arguments are separated by spaces.
    pub fn start(name: &str, arguments: &str) -> Self {
        let mut command = Command::new(example(name));
        command.arg("--no-progress").args(arguments.split_whitespace());
        Self::spawn(command)
    }

    /// Starts a command that becomes an example.
    pub fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env_remove("POTOROO_LOG");
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut stdout = child.stdout.take().expect("it is piped");
        let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        let (line_in, lines) = channel();
        thread::spawn(move || {
            let text = stderr.lines().map_while(Result::ok);
            text.take_while(|line| line_in.send(line.clone()).is_ok()).count()
        });
        let out = thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).expect("reports are text");
            text
        });
        Self { child, lines, log: String::new(), out: Some(out) }
    }

    /// Waits for a line on standard error with `part` in it.
    pub fn wait_for(&mut self, part: &str) -> String {
        let deadline = Instant::now() + LIMIT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("`{part}` was not said within {LIMIT:?}, but:\n{}", self.log)
            };
            self.log += &line;
            self.log.push('\n');
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Where a source listens. Ask in the order in which the application names its sources.
    pub fn listening(&mut self, source: &str) -> SocketAddr {
        address_in(&self.wait_for(&format!("source `{source}` listens on ")))
    }

    /// Where the admin port is. It is logged after all sources; sinks may log before or after it.
    pub fn admin(&mut self) -> SocketAddr {
        const LISTENS: &str = "admin port listens on ";
        let line = self.log.lines().find(|text| text.contains(LISTENS)).map(str::to_owned);
        address_in(&line.unwrap_or_else(|| self.wait_for(LISTENS)))
    }

    /// What it wrote to standard error so far.
    pub fn log_so_far(&mut self) -> &str {
        for line in self.lines.try_iter() {
            self.log += &line;
            self.log.push('\n');
        }
        &self.log
    }

    pub fn process(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.process(), signal).expect("it runs");
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it was started").is_some()
    }

    /// Waits for its end.
    pub fn finish(mut self) -> Ended {
        let deadline = Instant::now() + LIMIT;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.log = format!("{}{line}\n", self.log),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("it did not end within {LIMIT:?}:\n{}", self.log)
                }
            }
        }
        let code = self.child.wait().expect("it was started").code();
        let out = self.out.take().expect("only once").join().expect("reports are text");
        Ended { code, out, log: std::mem::take(&mut self.log) }
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// The report of a run with exit code 0 and `--report json`.
    #[track_caller]
    pub fn report(&self) -> Value {
        assert_eq!(self.code, Some(0), "it failed:\n{}{}", self.out, self.log);
        self.last_line()
    }

    /// The report, whatever the exit code.
    #[track_caller]
    pub fn last_line(&self) -> Value {
        let line = self.out.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}"))
    }

    /// Checks that it refused to run and said all `parts`.
    #[track_caller]
    pub fn refused(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{}{}", self.out, self.log);
        for part in parts {
            assert!(self.log.contains(part), "`{part}` is not in:\n{}", self.log);
        }
        assert!(!self.log.contains("panicked"), "{}", self.log);
    }
}

fn address_in(line: &str) -> SocketAddr {
    let text = line.rsplit(' ').next().unwrap_or_default();
    text.parse().unwrap_or_else(|error| panic!("{error} in `{line}`"))
}

/// The member of `report[list]` with this name.
#[track_caller]
pub fn named<'a>(report: &'a Value, list: &str, name: &str) -> &'a Value {
    let members = report[list].as_array().unwrap_or_else(|| panic!("no {list} in {report}"));
    let found = members.iter().find(|member| member["name"] == name);
    found.unwrap_or_else(|| panic!("no `{name}` among {list} of {report}"))
}

/// What the admin port answers at `path`.
pub fn get(admin: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(admin).expect("the admin port is open");
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("the admin port listens");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the admin port answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    body.to_owned()
}

/// Asks the admin port for the status until `enough`; returns the last one.
pub fn wait_for_status(admin: SocketAddr, mut enough: impl FnMut(&Value) -> bool) -> Value {
    let deadline = Instant::now() + LIMIT;
    loop {
        let status = serde_json::from_str(&get(admin, "/status")).expect("it is JSON");
        if enough(&status) {
            return status;
        }
        assert!(Instant::now() < deadline, "not within {LIMIT:?}: {status}");
        // Leaves the CPU to the application.
        thread::park_timeout(Duration::from_millis(2));
    }
}

/// Connects within the limit, with reads that end within the limit.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, LIMIT).expect("a listener");
    stream.set_read_timeout(Some(LIMIT)).expect("a limit");
    stream.set_nodelay(true).expect("a flag");
    stream
}

/// Sends `bytes` and nothing more; returns what comes back until the end.
pub fn exchange(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(address);
    stream.write_all(bytes).expect("the application reads");
    stream.shutdown(Shutdown::Write).expect("it is connected");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the application closes");
    answer
}

/// A receiver for a sink, at a free port.
pub fn receiver() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

/// A port without a listener, for tests that need its number before the listener is there. It stays
/// bound while this process lives: so the kernel gives it to no program that binds to any port,
/// and still lets listen who asks for this one.
pub fn free_port() -> u16 {
    use rustix::net::{self, AddressFamily, SocketFlags, SocketType};
    let (family, kind) = (AddressFamily::INET, SocketType::STREAM);
    let held = net::socket_with(family, kind, SocketFlags::CLOEXEC, None).expect("a descriptor");
    net::sockopt::set_socket_reuseaddr(&held, true).expect("a flag");
    net::bind(&held, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let bound = net::getsockname(&held).expect("it is bound");
    std::mem::forget(held);
    SocketAddrV4::try_from(bound).expect("it was bound as such").port()
}

/// The client of a sink, at a [`free_port`]. One that listened there before may be open a moment
/// longer than this process knows: whatever it starts has its descriptors until it is executed.
pub fn sink_at(port: u16, token: &str, last: u128) -> Sink {
    let deadline = Instant::now() + LIMIT;
    loop {
        match Sink::listen((Ipv4Addr::LOCALHOST, port), token, last) {
            Err(Error::Io(error)) if error.kind() == ErrorKind::AddrInUse => {
                assert!(Instant::now() < deadline, "port {port} within {LIMIT:?}: {error}");
                thread::park_timeout(Duration::from_micros(300));
            }
            listening => return listening.expect("the port is ours"),
        }
    }
}

/// Takes the output of a sink, as a client at `port` that has nothing yet, until `over`, which gets
/// what came so far. Returns all of it.
pub fn take_output(port: u16, token: &str, mut over: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    let mut sink = sink_at(port, token, 0);
    let (mut all, mut output) = (Vec::new(), Vec::new());
    while !over(&all) {
        match sink.try_next().expect("it listens") {
            Some(Piece::Begin { .. }) => output.clear(),
            Some(Piece::Data(bytes)) => output.extend_from_slice(bytes),
            Some(Piece::End { transaction }) => {
                all.append(&mut output);
                sink.commit(transaction);
            }
            None => {}
        }
    }
    all
}

/// Checks that `file` has all windows of the numbers up to `count`, each once and in order.
#[track_caller]
pub fn check_windows(file: &str, count: u64) {
    let judged = Command::new(example("sequence_windows")).args(["--validate", file]).output();
    let judged = judged.expect("it can be started");
    let said = String::from_utf8_lossy(&judged.stdout).into_owned();
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stderr));
    assert!(said.contains(&format!("all {count} windows are right")), "{said}");
}

/// Accepts within the limit.
pub fn accept(listener: &TcpListener) -> TcpStream {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let limit = Timespec { tv_sec: LIMIT.as_secs() as i64, tv_nsec: 0 };
    let mut waiting = [PollFd::new(listener, PollFlags::IN)];
    assert_eq!(poll(&mut waiting, Some(&limit)).expect("a descriptor"), 1, "no connection comes");
    let (stream, _) = listener.accept().expect("a connection");
    stream.set_read_timeout(Some(LIMIT)).expect("a limit");
    stream
}
