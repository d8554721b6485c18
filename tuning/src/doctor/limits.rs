//! Whether the system grants what the engine needs: locked memory, descriptors, io_uring.

use crate::finding::Finding;
use crate::host::{Host, field};
use crate::remedy::Remedy;
use crate::root::Unread;

/// Every core can lock its memory.
pub(super) fn memlock(host: &Host) -> Finding {
    let wanted = CORE_LOCKED_BYTES * host.cores.len() as u64;
    let limit = match limit(host, "Max locked memory") {
        Ok(limit) => limit,
        Err(unread) => return Finding::unknown(unread),
    };
    let Some(bytes) = limit.filter(|bytes| *bytes < wanted) else {
        let is = limit.map_or("unlimited".to_owned(), |bytes| format!("{} KiB", bytes >> 10));
        return Finding::fine(format!("locked memory: {is}"));
    };
    let is = format!("{} KiB of locked memory", bytes >> 10);
    let should = format!("{} KiB or more, for {} cores", wanted >> 10, host.cores.len());
    let found = match bytes < CORE_LOCKED_BYTES {
        true => Finding::unfit(is, should),
        false => Finding::advice(is, should),
    };
    let raise = Remedy::hand(
        "LimitMEMLOCK=infinity in the service, or `ulimit -l unlimited` before the start",
        "take it out",
    );
    let why = "each core locks memory for its queues to the kernel; before Linux 5.12 all \
               processes of the user count together";
    found.why(why).remedy([raise])
}

/// There are descriptors for many connections.
pub(super) fn descriptors(host: &Host) -> Finding {
    let limit = match limit(host, "Max open files") {
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
            .why("a connection beyond the limit is refused")
            .remedy([raise])
        }
        Some(count) => Finding::fine(format!("{count} open files")),
        None => Finding::fine("open files: unlimited"),
    }
}

/// The engine's executor needs io_uring.
pub(super) fn io_uring(host: &Host) -> Finding {
    let path = "/proc/sys/kernel/io_uring_disabled";
    // By hand: somebody may have disabled it on purpose, for the security of the host.
    let set = |value: &str| format!("sysctl -w kernel.io_uring_disabled={value}");
    let allow = |value: &str| Remedy::hand(set("0"), set(value));
    let value = host.root.text(path).unwrap_or_else(|_| "0".to_owned());
    let why = "the engine does not start without io_uring";
    match value.as_str() {
        "0" => {}
        "1" => {
            let group = Remedy::hand(
                "or put the user of the application into the group of kernel.io_uring_group",
                "take the user out of it",
            );
            return Finding::advice(
                "io_uring is for members of kernel.io_uring_group only",
                "the application may use io_uring",
            )
            .why(why)
            .remedy([allow(&value), group]);
        }
        _ => {
            return Finding::unfit("io_uring is disabled", "io_uring is enabled")
                .why(why)
                .remedy([allow(&value)]);
        }
    }
    let status = host.root.text("/proc/self/status").unwrap_or_default();
    if field(&status, "Seccomp").is_some_and(|mode| mode == "2") {
        let profile = Remedy::hand(
            "allow io_uring_setup, io_uring_enter and io_uring_register in the seccomp profile of \
             the container or service",
            "use the former profile",
        );
        return Finding::note(
            "system calls are filtered; io_uring may be among those refused",
            "the filter lets io_uring pass",
        )
        .why("the usual profiles of containers refuse io_uring, and then the engine does not start")
        .remedy([profile]);
    }
    Finding::fine("io_uring is enabled")
}

/// A limit of this process; `None` is unlimited.
fn limit(host: &Host, name: &str) -> Result<Option<u64>, Unread> {
    let path = "/proc/self/limits";
    let text = host.root.text(path)?;
    let values = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    match values.split_whitespace().next().unwrap_or_default() {
        "unlimited" => Ok(None),
        value => value.parse().map(Some).map_err(|_| Unread::odd(path, &format!("{name} {value}"))),
    }
}

/// What one executor asks for.
const CORE_LOCKED_BYTES: u64 = 512 << 10;
/// The limit that sessions usually get is 1024.
const DESCRIPTORS_MIN: u64 = 4096;
