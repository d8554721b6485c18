//! Several processes that are one application: whichever of them dies, comes or goes, the output is
//! that of one process.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;
use support::cluster::{Cluster, nodes};
use support::{App, free_port};

#[test]
fn any_node_may_be_killed_at_any_time() {
    const COUNT: u64 = 60_000;
    for seed in 0..2 {
        let mut cluster = Cluster::windows(&format!("cluster-kills-{seed}"), COUNT, "10000");
        if seed == 1 {
            // Each next lead takes the port over.
            cluster.arguments += &format!(" --listen 127.0.0.1:{}", free_port());
        }
        assert!(cluster.survive(seed, 6) > 0, "none was killed");
        cluster.check(COUNT);
    }
}

#[test]
fn a_bounded_input_ends_on_all_nodes() {
    let cluster = Cluster::windows("cluster-end", 20_000, "max");
    let apps = ["a", "b", "c"].map(|node| cluster.start(node));
    for app in apps {
        let ended = app.finish();
        assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.log);
    }
    cluster.check(20_000);
}

#[test]
fn nodes_come_and_go_and_the_others_take_their_share() {
    let cluster = Cluster::windows("cluster-change", 10_000_000, "5000");
    let mut apps = vec![("a", cluster.start("a")), ("b", cluster.start("b"))];
    cluster.wait_for_nodes(&["a", "b"]);
    apps.push(("c", cluster.start("c")));
    let three = cluster.wait_for_nodes(&["a", "b", "c"]);
    for node in nodes(&three) {
        assert!((341..=342).contains(&node["partitions"].as_u64().expect("a number")), "{three}");
    }
    let leave = |apps: &mut Vec<(&str, App)>, node: &str| {
        let (text, done) = cluster.ask(&format!("leave {node}"));
        assert!(done, "{text}");
        let at = apps.iter().position(|(name, _)| *name == node).expect("it was started");
        let ended = apps.remove(at).1.finish();
        assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.log);
        assert!(ended.out.contains("the other nodes go on without it"), "{}", ended.out);
    };
    let lead = cluster.lead();
    let follows = if lead == "b" { "c" } else { "b" };
    leave(&mut apps, follows);
    leave(&mut apps, &lead);
    assert_eq!(apps.len(), 1);
    let last = apps[0].0;
    cluster.wait_for_nodes(&[last]);
    let (text, done) = cluster.ask(&format!("leave {last}"));
    assert!(!done && text.contains("no other node would go on"), "{text}");
    let (history, _) = cluster.ask("history");
    for what in ["node c joined", &format!("node {follows} left")] {
        assert!(history.contains(what), "{history}");
    }
    // The one that is left takes others again, and SIGTERM has one leave.
    apps.push(("d", cluster.start("d")));
    let mut both = [last, "d"];
    both.sort_unstable();
    cluster.wait_for_nodes(&both);
    let (_, d) = apps.pop().expect("it was just started");
    d.signal(Signal::TERM);
    let ended = d.finish();
    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.log);
    let (text, done) = cluster.ask("stop");
    assert!(done, "{text}");
    let ended = apps.pop().expect("one is left").1.finish();
    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.log);
    let written = cluster.scratch.read("windows").iter().filter(|byte| **byte == b'\n').count();
    cluster.check(written as u64);
}

#[test]
fn a_cluster_that_was_stopped_goes_on_with_other_nodes() {
    const COUNT: u64 = 60_000;
    let cluster = Cluster::windows("cluster-again", COUNT, "20000");
    let apps = ["a", "b", "c"].map(|node| cluster.start(node));
    cluster.wait(|status| status["epoch"].as_u64() > Some(3));
    let (text, done) = cluster.ask("stop");
    assert!(done, "{text}");
    for app in apps {
        assert_eq!(app.finish().code, Some(0));
    }
    let apps = ["x", "y"].map(|node| cluster.start(node));
    for app in apps {
        assert_eq!(app.finish().code, Some(0));
    }
    cluster.check(COUNT);
}

#[test]
fn who_does_not_fit_is_refused_with_the_reason() {
    let cluster = Cluster::windows("cluster-refused", 1_000_000, "1000");
    let _a = cluster.start("a");
    cluster.wait_for_nodes(&["a"]);
    let same = cluster.start("a").finish();
    same.refused(1, &["is its node `a`", "--node"]);
    let other = cluster.start_with("b", "--partitions 512").finish();
    other.refused(1, &["the lead refuses node `b`", "--partitions 512", "(1024)"]);
    let arguments = cluster.arguments.replace("/windows ", "/others ");
    let others = format!("{arguments} --cluster {} --node b", cluster.folder());
    let others = App::start(cluster.example, &others).finish();
    others.refused(1, &["the addresses of its sources or sinks are others"]);
    let elsewhere = cluster.start_with("b", "--state /nonexistent-folder/x").finish();
    elsewhere.refused(1, &["/nonexistent-folder"]);
    let far = cluster.start_with("b", "--listen 10.0.0.1:7000").finish();
    far.refused(1, &["not on loopback"]);
    let odd = cluster.start_with("b/c", "").finish();
    odd.refused(2, &["letters, digits"]);
    let other = Cluster { example: "word_count", ..Cluster::windows("cluster-other", 1, "1") };
    let arguments = "--source lines=gen:lines --sink counts=null:";
    let program = App::start(
        other.example,
        &format!("{arguments} --cores 0 --cluster {} --node b", cluster.folder()),
    );
    program.finish().refused(1, &["its application word-count differs"]);
    cluster.wait_for_nodes(&["a"]);
}

/// Where the lead takes nodes, as the agreement has it.
fn port_of_lead(cluster: &Cluster) -> SocketAddr {
    let text = fs::read(Path::new(&cluster.folder()).join("agreement")).expect("it is there");
    let entries: Value = serde_json::from_slice(&text).expect("it is JSON");
    entries["lead"]["value"].as_str().and_then(|text| text.parse().ok()).expect("an address")
}

#[test]
fn strangers_on_its_port_change_nothing() {
    let cluster = Cluster::windows("cluster-strangers", 10_000_000, "5000");
    let mut a = cluster.start("a");
    let _b = cluster.start("b");
    let before = cluster.wait_for_nodes(&["a", "b"]);
    let port = port_of_lead(&cluster);
    let long = [&u32::MAX.to_le_bytes()[..], &[b'x'; 100]].concat();
    let half = [&100_u32.to_le_bytes()[..], b"{\"Hello\":"].concat();
    let lie = [&22_u32.to_le_bytes()[..], b"{\"Ready\":{\"generation\":1}}"].concat();
    for garbage in [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], &long, &half, &lie, &[0; 64]] {
        let mut stream = TcpStream::connect(port).expect("it listens");
        let _ = stream.write_all(garbage);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert_eq!(answer, b"", "a stranger learns nothing");
    }
    let epoch = before["epoch"].as_u64();
    let after = cluster.wait(|status| status["epoch"].as_u64() > epoch.map(|epoch| epoch + 3));
    assert_eq!(after["generation"], before["generation"]);
    assert!(!a.log_so_far().contains("is lost"));
}
