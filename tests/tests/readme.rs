//! The README is true: its Rust code is this file's, compiled and run; its flags, defaults, exit
//! codes, addresses, paths and commands are those of the workspace.

mod support;

use std::fs;
use std::process::{Command, ExitCode};

use potoroo::prelude::*;
use potoroo::{Config, SinkAddress, SourceAddress};

use support::{Scratch, example, root};

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

// What the README does with it.

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

// What the README says about the workspace.

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).expect("there is a README")
}

/// The code blocks of a language, without their fences.
fn blocks(readme: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let behind = readme.split(&fence).skip(1);
    behind.map(|text| text.split("```").next().unwrap_or(text).to_owned()).collect()
}

/// Lines without their indentation: a quotation may stand inside a function.
fn flat(code: &str) -> String {
    code.lines().map(str::trim).collect::<Vec<_>>().join("\n")
}

#[test]
fn rust_code_is_the_code_of_this_test() {
    let here = flat(include_str!("readme.rs"));
    let readme = readme();
    let parts: Vec<_> = blocks(&readme, "rust").iter().map(|block| flat(block)).collect();
    assert_eq!(parts.len(), 3, "an application, its test, and embedding");
    for part in parts {
        // `use` lines stand at the top of both, with more of them here.
        for piece in part.split("\n\n").filter(|piece| !piece.starts_with("use ")) {
            assert!(here.contains(piece), "not in tests/tests/readme.rs:\n{piece}");
        }
        let imports = part.lines().filter(|line| line.starts_with("use "));
        imports.for_each(|line| assert!(here.contains(name_of(line)), "not imported: {line}"));
    }
}

/// `potoroo::prelude` of `use potoroo::prelude::*;`, `std::process` of any import from there.
fn name_of(import: &str) -> &str {
    let path = import.trim_start_matches("use ");
    path.rsplit_once("::").map_or(path, |(module, _)| module)
}

#[test]
fn flags_defaults_addresses_and_exit_codes_are_those_of_the_help() {
    let help = Command::new(example("word_count")).arg("--help").output().expect("it runs");
    let help = String::from_utf8(help.stdout).expect("help is text");
    let (flags, rest) = help.split_once("\nSources:\n").expect("sources stand behind the flags");
    let readme = readme();
    for (flag, default) in flags_of(flags) {
        let begins = [format!("| `{flag} "), format!("| `{flag}`")];
        let mut rows = readme.lines();
        let row = rows.find(|line| begins.iter().any(|begin| line.starts_with(begin)));
        let row = row.unwrap_or_else(|| panic!("no row begins with | `{flag}"));
        assert!(row.contains(&default), "{flag}: its default is {default}: {row}");
    }
    for address in rest.lines().filter_map(|line| line.trim().split(' ').next()) {
        let is_address = address.contains(':') && address.starts_with(char::is_lowercase);
        assert!(!is_address || readme.contains(&format!("| `{address}` | ")), "no row: {address}");
    }
    let codes = rest.split_once("Exit codes:\n").expect("exit codes stand at the end").1;
    for code in codes.lines().filter_map(|line| line.split_whitespace().next()) {
        assert!(readme.contains(&format!("\n| {code} | ")), "exit code {code} is missing");
    }
}

/// Flags and their defaults, empty if there is none.
fn flags_of(help: &str) -> Vec<(String, String)> {
    let mut flags: Vec<(String, String)> = Vec::new();
    for line in help.lines().map(str::trim) {
        if let Some(at) = line.find("--").filter(|at| line.starts_with('-') && *at <= 4) {
            let flag = line[at..].split([' ', ',']).next().unwrap_or_default();
            flags.push((flag.to_owned(), String::new()));
        } else if let (Some((_, default)), Some(last)) =
            (line.split_once("[default: "), flags.last_mut())
        {
            last.1 = default.trim_end_matches(']').to_owned();
        }
    }
    let told = ["--help", "--version"];
    flags.retain(|(flag, _)| !told.contains(&flag.as_str()));
    assert!(flags.len() > 10, "the help was misread: {flags:?}");
    flags
}

#[test]
fn paths_exist() {
    let readme = readme();
    let tops = ["engine/", "app-sdk/", "runtime/", "bench/", "tuning/", "tests/", ".ci/"];
    let words = readme.split(|end: char| end.is_whitespace() || "`()[],;:".contains(end));
    let paths: Vec<_> = words.filter(|word| tops.iter().any(|top| word.starts_with(top))).collect();
    assert!(paths.len() > 20, "the code map was misread: {paths:?}");
    for path in paths.into_iter().map(|path| path.trim_end_matches('.')) {
        assert!(root().join(path).exists(), "{path} is not there");
    }
}

#[test]
fn commands_name_what_there_is() {
    let readme = readme();
    let words: Vec<_> = readme.split_whitespace().map(|word| word.trim_matches('`')).collect();
    for pair in words.windows(2) {
        let file = match pair[0] {
            "--example" => format!("engine/examples/{}.rs", pair[1]),
            "--test" => format!("tests/tests/{}.rs", pair[1]),
            _ => continue,
        };
        assert!(root().join(&file).exists(), "{} {} means no file {file}", pair[0], pair[1]);
    }
    for command in ["cargo run --release --example market_spread", "cargo test --workspace"] {
        assert!(blocks(&readme, "sh").iter().any(|block| block.contains(command)), "{command}");
    }
}
