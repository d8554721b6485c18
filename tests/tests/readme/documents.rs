//! Finds the documents of the workspace and cuts them into blocks, tables, headings and links.

use std::fs;
use std::path::Path;

use crate::support::root;

/// A document of the workspace.
pub struct Document {
    /// Relative to the root of the workspace.
    pub path: String,
    pub text: String,
}

impl Document {
    /// All documents of the workspace.
    pub fn all() -> Vec<Self> {
        let mut paths = Vec::new();
        collect(root(), &mut paths);
        paths.sort();
        assert!(paths.len() >= 7, "the walk found too little: {paths:?}");
        paths.iter().map(|path| Self::read(path)).collect()
    }

    /// The document at `path`.
    pub fn read(path: &str) -> Self {
        let text = fs::read_to_string(root().join(path));
        let text = text.unwrap_or_else(|error| panic!("{path}: {error}"));
        Self { path: path.to_owned(), text }
    }

    /// The code blocks of a language, without their fences.
    pub fn blocks(&self, language: &str) -> Vec<String> {
        let fence = format!("```{language}\n");
        let after = self.text.split(&fence).skip(1);
        after.map(|text| text.split("```").next().unwrap_or(text).to_owned()).collect()
    }

    /// The lines outside of code blocks.
    pub fn prose(&self) -> impl Iterator<Item = &str> {
        let mut is_code = false;
        self.text.lines().filter(move |line| {
            let is_fence = line.starts_with("```");
            is_code ^= is_fence;
            !is_code && !is_fence
        })
    }

    /// Commands: blocks of shell, and code within lines.
    pub fn code(&self) -> Vec<String> {
        let spans =
            |line: &str| line.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        self.blocks("sh").into_iter().chain(self.prose().flat_map(spans)).collect()
    }

    /// The first cells of the rows of the table whose first head is `head`.
    pub fn table(&self, head: &str) -> Vec<&str> {
        let start = format!("| {head} |");
        let rows = self.text.lines().skip_while(|line| !line.starts_with(&start)).skip(2);
        let rows = rows.take_while(|line| line.starts_with('|'));
        let cells: Vec<_> = rows.filter_map(|row| row.split('|').nth(1)).map(str::trim).collect();
        assert!(!cells.is_empty(), "{}: no table begins with {start}", self.path);
        cells
    }

    /// The names by which a link reaches the headings.
    pub fn anchors(&self) -> Vec<String> {
        self.prose().filter(|line| line.starts_with('#')).map(anchor).collect()
    }

    /// The targets of the links.
    pub fn links(&self) -> Vec<String> {
        // Code in a line has no links, and may stand in the text of one.
        let plain = |line: &str| line.split('`').step_by(2).collect::<String>();
        let links = |line: String| {
            let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
            targets.map(str::to_owned).collect::<Vec<_>>()
        };
        self.prose().map(plain).flat_map(links).collect()
    }
}

/// As the repository's pages make it: lower case, hyphens for spaces, no punctuation.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let keeps = |letter: char| letter.is_alphanumeric() || [' ', '-', '_'].contains(&letter);
    text.chars().filter(|letter| keeps(*letter)).collect::<String>().replace(' ', "-")
}

/// Documents below `folder`, without what is built and what is hidden.
fn collect(folder: &Path, paths: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("folders are readable") {
        let path = entry.expect("it is readable").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') || name == "target" {
            continue;
        }
        if path.is_dir() {
            collect(&path, paths);
        } else if name.ends_with(".md") {
            let relative = path.strip_prefix(root()).expect("the walk began at the root");
            paths.push(relative.to_string_lossy().into_owned());
        }
    }
}

#[test]
fn headings_are_reached_as_in_the_pages_of_a_repository() {
    assert_eq!(anchor("## What survives what"), "what-survives-what");
    assert_eq!(anchor("## 1. BIOS"), "1-bios");
    assert_eq!(anchor("### flat_map"), "flat_map");
    assert_eq!(anchor("### sink and `reply`"), "sink-and-reply");
}
