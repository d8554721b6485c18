//! What is no node of an encrypted cluster is refused with its reason, and the cluster goes on.

use std::fs::Permissions;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use potoroo::cluster::agreement::{Agreement, FolderAgreement};
use potoroo::cluster::encryption::Encryption;
use potoroo::cluster::wire::{PROTOCOL, ToNode, read_message, write_message};
use serde_json::json;

use super::nodes::{encrypted, start_three};
use crate::support::certificates::{Authority, Valid, flags};
use crate::support::cluster::{Cluster, THREE};
use crate::support::{App, connect};

/// What the nodes have agreed upon under `key`.
fn agreed(cluster: &Cluster, key: &str) -> String {
    let agreement = FolderAgreement::open(Path::new(&cluster.folder()), None);
    let entries = agreement.expect("it is there").list().expect("it can be read");
    entries[key].value.clone()
}

fn lead_address(cluster: &Cluster) -> SocketAddr {
    agreed(cluster, "lead").parse().expect("it is an address")
}

/// Starts a node `d` of a cluster with other flags of TLS.
fn start(cluster: &Cluster, authority: &Authority, flags: &str) -> App {
    let arguments = cluster.arguments.replace(&authority.flags("NODE"), flags);
    let other = Cluster::windows("tls-other", 1, "1");
    Cluster { arguments, place: cluster.place.clone(), ..other }.start("d")
}

#[test]
fn what_does_not_fit_is_refused_and_the_others_go_on() {
    let (cluster, authority) = encrypted(Cluster::windows("tls-refused", 10_000_000, "5000"));
    let mut apps = start_three(&cluster);
    let lead = THREE.iter().position(|node| *node == cluster.lead()).expect("one of three");
    let start = |flags: &str| start(&cluster, &authority, flags);
    // In the clear: the lead answers in the clear, with nothing but why.
    start("").finish().refused(1, &["the lead refuses node `d`", "give all nodes --tls-cert"]);
    apps[lead]
        .wait_for("it does not encrypt what nodes send each other, and the nodes that run do");
    // Another authority, which the node believes in alone, and then beside that of the others.
    let theirs = Authority::new(&cluster.scratch, "theirs");
    theirs.issue("d");
    start(&theirs.flags("d"))
        .finish()
        .refused(1, &["cannot join node", "was not issued by an authority of --tls-ca"]);
    apps[lead].wait_for("it refuses this node");
    let mut files = theirs.files("d");
    let read = |path: &Path| std::fs::read(path).expect("it was written");
    let both = [read(&files.authority), read(&authority.files("a").authority)].concat();
    files.authority = cluster.scratch.write("both.pem", &both).into();
    start(&flags(&files)).finish().refused(1, &["cannot join node", "no authority that it knows"]);
    apps[lead].wait_for("its certificate was not issued by an authority");
    // What a node finds by itself.
    let old = authority.issue_as("old", &["d"], Valid::Before);
    start(&flags(&old)).finish().refused(1, &["--tls-cert", "old.pem", "has expired"]);
    start(&authority.flags("a")).finish().refused(1, &["is for", "`a`", "not for node `d`"]);
    let own = authority.flags("d");
    start(&format!("{own} --links-in-the-clear")).finish().refused(1, &["exclude each other"]);
    let half = own.split(" --tls-ca").next().expect("it is the last one");
    start(half).finish().refused(1, &["--tls-ca: missing"]);
    cluster.wait_for_commits(2);
    cluster.wait_for_nodes(&THREE);
    cluster.stop_and_check(apps);
}

