//! Names the Cargo profile that builds the benchmarks: a figure means little without it.

use std::env;
use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let folder = env::var("OUT_DIR").expect("Cargo sets it for build scripts");
    println!("cargo::rustc-env=POTOROO_BENCH_PROFILE={}", profile(Path::new(&folder)));
}

/// Cargo names the folder of outputs after the profile: `TARGET/PROFILE/build/…/out`.
fn profile(folder: &Path) -> &str {
    let name = |path: &'_ Path| path.file_name().map(|name| name == "build");
    let build = folder.ancestors().find(|path| name(path) == Some(true));
    let output = build.and_then(Path::parent).and_then(Path::file_name);
    match output.and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(profile) => profile,
        None => "unknown",
    }
}
