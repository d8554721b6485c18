//! The event path: no allocation, lock, log, format, system call, clock read or `async`.
//!
//! A text search cannot know what runs per event, so the rule covers everything in the hot
//! folders and has cold code marked, with a reason that a reviewer can judge:
//!
//! - `// cold: reason` on the line, or on the line above, excuses the line;
//! - the same comment right above a function (or among its attributes) excuses the function;
//! - `#[cold]` excuses the function that carries it.
//!
//! Tests inside the folders are excused. The counting allocator, not this search, is the proof.

use crate::finding::Findings;
use crate::source::{Source, word_starts};

/// The folders of the event path, the files that head them, and what runs in each turn beside it.
const HOT: [&str; 27] = [
    "app-sdk/src/codec/",
    "app-sdk/src/consumers.rs",
    "app-sdk/src/exchange.rs",
    "app-sdk/src/flow.rs",
    "app-sdk/src/host/",
    "app-sdk/src/intake.rs",
    "app-sdk/src/key.rs",
    "app-sdk/src/batch_output.rs",
    "app-sdk/src/outputs.rs",
    "app-sdk/src/stream",
    "app-sdk/src/table",
    "app-sdk/src/value/archive.rs",
    "app-sdk/src/windows",
    "engine/src/cluster/tls/incoming.rs",
    "engine/src/cluster/tls/port.rs",
    "engine/src/flow/",
    "engine/src/state/",
    "engine/src/turn/",
    "runtime/src/ring/",
    "runtime/src/ring.rs",
    "runtime/src/poller.rs",
    "runtime/src/poller/epoll.rs",
    "runtime/src/poller/ready.rs",
    "runtime/src/poller/uring.rs",
    "runtime/src/poller/wake.rs",
    "runtime/src/poller/watches.rs",
    "runtime/src/host/reactor_core.rs",
];

/// What is banned on the event path, by what it would do there.
const BANNED: [(&str, &[&str]); 7] = [
    (
        "allocates",
        &[
            "Vec::new",
            "Vec::with_capacity",
            "vec!",
            "Box::new",
            "String::new",
            "to_vec",
            "to_owned",
            "to_string",
            "Rc::new",
            "Arc::new",
            "collect",
        ],
    ),
    ("formats", &["format!", "println!", "eprintln!", "print!", "eprint!", "write!", "writeln!"]),
    ("logs", &["tracing", "log"]),
    ("reads a clock", &["Instant", "SystemTime"]),
    ("locks", &["Mutex", "RwLock", "Condvar", "thread::park"]),
    ("hashes with SipHash", &["HashMap", "HashSet"]),
    ("enters the kernel", &["std::fs", "std::net", "std::io", "std::env", "rustix", "libc"]),
];

/// Reports banned calls on the event path, and `async` anywhere but in cold folders.
pub fn check(source: &Source, findings: &mut Findings) {
    check_async(source, findings);
    if is_hot(&source.path) {
        let cold = cold_lines(source);
        let hot = (0..source.lines.len()).filter(|index| !cold[*index] && !source.is_test(*index));
        hot.for_each(|index| check_line(source, index, findings));
    }
}

/// The ports of a connector stand in its `port.rs`: a core calls them in its turns.
fn is_hot(path: &str) -> bool {
    let port = path.starts_with("engine/src/connect/") && path.ends_with("/port.rs");
    port || HOT.iter().any(|hot| path.starts_with(hot))
}

fn check_line(source: &Source, index: usize, findings: &mut Findings) {
    let code = &source.lines[index].code;
    for (effect, calls) in BANNED {
        for call in calls.iter().filter(|call| has(code, call)) {
            let remedy = format!("`{call}` {effect}: move it off the path or mark `// cold: why`");
            findings.add(source, index, "hot-path", remedy);
        }
    }
}

/// Whether `code` has `call` as a whole: `log` is no part of `catalog`. Importing is no call.
fn has(code: &str, call: &str) -> bool {
    let imports = code.trim_start().starts_with("use ") || code.trim_start().starts_with("pub use");
    let bare = call.trim_end_matches('!');
    word_starts(code, bare).any(|start| code[start..].starts_with(call)) && !imports
}

/// Which lines are marked as cold.
fn cold_lines(source: &Source) -> Vec<bool> {
    let mut cold = vec![false; source.lines.len()];
    let mut mark = |lines: std::ops::Range<usize>| lines.for_each(|line| cold[line] = true);
    source.items_after("#[cold]").into_iter().for_each(&mut mark);
    for index in (0..source.lines.len()).filter(|index| is_mark(source, *index)) {
        let below = first_code_below(source, index);
        mark(index..(below + 1).min(source.lines.len()));
        let function = source.functions().into_iter().find(|f| f.lines.start == below);
        if source.lines[index].code.trim().is_empty()
            && let Some(function) = function
        {
            mark(index..function.lines.end);
        }
    }
    cold
}

/// A mark without a reason is none.
fn is_mark(source: &Source, index: usize) -> bool {
    let reason = source.lines[index].comment.split_once("cold:");
    reason.is_some_and(|(_, reason)| !reason.trim().is_empty())
}

/// The line itself when it has code, else the first below it that is more than an attribute.
fn first_code_below(source: &Source, index: usize) -> usize {
    let is_code = |line: &usize| {
        let code = source.lines[*line].code.trim();
        !code.is_empty() && !code.starts_with("#[")
    };
    (index..source.lines.len()).find(is_code).unwrap_or(index)
}

/// In the engine, waiting is for the folders that decide and connect, and for the one file that
/// speaks to S3, on a thread of its own.
fn check_async(source: &Source, findings: &mut Findings) {
    let service = "engine/src/checkpoint/store/s3/service.rs";
    let cold = ["engine/src/control", "engine/src/connect", service];
    if !source.path.starts_with("engine/src/") || cold.iter().any(|p| source.path.starts_with(p)) {
        return;
    }
    for (index, line) in source.lines.iter().enumerate() {
        if ["async", "await"].iter().any(|word| word_starts(&line.code, word).next().is_some()) {
            let remedy = "`async` is for engine/src/control and engine/src/connect";
            findings.add(source, index, "async", remedy);
        }
    }
}
