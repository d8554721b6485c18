//! Programs that change, on the state of the program before: each small change and back, killed in
//! between, and the folders that an earlier version wrote.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use potoroo_sdk::random::Random;
use rustix::process::Signal;
use support::kills::wait_for_commits;
use support::{App, Ended, LIMIT, Scratch, root};

/// The orders of the folders under `tests/data`: symbol and quantity.
fn orders(count: usize) -> String {
    let mut state = 7u64;
    let mut order = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{} {}\n", (state >> 33) % 50, 1 + (state >> 40) % 100)
    };
    (0..count).map(|_| order()).collect()
}

fn numbers(line: &str) -> Vec<u64> {
    line.split(' ').map(|number| number.parse().expect("a number")).collect()
}

/// Checks that each order has led to one line, in order for each symbol.
#[track_caller]
fn check_totals(written: &[u8], orders: &str) {
    let mut expected = BTreeMap::<u64, Vec<Vec<u64>>>::new();
    for order in orders.lines().map(numbers) {
        let lines = expected.entry(order[0]).or_default();
        let total = lines.last().map_or(0, |line| line[2]) + order[1];
        lines.push(vec![order[0], lines.len() as u64 + 1, total]);
    }
    let mut found = BTreeMap::<u64, Vec<Vec<u64>>>::new();
    let text = std::str::from_utf8(written).expect("it is text");
    for line in text.lines().map(numbers).filter(|line| line[0] < CORRECTED) {
        found.entry(line[0]).or_default().push(line);
    }
    for (symbol, expected) in &expected {
        let found = &found[symbol];
        let differs = expected.iter().zip(found).find(|(expected, found)| expected != found);
        assert_eq!(differs, None, "symbol {symbol}");
        assert_eq!(found.len(), expected.len(), "symbol {symbol}");
    }
    assert_eq!(found.len(), expected.len());
}

/// Symbols from here on are those of the source `corrections`.
const CORRECTED: u64 = 1000;

fn ledger(change: &str, arguments: &str) -> App {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ledger"));
    command.args([change, "--no-progress"]).args(arguments.split_whitespace());
    App::spawn(command)
}

/// Where everything of one test lies.
struct Place {
    scratch: Scratch,
    orders: String,
}

impl Place {
    fn new(test: &str, count: usize) -> Self {
        let scratch = Scratch::new(test);
        let orders = orders(count);
        scratch.write("orders", orders.as_bytes());
        let corrected = orders.lines().take(500).map(numbers);
        let corrected = corrected.map(|order| format!("{} {}\n", CORRECTED + order[0], order[1]));
        scratch.write("corrections", corrected.collect::<String>().as_bytes());
        Self { scratch, orders }
    }

    /// With the folder of an earlier version.
    fn stored(test: &str, folder: &str, count: usize) -> Self {
        let place = Self::new(test, count);
        let from = root().join("tests/data/state_1").join(folder);
        copy(&from, Path::new(&place.scratch.path(".")));
        place
    }

    fn start(&self, change: &str, more: &str) -> App {
        let path = |name: &str| self.scratch.path(name);
        let mut arguments = format!(
            "--source orders=file:{} --sink totals=file:{} --state {} --report json {more}",
            path("orders"),
            path("totals"),
            path("state"),
        );
        match change {
            "source" => arguments += &format!(" --source corrections=file:{}", path("corrections")),
            "sink" => arguments += &format!(" --sink copies=file:{}", path("copies")),
            _ => {}
        }
        if !more.contains("--cores") {
            arguments += " --cores 0,0";
        }
        ledger(change, &arguments)
    }

    fn run(&self, change: &str, more: &str) -> Ended {
        self.start(change, more).finish()
    }

    #[track_caller]
    fn check(&self) {
        check_totals(&self.scratch.read("totals"), &self.orders);
    }

    fn head(&self) -> Vec<u8> {
        fs::read(self.scratch.path("state/HEAD")).unwrap_or_default()
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
fn own_names(change: &str) -> &'static [&'static str] {
    match change {
        "sink" => &["copies"],
        "source" => &["corrections"],
        "table" => &["largest"],
        _ => &[],
    }
}

const CHANGES: [&str; 7] = ["filter", "sink", "source", "table", "key_by", "state", "event"];

#[test]
fn a_folder_of_an_earlier_version_goes_on_with_all_changes_when_nothing_is_under_way() {
    for change in CHANGES {
        let place = Place::stored(&format!("earlier-{change}"), "stopped", 600);
        let ended = place.run(change, "");
        ended.report();
        place.check();
        // And back.
        let names = own_names(change);
        let refused = (!names.is_empty()).then(|| place.run("base", ""));
        if let Some(refused) = refused {
            let name = names[0];
            refused.refused(1, &["is not in the program any more", &format!("--drop {name}")]);
        }
        let drop: String = names.iter().map(|name| format!("--drop {name} ")).collect();
        for _ in 0..2 {
            place.run("base", &drop).report();
            place.check();
        }
    }
}

#[test]
fn a_folder_of_an_earlier_version_with_frames_under_way_goes_on_with_the_same_program_only() {
    let place = Place::stored("earlier-frames", "frames", 12000);
    let before = place.head();
    let refused = place.run("filter", "");
    refused.refused(1, &["events were under way", "without names", "stop it with SIGTERM"]);
    assert_eq!(place.head(), before, "what is refused leaves everything as it was");
    place.run("base", "--cores 0").report();
    place.check();
    place.run("filter", "").report();
    place.check();
}

/// A program as it was, and what is to be done before another one goes on from its state.
struct Walk<'a> {
    place: &'a Place,
    random: Random,
    change: &'static str,
    kills: u64,
    drains: u64,
}

