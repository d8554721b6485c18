//! Names: a public type name stands for one thing in the workspace.

use std::collections::{BTreeMap, BTreeSet};

use crate::finding::Findings;
use crate::known::Known;
use crate::source::{Source, word_starts};

/// What every module may have one of: read with the module's name, as in `route::Error`.
const QUALIFIED: [&str; 2] = ["Error", "Result"];

const KINDS: [&str; 5] = ["struct", "enum", "trait", "type", "union"];

/// Reports names that are defined more often than `known` says, as `Name count`, and counts that
/// are too high.
pub fn check(sources: &[Source], known: &Known, findings: &mut Findings) {
    let mut places: BTreeMap<String, Vec<(&Source, usize)>> = BTreeMap::new();
    for source in sources.iter().filter(|source| source.path.contains("src/")) {
        for (name, index) in public_types(source) {
            places.entry(name).or_default().push((source, index));
        }
    }
    places.retain(|name, places| places.len() > 1 && !QUALIFIED.contains(&name.as_str()));
    let entry = |name: &str, places: &[_]| format!("{name} {}", places.len());
    let found: BTreeSet<String> = places.iter().map(|(name, at)| entry(name, at)).collect();
    for (name, at) in places.iter().filter(|(name, at)| !known.contains(&entry(name, at))) {
        let paths: Vec<&str> = at.iter().map(|(source, _)| source.path.as_str()).collect();
        let (first, index) = at[0];
        let remedy = format!("`{name}` is {} types ({}): rename", at.len(), paths.join(", "));
        findings.add(first, index, "type-name", remedy);
    }
    known.check("type-name", &found, findings);
}

/// Public types outside of tests, with their lines.
fn public_types(source: &Source) -> Vec<(String, usize)> {
    let lines = (0..source.lines.len()).filter(|index| !source.is_test(*index));
    lines.filter_map(|index| Some((public_type(&source.lines[index].code)?, index))).collect()
}

fn public_type(code: &str) -> Option<String> {
    let item = code.trim_start().strip_prefix("pub")?;
    let item = match item.strip_prefix('(') {
        Some(scoped) => scoped.split_once(')')?.1,
        None => item,
    };
    let item = item.trim_start();
    let kind = KINDS.iter().find(|kind| word_starts(item, kind).next() == Some(0))?;
    let name = item[kind.len()..].trim_start();
    let end = name.find(|letter: char| letter != '_' && !letter.is_alphanumeric());
    Some(name[..end.unwrap_or(name.len())].to_owned())
}
