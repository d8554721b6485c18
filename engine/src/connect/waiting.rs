//! Waits of threads that may wait: short ones, so that a thread notices soon that it is to stop.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How long a thread waits before it looks whether it should stop.
pub(super) const STOP_CHECK: Duration = Duration::from_millis(50);

/// Whether nothing came or went within the time that a call may take.
pub(super) fn is_pause(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}

/// Waits until the descriptor is ready or the time is over; the caller finds out which.
pub(super) fn wait(descriptor: &impl AsFd, flags: PollFlags, timeout: Duration) {
    let timeout =
        Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: i64::from(timeout.subsec_nanos()) };
    let _ = poll(&mut [PollFd::new(descriptor, flags)], Some(&timeout));
}
