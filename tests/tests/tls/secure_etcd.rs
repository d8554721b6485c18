//! A real etcd that has a certificate, and wants one of each client.

use std::process::Command;

use super::nodes::encrypt;
use crate::support::certificates::{Authority, Valid};
use crate::support::cluster::{Cluster, THREE};
use crate::support::etcd::Etcd;
use crate::support::{App, Scratch, tool};

/// The shortest lease of a node in etcd.
const LEASE_MS: u64 = 3000;

/// An etcd and its authority, and three nodes that agree in it; `None` where none is installed.
fn cluster(test: &str, count: u64) -> Option<(Etcd, Authority, Cluster)> {
    let scratch = Scratch::new(test);
    let authority = Authority::new(&scratch, "ca");
    let files = authority.issue_as("etcd", &["127.0.0.1"], Valid::Now);
    let etcd = Etcd::start_secure(&scratch, files)?;
    let mut cluster = Cluster::windows_at(scratch, etcd.place("windows"), count, "5000");
    cluster.lease_ms = LEASE_MS;
    encrypt(&mut cluster, &authority);
    Some((etcd, authority, cluster))
}

#[test]
fn any_node_may_be_killed_where_nodes_agree_in_etcd_over_https() {
    const COUNT: u64 = 40_000;
    let Some((_etcd, _, cluster)) = cluster("tls-etcd-kills", COUNT) else { return };
    assert!(cluster.survive(5, 2) > 0, "none was killed");
    cluster.check(COUNT);
}

#[test]
fn etcd_and_its_clients_know_each_other() {
    let Some((etcd, authority, cluster)) = cluster("tls-etcd-misfits", 10_000_000) else { return };
    let apps: Vec<App> = THREE.iter().map(|node| cluster.start(node)).collect();
    cluster.wait_for_nodes(&THREE);
    let ask = |place: &str, files: &[(&str, &str)]| {
        let mut command = Command::new(tool());
        command.args(["cluster", "status", "--agreed", "--cluster", place]);
        let output = command.envs(files.iter().copied()).output().expect("it can be run");
        let said = if output.status.success() { output.stdout } else { output.stderr };
        (String::from_utf8(said).expect("answers are text"), output.status.success())
    };
    let refused = |place: &str, files: &[(&str, &str)], part: &str| {
        let (text, done) = ask(place, files);
        assert!(!done && text.contains(part), "`{part}`: {text}");
    };
    let (own, theirs) = (authority.files("a"), Authority::new(&cluster.scratch, "theirs"));
    let strange = theirs.issue("a");
    let [ca, cert, key, other, strange_cert, strange_key] = [
        own.authority,
        own.certificate,
        own.key,
        strange.authority,
        strange.certificate,
        strange.key,
    ]
    .map(|path| path.display().to_string());
    let (ca, other) = (("POTOROO_TLS_CA", &*ca), ("POTOROO_TLS_CA", &*other));
    let (cert, key) = (("POTOROO_TLS_CERT", &*cert), ("POTOROO_TLS_KEY", &*key));
    let strange = [("POTOROO_TLS_CERT", &*strange_cert), ("POTOROO_TLS_KEY", &*strange_key)];
    let place = cluster.place.clone();
    let (text, done) = ask(&place, &[ca, cert, key]);
    assert!(done && text.contains("generation"), "{text}");
    refused(&place, &[], "needs --tls-ca");
    refused(&place, &[other, cert, key], "not issued by an authority of --tls-ca");
    refused(&place, &[ca], "it refuses this process");
    refused(&place, &[ca, strange[0], strange[1]], "it refuses this process");
    refused(&place.replace("127.0.0.1", "localhost"), &[ca, cert, key], "not valid for name");
    refused(&place.replace("etcds", "etcd"), &[], "no etcd");
    refused(&place, &[("POTOROO_TLS_CA", "/no/ca.pem")], "--tls-ca /no/ca.pem");
    // A node needs all files.
    let flags = authority.flags("NODE");
    let arguments = cluster.arguments.replace(&flags, "");
    let other = Cluster::windows("tls-etcd-other", 1, "1");
    let plain = Cluster { arguments, place, lease_ms: LEASE_MS, ..other };
    plain.start("d").finish().refused(1, &["--tls-cert, --tls-key and --tls-ca: missing"]);
    cluster.stop_and_check(apps);
    drop(etcd);
}

#[test]
fn what_goes_to_etcd_in_the_clear_is_named() {
    let said = |login: &[(&str, &str)]| {
        let mut command = Command::new(tool());
        command.args(["cluster", "status", "--cluster", "etcd://etcd.invalid:1/x"]);
        let output = command.envs(login.iter().copied()).output().expect("it can be run");
        String::from_utf8(output.stderr).expect("it is text")
    };
    let in_clear = "goes to etcd://etcd.invalid:1/x in the clear";
    let without = said(&[]);
    assert!(without.contains(&format!("each other, {in_clear}")), "{without}");
    let with = said(&[("POTOROO_ETCD_USER", "node"), ("POTOROO_ETCD_PASSWORD", "hunter2")]);
    assert!(with.contains(&format!("POTOROO_ETCD_PASSWORD, {in_clear}")), "{with}");
    assert!(with.contains("no etcd answers") && !with.contains("hunter2"), "{with}");
}

/// No etcd is needed: the files are checked before it is asked.
#[test]
fn a_key_of_another_certificate_is_refused() {
    let scratch = Scratch::new("tls-etcd-pair");
    let authority = Authority::new(&scratch, "ca");
    let (own, other) = (authority.issue("a"), authority.issue("b"));
    let mut command = Command::new(tool());
    command.args(["cluster", "status", "--cluster", "etcds://127.0.0.1:1/x"]);
    command.arg("--tls-ca").arg(own.authority).arg("--tls-cert").arg(own.certificate);
    let output = command.arg("--tls-key").arg(other.key).output().expect("it can be run");
    let said = String::from_utf8(output.stderr).expect("it is text");
    assert!(!output.status.success() && said.contains("it is not the key of --tls-cert"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}
