//! Arrows: a folder of the engine uses folders that stand before it in the order, never later ones.

use std::collections::BTreeSet;

use crate::finding::Findings;
use crate::graph::Graph;
use crate::known::Known;

const ENGINE: &str = "engine/src/";

/// Folders and files directly in `engine/src`, lowest first. What is new gets its place here.
const ORDER: [&str; 11] = [
    "scarce",
    "disk",
    "system",
    "state",
    "checkpoint",
    "flow",
    "turn",
    "connect",
    "cluster",
    "control",
    "lib",
];

/// Reports imports of a later folder that are not `known`, as `file -> folder`, and known ones that
/// are gone.
pub fn check(graphs: &[Graph], known: &Known, findings: &mut Findings) {
    let mut found = BTreeSet::new();
    for ((user, used), at) in graphs.iter().flat_map(|graph| &graph.uses) {
        let (Some(from), Some(to)) = (folder(user), folder(used)) else { continue };
        let (Some(from_place), Some(to_place)) = (place(from), place(to)) else {
            let unknown = if place(from).is_none() { from } else { to };
            let remedy = format!("`{unknown}` has no place in ORDER of tidy/rules/arrows.rs");
            findings.add_file(user, at.line, "arrow", remedy);
            continue;
        };
        let entry = format!("{user} -> {to}");
        if to_place > from_place {
            if !known.contains(&entry) {
                let remedy = format!("`{from}` may not use `{to}` ({used}): move what it needs");
                findings.add_file(user, at.line, "arrow", remedy);
            }
            found.insert(entry);
        }
    }
    known.check("arrow", &found, findings);
}

fn place(folder: &str) -> Option<usize> {
    ORDER.iter().position(|name| *name == folder)
}

/// The folder of the engine that a file lies in, or the file's own name in the root.
fn folder(path: &str) -> Option<&str> {
    let inside = path.strip_prefix(ENGINE)?;
    let first = inside.split('/').next().unwrap_or(inside);
    Some(first.trim_end_matches(".rs"))
}
