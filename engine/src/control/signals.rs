//! Signals: which of them stop an application, and which must not end it.

use std::fs;
use std::io;
use std::sync::Arc;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag::{register, register_conditional_shutdown};

use super::error::Error;
use super::exit::Exit;
use super::stop_request::StopRequest;

/// SIGINT, SIGTERM and SIGHUP request a stop; one more SIGINT or SIGTERM ends the process at once.
/// A terminal that goes away may send several SIGHUP. One that was ignored at the start, by
/// `nohup`, stays ignored.
///
/// # Errors
/// The system takes no handler.
pub(super) fn catch(request: &StopRequest) -> Result<(), Error> {
    let failed = |source| Error::Thread { what: "catching of signals", source };
    for signal in [SIGINT, SIGTERM] {
        let exit = i32::from(Exit::Undelivered as u8);
        register_conditional_shutdown(signal, exit, request.of_signals())
            .and_then(|_| register(signal, request.of_signals()))
            .map_err(failed)?;
    }
    if !is_ignored(SIGHUP) {
        register(SIGHUP, request.of_signals()).map_err(failed)?;
    }
    bear_file_limits().map_err(failed)
}

/// From now on a write beyond the limit of file sizes fails, as one to a full disk does, instead of
/// ending the process.
///
/// # Errors
/// The system takes no handler.
pub(super) fn bear_file_limits() -> io::Result<()> {
    // The signal itself does not matter: the write that caused it fails.
    register(SIGXFSZ, Arc::default()).map(drop)
}

/// Whether the parent of this process has it ignore `signal`.
fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 << (signal - 1) != 0)
}
