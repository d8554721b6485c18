//! Cycles: files that use one another can only be read, tested and moved together.
//!
//! A submodule that uses what its parent defines, while the parent uses the submodule, is a cycle,
//! too: move the shared definition to a file that both use.

use std::collections::BTreeSet;

use crate::finding::Findings;
use crate::graph::Graph;
use crate::known::Known;

/// Reports files of a cycle that are not `known`, and known ones that are in no cycle any more.
pub fn check(graphs: &[Graph], known: &Known, findings: &mut Findings) {
    let mut found = BTreeSet::new();
    for graph in graphs {
        for group in graph.cycles() {
            found.extend(group.iter().map(|file| (*file).to_owned()));
            let new = group.iter().filter(|file| !known.contains(file));
            new.for_each(|file| report(graph, file, &group, findings));
        }
    }
    known.check("cycle", &found, findings);
}

/// Names each use that ties `file` to the rest of its `group`.
fn report(graph: &Graph, file: &str, group: &[&str], findings: &mut Findings) {
    for ((user, used), found) in graph.uses.iter().filter(|(_, found)| !found.only_exports) {
        if user == file && group.contains(&used.as_str()) {
            let remedy = format!("uses {used}, which leads back here: move what both need");
            findings.add_file(user, found.line, "cycle", remedy);
        }
    }
}
