//! The test of the tests: each rule reports a snippet made to break it, and nothing else does.

use crate::finding::Findings;
use crate::rules;
use crate::rules::layering::Manifest;
use crate::source::Source;

fn rules_broken(path: &str, text: &str) -> Vec<&'static str> {
    let mut findings = Findings::default();
    rules::check_source(&Source::new(path, text), &mut findings);
    findings.all.iter().map(|finding| finding.rule).collect()
}

fn check(path: &str, text: &str, expected: &[&str]) {
    assert_eq!(rules_broken(path, text), expected, "in {path}:\n{text}");
}

#[test]
fn lengths_are_limited() {
    check("x/examples/a.rs", &"//\n".repeat(500), &[]);
    check("x/examples/a.rs", &"//\n".repeat(501), &["file-length"]);
    check("x/examples/a.rs", &"é".repeat(100), &[]);
    check("x/examples/a.rs", &"é".repeat(101), &["line-length"]);
    let function =
        |lines: usize| format!("fn f() {{\n{}}}\nfn g() {{}}\n", "f(\"}\");\n".repeat(lines));
    check("x/examples/a.rs", &function(58), &[]);
    check("x/examples/a.rs", &function(59), &["function-length"]);
}

#[test]
fn unsafe_code_stands_in_listed_files_with_its_reason() {
    check("runtime/src/idle.rs", "//! A\nfn f() { unsafe { g() } }", &["unsafe-file"]);
    check(
        "runtime/src/idle.rs",
        "//! unsafe\n#![deny(unsafe_code)] // unsafe\nf(\"unsafe\");",
        &[],
    );
    check("runtime/src/clock.rs", "//! A\nlet a =\n    unsafe { g() };", &["unsafe-comment"]);
    check("runtime/src/clock.rs", "//! A\n// SAFETY: b\nlet a =\n    unsafe { g() };", &[]);
    check("runtime/src/clock.rs", "//! A\n// SAFETY: b\nunsafe impl Send for A {}", &[]);
    check("runtime/src/clock.rs", "//! A\nunsafe impl Send for A {}", &["unsafe-comment"]);
}

#[test]
fn crates_do_not_speak_of_their_neighbours() {
    check("app-sdk/src/a.rs", "//! Runs on each core.", &["word"]);
    check("app-sdk/src/a.rs", "//! A\nstruct CoreId; use core::fmt;", &["word"]);
    check("app-sdk/src/a.rs", "//! A\nfn lane_of() {} use core::fmt;", &["word"]);
    check("app-sdk/src/a.rs", "//! A string, ordering.\nuse core::cell::Cell;", &[]);
    check("runtime/src/a.rs", "//! Moves events.", &["word"]);
    check("runtime/src/a.rs", "//! Stable monkeys.\nuse rustix::event::{PollFd, PollFlags};", &[]);
    check("runtime/src/a.rs", "//! A\nfn f() { g().await; }", &["word"]);
    check("engine/src/a.rs", "//! A\nuse glommio::Task;", &["word"]);
    check("engine/src/a.rs", "//! A\nuse io_uring::IoUring;", &["word"]);
}

#[test]
fn the_event_path_is_hot() {
    let flow = |body: &str| format!("//! A\nfn f() {{\n{body}\n}}\n");
    let hot = |body: &str, expected: &[&str]| check("engine/src/flow/a.rs", &flow(body), expected);
    for call in ["vec![0]", "format!(\"a\")", "tracing::info!()", "Instant::now()", "a.to_vec()"] {
        hot(call, &["hot-path"]);
        check("engine/src/control/a.rs", &flow(call), &[]);
    }
    for call in ["Mutex::new()", "HashMap::default()", "std::fs::read()", "a.collect()"] {
        hot(call, &["hot-path"]);
        check("runtime/src/ring/a.rs", &flow(call), &["hot-path"]);
    }
    hot("catalog(); \"vec!\"; // vec!", &[]);
    hot("vec![0] // cold: once at start", &[]);
    hot("// cold: once at start\nvec![0]", &[]);
    hot("// cold: once at start\nf();\nvec![0]", &["hot-path"]);
    hot("vec![0] // cold:", &["hot-path"]);
    check("engine/src/state/a.rs", "//! A\n#[cold]\nfn f() {\nvec![0]\n}\n", &[]);
    let marked = "//! A\n// cold: at start\n#[inline]\nfn f() {\n\nvec![0]\n}\nfn g() { vec![0] }";
    check("engine/src/state/a.rs", marked, &["hot-path"]);
    let tests = "//! A\n#[cfg(test)]\nmod tests {\nfn f() { vec![0] }\n}\nfn g() { vec![0] }";
    check("engine/src/state/a.rs", tests, &["hot-path"]);
    hot("async {}", &["async"]);
    hot("f().await", &["async"]);
    check("engine/src/checkpoint/store/s3/upload.rs", "//! A\nasync {}", &["async"]);
    check("engine/src/checkpoint/store/s3/service.rs", "//! A\nasync {}", &[]);
}

