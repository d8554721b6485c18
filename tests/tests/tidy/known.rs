//! What is known to break a rule: lists that may only shrink.
//!
//! A list is a text file in `known/`: one entry per line, sorted, `#` begins a comment. Comments
//! keep the entries of different folders apart, so that edits of several people merge.

use std::collections::BTreeSet;

use crate::finding::Findings;

/// One list.
pub struct Known<'a> {
    /// The file, relative to the root of the workspace.
    pub path: String,
    /// Its content.
    pub text: &'a str,
}

impl Known<'_> {
    /// The entries with their lines, counted from 1.
    fn entries(&self) -> Vec<(usize, &str)> {
        let lines = self.text.lines().map(str::trim).enumerate();
        let is_entry = |line: &str| !line.is_empty() && !line.starts_with('#');
        lines.filter(|(_, line)| is_entry(line)).map(|(index, line)| (index + 1, line)).collect()
    }

    /// Whether `entry` is in the list.
    pub fn contains(&self, entry: &str) -> bool {
        self.entries().iter().any(|(_, listed)| *listed == entry)
    }

    /// Reports entries that are not in `found`, which are no longer needed, and entries out of
    /// order.
    pub fn check(&self, rule: &'static str, found: &BTreeSet<String>, findings: &mut Findings) {
        let entries = self.entries();
        for (line, entry) in entries.iter().filter(|(_, entry)| !found.contains(*entry)) {
            let remedy = format!("`{entry}` is mended or elsewhere: delete the line");
            findings.add_file(&self.path, *line, rule, remedy);
        }
        for pair in entries.windows(2).filter(|pair| pair[0].1 >= pair[1].1) {
            let remedy = format!("`{}` stands after `{}`: sort the list", pair[1].1, pair[0].1);
            findings.add_file(&self.path, pair[1].0, rule, remedy);
        }
    }
}
