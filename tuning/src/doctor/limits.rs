//! Whether the system grants what the engine needs: locked memory, descriptors, io_uring.

use io_uring::IoUring;
use rustix::io::Errno;

use crate::finding::Finding;
use crate::host::{CheckedHost, field};
use crate::remedy::{Remedy, word};
use crate::root::Unread;

/// Every core can lock its memory.
pub(super) fn memlock(host: &CheckedHost) -> Finding {
    let wanted = CORE_LOCKED_BYTES * host.cores.len() as u64;
    let limit = match limit(host, "Max locked memory", Kind::Soft) {
        Ok(limit) => limit,
        Err(unread) => return Finding::unknown(unread),
    };
    let Some(bytes) = limit.filter(|bytes| *bytes < wanted) else {
        let is = limit.map_or("unlimited".to_owned(), |bytes| format!("{} KiB", bytes >> 10));
        return Finding::fine(format!("locked memory: {is}"));
    };
    let is = format!("{} KiB of locked memory", bytes >> 10);
    let should = format!("{} KiB or more, for {} cores", wanted >> 10, host.cores.len());
    let why = "each core locks memory for its queues to the kernel, or runs on a plain thread; \
               before Linux 5.12 all processes of the user count together";
    Finding::advice(is, should).why(why).remedy([raise_memlock()])
}

/// There are descriptors for many connections. The hard limit counts: the engine raises the soft
/// one to it.
pub(super) fn descriptors(host: &CheckedHost) -> Finding {
    let limit = match limit(host, "Max open files", Kind::Hard) {
        Ok(limit) => limit,
        Err(unread) => return Finding::unknown(unread),
    };
    match limit {
        Some(count) if count < DESCRIPTORS_MIN => {
            let raise = Remedy::hand(
                "LimitNOFILE=1048576 in the service, or `ulimit -n` before the start",
                "take it out",
            );
            Finding::note(
                format!("{count} open files"),
                format!("{DESCRIPTORS_MIN} or more, for many connections"),
            )
            .why("connections beyond the limit wait until others are closed")
            .remedy([raise])
        }
        Some(count) => Finding::fine(format!("{count} open files")),
        None => Finding::fine("open files: unlimited"),
    }
}

/// The engine's executor needs io_uring.
pub(super) fn io_uring(host: &CheckedHost) -> Finding {
    // Only a try shows what filters of system calls let pass; a recorded host has files only.
    let tried = host.root.is_host().then(try_io_uring);
    let refused = match tried {
        Some(Ok(())) => return Finding::fine("io_uring is granted"),
        Some(Err(error)) => Some(Errno::from_io_error(&error).unwrap_or(Errno::PERM)),
        None => None,
    };
    match host.root.text(DISABLED) {
        Ok(value) if value != "0" => return io_uring_disabled(&value),
        Err(unread) if refused.is_none() && !host.root.exists(STATUS) => {
            return Finding::unknown(unread);
        }
        _ => {}
    }
    let status = host.root.text(STATUS).unwrap_or_default();
    let filtered = field(&status, "Seccomp").is_some_and(|mode| mode == "2");
    let refused = match refused {
        Some(Errno::NOMEM) => {
            return Finding::advice("io_uring gets too little locked memory", "it gets enough")
                .why(NEEDED)
                .remedy([raise_memlock()]);
        }
        Some(Errno::NOSYS) if !filtered => {
            let other = Remedy::hand(
                "use Linux 6.1 or later, or another sandbox (gVisor has no io_uring)",
                "go back to the former one",
            );
            return Finding::advice("this kernel has no io_uring", "it has")
                .why(NEEDED)
                .remedy([other]);
        }
        Some(Errno::INVAL) => {
            let later = Remedy::hand("use Linux 6.1 or later", "go back to the former one");
            return Finding::advice("this kernel's io_uring is too old", "Linux 6.1 or later")
                .why(NEEDED)
                .remedy([later]);
        }
        Some(errno) => {
            let why = std::io::Error::from(errno);
            Finding::advice(format!("io_uring is refused ({why})"), "the application may use it")
        }
        None if filtered => Finding::note(
            "system calls are filtered; io_uring may be among those refused",
            "the filter lets io_uring pass",
        ),
        None => return Finding::fine("io_uring is enabled"),
    };
    let profile = Remedy::hand(
        "allow io_uring_setup, io_uring_enter and io_uring_register in the seccomp profile: \
         `--security-opt seccomp=PROFILE.json` (docker, podman), seccompProfile (Kubernetes), \
         SystemCallFilter=@system-service (systemd)",
        "use the former profile",
    );
    refused
        .why(&format!("the usual profiles of containers refuse io_uring; {NEEDED}"))
        .remedy([profile])
}

/// Sets up what a core needs.
fn try_io_uring() -> std::io::Result<()> {
    let mut builder = IoUring::builder();
    builder.setup_single_issuer().setup_defer_taskrun().setup_taskrun_flag();
    let ring: IoUring = builder.build(1)?;
    drop(ring);
    Ok(())
}

/// By hand: it may have been disabled on purpose, for the security of the host.
fn io_uring_disabled(value: &str) -> Finding {
    let set = |value: &str| format!("sysctl -w kernel.io_uring_disabled={}", word(value));
    let allow = Remedy::hand(set("0"), set(value));
    if value != "1" {
        return Finding::advice("io_uring is disabled", "io_uring is enabled")
            .why(NEEDED)
            .remedy([allow]);
    }
    let group = Remedy::hand(
        "or put the user of the application into the group of kernel.io_uring_group",
        "take the user out of it",
    );
    let is = "io_uring is for members of kernel.io_uring_group only";
    Finding::advice(is, "the application may use io_uring").why(NEEDED).remedy([allow, group])
}

fn raise_memlock() -> Remedy {
    Remedy::hand(
        "LimitMEMLOCK=infinity in the service, `ulimit -l unlimited` before the start, or \
         `--ulimit memlock=-1` (docker, podman)",
        "take it out",
    )
}

/// The column of a limit.
#[derive(Clone, Copy)]
enum Kind {
    /// What holds.
    Soft,
    /// Up to what a process may raise it.
    Hard,
}

/// A limit of this process; `None` is unlimited.
fn limit(host: &CheckedHost, name: &str, kind: Kind) -> Result<Option<u64>, Unread> {
    let path = "/proc/self/limits";
    let text = host.root.text(path)?;
    let values = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    match values.split_whitespace().nth(kind as usize).unwrap_or_default() {
        "unlimited" => Ok(None),
        value => value.parse().map(Some).map_err(|_| Unread::odd(path, &format!("{name} {value}"))),
    }
}

const DISABLED: &str = "/proc/sys/kernel/io_uring_disabled";
const STATUS: &str = "/proc/self/status";
const NEEDED: &str = "without io_uring each turn of a core asks epoll, a system call";
/// What one executor asks for.
const CORE_LOCKED_BYTES: u64 = 512 << 10;
/// The limit that sessions usually get is 1024.
const DESCRIPTORS_MIN: u64 = 4096;
