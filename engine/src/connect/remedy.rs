//! Remedies: what helps against each error of the system when something is opened.

use std::io;

use rustix::io::Errno;

/// What helps when a source or the admin port cannot listen; `other` names another address that
/// works.
pub fn listen(error: &io::Error, other: &str) -> String {
    match Errno::from_io_error(error) {
        Some(Errno::ADDRINUSE) => format!(
            "another process has that port: free the port (`ss -ltnp` shows its user), or {other}"
        ),
        Some(Errno::ADDRNOTAVAIL) => format!(
            "this host has no such address (`ip address` lists those that it has): {other}, or \
             listen on 0.0.0.0 for all of IPv4"
        ),
        Some(Errno::ACCESS | Errno::PERM) => format!(
            "ports below 1024 need a privilege (CAP_NET_BIND_SERVICE, or the sysctl \
             net.ipv4.ip_unprivileged_port_start): {other}"
        ),
        Some(Errno::AFNOSUPPORT) => format!("this host has no IPv6: {other} of IPv4"),
        _ => scarce(error).map_or_else(|| other.to_owned(), str::to_owned),
    }
}

/// What helps when a file or folder cannot be opened to read.
pub fn read(error: &io::Error) -> &'static str {
    match Errno::from_io_error(error) {
        Some(Errno::NOENT) => "there is no such file: give the path of one that can be read",
        Some(Errno::ACCESS | Errno::PERM) => {
            "give the user of this process the right to read it, and to enter its folders"
        }
        _ => opened(error).unwrap_or("give the path of a file that can be read"),
    }
}

/// What helps when a file cannot be created or opened to write.
pub fn write(error: &io::Error) -> &'static str {
    match Errno::from_io_error(error) {
        Some(Errno::NOENT) => {
            "its folder is not there: make it, or give a path in a folder that can be written"
        }
        Some(Errno::ACCESS | Errno::PERM) => {
            "give the user of this process the right to write there, or give another path"
        }
        Some(Errno::ROFS) => "that file system is read-only: give a path on another one",
        Some(Errno::NOSPC) => "the disk, or its inodes (`df -i`), are full: free space there",
        Some(Errno::DQUOT) => "the quota of this user is used up: free space, or raise the quota",
        Some(Errno::TXTBSY) => "a program of that name runs: give another path",
        _ => opened(error).unwrap_or("give a path in a folder that can be written"),
    }
}

/// What is the same for reading and writing.
fn opened(error: &io::Error) -> Option<&'static str> {
    match Errno::from_io_error(error) {
        Some(Errno::ISDIR) => Some("it is a folder: give the path of a file"),
        Some(Errno::NOTDIR) => Some("a part of the path is a file, no folder: check the path"),
        Some(Errno::LOOP) => Some("its symbolic links lead in a circle: check them"),
        Some(Errno::NAMETOOLONG) => Some("its name is too long: give a shorter one"),
        _ if error.kind() == io::ErrorKind::IsADirectory => {
            Some("it is a folder: give the path of a file")
        }
        _ => scarce(error),
    }
}

/// What the system has too little of.
fn scarce(error: &io::Error) -> Option<&'static str> {
    match Errno::from_io_error(error) {
        Some(Errno::MFILE) => {
            Some("this process has too many files open: raise `ulimit -n` or LimitNOFILE=")
        }
        Some(Errno::NFILE) => {
            Some("this host has too many files open: raise the sysctl fs.file-max")
        }
        Some(Errno::NOMEM | Errno::NOBUFS) => Some("this host has no memory left: free some"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_has_its_own_remedy() {
        let other = "give another port";
        let check = |remedy: fn(&io::Error) -> String, list: &[(Errno, &str)]| {
            for (errno, part) in list {
                let text = remedy(&(*errno).into());
                assert!(text.contains(part), "{errno}: {text}");
            }
        };
        check(
            |error| listen(error, "give another port"),
            &[
                (Errno::ADDRINUSE, "ss -ltnp"),
                (Errno::ADDRNOTAVAIL, "no such address"),
                (Errno::ACCESS, "below 1024"),
                (Errno::AFNOSUPPORT, "no IPv6"),
                (Errno::MFILE, "ulimit -n"),
                (Errno::IO, other),
            ],
        );
        check(
            |error| read(error).to_owned(),
            &[
                (Errno::NOENT, "no such file"),
                (Errno::ACCESS, "right to read"),
                (Errno::ISDIR, "a folder"),
                (Errno::NOTDIR, "is a file"),
                (Errno::LOOP, "circle"),
                (Errno::NFILE, "file-max"),
                (Errno::IO, "can be read"),
            ],
        );
        check(
            |error| write(error).to_owned(),
            &[
                (Errno::NOENT, "folder is not there"),
                (Errno::ISDIR, "a folder"),
                (Errno::ROFS, "read-only"),
                (Errno::NOSPC, "full"),
                (Errno::DQUOT, "quota"),
                (Errno::MFILE, "ulimit -n"),
                (Errno::IO, "can be written"),
            ],
        );
    }
}
