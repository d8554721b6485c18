//! Starts the storage thread.

use std::thread::{Builder, JoinHandle};

use super::super::error::Error;

/// Has the storage thread `run`.
///
/// # Errors
/// It cannot be started.
pub(super) fn spawn(run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    let thread = Builder::new().name("potoroo-keep".into()).spawn(run);
    thread.map_err(|source| Error::Thread { what: "the storage thread", source })
}