#[test]
fn bad_habits_are_reported() {
    check("engine/src/util.rs", "//! A", &["module-name"]);
    check("engine/src/common/a.rs", "//! A", &["module-name"]);
    check("engine/src/a.rs", "fn f() {}", &["module-docs"]);
    check("engine/src/a.rs", "//! A\nfn f() { todo!() }", &["leftover"]);
    check("tests/tests/a.rs", "#[ignore]\nfn f() {}", &["ignored-test"]);
    check("tests/tests/a.rs", "fn f() { thread::sleep(a) }", &["sleep"]);
    check("tests/tests/a.rs", "fn f() { assert!(a.elapsed() < b) }", &["wall-clock"]);
    check("engine/src/a.rs", "//! A\nfn f() { thread::sleep(a) }", &[]);
}

#[test]
fn dead_files_are_found() {
    let file = |path: &str, text: &str| Source::new(path, text);
    let sources = [
        file("engine/src/lib.rs", "pub mod flow;\n// mod dead;\n"),
        file("engine/src/flow.rs", "mod turn;"),
        file("engine/src/flow/turn.rs", ""),
        file("engine/src/dead.rs", ""),
        file("engine/src/flow/dead.rs", ""),
        file("engine/examples/a.rs", ""),
        file("tests/tests/refused.rs", "compile_fail(\"refused/*.rs\")"),
        file("tests/refused/a.rs", ""),
        file("tests/tests/tidy/main.rs", "mod rule;"),
        file("tests/tests/tidy/rule.rs", ""),
    ];
    let mut findings = Findings::default();
    rules::reach::check(&sources, &mut findings);
    let dead: Vec<&str> = findings.all.iter().map(|finding| finding.path.as_str()).collect();
    assert_eq!(dead, ["engine/src/dead.rs", "engine/src/flow/dead.rs"]);
}

#[test]
fn arrows_between_crates_point_down() {
    let broken = |folder: &str, text: &str| {
        let manifest = Manifest { path: format!("{folder}/Cargo.toml"), text: text.into() };
        let mut findings = Findings::default();
        rules::layering::check(&[manifest], &mut findings);
        findings.all.iter().map(|finding| finding.rule).collect::<Vec<_>>()
    };
    let depends =
        |name: &str| format!("[package]\nname = 1\n[dependencies]\n{name}.workspace = true\n");
    let refused = [
        ("app-sdk", "potoroo-runtime"),
        ("app-sdk", "libc"),
        ("runtime", "potoroo-sdk"),
        ("runtime", "potoroo"),
        ("tuning", "potoroo-runtime"),
        ("engine", "potoroo-bench"),
        ("bench", "potoroo-tests"),
        ("unknown", "libc"),
    ];
    for (folder, name) in refused {
        assert_eq!(broken(folder, &depends(name)), ["layering"], "{folder} → {name}");
    }
    for (folder, name) in [("engine", "potoroo-sdk"), ("bench", "potoroo"), ("runtime", "libc")] {
        assert!(broken(folder, &depends(name)).is_empty(), "{folder} → {name}");
    }
    assert_eq!(broken("runtime", "[dependencies]\nlibc = \"1\"\n"), ["version"]);
    let for_tests = "[dev-dependencies]\ntrybuild.workspace = true\n";
    assert!(broken("app-sdk", for_tests).is_empty());
}

#[test]
fn literals_and_comments_are_no_code() {
    let text = "let a = r#\"fn x() { \"unsafe\" \"#; /* fn /* y */ { */ 'a' '\\'' &'static {";
    let code = &Source::new("a.rs", text).lines[0].code;
    assert!(!code.contains("fn") && !code.contains("unsafe"), "{code}");
    assert!(code.contains("static") && code.ends_with('{'), "{code}");
}
