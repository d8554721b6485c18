//! The rules, one file for each concern.

pub mod arrows;
pub mod cycles;
pub mod habits;
pub mod hot;
pub mod layering;
pub mod lengths;
pub mod names;
pub mod phrases;
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
