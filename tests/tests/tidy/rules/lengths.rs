//! Lengths: a file, a function and a line that fit a head and a screen.

use crate::finding::Findings;
use crate::source::Source;

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 60;
const LINE_COLUMNS_MAX: usize = 100;

/// Reports what is too long.
pub fn check(source: &Source, findings: &mut Findings) {
    if source.lines.len() > FILE_LINES_MAX {
        let remedy = format!("{} lines of {FILE_LINES_MAX}: split by noun", source.lines.len());
        findings.add(source, FILE_LINES_MAX, "file-length", remedy);
    }
    for (index, line) in source.lines.iter().enumerate() {
        let columns = line.text.chars().count();
        if columns > LINE_COLUMNS_MAX {
            let remedy = format!("{columns} columns of {LINE_COLUMNS_MAX}: break the line");
            findings.add(source, index, "line-length", remedy);
        }
    }
    for function in source.functions() {
        if function.lines.len() > FUNCTION_LINES_MAX {
            let (name, length) = (&function.name, function.lines.len());
            let remedy = format!("`{name}` has {length} lines of {FUNCTION_LINES_MAX}: split it");
            findings.add(source, function.lines.start, "function-length", remedy);
        }
    }
}