impl Walk<'_> {
    fn flags(&mut self) -> String {
        let cores = ["0", "0,0", "0,1", "0,1,0"][self.random.below(4) as usize];
        format!("--checkpoint-ms {} --cores {cores}", 1 + self.random.below(20))
    }

    /// Starts the program with `change` as an operator does who reads what is refused: names are
    /// dropped, and the program before is stopped when it has frames under way. Returns it when it
    /// runs, or what it said at its end.
    fn start(&mut self, change: &'static str) -> Result<App, Ended> {
        let (mut drop, mut tries) = (String::new(), 0);
        loop {
            tries += 1;
            assert!(tries < 10, "`{change}` does not start on the state of `{}`", self.change);
            let flags = self.flags();
            let mut app = self.place.start(change, &format!("{flags} {drop}"));
            if !has_started(&mut app) {
                let ended = app.finish();
                if ended.code == Some(0) {
                    self.change = change;
                    return Err(ended);
                }
                ended.refused(1, &["cannot be used by application `ledger`"]);
                for name in CHANGES.iter().flat_map(|change| own_names(change)) {
                    let flag = format!("--drop {name}");
                    if ended.log.contains(&format!("start with `{flag}`")) {
                        drop += &format!("{flag} ");
                    }
                }
                if ended.log.contains("were under way") {
                    self.drain();
                }
                continue;
            }
            self.change = change;
            return Ok(app);
        }
    }

    /// Has the program before deliver what is under way.
    fn drain(&mut self) {
        let flags = self.flags();
        let mut app = self.place.start(self.change, &flags);
        assert!(has_started(&mut app) || app.has_ended());
        if !app.has_ended() {
            app.signal(Signal::TERM);
        }
        app.finish().report();
        self.drains += 1;
    }
}

/// Whether an application runs; it has ended otherwise.
fn has_started(app: &mut App) -> bool {
    let deadline = Instant::now() + LIMIT;
    while !app.log_so_far().contains("orders → totals: ") {
        if app.has_ended() {
            return app.log_so_far().contains("orders → totals: ");
        }
        assert!(Instant::now() < deadline, "it neither starts nor ends");
        std::thread::park_timeout(std::time::Duration::from_micros(300));
    }
    true
}

/// Each change and back, on an input that grows, killed after up to three commits each time.
#[test]
fn every_change_and_back_goes_on_after_kills() {
    let mut place = Place::new("changes-killed", 1);
    let all = orders(PER_START * 4 * CHANGES.len());
    let random = Random::new(11);
    let changes = CHANGES.iter().flat_map(|change| [*change, "base"]).cycle();
    let (mut change, mut kills, mut drains) = ("base", 0, 0);
    let starts = 4 * CHANGES.len();
    let mut random = random;
    for (start, next) in changes.take(starts).enumerate() {
        place.orders =
            all.lines().take((start + 1) * PER_START).map(|line| line.to_owned() + "\n").collect();
        place.scratch.write("orders", place.orders.as_bytes());
        let mut walk = Walk { place: &place, random, change, kills, drains };
        if let Ok(mut app) = walk.start(next) {
            let commits = walk.random.below(4);
            if wait_for_commits(&mut app, &|| place.head(), commits) {
                app.signal(Signal::KILL);
                walk.kills += 1;
            }
            let ended = app.finish();
            assert!(ended.code.is_none_or(|code| code == 0), "{}", ended.log);
        }
        Walk { random, change, kills, drains, .. } = walk;
    }
    let mut walk = Walk { place: &place, random, change, kills, drains };
    if let Ok(app) = walk.start("base") {
        app.finish().report();
    }
    println!("{starts} changes, killed {kills} times, {drains} drains");
    place.check();
    assert!(kills > 7, "killed {kills} times");
}

/// Orders that are added before each start.
const PER_START: usize = 20_000;
