//! Links and paths of the documents lead to something.

use std::path::{Component, Path, PathBuf};

use crate::documents::Document;
use crate::support::root;

#[test]
fn the_readme_is_short() {
    let lines = Document::read("README.md").text.lines().count();
    assert!(lines <= 250, "README.md has {lines} lines, more than 250: move some to a guide");
}

#[test]
fn links_lead_to_files_and_headings() {
    let mut count = 0;
    for document in Document::all() {
        for link in document.links().iter().filter(|link| !link.contains("://")) {
            count += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let path = target(&document.path, file);
            let named = format!("{}: {link}", document.path);
            assert!(root().join(&path).exists(), "{named}: there is no {}", path.display());
            if !anchor.is_empty() {
                let anchors = Document::read(&path.to_string_lossy()).anchors();
                assert!(anchors.iter().any(|one| one == anchor), "{named}: no such heading");
            }
        }
    }
    assert!(count > 20, "the documents were misread: {count} links");
}

/// Where a link of the document at `from` leads, relative to the root.
fn target(from: &str, file: &str) -> PathBuf {
    if file.is_empty() {
        return from.into();
    }
    let mut path = PathBuf::new();
    for part in Path::new(from).with_file_name(file).components() {
        match part {
            Component::ParentDir => assert!(path.pop(), "{from}: {file} leaves the repository"),
            part => path.push(part),
        }
    }
    path
}

/// Every document but the first is reached from the first.
#[test]
fn documents_are_reached_from_the_readme() {
    let readme = Document::read("README.md");
    let links: Vec<_> = readme.links().iter().map(|link| target("README.md", link)).collect();
    for document in Document::all().iter().filter(|document| document.path != "README.md") {
        let is_linked = links.iter().any(|link| link == Path::new(&document.path));
        assert!(is_linked, "README.md has no link to {}", document.path);
    }
}

/// Paths stand in text and code as seen from the root.
#[test]
fn paths_exist() {
    let tops = ["engine/", "app-sdk/", "runtime/", "bench/", "tuning/", "tests/", ".ci/"];
    let mut count = 0;
    for document in Document::all() {
        // Links are relative to their document, and are looked at above.
        let text = document.text.replace("](", "] ../");
        let words = text.split(|end: char| end.is_whitespace() || "`()[],;:#".contains(end));
        for word in words.filter(|word| tops.iter().any(|top| word.starts_with(top))) {
            count += 1;
            let path = word.trim_end_matches('.');
            assert!(root().join(path).exists(), "{}: {path} is not there", document.path);
        }
    }
    assert!(count > 40, "the documents were misread: {count} paths");
}
