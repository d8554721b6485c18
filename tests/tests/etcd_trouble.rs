//! What may become of an etcd in which nodes agree, and of answers that it gives them: the nodes go
//! on from where they were.

mod support;

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;
use support::cluster::{Cluster, THREE};
use support::etcd::Etcd;
use support::gate::{Deed, Gate};
use support::{App, Scratch, operator};

/// The flag value for a cluster in the etcd to which this gate leads.
fn through(gate: &Gate) -> String {
    format!("etcd://{}/windows", gate.address)
}

/// Nodes of a cluster in the etcd at `place`, with the shortest lease.
fn cluster(scratch: Scratch, place: String) -> Cluster {
    let windows = Cluster::windows_at(scratch, place, 10_000_000, "5000");
    Cluster { lease_ms: 3000, ..windows }
}

/// It would take HEAD away from the next lead, or let an operator wait for a sink.
#[test]
fn a_suspended_lead_carries_out_nothing() {
    let scratch = Scratch::new("etcd-orders");
    let Some(mut etcd) = Etcd::start(&scratch) else { return };
    let cluster = cluster(scratch, etcd.place("windows"));
    let mut a = cluster.start_with("a", "--admin 127.0.0.1:0");
    let admin = a.admin();
    let epoch = cluster.wait_for_commits(2)["epoch"].as_u64().expect("it is committed");
    etcd.kill();
    a.wait_for("is suspended");
    for refused in [operator::restore(admin, epoch), operator::ask(admin, &["now"])] {
        let refused = refused.expect_err("its lease is over");
        assert!(refused.contains("is suspended"), "{refused}");
    }
    etcd.resume();
    a.wait_for("goes on");
    operator::checkpoint(admin);
    cluster.stop_and_check(vec![a]);
}

/// A wish that cannot be answered is tried again and again, but not at each look.
#[test]
fn what_cannot_be_answered_is_logged_once() {
    let scratch = Scratch::new("etcd-wishes");
    let Some(etcd) = Etcd::start(&scratch) else { return };
    let gate = Gate::before(etcd.address);
    let mut cluster = cluster(scratch, through(&gate));
    let mut a = cluster.start("a");
    // The tool asks the server itself.
    cluster.place = etcd.place("windows");
    cluster.wait_for_nodes(&["a"]);
    let lost = Arc::new(AtomicUsize::new(0));
    let counted = lost.clone();
    gate.judge(move |request| match request.contains("/txn") {
        true if counted.fetch_add(1, Ordering::Relaxed) < 10 => Deed::Lose,
        _ => Deed::Pass,
    });
    let (text, done) = cluster.ask("weight a 3");
    assert!(done, "{text}");
    assert!(lost.load(Ordering::Relaxed) > 10, "the answer was lost for some time");
    let log = a.log_so_far();
    assert_eq!(log.matches("no etcd answers at").count(), 1, "{log}");
    cluster.stop_and_check(vec![a]);
}

/// The copy has sessions of earlier processes, which have all names.
#[test]
fn an_etcd_that_is_restored_from_a_copy_is_a_pause() {
    let scratch = Scratch::new("etcd-restored");
    let Some(mut etcd) = Etcd::start(&scratch) else { return };
    let cluster = cluster(scratch, etcd.place("windows"));
    let start = || THREE.map(|node| cluster.start(node));
    let earlier = start();
    cluster.wait_for_nodes(&THREE);
    let before = cluster.wait_for_commits(2)["generation"].as_u64();
    let (folder, copy) = (cluster.scratch.path("etcd"), cluster.scratch.path("copy"));
    etcd.kill();
    let copied = Command::new("cp").args(["-r", &folder, &copy]).status();
    assert!(copied.expect("it can be run").success());
    etcd.resume();
    earlier.iter().for_each(|app| app.signal(Signal::KILL));
    let mut apps: Vec<App> = start().into();
    cluster.wait(|status| status["generation"].as_u64() > before);
    cluster.wait_for_nodes(&THREE);
    let before = cluster.wait_for_commits(2)["generation"].as_u64();
    etcd.kill();
    apps.iter_mut().for_each(|app| drop(app.wait_for("is suspended")));
    std::fs::remove_dir_all(&folder).expect("it is ours");
    std::fs::rename(&copy, &folder).expect("it is ours");
    etcd.resume();
    apps.iter_mut().for_each(|app| drop(app.wait_for("goes on")));
    let after = cluster.wait_for_commits(3);
    assert_eq!(after["generation"].as_u64(), before, "nothing was rolled back");
    cluster.stop_and_check(apps);
}

/// It leads, and does not know: the claim was done.
#[test]
fn a_claim_of_the_lead_whose_answer_is_lost_is_made_again() {
    let scratch = Scratch::new("etcd-claim");
    let Some(etcd) = Etcd::start(&scratch) else { return };
    let gate = Gate::before(etcd.address);
    let changes = Arc::new(AtomicUsize::new(0));
    let counted = changes.clone();
    // The name and the secret come first; the claim is tried twice.
    gate.judge(move |request| match request.contains("/txn") {
        true if (2..4).contains(&counted.fetch_add(1, Ordering::Relaxed)) => Deed::LoseAnswer,
        _ => Deed::Pass,
    });
    let cluster = cluster(scratch, through(&gate));
    let mut a = cluster.start("a");
    a.wait_for("runs on 1 nodes");
    assert!(changes.load(Ordering::Relaxed) > 4, "it was made again");
    cluster.stop_and_check(vec![a]);
}
