//! Commands whose system calls are refused by a filter, as containers and sandboxes do it.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// What io_uring is made of.
pub const SETUP: libc::c_long = libc::SYS_io_uring_setup;
pub const ENTER: libc::c_long = libc::SYS_io_uring_enter;
pub const REGISTER: libc::c_long = libc::SYS_io_uring_register;

/// Has `calls` answered with the error `errno` in `command` and whatever that starts.
pub fn refuse(command: &mut Command, calls: &[libc::c_long], errno: i32) {
    let filter = filter(calls, errno as u32);
    // SAFETY: between fork and exec the closure makes two system calls and allocates nothing.
    unsafe { command.pre_exec(move || install(&filter)) };
}

/// Loads the number of the call; for each of `calls` in turn: if it is that one, the error.
fn filter(calls: &[libc::c_long], errno: u32) -> Vec<libc::sock_filter> {
    let step = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let answer = |k| step(libc::BPF_RET | libc::BPF_K, 0, 0, k);
    let mut steps = vec![step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0)];
    for call in calls {
        steps.push(step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, *call as u32));
        steps.push(answer(libc::SECCOMP_RET_ERRNO | errno));
    }
    steps.push(answer(libc::SECCOMP_RET_ALLOW));
    steps
}

fn install(filter: &[libc::sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    // SAFETY: the call takes numbers only.
    let closed = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    // SAFETY: the pointers are to a live local and to the filter that it names; the kernel copies
    // both.
    let set = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) };
    if closed == 0 && set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
