//! A crate outside this workspace depends on the engine as the README says.
//!
//! Checked offline, with the versions, the profile and the target folder of this workspace, so that
//! what is checked already is not checked again. Names and types are all that can differ in another
//! crate; the code of the same application is generated and run by the test of the documents.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::{App, Scratch, root};

/// The first code block of the README in a language that has `part` in it.
fn block(language: &str, part: &str) -> String {
    let readme = fs::read_to_string(root().join("README.md")).expect("there is a README");
    let fence = format!("```{language}\n");
    let mut blocks = readme.split(&fence).skip(1);
    let block = blocks.find(|block| block.split("```").next().is_some_and(|it| it.contains(part)));
    let block = block.unwrap_or_else(|| panic!("no block of {language} with {part}"));
    block.split("```").next().expect("a block ends").to_owned()
}

/// An application in a crate that calls the engine by another name.
const RENAMED: &str = "
#![deny(warnings)]
#![forbid(unsafe_code)]

use engine::prelude::*;

#[value]
struct Leg {
    quantity: i64,
}

#[event]
struct Order {
    pub leg: Leg,
    name: String,
}

fn application() -> Application {
    let app = Application::new(\"renamed\");
    let totals = app.table::<String, i64>(\"totals\");
    app.source(\"lines\", LineText::new())
        .map(|line| Order { leg: Leg { quantity: 1 }, name: line.to_owned() })
        .key_by(|order| order.name.to_owned())
        .update(&totals, |total, order| *total += order.leg.quantity);
    app
}

fn main() -> std::process::ExitCode {
    engine::main(application)
}
";

fn write(path: String, text: &str) {
    let path = Path::new(&path);
    fs::create_dir_all(path.parent().expect("it is in a folder")).expect("the folder is ours");
    fs::write(path, text).expect("the folder is ours");
}

#[test]
fn a_crate_of_ones_own_depends_on_the_engine() {
    let scratch = Scratch::new("own-crate");
    let engine = root().join("engine").display().to_string();
    let manifest = block("toml", "[dependencies]");
    assert!(manifest.contains("path = \"../potoroo/engine\""), "{manifest}");
    // Profiles belong to the workspace around both crates.
    let package = manifest.split("\n# A panic").next().expect("it has a beginning");
    let plain = package.replace("../potoroo/engine", &engine);
    let renamed = plain.replace("position-limit", "renamed");
    let renamed = renamed.replace("potoroo = {", "engine = { package = \"potoroo\",");
    let dev = fs::read_to_string(root().join("Cargo.toml")).expect("there is a manifest");
    let dev = dev.split("[profile.dev]").nth(1).and_then(|text| text.split("\n\n").next());
    let workspace = format!(
        "[workspace]\nresolver = \"3\"\nmembers = [\"plain\", \"renamed\"]\n\n[profile.dev]{}\n",
        dev.expect("the workspace has a profile for tests")
    );
    write(scratch.path("Cargo.toml"), &workspace);
    fs::copy(root().join("Cargo.lock"), scratch.path("Cargo.lock")).expect("there is a lock file");
    write(scratch.path("plain/Cargo.toml"), &plain);
    write(scratch.path("plain/src/main.rs"), &block("rust", "potoroo::main(application)"));
    write(scratch.path("renamed/Cargo.toml"), &renamed);
    write(scratch.path("renamed/src/main.rs"), RENAMED);
    let test = std::env::current_exe().expect("a test knows its path");
    let target = test.ancestors().nth(3).expect("tests lie in `TARGET/PROFILE/deps`");
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--offline", "--manifest-path"]);
    build.arg(scratch.path("Cargo.toml")).arg("--target-dir").arg(target);
    assert!(build.status().expect("cargo can be run").success(), "it does not compile");
    asks_for_features(&target.join("debug/renamed").display().to_string());
}

/// What most people do not need is not built in, and says how to.
fn asks_for_features(program: &str) {
    let node = "--state state --node a --cluster";
    let without = [
        ("S3", "s3", 2, "--state s3://bucket/app".to_owned()),
        ("etcd", "etcd", 2, format!("{node} etcd://host:2379/app")),
        (
            "TLS",
            "tls",
            1,
            format!("{node} agreed --tls-cert a.pem --tls-key a.key --tls-ca ca.pem"),
        ),
    ];
    for (system, feature, code, arguments) in without {
        let built = format!("this program was built without {system}");
        let examples = format!("cargo build --features {feature}");
        let own = format!("features = [\"{feature}\"]");
        let mut command = Command::new(program);
        command.args(arguments.split_whitespace());
        App::spawn(command).finish().refused(code, &[&built, &examples, &own]);
    }
}
