//! Commands in the documents name what there is.

use std::fs;
use std::process::Command;

use crate::documents::Document;
use crate::support::{root, tool};

#[test]
fn the_readme_has_its_two_commands() {
    let blocks = Document::read("README.md").blocks("sh");
    for command in ["cargo run --release --example market_spread", "cargo test --workspace"] {
        assert!(blocks.iter().any(|block| block.contains(command)), "{command}");
    }
}

#[test]
fn options_of_cargo_name_what_there_is() {
    let mut count = 0;
    for document in Document::all() {
        for code in document.code() {
            let words: Vec<_> = code.split_whitespace().collect();
            for pair in words.windows(2).filter(|pair| OPTIONS.contains(&pair[0])) {
                count += 1;
                let missing = missing(pair[0], pair[1]);
                assert_eq!(missing, None, "{}: {}", document.path, pair.join(" "));
            }
        }
    }
    assert!(count > 20, "the documents were misread: {count} options");
}

const OPTIONS: [&str; 6] = ["--example", "--test", "-p", "--profile", "--features", "--bin"];

/// What an option of Cargo with this value names and is not there.
fn missing(option: &str, value: &str) -> Option<String> {
    let file = |path: String| (!root().join(&path).exists()).then(|| format!("no {path}"));
    let line = |line: String| (!manifests().contains(&line)).then(|| format!("no {line}"));
    match option {
        "--example" => file(format!("engine/examples/{value}.rs")),
        "--test" => file(format!("tests/tests/{value}.rs"))
            .and_then(|_| file(format!("tests/tests/{value}/main.rs"))),
        "-p" | "--bin" => line(format!("name = \"{value}\"\n")),
        "--profile" => line(format!("[profile.{value}]\n")),
        "--features" => line(format!("\n{value} = [")),
        _ => unreachable!("{option} is no option that is looked at"),
    }
}

/// All manifests of the workspace.
fn manifests() -> String {
    let folders = ["", "engine/", "engine/connector/", "runtime/", "app-sdk/", "app-sdk/derive/"];
    let folders = folders.into_iter().chain(["bench/", "tuning/", "tests/"]);
    let read = |folder| fs::read_to_string(root().join(format!("{folder}Cargo.toml")));
    folders.map(|folder| read(folder).expect("it is a package")).collect()
}

#[test]
fn commands_of_the_tool_are_there() {
    let guide = Document::read("engine/README.md");
    let blocks = guide.blocks("text").concat();
    let commands = blocks.lines().filter_map(|line| line.strip_prefix("potoroo "));
    let commands: Vec<Vec<&str>> = commands.map(|line| line.split(' ').take(2).collect()).collect();
    assert!(commands.len() > 4, "the guide was misread: {commands:?}");
    for command in commands {
        let help = Command::new(tool()).args(&command).arg("--help").output().expect("it runs");
        assert!(help.status.success(), "potoroo {}", command.join(" "));
    }
}

/// Variables of the environment stand in code.
#[test]
fn variables_are_read_by_code() {
    let engine = [
        "engine/src/control/logging.rs",
        "engine/src/control/tool/cluster.rs",
        "engine/src/control/config/member.rs",
    ]
    .as_slice();
    let tests = ["tests/src/seeds.rs", "tests/tests/support/mod.rs"].as_slice();
    for (document, code) in [("engine/README.md", engine), ("tests/README.md", tests)] {
        let text = Document::read(document).text;
        let code: String = code.iter().map(|path| Document::read(path).text).collect();
        let is_other = |letter: char| !letter.is_ascii_uppercase() && letter != '_';
        let names = text.split(is_other).filter(|word| word.starts_with("POTOROO_"));
        let names: Vec<_> = names.collect();
        assert!(!names.is_empty(), "{document} was misread");
        names.iter().for_each(|name| assert!(code.contains(name), "{document}: {name}"));
    }
}
