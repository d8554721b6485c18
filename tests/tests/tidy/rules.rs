//! The rules, one file for each concern.

pub mod habits;
pub mod hot;
pub mod layering;
pub mod lengths;
pub mod reach;
pub mod unsafety;
pub mod words;

use crate::finding::Findings;
use crate::source::Source;

/// Applies every rule about a single file.
pub fn check_source(source: &Source, findings: &mut Findings) {
    let rules = [lengths::check, unsafety::check, words::check, hot::check, habits::check];
    rules.iter().for_each(|rule| rule(source, findings));
}
