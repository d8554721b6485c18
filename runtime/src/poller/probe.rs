//! Asks beforehand whether io_uring works here.
//!
//! Containers, sandboxes and old kernels refuse it as a whole or in part, and the executor of a
//! core ends the process where it is refused. So each kind of request that an executor or a poller
//! makes is made once here, and an answer is waited for. Owns nothing after that. Must never fail:
//! a refusal is an answer.
#![allow(unsafe_code)]

use std::io;
use std::time::Duration;

use io_uring::{IoUring, Probe, opcode, types};

use super::uring::push;
use super::{Poller, PollerKind, Ready, Waker};

/// Checks that a poller can use io_uring.
///
/// # Errors
/// What is refused.
pub(crate) fn poller() -> Result<(), String> {
    let refused = |error: super::Error| error.cause();
    let mut poller = Poller::with_kind(PollerKind::Uring).map_err(refused)?;
    let (bell, mut ready) = (Waker::new().map_err(named("eventfd"))?, Vec::with_capacity(1));
    poller.watch(&bell, TOKEN).map_err(refused)?;
    bell.announce_park();
    bell.wake_if_parked();
    for _ in 0..ATTEMPTS {
        poller.prepare_park();
        poller.park(PATIENCE);
        poller.poll(&mut ready);
        if ready.iter().any(|ready: &Ready| ready.token == TOKEN && ready.readable) {
            poller.unwatch(TOKEN);
            return Ok(());
        }
    }
    Err("requests to poll are not answered".to_owned())
}

/// Checks that this many executors can have their rings, all at once, since they may be limited.
///
/// # Errors
/// What is refused.
pub(crate) fn executors(count: usize) -> Result<(), String> {
    let mut held = Vec::with_capacity(count * 3);
    for _ in 0..count {
        held.push(IoUring::new(ENTRIES).map_err(named("io_uring_setup"))?);
        let polled = IoUring::builder().setup_iopoll().build(ENTRIES);
        held.push(polled.map_err(named("io_uring_setup with IOPOLL"))?);
        held.push(IoUring::new(ENTRIES).map_err(named("io_uring_setup"))?);
    }
    let Some(ring) = held.first_mut() else { return Ok(()) };
    check_requests(ring)?;
    for ring in held.iter().take(3) {
        check_registering(ring)?;
    }
    Ok(())
}

/// Asks which requests the kernel knows, and makes two of them.
fn check_requests(ring: &mut IoUring) -> Result<(), String> {
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe).map_err(named("IORING_REGISTER_PROBE"))?;
    if let Some(missing) = NEEDED.iter().find(|code| !probe.is_supported(**code)) {
        return Err(format!("the kernel lacks request {missing} of io_uring (5.8 has all)"));
    }
    let soon = types::Timespec::new().nsec(1);
    for request in [opcode::Nop::new().build(), opcode::Timeout::new(&soon).build()] {
        push(ring, &request).map_err(|full| full.to_string())?;
        ring.submit_and_wait(1).map_err(named("io_uring_enter"))?;
        ring.completion().next().ok_or("requests to io_uring are not answered")?;
    }
    Ok(())
}

/// Registers a buffer and takes it back. A buffer that is refused is no matter, unless it cannot be
/// taken back.
fn check_registering(ring: &IoUring) -> Result<(), String> {
    let mut buffer = [0_u8; 64];
    let vector = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: the buffer outlives its registration, which ends below or with the ring, and no
    // request uses it.
    if unsafe { ring.submitter().register_buffers(&[vector]) }.is_err() {
        return Ok(());
    }
    ring.submitter().unregister_buffers().map_err(named("IORING_UNREGISTER_BUFFERS"))
}

fn named(what: &'static str) -> impl Fn(io::Error) -> String {
    move |error| format!("{what}: {error}")
}

/// The requests without which an executor ends the process, whether it makes them or not.
const NEEDED: [u8; 23] = [
    opcode::Nop::CODE,
    opcode::Readv::CODE,
    opcode::Writev::CODE,
    opcode::Fsync::CODE,
    opcode::ReadFixed::CODE,
    opcode::WriteFixed::CODE,
    opcode::PollAdd::CODE,
    opcode::PollRemove::CODE,
    opcode::SendMsg::CODE,
    opcode::RecvMsg::CODE,
    opcode::Timeout::CODE,
    opcode::TimeoutRemove::CODE,
    opcode::Accept::CODE,
    opcode::LinkTimeout::CODE,
    opcode::Connect::CODE,
    opcode::Fallocate::CODE,
    opcode::OpenAt::CODE,
    opcode::Close::CODE,
    opcode::Statx::CODE,
    opcode::Read::CODE,
    opcode::Write::CODE,
    opcode::Send::CODE,
    opcode::Recv::CODE,
];
/// As many as the rings of an executor have.
const ENTRIES: u32 = 64;
const TOKEN: u64 = 1;
/// The answer is there at once; these only bound the waiting for one that never comes.
const PATIENCE: Duration = Duration::from_millis(1);
const ATTEMPTS: usize = 200;
