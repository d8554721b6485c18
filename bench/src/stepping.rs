//! Instructions of a child process between the places at which it stops itself.
//!
//! A virtual machine has no counters of the processor, so the kernel halts the child after each
//! instruction: some microseconds each, and the count is exact. An instruction that repeats itself
//! (`rep movs`) counts once per repetition.
#![allow(unsafe_code)]

use std::env;
use std::process::{Child, Command, Stdio};
use std::{io, ptr};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpid, getppid, kill_process,
    set_parent_process_death_signal, waitpid,
};

/// Lets the parent of this process, which has this number, count its instructions. This process
/// ends with its parent: a traced process that has stopped would otherwise stay for ever.
///
/// # Errors
/// The system does not permit it, or the parent has ended.
pub fn offer(parent: u32) -> Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL)).context("it would outlive its parent")?;
    let is_there = getppid().is_some_and(|it| it.as_raw_nonzero().get().unsigned_abs() == parent);
    ensure!(is_there, "the parent has ended");
    trace(libc::PTRACE_TRACEME, 0)
}

/// Ends one count of the parent and begins the next.
///
/// # Errors
/// Never in practice: a process may always stop itself.
pub fn lap() -> Result<()> {
    kill_process(getpid(), Signal::STOP).context("this process cannot be stopped")
}

/// Runs this program with these arguments and counts its instructions from one [`lap`] to the
/// next: as many counts as are wanted, from the first lap on. Ends it then.
///
/// # Errors
/// It cannot be started or traced, or it ended before; the error names the remedy.
pub fn count(arguments: &[&str], counts: usize) -> Result<Vec<u64>> {
    let program = env::current_exe().context("this program has no name")?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = Traced(command.spawn().context("this program cannot be started")?);
    let pid = Pid::from_child(&child.0);
    if stopped(pid).context(REMEDY)? != Signal::STOP {
        bail!("the child stopped for another reason than to be counted");
    }
    let counted = (0..counts).map(|_| count_lap(pid)).collect();
    child.end();
    counted
}

/// Steps until the child stops itself again.
fn count_lap(pid: Pid) -> Result<u64> {
    for steps in 0.. {
        trace(libc::PTRACE_SINGLESTEP, pid.as_raw_nonzero().get())?;
        match stopped(pid)? {
            Signal::TRAP => {}
            Signal::STOP => return Ok(steps),
            signal => bail!("the child got {signal:?} after {steps} instructions"),
        }
    }
    unreachable!("the range has no end")
}

/// Waits until the child is stopped, and by what.
fn stopped(pid: Pid) -> Result<Signal> {
    let waited = waitpid(Some(pid), WaitOptions::empty()).context("the child is lost")?;
    let signal = waited.and_then(|(_, status): (_, WaitStatus)| status.stopping_signal());
    let Some(signal) = signal else { bail!("the child ended instead of stopping") };
    Signal::from_named_raw(signal).context("the child was stopped by an unnamed signal")
}

/// A child that ends with this.
struct Traced(Child);

impl Traced {
    fn end(&mut self) {
        // It has ended already where that fails.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        self.end();
    }
}

fn trace(request: libc::c_uint, pid: libc::pid_t) -> Result<()> {
    let nothing = ptr::null_mut::<libc::c_void>();
    // SAFETY: both requests read and write no memory of this process; a number that is no child
    // under trace is refused.
    let traced = unsafe { libc::ptrace(request, pid, nothing, nothing) };
    if traced == 0 {
        return Ok(());
    }
    Err(io::Error::last_os_error()).context(REMEDY)
}

/// What to do where a child is not traced.
const REMEDY: &str = "instructions are not counted, the child is not traced: permit ptrace \
    (in a container `--cap-add=SYS_PTRACE` and a seccomp profile that has it; \
    kernel.yama.ptrace_scope below 3)";
