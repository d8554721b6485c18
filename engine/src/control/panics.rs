//! Panics of threads in a process that is ours alone.
//!
//! A thread that has unwound leaves the others serving a part of the data, or waiting for it for
//! ever. So a panic of any of our threads ends the process with one code.

use std::panic;
use std::thread;

use super::console;
use super::exit::Exit;

/// What names of our threads begin with.
const OURS: &str = "potoroo-";

/// Has a panic of any thread of the engine, and of the main thread, end the process. Where panics
/// abort, that does.
pub(super) fn end_process() {
    if cfg!(panic = "abort") {
        return;
    }
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        report(panic);
        let thread = thread::current();
        let name = thread.name().unwrap_or_default();
        if name == "main" || is_ours_beside_cores(name) {
            console::error(format_args!("error: thread `{name}` panicked: the process ends"));
            std::process::exit(i32::from(Exit::Panicked as u8));
        }
    }));
}

/// The host of the cores ends the others when one has panicked, and says which.
fn is_ours_beside_cores(name: &str) -> bool {
    // A core's name ends with numbers: its own, and that of its executor.
    let numbers = |rest: &str| rest.chars().all(|c| c.is_ascii_digit() || c == '-');
    name.strip_prefix(OURS).is_some_and(|rest| !numbers(rest))
}

#[cfg(test)]
mod tests {
    use super::is_ours_beside_cores;

    #[test]
    fn cores_and_threads_of_the_application_are_distinguished() {
        assert!(is_ours_beside_cores("potoroo-gather"));
        assert!(!is_ours_beside_cores("potoroo-12"));
        assert!(!is_ours_beside_cores("potoroo-0-1"));
        assert!(!is_ours_beside_cores("worker"));
    }
}
