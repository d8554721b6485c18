//! Reach: a file that no `mod` leads to is dead, and looks alive to its readers.

use std::collections::BTreeSet;

use crate::finding::Findings;
use crate::source::{Source, word_starts};

/// Reports files that no target of their package reaches.
pub fn check(sources: &[Source], findings: &mut Findings) {
    let mut reached: BTreeSet<String> = BTreeSet::new();
    let mut open: Vec<&Source> = sources.iter().filter(|s| is_root(&s.path)).collect();
    while let Some(source) = open.pop() {
        if reached.insert(source.path.clone()) {
            open.extend(sources.iter().filter(|s| leads_to(source, &s.path)));
        }
    }
    for source in sources.iter().filter(|source| !reached.contains(&source.path)) {
        findings.add(source, 0, "dead-file", "no `mod` leads here: declare it or delete it");
    }
}

/// Whether the package manager finds the file by its place.
fn is_root(path: &str) -> bool {
    let Some((folder, file)) = path.rsplit_once('/') else { return false };
    let place = folder.rsplit('/').next().unwrap_or("");
    let above = folder.rsplit('/').nth(1).unwrap_or("");
    match place {
        "src" => ["lib.rs", "main.rs"].contains(&file),
        "bin" | "examples" | "tests" | "benches" => above != "src" || place == "bin",
        _ if file == "build.rs" => !path.contains("/src/") && !path.contains("/tests/"),
        _ => file == "main.rs" && ["bin", "examples", "tests", "benches"].contains(&above),
    }
}

/// Whether `source` declares the module at `path`, or names it in a literal (as tests of what must
/// not compile do, by file or by folder).
fn leads_to(source: &Source, path: &str) -> bool {
    let folder = module_folder(&source.path);
    let declares = |line: &str, code: &str| {
        word_starts(code, "mod").filter_map(|at| code[at + 3..].split(['{', ';']).next()).any(
            |name| {
                let name = name.trim();
                path == format!("{folder}/{name}.rs") || path == format!("{folder}/{name}/mod.rs")
            },
        ) || line.split('"').skip(1).step_by(2).any(|literal| names(literal, path))
    };
    source.lines.iter().any(|line| declares(&line.text, &line.code))
}

fn names(literal: &str, path: &str) -> bool {
    match literal.strip_suffix("/*.rs") {
        Some(folder) => path.rsplit_once('/').is_some_and(|(at, _)| at.ends_with(folder)),
        None => literal.ends_with(".rs") && path.ends_with(&format!("/{literal}")),
    }
}

/// Where the modules of the file at `path` lie.
fn module_folder(path: &str) -> String {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    if ["lib.rs", "main.rs", "mod.rs"].contains(&file) || is_root(path) {
        return folder.to_owned();
    }
    format!("{folder}/{}", file.trim_end_matches(".rs"))
}
