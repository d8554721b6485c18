//! Rows of tables as text: what the oracle compares, and simulators fill in.

use std::fmt::Debug;

/// A key and its state as text, to be compared.
pub fn table_text(key: &dyn Debug, state: &dyn Debug) -> String {
    format!("{key:?}: {state:?}")
}
