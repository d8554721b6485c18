//! The program `ledger`, which changes, with its input and what must come out.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use potoroo::checkpoint::Manifest;
use potoroo::checkpoint::store::{FolderView, StoreReader};
use potoroo_connector::{Error, Options, Source};

use super::{App, Ended, LIMIT, Scratch, head, root, take_output, tool};

/// The orders of the folders under `tests/data`: symbol and quantity.
pub fn orders(count: usize) -> String {
    let mut state = 7u64;
    let mut order = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{} {}\n", (state >> 33) % 50, 1 + (state >> 40) % 100)
    };
    (0..count).map(|_| order()).collect()
}

pub fn numbers(line: &str) -> Vec<u64> {
    line.split(' ').map(|number| number.parse().expect("a number")).collect()
}

/// Checks that each order has led to one line, in order for each symbol.
#[track_caller]
pub fn check_totals(written: &[u8], orders: &str) {
    let written = std::str::from_utf8(written).expect("it is text");
    check_lines(written.lines().filter(|line| numbers(line)[0] < CORRECTED), orders);
}

/// Checks that each of the `orders` has led to one of the `lines`, in order for each symbol.
#[track_caller]
pub fn check_lines<'a>(lines: impl Iterator<Item = &'a str>, orders: &str) {
    let mut expected = BTreeMap::<u64, Vec<Vec<u64>>>::new();
    for order in orders.lines().map(numbers) {
        let lines = expected.entry(order[0]).or_default();
        let total = lines.last().map_or(0, |line| line[2]) + order[1];
        lines.push(vec![order[0], lines.len() as u64 + 1, total]);
    }
    let found = by_symbol(lines);
    for (symbol, expected) in &expected {
        let found = &found[symbol];
        let differs = expected.iter().zip(found).find(|(expected, found)| expected != found);
        assert_eq!(differs, None, "symbol {symbol}");
        assert_eq!(found.len(), expected.len(), "symbol {symbol}");
    }
    assert_eq!(found.len(), expected.len());
}

/// Lines of numbers by their symbol, which comes first.
pub fn by_symbol<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeMap<u64, Vec<Vec<u64>>> {
    let mut found = BTreeMap::<u64, Vec<Vec<u64>>>::new();
    for line in lines.map(numbers) {
        found.entry(line[0]).or_default().push(line);
    }
    found
}

/// Symbols from here on are those of the source `corrections`.
pub const CORRECTED: u64 = 1000;

pub fn ledger(change: &str, arguments: &str) -> App {
    App::spawn(command(change, arguments))
}

fn command(change: &str, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ledger"));
    command.args([change, "--no-progress"]).args(arguments.split_whitespace());
    command
}

/// Where everything of one test lies.
pub struct Place {
    pub scratch: Scratch,
    pub orders: String,
}

impl Place {
    pub fn new(test: &str, count: usize) -> Self {
        let scratch = Scratch::new(test);
        let orders = orders(count);
        scratch.write("orders", orders.as_bytes());
        let corrected = orders.lines().take(500).map(numbers);
        let corrected = corrected.map(|order| format!("{} {}\n", CORRECTED + order[0], order[1]));
        scratch.write("corrections", corrected.collect::<String>().as_bytes());
        Self { scratch, orders }
    }

    /// With a folder of an earlier version, such as `state_1/stopped`.
    pub fn stored(test: &str, folder: &str, count: usize) -> Self {
        let place = Self::new(test, count);
        let from = root().join("tests/data").join(folder);
        copy(&from, Path::new(&place.scratch.path(".")));
        place
    }

    pub fn start(&self, change: &str, more: &str) -> App {
        let totals = self.scratch.path("totals");
        self.start_to(change, &format!("--sink totals=file:{totals} {more}"))
    }

    /// With its state elsewhere.
    pub fn command(&self, change: &str, state: &str, more: &str) -> Command {
        let (orders, totals) = (self.scratch.path("orders"), self.scratch.path("totals"));
        let more = format!("--source orders=file:{orders} --sink totals=file:{totals} {more}");
        command(change, &self.arguments(change, state, &more))
    }

    /// With another address for its sink.
    pub fn start_to(&self, change: &str, more: &str) -> App {
        let orders = self.scratch.path("orders");
        self.start_from(change, &format!("--source orders=file:{orders} {more}"))
    }

    /// With other addresses for its source and its sink.
    pub fn start_from(&self, change: &str, more: &str) -> App {
        ledger(change, &self.arguments(change, &self.scratch.path("state"), more))
    }

    fn arguments(&self, change: &str, state: &str, more: &str) -> String {
        let path = |name: &str| self.scratch.path(name);
        let mut arguments = format!("--state {state} --report json {more}");
        match change {
            "source" => arguments += &format!(" --source corrections=file:{}", path("corrections")),
            "sink" => arguments += &format!(" --sink copies=file:{}", path("copies")),
            _ => {}
        }
        if !more.contains("--cores") {
            arguments += " --cores 0,0";
        }
        arguments
    }

