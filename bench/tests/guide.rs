//! The guide names the benchmarks, flags and defaults that there are.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use support::say;

fn guide() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    fs::read_to_string(path).expect("there is a guide")
}

/// What follows `potoroo-bench -- ` in the guide's commands.
fn commands(guide: &str) -> Vec<Vec<&str>> {
    let commands = guide.lines().filter_map(|line| line.split_once(" -- "));
    let commands = commands.filter(|(cargo, _)| cargo.contains("-p potoroo-bench"));
    commands.map(|(_, arguments)| arguments.split_whitespace().collect()).collect()
}

#[test]
fn its_benchmarks_are_those_that_are_listed() {
    let guide = guide();
    let table = guide.split_once("| benchmark |").expect("it has a table of benchmarks").1;
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let rows: BTreeSet<_> = rows.filter_map(|row| row.split('`').nth(1)).collect();
    let help = say(&["--help"]);
    let names = help.split_once("Names:\n").expect("the help has names").1;
    let names = names.lines().take_while(|line| line.starts_with("  "));
    let names = names.filter(|line| !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    let others = ["report", "compare", "list", "help"];
    let names: BTreeSet<_> = names.filter(|name| !others.contains(name)).collect();
    assert_eq!(rows, names);
}

#[test]
fn its_commands_and_flags_are_those_of_the_help() {
    let guide = guide();
    let commands = commands(&guide);
    assert!(commands.len() > 10, "the guide was misread: {commands:?}");
    let mut all = String::new();
    for command in &commands {
        let help = say(&[command[0], "--help"]);
        for flag in command.iter().filter(|word| word.starts_with("--")) {
            assert!(help.contains(&format!("{flag} ")), "{}: no {flag}", command[0]);
        }
        all += &help;
    }
    let is_other = |letter: char| !letter.is_ascii_lowercase() && letter != '-';
    let is_flag = |word: &&str| {
        word.strip_prefix("--").is_some_and(|name| name.starts_with(char::is_alphabetic))
    };
    // Blocks that build or run an application have flags of its own.
    let ours: Vec<&str> = guide.split("```").filter(|part| !part.contains("--example")).collect();
    let flags = ours.iter().flat_map(|part| part.split(is_other)).filter(is_flag);
    let cargo = ["--profile", "--features"];
    for flag in flags.filter(|flag| !cargo.contains(flag)) {
        let ends = [' ', '\n', ',', ']'];
        let is_there = ends.iter().any(|end| all.contains(&format!("{flag}{end}")));
        assert!(is_there, "no benchmark has {flag}");
    }
}

#[test]
fn its_defaults_are_those_of_compare() {
    let help = say(&["compare", "--help"]);
    assert!(help.contains("[default: 2]") && guide().contains("`--tolerance` (2 %)"), "{help}");
    let profile = guide().contains("with the profile `latency` (`--profile`");
    assert!(help.contains("[default: latency]") && profile, "{help}");
}
