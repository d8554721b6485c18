//! Starts the storage thread.

use super::super::error::Error;
use crate::system::SideThread;

/// Has the storage thread `run`.
///
/// # Errors
/// It cannot be started.
pub(super) fn spawn(run: impl FnOnce() + Send + 'static) -> Result<SideThread, Error> {
    let thread = SideThread::start("potoroo-keep", run);
    thread.map_err(|source| Error::Thread { what: "the storage thread", source })
}
