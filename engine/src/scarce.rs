//! Scarce descriptors: opening a file waits while the process, or the system, has none left.
//!
//! Connections leave room for what the engine opens itself. An embedding program, or another
//! process where the limit of the whole system is reached, may still take the last one. Must never
//! be used on a core after its start: it waits.

use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::io::Errno;

/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(5);

/// A wait this long is logged.
const WARN: Duration = Duration::from_secs(1);

/// After this time the caller gets the error: a descriptor that never comes must not keep a thread
/// from ending.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Whether the process or the system has no descriptor left.
pub fn is_scarce(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    errno.is_some_and(|errno| [Errno::MFILE, Errno::NFILE].contains(&errno))
}

/// What `open` returns, tried again while descriptors are scarce.
///
/// # Errors
/// `open` fails for another reason, or no descriptor is free for `WAIT_MAX`.
pub fn when_free<T>(open: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    when_free_within(WAIT_MAX, open)
}

fn when_free_within<T>(limit: Duration, mut open: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let (begun, mut warned) = (Instant::now(), false);
    loop {
        match open() {
            Err(error) if is_scarce(&error) && begun.elapsed() < limit => {
                if !warned && begun.elapsed() >= WARN {
                    warned = true;
                    tracing::error!(
                        "a file cannot be opened: {error}; the engine tries again until a \
                         descriptor is free: raise the limit of open files (`ulimit -n`, \
                         LimitNOFILE=)"
                    );
                }
                sleep(PAUSE);
            }
            opened => return opened,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_is_waited_for_and_other_errors_are_not() {
        let mut tries = 0;
        let opened = when_free(|| {
            tries += 1;
            if tries < 3 { Err(Errno::MFILE.into()) } else { Ok(tries) }
        });
        assert_eq!(opened.expect("free at the third try"), 3);
        let denied = when_free(|| Err::<(), _>(Errno::ACCESS.into()));
        assert_eq!(denied.expect_err("not scarce").kind(), io::ErrorKind::PermissionDenied);
        let never = when_free_within(Duration::ZERO, || Err::<(), _>(Errno::NFILE.into()));
        assert!(is_scarce(&never.expect_err("none in time")));
    }
}
