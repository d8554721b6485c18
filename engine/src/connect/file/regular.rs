//! Which files are regular.

use std::path::Path;

/// Whether it is, or will be, a file that can be read again and beside which output can wait: no
/// pipe and no device.
pub(super) fn is_regular(path: &Path) -> bool {
    path.metadata().map_or(true, |facts| facts.is_file())
}
