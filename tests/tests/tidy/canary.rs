//! The test of the tests: each rule reports a snippet made to break it, and nothing else does.

use crate::finding::Findings;
use crate::graph::{self, Graph};
use crate::known::Known;
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
        check("runtime/src/poller/uring.rs", &flow(call), &["hot-path"]);
        check("engine/src/turn/a.rs", &flow(call), &["hot-path"]);
        check("engine/src/connect/a/port.rs", &flow(call), &["hot-path"]);
        check("engine/src/connect/a/b.rs", &flow(call), &[]);
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
    check("engine/src/flow/mod.rs", "//! A", &["module-file"]);
    check("tests/tests/support/mod.rs", "//! A", &[]);
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

fn sources(files: &[(&str, &str)]) -> Vec<Source> {
    files.iter().map(|(path, text)| Source::new(path, text)).collect()
}

fn graphs(files: &[(&str, &str)]) -> Vec<Graph> {
    let sources = sources(files);
    graph::roots(&sources).map(|root| Graph::new(root, &sources)).collect()
}

fn known(text: &'static str) -> Known<'static> {
    Known { path: "known".into(), text }
}

/// Where `rule` finds something, each file once.
fn found_in(rule: impl Fn(&mut Findings)) -> Vec<String> {
    let mut findings = Findings::default();
    rule(&mut findings);
    let mut paths: Vec<String> = findings.all.into_iter().map(|finding| finding.path).collect();
    paths.dedup();
    paths
}

/// The files of `crate x` with `root` in front that are in a cycle.
fn in_cycle(root: &str, files: &[(&str, &str)]) -> Vec<String> {
    let named = |name: &str| format!("x/src/{name}.rs");
    let paths: Vec<String> = files.iter().map(|(name, _)| named(name)).collect();
    let mut all = vec![("x/src/lib.rs", root)];
    all.extend(paths.iter().map(String::as_str).zip(files.iter().map(|(_, text)| *text)));
    found_in(|findings| rules::cycles::check(&graphs(&all), &known(""), findings))
}

#[test]
fn files_that_use_one_another_are_a_cycle() {
    let both = ["x/src/a.rs", "x/src/b.rs"];
    let cycle = |root: &str, a: &str, b: &str| in_cycle(root, &[("a", a), ("b", b)]);
    let plain = "mod a; mod b;";
    assert_eq!(cycle(plain, "use crate::b::B; struct A;", "use super::a::{self, A};"), both);
    assert_eq!(cycle(plain, "fn f() { super::b::f(); }", "fn f() { crate::a::f(); }"), both);
    assert_eq!(cycle(plain, "use crate::b; fn f() { b::f() }", "type A = crate::a::A;"), both);
    assert_eq!(cycle(plain, "use crate::b::*; struct A(B);", "use crate::a::A; struct B;"), both);
    assert!(cycle(plain, "use crate::b;", "use crate::a::A;").is_empty(), "a module alone");
    assert!(cycle(plain, "struct A; // crate::b::B", "use crate::a::A; struct B;").is_empty());
    let exports = "mod a; mod b; pub use a::A; pub use b::B;";
    assert_eq!(cycle(exports, "use crate::B; struct A;", "use crate::A; struct B;"), both);
    assert!(cycle(exports, "use crate::B; struct A;", "struct B;").is_empty(), "a re-export");
    let for_tests = "struct A;\n#[cfg(test)]\nmod tests { use crate::B; }";
    assert!(cycle(exports, for_tests, "use crate::A; struct B;").is_empty());
    let one_line = "struct A;\n#[cfg(test)]\nuse crate::B;";
    assert!(cycle(exports, one_line, "use crate::A; struct B;").is_empty());
}

#[test]
fn a_parent_and_its_submodule_can_be_a_cycle() {
    let both = ["x/src/a.rs", "x/src/a/b.rs"];
    let cycle = |a: &str, b: &str| in_cycle("mod a;", &[("a", a), ("a/b", b)]);
    assert_eq!(cycle("mod b; use b::B; struct A(B);", "use super::A; struct B;"), both);
    assert_eq!(cycle("mod b; fn f() { b::f() }", "fn f() { super::f() }"), both);
    assert_eq!(cycle("mod b; pub use b::B; struct A(B);", "use crate::a::A; struct B;"), both);
    assert!(cycle("mod b; pub use b::B; struct A;", "use super::A; struct B;").is_empty());
    let through = [("a", "mod b; use b::B; use crate::c::C;"), ("a/b", "use super::C;"), ("c", "")];
    assert!(in_cycle("mod a; mod c;", &through).is_empty(), "C is not of the parent");
    let inline = "mod b; mod inner { pub use super::b::B; } struct A(inner::B);";
    assert_eq!(cycle(inline, "use super::A; struct B;"), both);
    let of_macro = "macro_rules! m { ($n:ident) => { mod $n { use super::*; fn f(A: u8) {} } } }";
    assert!(cycle("mod b; struct A; fn f() { b::f() }", of_macro).is_empty());
}

#[test]
fn lists_of_what_is_known_only_shrink() {
    let files = [
        ("x/src/lib.rs", "mod a; mod b; mod c;"),
        ("x/src/a.rs", "use crate::b::B; struct A;"),
        ("x/src/b.rs", "use crate::a::A; struct B;"),
        ("x/src/c.rs", "use crate::a::A;"),
    ];
    let cycles = |text: &'static str| {
        found_in(|findings| rules::cycles::check(&graphs(&files), &known(text), findings))
    };
    assert!(cycles("# x\nx/src/a.rs\n\nx/src/b.rs\n").is_empty());
    assert_eq!(cycles("x/src/a.rs\n"), ["x/src/b.rs"]);
    assert_eq!(cycles("x/src/a.rs\nx/src/b.rs\nx/src/c.rs\n"), ["known"], "c is in none");
    assert_eq!(cycles("x/src/b.rs\nx/src/a.rs\n"), ["known"], "not sorted");
}

