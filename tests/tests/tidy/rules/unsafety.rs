//! Unsafe code: in a short list of files, each use with who guarantees what.

use crate::finding::Findings;
use crate::source::{Source, word_starts};

/// The files that may say `unsafe`, and why. A path that ends with `/` stands for a folder.
const ALLOWED: [(&str, &str); 14] = [
    ("runtime/src/ring/memory.rs", "two cores share the bytes of a ring"),
    ("runtime/src/clock.rs", "reads the time stamp counter"),
    ("runtime/src/gaps.rs", "how often a thread lost its CPU has no safe binding"),
    ("runtime/src/host/priority.rs", "real-time priorities have no safe binding"),
    ("runtime/src/poller.rs", "the kernel reads and writes buffers of the uring"),
    ("runtime/src/poller/", "the kernel reads and writes buffers of the uring"),
    ("tuning/src/stdout.rs", "looks at a descriptor before the runtime does"),
    ("engine/src/state/intrinsics.rs", "vector compare and prefetch are processor instructions"),
    ("engine/src/control/witness.rs", "a panic hook reads the stack below it"),
    ("bench/src/place.rs", "real-time scheduling has no safe binding"),
    ("bench/src/stepping.rs", "tracing a child has no safe binding"),
    ("tests/tests/ring_loom.rs", "the model's memory stands in for that of a ring"),
    ("tests/tests/support/seccomp.rs", "a filter of system calls has no safe binding"),
    ("tests/tests/allocations/", "a counting allocator implements an unsafe trait"),
];

/// A statement may have begun this many lines above the `unsafe` in it.
const SAFETY_LINES_ABOVE_MAX: usize = 3;

/// Reports `unsafe` outside the list, and without a comment inside it.
pub fn check(source: &Source, findings: &mut Findings) {
    let allowed = ALLOWED.iter().any(|(path, _)| covers(path, &source.path));
    for (index, line) in source.lines.iter().enumerate() {
        let mut starts = word_starts(&line.code, "unsafe");
        let Some(start) = starts.next() else { continue };
        if !allowed {
            let remedy = "`unsafe` is for the files listed in tests/tests/tidy/rules/unsafety.rs";
            findings.add(source, index, "unsafe-file", remedy);
        } else if needs_comment(&line.code[start..]) && !explained(source, index) {
            let remedy = "say above it who guarantees what: `// SAFETY: …`";
            findings.add(source, index, "unsafe-comment", remedy);
        }
    }
}

fn covers(allowed: &str, path: &str) -> bool {
    allowed == path || (allowed.ends_with('/') && path.starts_with(allowed))
}

/// An `unsafe fn` states in `# Safety` what it requires; the compiler's lints see to that.
fn needs_comment(code: &str) -> bool {
    !["unsafe fn", "unsafe extern", "unsafe trait"].iter().any(|start| code.starts_with(start))
}

/// Whether a SAFETY comment stands on the line, right above it, or above its statement.
fn explained(source: &Source, index: usize) -> bool {
    let says = |line: usize| source.lines[line].comment.contains("SAFETY:");
    let (mut line, mut code_lines) = (index, 0);
    while !says(line) && line > 0 && code_lines < SAFETY_LINES_ABOVE_MAX {
        line -= 1;
        code_lines += usize::from(source.lines[line].comment.trim().is_empty());
    }
    says(line)
}
