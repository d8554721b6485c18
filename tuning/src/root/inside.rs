//! Opens files below a folder, and none outside of it.
//!
//! Owns the resolution of paths below a recorded root: `..` and symbolic links, absolute ones too,
//! end inside that folder, as they would in a process whose root it is. The paths of this host are
//! resolved as usual.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, open, openat, openat2};
use rustix::io::Errno;

/// Opens `path`, absolute on the host whose root is `base`. Never creates a file.
pub(super) fn open_inside(base: &Path, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC;
    if base == Path::new("/") {
        return Ok(openat(CWD, path, flags, Mode::empty())?);
    }
    let base = open(base, FOLDER, Mode::empty())?;
    let inside = format!("./{path}");
    let bounds = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..ATTEMPTS {
        match openat2(&base, &inside, flags, Mode::empty(), bounds) {
            // The kernel cannot be sure that the path stays inside while folders are renamed.
            Err(Errno::AGAIN) => {}
            // Linux before 5.6, or a filter of system calls.
            Err(Errno::NOSYS | Errno::PERM) => return walk(base, path, flags),
            opened => return Ok(opened?),
        }
    }
    Err(Errno::AGAIN.into())
}

/// The same for kernels that cannot: name by name, and without symbolic links.
fn walk(base: OwnedFd, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
    let names: Vec<&str> = path.split('/').filter(|name| !["", "."].contains(name)).collect();
    if names.contains(&"..") {
        return Err(io::Error::other("`..` is not followed: this kernel has no openat2"));
    }
    let Some((last, folders)) = names.split_last() else {
        return Ok(openat(base, ".", flags, Mode::empty())?);
    };
    let mut folder = base;
    for name in folders {
        folder = openat(folder, *name, FOLDER | OFlags::NOFOLLOW, Mode::empty())?;
    }
    Ok(openat(folder, *last, flags | OFlags::NOFOLLOW, Mode::empty())?)
}

const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// Renames that fall into as many attempts in a row are made on purpose.
const ATTEMPTS: usize = 100;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Write, stderr};
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nothing_outside_is_opened_with_and_without_openat2() {
        let folder = std::env::temp_dir().join(format!("potoroo-inside-{}", std::process::id()));
        let root = folder.join("root");
        fs::create_dir_all(root.join("a")).expect("the temporary folder can be written");
        fs::write(folder.join("outside"), "").expect("it can be written");
        fs::write(root.join("a/inside"), "").expect("it can be written");
        symlink("../outside", root.join("up")).expect("links can be made");
        symlink(folder.join("outside"), root.join("away")).expect("links can be made");
        symlink("/a", root.join("b")).expect("links can be made");
        let base = || open(&root, FOLDER, Mode::empty()).expect("it is there");
        let walked = |path: &str| walk(base(), path, OFlags::RDONLY).is_ok();
        let opened = |path: &str| open_inside(&root, path, OFlags::RDONLY).is_ok();
        for path in ["/a/inside", "//a/./inside", "/", "/a"] {
            assert!(walked(path) && opened(path), "{path}");
        }
        for path in ["/../outside", "/a/../../outside", "/up", "/away", "/proc/self/root"] {
            assert!(!walked(path) && !opened(path), "{path}");
        }
        // A link of the host means the same below the root; only the kernel can follow it safely.
        let plain = ResolveFlags::empty();
        let granted = openat2(CWD, &root, FOLDER, Mode::empty(), plain).is_ok();
        assert_eq!((opened("/b/inside"), walked("/b/inside")), (granted, false));
        if !granted {
            // Not by `eprintln`, which the test runner swallows when the test passes.
            let skipped = "skipped: openat2 is refused here, links are not followed\n";
            stderr().write_all(skipped.as_bytes()).expect("standard error is open");
        }
        fs::remove_dir_all(folder).expect("it can be removed");
    }
}