#[test]
fn a_node_is_the_one_that_its_certificate_names() {
    let (cluster, authority) = encrypted(Cluster::windows("tls-names", 10_000_000, "5000"));
    let mut apps = start_three(&cluster);
    let lead = cluster.lead();
    let d = authority.node("d");
    let mut channel = d.dial(lead_address(&cluster), &lead).expect("it is a node");
    let secret = agreed(&cluster, "secret");
    let other = THREE.iter().find(|node| **node != lead).expect("one of three");
    let first = json!({"Hello": {"protocol": PROTOCOL, "secret": secret, "node": other}});
    write_message(&mut channel, &first).expect("it is read");
    let ToNode::Refused(reason) = read_message(&mut channel).expect("an answer") else {
        panic!("it is refused")
    };
    assert!(reason.contains("is for") && reason.contains(&format!("not for node `{other}`")));
    let at = THREE.iter().position(|node| *node == lead).expect("one of three");
    apps[at].wait_for(&format!("node `{other}` is refused: its certificate is for"));
    cluster.wait_for_commits(2);
    cluster.stop_and_check(apps);
}

#[test]
fn strangers_on_the_port_of_the_lead_hold_no_node_up() {
    let (cluster, _) = encrypted(Cluster::windows("tls-port", 10_000_000, "5000"));
    let mut apps = start_three(&cluster);
    let address = lead_address(&cluster);
    let silent: Vec<TcpStream> = (0..64).map(|_| connect(address)).collect();
    let mut halves = Vec::new();
    for beginning in [&[22, 3, 1][..], &[22, 3, 3, 64, 0, 1], b"GET / HTTP/1.1\r\n\r\n"] {
        let mut half = connect(address);
        half.write_all(beginning).expect("it reads");
        halves.push(half);
    }
    for garbage in [&[0xff; 64][..], &[22, 3, 1, 0, 4, 9, 9, 9, 9, 9], &[22; 3000]] {
        let mut stranger = connect(address);
        let _ = stranger.write_all(garbage);
        let mut answer = Vec::new();
        // Its end may be a reset.
        let _ = stranger.read_to_end(&mut answer);
        assert!(answer.len() < 16, "an alert at most: {answer:?}");
    }
    let lead = THREE.iter().position(|node| *node == cluster.lead()).expect("one of three");
    // Not by its deadline: the lead says why.
    apps[lead].wait_for("the oldest one of 127.0.0.1 is closed");
    let mut oldest = &silent[0];
    assert_eq!(oldest.read(&mut [0]).ok(), Some(0), "it is closed");
    apps.push(cluster.start("d"));
    cluster.wait_for_nodes(&["a", "b", "c", "d"]);
    drop((silent, halves));
    cluster.stop_and_check(apps);
}

#[test]
fn an_encrypted_node_is_refused_by_nodes_in_the_clear() {
    let cluster = Cluster::windows("tls-clear", 10_000_000, "5000");
    let authority = Authority::new(&cluster.scratch, "ca");
    authority.issue("d");
    let mut apps = start_three(&cluster);
    let lead = THREE.iter().position(|node| *node == cluster.lead()).expect("one of three");
    let refused = cluster.start_with("d", &authority.flags("d")).finish();
    refused.refused(1, &["cannot join node", "does not speak TLS 1.3", "or none of them"]);
    apps[lead].wait_for("it encrypts what nodes send each other, and this node does not");
    cluster.wait_for_commits(2);
    cluster.stop_and_check(apps);
}

#[test]
fn files_that_each_user_can_read_or_write_are_used_and_named() {
    let (cluster, authority) = encrypted(Cluster::windows("tls-key", 100, "max"));
    let files = authority.files("a");
    let exposed = [
        ("--tls-key", &files.key, 0o644, "read"),
        ("--tls-cert", &files.certificate, 0o646, "write"),
        ("--tls-ca", &files.authority, 0o666, "write"),
    ];
    for (_, path, mode, _) in exposed {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
    }
    let ended = cluster.start("a").finish();
    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.log);
    for (flag, path, _, can) in exposed {
        let line = format!("{flag} {}: each user of this machine can {can} it", path.display());
        assert!(ended.log.contains(&line), "`{line}`: {}", ended.log);
    }
    Encryption::load(&authority.files("a"), "a").expect("it can be used");
}