#[test]
fn arrows_between_folders_of_the_engine_point_down() {
    let root = "mod state; mod flow; mod ids; pub use flow::Flow;";
    let arrows = |state: &str, flow: &str, list: &'static str| {
        let files = [
            ("engine/src/lib.rs", root),
            ("engine/src/state.rs", state),
            ("engine/src/flow.rs", flow),
            ("engine/src/ids.rs", "pub struct Id;"),
        ];
        found_in(|findings| rules::arrows::check(&graphs(&files), &known(list), findings))
    };
    assert!(arrows("pub struct S;", "use crate::state::S; pub struct Flow;", "").is_empty());
    let up = "use crate::Flow;";
    assert_eq!(arrows(up, "pub struct Flow;", ""), ["engine/src/state.rs"]);
    assert!(arrows(up, "pub struct Flow;", "engine/src/state.rs -> flow").is_empty());
    assert_eq!(arrows("", "pub struct Flow;", "engine/src/state.rs -> flow"), ["known"]);
    let export = "pub use crate::flow::Flow;";
    assert_eq!(arrows(export, "pub struct Flow;", ""), ["engine/src/state.rs"]);
    let placeless = "use crate::ids::Id;";
    assert_eq!(arrows(placeless, "pub struct Flow;", ""), ["engine/src/state.rs"]);
}

#[test]
fn a_public_type_name_stands_for_one_thing() {
    let names = |a: &'static str, b: &'static str, list: &'static str| {
        let files = sources(&[("x/src/a.rs", a), ("y/src/b.rs", b), ("tests/tests/c.rs", a)]);
        found_in(|findings| rules::names::check(&files, &known(list), findings))
    };
    assert_eq!(names("pub struct Place;", "pub enum Place {}", ""), ["x/src/a.rs"]);
    assert_eq!(names("pub(crate) type Place = u8;", "pub trait Place {}", ""), ["x/src/a.rs"]);
    assert!(names("pub struct Place;", "pub struct Place<T>(T);", "Place 2").is_empty());
    assert_eq!(names("pub struct Place;", "pub struct Places;", "Place 2"), ["known"]);
    assert_eq!(names("pub struct Place;", "pub struct Place;", "Place 3").len(), 2, "one less");
    assert!(names("pub struct Place;", "struct Place;", "").is_empty());
    assert!(names("pub enum Error {}", "pub struct Error;", "").is_empty());
    assert!(names("pub struct A;", "#[cfg(test)]\nmod t {\npub struct A;\n}", "").is_empty());
}

#[test]
fn phrases_of_the_glossary_are_banned() {
    let phrases = |text: &'static str, list: &'static str| {
        let files = sources(&[("x/src/a.rs", text)]);
        found_in(|findings| rules::phrases::check(&files, &[], &known(list), findings))
    };
    let banned = [
        "/// So\n/// many.",
        "f(\"came to nothing\");",
        "// Behind the last commit.",
        "fn what_came_to_nothing() {}",
    ];
    for text in banned {
        assert_eq!(phrases(text, ""), ["x/src/a.rs"], "{text}");
        assert!(phrases(text, "x/src/a.rs").is_empty(), "{text}");
    }
    let right =
        ["// It did so. Many do.", "life.commit();", "// Behind the tail of a lane.", "so(many)"];
    for text in right {
        assert!(phrases(text, "").is_empty(), "{text}");
        assert_eq!(phrases(text, "x/src/a.rs"), ["known"], "{text}");
    }
    let documents = sources(&[("a.md", "What waited behind a checkpoint.")]);
    let found = found_in(|f| rules::phrases::check(&[], &documents, &known(""), f));
    assert_eq!(found, ["a.md"]);
}

#[test]
fn literals_and_comments_are_no_code() {
    let text = "let a = r#\"fn x() { \"unsafe\" \"#; /* fn /* y */ { */ 'a' '\\'' &'static {";
    let code = &Source::new("a.rs", text).lines[0].code;
    assert!(!code.contains("fn") && !code.contains("unsafe"), "{code}");
    assert!(code.contains("static") && code.ends_with('{'), "{code}");
}
