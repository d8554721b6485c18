//! Real processes that encrypt what they send each other.

use std::process::Command;

use potoroo::cluster::encryption::Encryption;
use potoroo::cluster::tls_files::TlsFiles;

use crate::support::certificates::Authority;
use crate::support::cluster::{Cluster, THREE};
use crate::support::{App, Scratch, root};

/// The same cluster, whose nodes `a` to `d` have certificates.
pub fn encrypted(mut cluster: Cluster) -> (Cluster, Authority) {
    let authority = Authority::new(&cluster.scratch, "ca");
    encrypt(&mut cluster, &authority);
    (cluster, authority)
}

/// Gives the nodes `a` to `d` certificates.
pub fn encrypt(cluster: &mut Cluster, authority: &Authority) {
    for node in ["a", "b", "c", "d"] {
        authority.issue(node);
    }
    cluster.arguments += &format!(" {}", authority.flags("NODE"));
}

/// Starts three nodes, and waits until they share the work.
pub fn start_three(cluster: &Cluster) -> Vec<App> {
    let apps = THREE.iter().map(|node| cluster.start(node)).collect();
    cluster.wait_for_nodes(&THREE);
    apps
}

#[test]
fn any_node_may_be_killed_where_links_are_encrypted() {
    const COUNT: u64 = 60_000;
    let (cluster, _) = encrypted(Cluster::windows("tls-kills", COUNT, "10000"));
    assert!(cluster.survive(3, 4) > 0, "none was killed");
    cluster.check(COUNT);
}

/// The pace is that of the links: all cores pass all events on.
#[test]
fn a_flood_of_events_crosses_encrypted_links() {
    const COUNT: u64 = 400_000;
    let (cluster, _) = encrypted(Cluster::windows("tls-flood", COUNT, "max"));
    let apps = THREE.map(|node| cluster.start(node));
    for app in apps {
        let ended = app.finish();
        assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.log);
    }
    cluster.check(COUNT);
}

/// Files are read at the start of a process, so what is replaced later changes nothing before that.
#[test]
fn files_that_are_replaced_count_from_the_next_start_on() {
    let (cluster, authority) = encrypted(Cluster::windows("tls-replaced", 10_000_000, "5000"));
    let mut apps = start_three(&cluster);
    std::fs::write(authority.files("b").certificate, b"no certificate").expect("it is ours");
    // Another generation connects all of them anew.
    apps.push(cluster.start("d"));
    cluster.wait_for_nodes(&["a", "b", "c", "d"]);
    let (text, done) = cluster.ask("leave b");
    assert!(done, "{text}");
    // If `b` led, what it wrote down names it until another leads.
    cluster.wait_for_nodes(&["a", "c", "d"]);
    cluster.start("b").finish().refused(1, &["--tls-cert", "it has no certificate"]);
    authority.issue("b");
    apps.push(cluster.start("b"));
    cluster.wait_for_nodes(&["a", "b", "c", "d"]);
    cluster.stop_and_check(apps);
}

/// As a new user pastes it.
#[test]
fn the_recipe_of_the_guide_makes_certificates_that_nodes_take() {
    let guide = std::fs::read_to_string(root().join("engine/README.md")).expect("it is there");
    let mut blocks = guide.split("```sh\n").skip(1).map(|block| block.split("```").next());
    let recipe = blocks.find_map(|block| block.filter(|block| block.contains("openssl req")));
    let scratch = Scratch::new("tls-recipe");
    let mut bash = Command::new("bash");
    bash.args(["-eu", "-c", recipe.expect("it has one")]).current_dir(scratch.path(""));
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("skipped: openssl is not installed");
        return;
    }
    let output = bash.output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for node in ["a", "b", "c"] {
        let path = |name: String| scratch.path(&name).into();
        let (certificate, key) = (path(format!("{node}.pem")), path(format!("{node}.key")));
        let files = TlsFiles { certificate, key, authority: path("ca.pem".to_owned()) };
        Encryption::load(&files, node).expect("nodes take them");
    }
}

#[test]
fn check_says_whether_links_are_encrypted() {
    let (cluster, authority) = encrypted(Cluster::windows("tls-check", 1, "1"));
    let ended = cluster.start_with("a", "--check").finish();
    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.log);
    assert!(ended.out.contains("encrypted (TLS 1.3, certificates on both sides)"), "{}", ended.out);
    let plain = cluster.arguments.replace(&authority.flags("NODE"), "");
    let plain = Cluster { arguments: plain, ..cluster };
    let ended = plain.start_with("a", "--check").finish();
    assert!(ended.out.contains("between nodes\n  in the clear"), "{}", ended.out);
}