    pub fn run(&self, change: &str, more: &str) -> Ended {
        self.start(change, more).finish()
    }

    /// The answer of the tool, for the program with a change.
    pub fn ask(&self, words: &[&str], change: &str) -> Ended {
        let mut command = Command::new(tool());
        let state = self.scratch.path("state");
        // The change is a flag of the program's own.
        let program = self.scratch.path("program");
        let ledger = env!("CARGO_BIN_EXE_ledger");
        let script = format!("#!/bin/sh\nexec {ledger} {change} \"$@\"\n");
        self.scratch.write("program", script.as_bytes());
        let mode = Command::new("chmod").args(["+x", &program]).status().expect("there is chmod");
        assert!(mode.success());
        command.args(words).args(["--program", &program, "--state", &state]);
        App::spawn(command).finish()
    }

    /// A table of the last checkpoint, as it can be imported.
    #[track_caller]
    pub fn export(&self, change: &str, table: &str) -> String {
        let exported = self.ask(&["checkpoint", "export", table, "--for-import"], change);
        assert_eq!(exported.code, Some(0), "{}", exported.log);
        exported.out
    }

    /// Rows of the last checkpoint, as they are exported for people, sorted.
    #[track_caller]
    pub fn rows(&self, change: &str, table: &str) -> Vec<String> {
        let exported = self.ask(&["checkpoint", "export", table], change);
        assert_eq!(exported.code, Some(0), "{}", exported.log);
        let mut rows: Vec<String> = exported.out.lines().map(str::to_owned).collect();
        rows.sort();
        rows
    }

    #[track_caller]
    pub fn check(&self) {
        check_totals(&self.scratch.read("totals"), &self.orders);
    }

    /// The last checkpoint, if there is one and nothing of it goes away meanwhile.
    pub fn manifest(&self) -> Option<Manifest> {
        let view = FolderView::open(Path::new(&self.scratch.path("state"))).ok()?;
        Manifest::load(&view, &view.head().ok()??.manifest?).ok()
    }

    /// The names of the files beside the output.
    pub fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.scratch.path(".")).expect("it is ours");
        entries
            .map(|entry| entry.expect("it is there").file_name().into_string())
            .map(|name| name.expect("text"))
            .collect()
    }

    pub fn head(&self) -> Vec<u8> {
        head(&self.scratch.path("state"))
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("it is ours");
    for entry in fs::read_dir(from).expect("it is there") {
        let entry = entry.expect("it is there");
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).expect("it is ours");
        }
    }
}

/// Names that only the program with a change has.
pub fn own_names(change: &str) -> &'static [&'static str] {
    match change {
        "sink" => &["copies"],
        "source" => &["corrections"],
        "table" => &["largest"],
        _ => &[],
    }
}

pub const CHANGES: [&str; 7] = ["filter", "sink", "source", "table", "key_by", "state", "event"];

/// Whether an application runs; it has ended otherwise.
pub fn has_started(app: &mut App) -> bool {
    let deadline = Instant::now() + LIMIT;
    while !app.log_so_far().contains("orders → totals: ") {
        if app.has_ended() {
            return app.log_so_far().contains("orders → totals: ");
        }
        assert!(Instant::now() < deadline, "it neither starts nor ends");
        std::thread::park_timeout(Duration::from_micros(300));
    }
    true
}

/// Sends the orders that no checkpoint has acknowledged, in messages of some lines.
pub fn feed(port: u16, orders: &str) -> Result<(), Error> {
    let options = Options { patience: LIMIT, ..Options::new(format!("127.0.0.1:{port}")) };
    let mut source = Source::connect(options)?;
    let (stream, stored) = source.open("lines", 0)?;
    let mut sent = stored as usize;
    while sent < orders.len() {
        let end = (sent + 1000).min(orders.len());
        source.send(stream, end as u64, &orders.as_bytes()[sent..end])?;
        sent = end;
    }
    source.end(stream);
    source.finish()
}

/// Checks that everything was taken. An application that is killed after its last commit, and had
/// not acknowledged that yet, has nothing left to do when it is started again, and ends.
#[track_caller]
pub fn check_fed(fed: Result<(), Error>) {
    match fed {
        Err(Error::Io(error)) if error.kind() == ErrorKind::ConnectionRefused => {}
        fed => fed.expect("all is acknowledged"),
    }
}

/// Takes output until it is `over`.
pub fn collect(port: u16, over: Arc<AtomicBool>) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || take_output(port, "hush", |_| over.load(Ordering::Relaxed)))
}
