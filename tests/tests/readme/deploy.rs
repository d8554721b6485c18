//! The guide to clusters is true: its commands run, one block after the other, and its files have
//! the flags and commands that there are.

use std::fs;
use std::process::Command;

use crate::documents::Document;
use crate::support::{Scratch, example, root, tool};

const GUIDE: &str = "engine/deploy/README.md";

#[test]
fn the_guide_to_clusters_runs() {
    let blocks = Document::read(GUIDE).blocks("sh");
    assert!(blocks[0].contains("cargo build --release --example sequence_windows --bin potoroo"));
    // The first one builds what is built already. What still runs at the end is ended.
    let script = format!("trap 'jobs -p | xargs -r kill -9' EXIT\n{}", blocks[1..].concat());
    let scratch = Scratch::new("deploy-guide");
    let folder = |path: std::path::PathBuf| path.parent().expect("a folder").display().to_string();
    let path = std::env::var("PATH").expect("there is one");
    let path = format!("{}:{}:{path}", folder(tool()), folder(example("sequence_windows")));
    let mut bash = Command::new("bash");
    bash.args(["-eu", "-c", &script]).env("PATH", path).current_dir(scratch.path(""));
    let output = bash.output().expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let (said, log) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{:?}\n{said}\n{log}", output.status);
    for part in ["node `b` is gone", "node `a` has left", "all nodes have ended", "are right"] {
        assert!(said.contains(part), "`{part}` is not in:\n{said}\n{log}");
    }
}

#[test]
fn the_unit_of_systemd_names_what_there_is() {
    let unit = fs::read_to_string(root().join("engine/deploy/potoroo@.service")).expect("a file");
    let help = Command::new(tool()).args(["cluster", "gone", "--help"]).output().expect("it runs");
    assert!(help.status.success() && unit.contains("potoroo cluster gone %i"), "{unit}");
    let help = Command::new(example("sequence_windows")).arg("--help").output().expect("it runs");
    let help = String::from_utf8(help.stdout).expect("help is text");
    let flags: Vec<&str> = unit
        .lines()
        .filter(|line| line.starts_with("ExecStart="))
        .flat_map(|line| line.split(' '))
        .filter(|word| word.starts_with("--"))
        .collect();
    assert!(flags.contains(&"--node") && flags.iter().all(|flag| help.contains(flag)), "{flags:?}");
}

#[test]
fn the_pods_of_kubernetes_name_what_there_is() {
    let set = fs::read_to_string(root().join("engine/deploy/statefulset.yaml")).expect("a file");
    let help = Command::new(tool()).args(["cluster", "ready", "--help"]).output().expect("it runs");
    assert!(help.status.success() && set.contains(r#"potoroo", "cluster", "ready"]"#), "{set}");
    let help = Command::new(example("sequence_windows")).arg("--help").output().expect("it runs");
    let help = String::from_utf8(help.stdout).expect("help is text");
    let lines = set.lines().filter_map(|line| line.trim().strip_prefix("- --"));
    let flags: Vec<_> = lines.map(|line| line.split('=').next().expect("a name")).collect();
    let is_known =
        |flag: &&str| help.contains(&format!("--{flag} ")) || help.contains(&format!("--{flag}\n"));
    assert!(flags.contains(&"node") && flags.iter().all(is_known), "{flags:?}");
}
