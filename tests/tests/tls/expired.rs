//! Certificates that expire while processes run.

use std::time::Duration;

use potoroo::cluster::encryption::Encryption;

use super::nodes::encrypted;
use crate::support::certificates::{Authority, Valid};
use crate::support::cluster::Cluster;

/// Time in which three nodes start and share the work, on a busy machine, too.
const START: Duration = Duration::from_secs(30);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Waits until the certificate of `node` has expired.
fn wait_for_expiry(authority: &Authority, node: &str) {
    let load = || Encryption::load(&authority.files(node), node);
    while !load().is_err_and(|reason| reason.contains("has expired")) {
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// The others go on without `expiring`, of which each has begun before the next one.
fn go_on_without(expiring: &str, test: &str) {
    let (cluster, authority) = encrypted(Cluster::windows(test, 10_000_000, "5000"));
    // The programs may have to be built first.
    cluster.start_with("a", "--check").finish();
    authority.issue_as(expiring, &[expiring], Valid::For(START));
    let mut apps = Vec::new();
    for nodes in [&["a"][..], &["a", "b"], &["a", "b", "c"]] {
        apps.push(cluster.start(nodes[nodes.len() - 1]));
        cluster.wait_for_nodes(nodes);
    }
    assert_eq!(cluster.lead(), "a");
    wait_for_expiry(&authority, expiring);
    // Connections outlive certificates.
    cluster.wait_for_commits(2);
    if expiring == "a" {
        // No further node comes to a lead that has expired: a death has the others begin anew.
        drop(apps.pop());
        cluster.wait_for_nodes(&["b"]);
    } else {
        apps.push(cluster.start("d"));
        cluster.wait_for_nodes(&["a", "c", "d"]);
    }
    let at = ["a", "b", "c"].iter().position(|node| *node == expiring).expect("one of three");
    apps.remove(at).finish().refused(1, &["has expired", "issue a new one"]);
    cluster.stop_and_check(apps);
}

#[test]
fn the_others_go_on_without_a_node_whose_certificate_has_expired() {
    go_on_without("b", "tls-expired-node");
}

#[test]
fn another_node_leads_when_the_certificate_of_the_lead_has_expired() {
    go_on_without("a", "tls-expired-lead");
}

#[test]
fn a_certificate_that_is_about_to_expire_is_named_once() {
    let (cluster, authority) = encrypted(Cluster::windows("tls-expiry", 100, "max"));
    for (days, lines) in [(13, 1), (15, 0)] {
        authority.issue_as("a", &["a"], Valid::For(days * DAY));
        let ended = cluster.start("a").finish();
        assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.log);
        let found = ended.log.matches("expires within 14 days").count();
        assert_eq!(found, lines, "{days} days: {}", ended.log);
    }
}
