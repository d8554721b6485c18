//! Tidy: the habits of this workspace that a program can check.
//!
//! Owns the limits and the lists; each rule's file says what it is for. Promises to name file,
//! line, rule and remedy. It reads text: it never decides by what a file would do when it runs.

mod canary;
mod finding;
mod graph;
mod known;
mod rules;
mod source;
mod syntax;

use std::fs;
use std::path::{Path, PathBuf};

use finding::Findings;
use graph::Graph;
use known::Known;
use rules::layering::Manifest;
use source::Source;

#[test]
fn the_workspace_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("packages lie in folders");
    let files = files(root);
    let named = |path: &PathBuf| {
        let relative = path.strip_prefix(root).expect("the walk began at the root");
        let text = fs::read_to_string(path).expect("sources are readable text");
        (relative.to_string_lossy().replace('\\', "/"), text)
    };
    let ends = |end: &'static str| files.iter().filter(move |path| path.ends_with_text(end));
    let sources: Vec<Source> =
        ends(".rs").map(named).map(|(path, text)| Source::new(&path, &text)).collect();
    let manifests: Vec<Manifest> =
        ends("Cargo.toml").map(named).map(|(path, text)| Manifest { path, text }).collect();
    assert!(sources.len() > 20, "the walk from {} found too little", root.display());

    let documents: Vec<Source> = ends(".md")
        .chain(ends(".py"))
        .map(named)
        .map(|(path, text)| Source::new(&path, &text))
        .collect();

    let mut findings = Findings::default();
    sources.iter().for_each(|source| rules::check_source(source, &mut findings));
    rules::reach::check(&sources, &mut findings);
    rules::layering::check(&manifests, &mut findings);
    check_known(&sources, &documents, &mut findings);
    let lines: Vec<String> = findings.all.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "{} findings:\n{}", lines.len(), lines.join("\n"));
}

/// Applies the rules that have lists of what is known.
fn check_known(sources: &[Source], documents: &[Source], findings: &mut Findings) {
    let graphs: Vec<Graph> = graph::roots(sources).map(|root| Graph::new(root, sources)).collect();
    rules::cycles::check(&graphs, &list("cycles", include_str!("known/cycles.txt")), findings);
    rules::arrows::check(&graphs, &list("arrows", include_str!("known/arrows.txt")), findings);
    rules::names::check(sources, &list("names", include_str!("known/names.txt")), findings);
    let phrases = list("phrases", include_str!("known/phrases.txt"));
    rules::phrases::check(sources, documents, &phrases, findings);
}

fn list(name: &str, text: &'static str) -> Known<'static> {
    Known { path: format!("tests/tests/tidy/known/{name}.txt"), text }
}

/// All files below `folder`, without what is built and what is hidden.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("folders are readable");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("is readable").path()).collect();
    paths.sort();
    let hidden = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with('.') || name == "target"
    };
    let below = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    paths.into_iter().filter(|path| !hidden(path)).flat_map(below).collect()
}

/// `Path::ends_with` compares whole components.
trait EndsWithText {
    fn ends_with_text(&self, end: &str) -> bool;
}

impl EndsWithText for PathBuf {
    fn ends_with_text(&self, end: &str) -> bool {
        self.to_string_lossy().ends_with(end)
    }
}
