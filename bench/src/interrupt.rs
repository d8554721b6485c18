//! Ctrl-C in the middle of a run: the slice under way ends as usual, then what was measured is
//! reported. A second one ends the process at once.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag::{register, register_conditional_shutdown};

/// The exit code of a process that Ctrl-C has ended.
pub const EXIT_CODE: u8 = 130;

/// Listens for SIGINT and SIGTERM from now on.
///
/// # Errors
/// The system takes no handler.
pub fn listen() -> Result<()> {
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds the flag down, the second one finds it up.
        register_conditional_shutdown(signal, EXIT_CODE.into(), Arc::clone(&ASKED))
            .and_then(|_| register(signal, Arc::clone(&ASKED)))
            .context("signals cannot be listened for")?;
    }
    Ok(())
}

/// From now on a write beyond the limit of file sizes fails, as one to a full disk does.
///
/// # Errors
/// The system takes no handler.
pub fn bear_file_limits() -> Result<()> {
    register(SIGXFSZ, Arc::default()).context("signals cannot be listened for").map(drop)
}

/// Whether the run has been asked to end.
#[inline]
pub fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}

/// Fails when the run has been asked to end: stands between two measurements.
///
/// # Errors
/// [`Interrupted`].
pub fn check() -> Result<()> {
    if asked() { Err(Interrupted.into()) } else { Ok(()) }
}

/// Why a run has fewer figures than usual.
#[derive(Debug)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted: the figures are of what was measured until then")
    }
}

impl std::error::Error for Interrupted {}

static ASKED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);
