//! Whether standard output was closed when the process began (`>&-`).
//!
//! Before `main` the runtime of Rust opens `/dev/null` in place of a standard stream that is
//! closed, so that no other file gets its number. From then on it looks like a standard
//! output that is dropped on purpose, and an answer would be lost without a message. So this looks
//! before the runtime does.
#![allow(unsafe_code)]

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::{Errno, fcntl_getfd};

static CLOSED: AtomicBool = AtomicBool::new(false);

/// Whether it was.
pub fn closed() -> bool {
    CLOSED.load(Ordering::Relaxed)
}

extern "C" fn look() {
    // SAFETY: the number is only looked at, while no other thread runs that could close it; where
    // nothing is open the call says so, which is the question.
    let stdout = unsafe { BorrowedFd::borrow_raw(1) };
    CLOSED.store(fcntl_getfd(stdout) == Err(Errno::BADF), Ordering::Relaxed);
}

// SAFETY: the loader calls each function in this section once before `main`, with the calling
// convention of C; `look` is one and uses nothing that the runtime of Rust sets up.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;
