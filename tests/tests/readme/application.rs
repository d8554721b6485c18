//! The Rust code of the README and of the guide to the engine, compiled and run.

use std::process::ExitCode;

use potoroo::prelude::*;
use potoroo::{Config, SinkAddress, SourceAddress};

use crate::documents::Document;
use crate::support::Scratch;

// The first application, as the README has it.

#[event]
struct Trade {
    symbol: Symbol,
    quantity: i64,
}

/// A line such as `ACME -300`; any other line is passed over.
fn parse(line: &str) -> Option<Trade> {
    let (symbol, quantity) = line.split_once(' ')?;
    Some(Trade { symbol: symbol.parse().ok()?, quantity: quantity.parse().ok()? })
}

fn application() -> Application {
    let app = Application::new("position-limit");
    let positions = app.table::<Symbol, i64>("positions");
    app.source("trades", LineText::new())
        .map(parse)
        .key_by(|trade| trade.symbol)
        .update(&positions, |position, trade| {
            *position = position.saturating_add(trade.quantity);
            (position.unsigned_abs() > 1000).then(|| format!("{} {position}", trade.symbol))
        })
        .sink("alerts", LineText::new());
    app
}

fn main() -> ExitCode {
    potoroo::main(application)
}

// Bars, as the README has them; the rest as an application would.

#[event]
struct Tick {
    symbol: Symbol,
    time: EventTime,
    price: i64,
}

/// A line such as `ACME 1500 101`, with the time in milliseconds.
fn parse_tick(line: &str) -> Option<Tick> {
    let mut words = line.split(' ');
    let symbol = words.next()?.parse().ok()?;
    let time = EventTime::from_millis(words.next()?.parse().ok()?);
    Some(Tick { symbol, time, price: words.next()?.parse().ok()? })
}

#[state(default = manual)]
struct Bar {
    open: i64,
    high: i64,
    low: i64,
    close: i64,
}

impl Default for Bar {
    fn default() -> Self {
        Self { open: 0, high: i64::MIN, low: i64::MAX, close: 0 }
    }
}

impl Bar {
    fn add(&mut self, price: i64) {
        if self.low > self.high {
            self.open = price;
        }
        (self.high, self.low) = (self.high.max(price), self.low.min(price));
        self.close = price;
    }
}

impl std::fmt::Display for Bar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { open, high, low, close } = self;
        write!(f, "{open} {high} {low} {close}")
    }
}

fn bars() -> Application {
    let app = Application::new("bars");
    let bars = app.windows::<Symbol, Bar>("bars", tumbling(seconds(1)));
    app.source("ticks", LineText::new())
        .map(parse_tick)
        .event_time(|tick| tick.time, within(millis(5)))
        .key_by(|tick| tick.symbol)
        .window(&bars, |bar, tick| bar.add(tick.price));
    bars.closed(|bar, window| format!("{} {} {bar}", window.key(), window.start()))
        .sink("bars", LineText::new());
    app
}

// What the documents do with them.

const TRADES: &str = "ACME 600\nUMBR 900\nACME 500\n\nno trade\nUMBR -2000\nACME -200\n";

/// In the order of the input; on several cores it is fixed for each symbol only.
const ALERTS: &str = "ACME 1100\nUMBR -1100\n";

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn the_first_application_runs_from_its_command_line() {
    // `main` belongs to the quotation: the process of a test has other arguments.
    let _: fn() -> ExitCode = main;
    let scratch = Scratch::new("readme");
    let source = format!("trades=file:{}", scratch.write("trades.txt", TRADES.as_bytes()));
    let sink = format!("alerts=file:{}", scratch.path("alerts.txt"));
    let arguments = ["position-limit", "--no-progress", "--source", &source, "--sink", &sink];
    let exit = potoroo::main_with(arguments.map(str::to_owned), application);
    assert_eq!(exit, ExitCode::SUCCESS);
    let alerts = String::from_utf8(scratch.read("alerts.txt")).expect("alerts are text");
    assert_eq!(sorted(&alerts), sorted(ALERTS));
}

