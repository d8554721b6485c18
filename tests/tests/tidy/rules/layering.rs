//! Layering: which crate may name which, read from the manifests.
//!
//! ```text
//!   bench   tests        may use anything below; no crate uses them
//!      ▼     ▼
//!       engine           HOW
//!      ▼   ▼   ▼      ▼
//!  app-sdk runtime tuning connector    WHAT, WHERE, host, protocol: never each other
//! ```

use crate::finding::Findings;

/// A package and all packages that it may name, of the workspace and, if closed, of others.
struct Layer {
    folder: &'static str,
    ours: &'static [&'static str],
    /// `None` when other people's packages are a matter of taste instead of layering.
    others: Option<&'static [&'static str]>,
}

const LAYERS: [Layer; 8] = [
    Layer {
        folder: "app-sdk",
        ours: &["potoroo-derive"],
        // All of them work without an operating system.
        others: Some(&["arrayvec", "rkyv", "xxhash-rust"]),
    },
    Layer {
        folder: "app-sdk/derive",
        ours: &[],
        others: Some(&["proc-macro2", "quote", "syn", "proc-macro-crate"]),
    },
    Layer { folder: "runtime", ours: &[], others: None },
    Layer { folder: "tuning", ours: &[], others: None },
    Layer {
        folder: "engine",
        ours: &["potoroo-sdk", "potoroo-runtime", "potoroo-tuning", "potoroo-connector"],
        others: None,
    },
    // A client needs nothing but the standard library.
    Layer { folder: "engine/connector", ours: &[], others: Some(&[]) },
    Layer { folder: "bench", ours: BELOW, others: None },
    Layer { folder: "tests", ours: BELOW, others: None },
];

const BELOW: &[&str] =
    &["potoroo", "potoroo-sdk", "potoroo-runtime", "potoroo-tuning", "potoroo-connector"];

/// What a package says in its manifest.
pub struct Manifest {
    /// Relative to the root of the workspace.
    pub path: String,
    /// Its content.
    pub text: String,
}

/// Reports arrows that point the wrong way.
pub fn check(manifests: &[Manifest], findings: &mut Findings) {
    for manifest in manifests.iter().filter(|manifest| manifest.path != "Cargo.toml") {
        let folder = manifest.path.trim_end_matches("/Cargo.toml");
        match LAYERS.iter().find(|layer| layer.folder == folder) {
            Some(layer) => check_layer(manifest, layer, findings),
            None => {
                let remedy = "give the package a layer in tests/tests/tidy/rules/layering.rs";
                findings.add_file(&manifest.path, 1, "layering", remedy);
            }
        }
    }
}

fn check_layer(manifest: &Manifest, layer: &Layer, findings: &mut Findings) {
    for dependency in dependencies(&manifest.text) {
        let (line, name) = (dependency.line, dependency.name);
        let ours = name.starts_with("potoroo");
        let closed = layer.others.filter(|_| !dependency.for_tests);
        let allowed = if ours { Some(layer.ours) } else { closed };
        if allowed.is_some_and(|allowed| !allowed.contains(&name)) {
            let remedy = format!("`{}` must not depend on `{name}`", layer.folder);
            findings.add_file(&manifest.path, line, "layering", remedy);
        }
        if !dependency.value.contains("workspace") {
            let remedy = format!("`{name}`: versions stand in the root, say `.workspace = true`");
            findings.add_file(&manifest.path, line, "version", remedy);
        }
    }
}

struct Dependency<'a> {
    line: usize,
    name: &'a str,
    value: &'a str,
    for_tests: bool,
}

/// The lines of all dependency sections; the workspace writes each dependency on one line.
fn dependencies(manifest: &str) -> Vec<Dependency<'_>> {
    let mut section = "";
    let mut found = Vec::new();
    for (index, line) in manifest.lines().map(str::trim).enumerate() {
        if line.starts_with('[') {
            section = line;
        } else if section.ends_with("dependencies]") && !line.starts_with('#') && !line.is_empty() {
            let end = line.find(['.', ' ', '=']).unwrap_or(line.len());
            let (name, value) = line.split_at(end);
            let for_tests = section.contains("dev-");
            found.push(Dependency { line: index + 1, name, value, for_tests });
        }
    }
    found
}
