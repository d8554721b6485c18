//! Flags, defaults, addresses and exit codes of the documents are those of the help.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use crate::documents::Document;
use crate::support::{example, tool};

const ENGINE: &str = "engine/README.md";

#[test]
fn flags_and_their_defaults_are_those_of_the_help() {
    let help = help_of(example("word_count"));
    let flags = help.split_once("\nSources:\n").expect("sources stand after the flags").0;
    let flags = flags_of(flags);
    let guide = Document::read(ENGINE);
    for (flag, default) in &flags {
        let begins = [format!("| `{flag} "), format!("| `{flag}`")];
        let mut rows = guide.text.lines();
        let row = rows.find(|line| begins.iter().any(|begin| line.starts_with(begin)));
        let row = row.unwrap_or_else(|| panic!("no row begins with | `{flag}"));
        assert!(row.contains(default), "{flag}: its default is {default}: {row}");
    }
    let rows = guide.table("flag");
    let rows = rows.iter().filter_map(|row| row.trim_matches('`').split(' ').next());
    let known: BTreeSet<&str> = flags.iter().map(|(flag, _)| flag.as_str()).collect();
    assert_eq!(rows.collect::<BTreeSet<_>>(), known);
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
    let general = ["--help", "--version"];
    flags.retain(|(flag, _)| !general.contains(&flag.as_str()));
    assert!(flags.len() > 10, "the help was misread: {flags:?}");
    flags
}

#[test]
fn addresses_are_those_of_the_help() {
    let help = help_of(example("word_count"));
    let rest = help.split_once("\nSources:\n").expect("sources stand after the flags").1;
    let (sources, sinks) = rest.split_once("\nSinks:\n").expect("sinks stand after the sources");
    let guide = Document::read(ENGINE);
    for (text, head) in [(sources, "source"), (sinks, "sink")] {
        let address = |line: &str| line.strip_prefix("  ")?.split(' ').next().map(str::to_owned);
        let addresses: Vec<_> = text.lines().filter_map(address).collect();
        let is_address =
            |text: &&String| text.starts_with(char::is_lowercase) && text.contains(':');
        let addresses: BTreeSet<_> = addresses.iter().filter(is_address).cloned().collect();
        let rows = guide.table(head).into_iter().map(|cell| cell.trim_matches('`').to_owned());
        assert_eq!(rows.collect::<BTreeSet<_>>(), addresses, "table of each {head}");
    }
}

#[test]
fn exit_codes_are_those_of_the_help() {
    let guide = Document::read(ENGINE);
    for (program, head) in [(example("word_count"), "exit code"), (tool(), "exit code of the tool")]
    {
        let help = help_of(program);
        let codes = help.split_once("Exit codes:\n").expect("exit codes stand at the end").1;
        let codes = codes.lines().filter_map(|line| line.split_whitespace().next());
        let codes: Vec<_> = codes.filter(|code| code.parse::<u8>().is_ok()).collect();
        assert_eq!(guide.table(head), codes, "table `{head}`");
    }
}

fn help_of(program: PathBuf) -> String {
    let help = Command::new(program).arg("--help").output().expect("it runs");
    String::from_utf8(help.stdout).expect("help is text")
}
