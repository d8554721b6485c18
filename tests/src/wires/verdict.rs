//! Verdict: the first thing that a wire found to be wrong.
//!
//! A port cannot fail with words that the run sees, and a panic would hide which promise was
//! broken from the search for the smallest case.

use std::sync::{Arc, Mutex, PoisonError};

/// What is wrong with the links of one run, if something is.
#[derive(Clone, Debug, Default)]
pub struct Verdict(Arc<Mutex<Option<String>>>);

impl Verdict {
    /// Notes what is wrong, unless something was before.
    pub fn note(&self, wrong: Result<(), String>) {
        if let Err(wrong) = wrong {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(wrong);
        }
    }

    /// What is wrong.
    pub fn wrong(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