#[test]
fn the_first_application_is_tested_without_an_engine() {
    let mut reference = Reference::new(application()).expect("the application is sound");
    reference.feed("trades", b"ACME 600\nACME 500\n");
    assert_eq!(reference.output("alerts"), b"ACME 1100\n");

    reference.feed("trades", b"UMBR 900\n\nno trade\nUMBR -2000\nACME -200\n");
    assert_eq!(reference.output("alerts"), ALERTS.as_bytes());
}

#[test]
fn a_bar_has_the_trades_of_its_second() {
    let mut reference = Reference::new(bars()).expect("the application is sound");
    reference.feed("ticks", b"ACME 100 101\nACME 1004 99\nACME 999 105\nACME 1005 7\n");
    assert_eq!(reference.output("bars"), b"ACME 0.000000000 101 105 101 105\n");
    reference.end("ticks");
    assert_eq!(reference.outputs("bars")[1], b"ACME 1.000000000 99 99 7 7\n");
}

#[test]
fn the_first_application_runs_inside_another_program() -> Result<(), potoroo::Error> {
    let config = Config::default()
        .source("trades", SourceAddress::Channel)
        .sink("alerts", SinkAddress::Channel);
    let mut running = potoroo::run(application, config)?;
    let mut trades = running.source("trades").expect("its address is a channel");
    let mut alerts = running.sink("alerts").expect("its address is a channel");
    for line in ["ACME 600", "ACME 500"] {
        trades.send(&line.to_string()).expect("the application runs");
    }
    drop(trades); // The source ends, and with its last source the application.
    let alert = alerts.recv().expect("the position is beyond the limit");
    let summary = running.wait()?;

    assert_eq!(&alert[..], b"ACME 1100\n");
    assert_eq!(summary.snapshot.sources[0].events, 2);
    Ok(())
}

// The documents have no other code.

#[test]
fn rust_code_is_the_code_of_this_test() {
    for (path, count) in [("README.md", 2), ("engine/README.md", 1)] {
        let blocks = Document::read(path).blocks("rust");
        assert_eq!(blocks.len(), count, "{path}");
        blocks.iter().for_each(|block| is_here(&flat(block)));
    }
}

#[track_caller]
fn is_here(code: &str) {
    let here = flat(include_str!("application.rs"));
    // `use` lines stand at the top of both, with more of them here.
    for piece in code.split("\n\n").filter(|piece| !piece.starts_with("use ")) {
        assert!(here.contains(piece), "not in tests/tests/readme/application.rs:\n{piece}");
    }
    let imports = code.lines().filter(|line| line.starts_with("use "));
    imports.for_each(|line| assert!(here.contains(name_of(line)), "not imported: {line}"));
}

/// Lines without their indentation: a quotation may stand inside a function.
fn flat(code: &str) -> String {
    code.lines().map(str::trim).collect::<Vec<_>>().join("\n")
}

/// `potoroo::prelude` of `use potoroo::prelude::*;`, `std::process` of any import from there.
fn name_of(import: &str) -> &str {
    let path = import.trim_start_matches("use ");
    path.rsplit_once("::").map_or(path, |(module, _)| module)
}

/// Elsewhere each block is a documentation test of its crate, or there is none.
#[test]
fn rust_code_elsewhere_is_tested_by_its_crate() {
    let own = ["README.md", "engine/README.md"];
    for document in Document::all().iter().filter(|document| !own.contains(&&*document.path)) {
        if document.blocks("rust").is_empty() {
            continue;
        }
        let folder = document.path.trim_end_matches("README.md");
        let library = Document::read(&format!("{folder}src/lib.rs"));
        let included = library.text.contains("include_str!(\"../README.md\")");
        assert!(included, "{}: its code is not tested by {}", document.path, library.path);
    }
}
