//! Nodes whose leases end while they stand still, and nodes that lose what they had agreed upon:
//! the others go on, and what they wrote stays.

mod support;

use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustix::process::Signal;
use support::cluster::{Cluster, THREE};
use support::{App, accept, receiver};

/// What is left of a node that the others went on without.
fn left_behind(app: App) {
    let ended = app.finish();
    ended.refused(72, &["the others went on without this node", "start it again"]);
    assert!(ended.log.contains("is suspended"), "{}", ended.log);
}

/// Its system goes on: connections stay open, and locks are held.
#[test]
fn a_node_that_stands_still_does_not_hold_the_others_up() {
    let windows = Cluster::windows("cluster-still", 10_000_000, "5000");
    let cluster = Cluster { lease_ms: 3000, ..windows };
    let mut apps: Vec<_> = THREE.map(|node| (node, cluster.start(node))).into();
    cluster.wait_for_nodes(&THREE);
    let mut lost = Vec::new();
    // A node that follows, and then the one that leads.
    for leads in [false, true] {
        let lead = cluster.lead();
        let at = apps.iter().position(|(node, _)| (*node == lead) == leads).expect("there is one");
        let (node, still) = apps.remove(at);
        still.signal(Signal::STOP);
        let mut others: Vec<&str> = apps.iter().map(|(node, _)| *node).collect();
        others.sort_unstable();
        cluster.wait_for_nodes(&others);
        cluster.wait_for_commits(3);
        let before = cluster.status()["generation"].as_u64();
        still.signal(Signal::CONT);
        left_behind(still);
        cluster.wait_for_commits(3);
        assert_eq!(cluster.status()["generation"].as_u64(), before, "that changes nothing");
        apps.push((node, cluster.start(node)));
        cluster.wait_for_nodes(&THREE);
        lost.push(format!("node {node} was lost"));
    }
    let (history, _) = cluster.ask("history");
    assert_eq!(history.matches("was lost").count(), 2, "{history}");
    assert!(lost.iter().all(|one| history.contains(one)), "{history}");
    cluster.stop_and_check(apps.into_iter().map(|(_, app)| app).collect());
}

/// Windows that one turn lets out take fewer bytes: 128 new numbers, and 128 frames from each other
/// core. In the time of a lease 15,000 numbers come due, whose windows take ten times as many.
const TURN_BYTES: usize = 16 * 1024;

/// A lead that stood still has a connection on which it may write, until it looks at its clock.
#[test]
fn a_lead_that_stood_still_lets_nothing_out() {
    let (listener, address) = receiver();
    let windows = Cluster::windows("cluster-silent", 10_000_000, "5000");
    let file = windows.scratch.path("windows");
    let arguments = windows.arguments.replace(&format!("file:{file}"), &format!("tcp://{address}"));
    let cluster = Cluster { lease_ms: 3000, arguments, ..windows };
    let apps = ["a", "b"].map(|node| cluster.start(node));
    let mut connection = accept(&listener);
    cluster.wait_for_nodes(&["a", "b"]);
    let lead = usize::from(cluster.lead() == "b");
    let [a, b] = apps;
    let (still, goes_on) = if lead == 0 { (a, b) } else { (b, a) };
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = taken.clone();
    // Takes what comes at once: what its system was given before the node stood still, too.
    let takes = thread::spawn(move || {
        let mut bytes = [0; 65536];
        while let Ok(count @ 1..) = connection.read(&mut bytes) {
            counted.fetch_add(count, Ordering::Relaxed);
        }
    });
    still.signal(Signal::STOP);
    let mut second = accept(&listener);
    second.read_exact(&mut [0; 100]).expect("windows come from the other one");
    let before = taken.load(Ordering::Relaxed);
    assert!(before > 0, "windows came from the lead");
    still.signal(Signal::CONT);
    left_behind(still);
    takes.join().expect("it does not panic");
    // The turn in which it was stopped may end: engine/README says so.
    let after = taken.load(Ordering::Relaxed) - before;
    assert!(after <= TURN_BYTES, "the lead let out {after} bytes");
    second.read_exact(&mut [0; 100]).expect("the other one goes on");
    drop(goes_on);
}

/// It waits for nodes when it is stopped: it has swapped HEAD, and has emptied nothing.
#[test]
fn a_lead_that_stood_still_at_its_start_empties_no_output() {
    let windows = Cluster::windows("cluster-still-at-start", 10_000_000, "5000");
    let cluster = Cluster { lease_ms: 3000, ..windows };
    let a = cluster.start_with("a", "--gather-ms 5000");
    cluster.wait(|_| cluster.agreed()["lead"].is_object());
    let b = cluster.start("b");
    cluster.wait(|_| cluster.agreed()["nodes/b"].is_object());
    a.signal(Signal::STOP);
    cluster.wait_for_nodes(&["b"]);
    cluster.wait_for_commits(3);
    let bytes = || fs::metadata(cluster.scratch.path("windows")).expect("it is there").len();
    let before = bytes();
    a.signal(Signal::CONT);
    left_behind(a);
    assert!(bytes() >= before && before > 0, "{before} bytes were there, and now {}", bytes());
    cluster.wait_for_commits(3);
    cluster.stop_and_check(vec![b]);
}

/// Its sessions stand, and no key is theirs any more.
#[test]
fn what_was_agreed_may_be_removed_while_nodes_run() {
    let windows = Cluster::windows("cluster-removed", 10_000_000, "5000");
    let cluster = Cluster { lease_ms: 3000, ..windows };
    let mut apps: Vec<_> = THREE.map(|node| (node, cluster.start(node))).into();
    cluster.wait_for_nodes(&THREE);
    let lead = cluster.lead();
    let at = apps.iter().position(|(node, _)| *node == lead).expect("it is one");
    let (node, leads) = apps.remove(at);
    let folder = cluster.folder();
    {
        // No node is about to replace it.
        let lock = fs::File::open(Path::new(&folder).join("agreement.lock"));
        let lock = lock.expect("nodes have made it");
        lock.lock().expect("no node stands still");
        fs::remove_file(Path::new(&folder).join("agreement")).expect("it is there");
    }
    let ended = leads.finish();
    ended.refused(72, &["was removed while they ran", "the others went on without this node"]);
    apps.push((node, cluster.start(node)));
    cluster.wait_for_nodes(&THREE);
    apps.push(("d", cluster.start("d")));
    cluster.wait_for_nodes(&["a", "b", "c", "d"]);
    cluster.stop_and_check(apps.into_iter().map(|(_, app)| app).collect());
}
