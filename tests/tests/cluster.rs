//! Several processes that are one application: whichever of them dies, comes or goes, the output is
//! that of one process.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Instant;

use potoroo::checkpoint::PartitionSet;
use rustix::process::Signal;
use serde_json::Value;
use support::cluster::{Cluster, nodes};
use support::{App, LIMIT, free_port};

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
    let apps = ["a", "b", "c"].map(|node| cluster.start_with(node, "--report json"));
    for app in apps {
        let ended = app.finish();
        assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.log);
        let last = ended.out.lines().last().unwrap_or_default();
        let summary: Value = serde_json::from_str(last).expect("the last line is JSON");
        assert!(summary["checkpoints"]["committed"].as_u64() > Some(0), "{summary}");
        // The lead sums up. A node that came late has had some events processed again.
        if summary["stop"] == "ended" {
            assert!(summary["events"].as_u64() >= Some(20_000), "{summary}");
            assert_eq!(summary["tables"][0]["rows"], 64, "{summary}");
        }
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
    for (node, part) in [(last, "no other node would go on"), ("x", "there is no node `x`")] {
        let (text, done) = cluster.ask(&format!("leave {node}"));
        assert!(!done && text.contains(part), "{text}");
    }
    let (history, _) = cluster.ask("history");
    for what in ["node c joined", &format!("node {follows} left"), &format!("node {lead} left")] {
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

/// How many partitions each node has, by name.
fn partitions(status: &Value) -> Vec<(&str, u64)> {
    let count = |node: &Value| node["partitions"].as_u64().expect("a number");
    let mut counts: Vec<_> =
        nodes(status).map(|node| (node["node"].as_str().expect("a name"), count(node))).collect();
    counts.sort_unstable();
    counts
}

#[test]
fn a_node_owns_by_its_weight_which_stays_with_its_name() {
    let cluster = Cluster::windows("cluster-weights", 10_000_000, "5000");
    let a = cluster.start("a");
    let mut b = cluster.start_with("b", "--weight 6");
    let wait = |expected: &[(&str, u64)]| cluster.wait(|status| partitions(status) == expected);
    wait(&[("a", 256), ("b", 768)]);
    let set = |weight: &str| {
        let (text, done) = cluster.ask(&format!("weight {weight}"));
        assert!(done, "{weight}: {text}");
        text
    };
    set("b 0");
    assert_eq!(partitions(&cluster.status()), [("a", 1024), ("b", 0)]);
    assert!(set("b 0.0").contains("already"));
    set("b 14");
    let (map, _) = cluster.ask("map --json");
    let map: Value = serde_json::from_str(&map).expect("it is JSON");
    let of_a = nodes(&map).find(|node| node["node"] == "a").expect("it is one");
    assert_eq!((&of_a["partitions"], &of_a["target"]), (&128.into(), &128.into()), "{map}");
    let cores = of_a["cores"].as_array().expect("a list");
    let owned = cores.iter().map(|own| own.as_str().and_then(|own| own.parse().ok()));
    let owned: Vec<PartitionSet> = owned.collect::<Option<_>>().expect("they are sets");
    assert_eq!(owned.iter().map(|own| own.iter().count()).collect::<Vec<_>>(), [64, 64], "{map}");
    for (wish, part) in [
        ("weight c 1", "there is no node `c`"),
        ("weight a x", "a weight is a number"),
        ("weight a 1e3", "a weight is a number"),
    ] {
        let (text, done) = cluster.ask(wish);
        assert!(!done && text.contains(part), "{text}");
    }
    // It is that of the next process of the name, too.
    b.signal(Signal::KILL);
    wait(&[("a", 1024)]);
    b = cluster.start_with("b", "--weight 1");
    wait(&[("a", 128), ("b", 896)]);
    set("b default");
    wait(&[("a", 683), ("b", 341)]);
    set("a 0");
    let (text, done) = cluster.ask("weight b 0");
    assert!(!done && text.contains("no node would own partitions"), "{text}");
    let (history, _) = cluster.ask("history");
    assert!(history.contains("node b got the weight 14"), "{history}");
    let (text, done) = cluster.ask("stop");
    assert!(done, "{text}");
    [a, b].into_iter().for_each(|app| assert_eq!(app.finish().code, Some(0)));
    let written = cluster.scratch.read("windows").iter().filter(|byte| **byte == b'\n').count();
    cluster.check(written as u64);
}

#[test]
fn each_node_shows_what_all_of_them_do() {
    let cluster = Cluster::windows("cluster-view", 10_000_000, "5000");
    let ports = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let start = |node: &str, at: usize| {
        let admin = format!("--admin {}", ports[at]);
        cluster.start_with(node, &admin)
    };
    let (a, b) = (start("a", 0), start("b", 1));
    cluster.wait_for_nodes(&["a", "b"]);
    let busy = |status: &Value| nodes(status).all(|node| node["events"].as_u64() > Some(0));
    let view = |at: usize| loop {
        let (_, body) = http(ports[at], "/cluster");
        let view: Value = serde_json::from_str(&body).unwrap_or(Value::Null);
        if nodes(&view).count() == 2 && busy(&view) {
            return view;
        }
    };
    for view in [view(0), view(1)] {
        assert_eq!(nodes(&view).map(|node| &node["partitions"]).collect::<Vec<_>>(), [512, 512]);
        assert!(nodes(&view).all(|node| node["rows"].as_u64() > Some(0)), "{view}");
    }
    let (_, metrics) = http(ports[1], "/metrics");
    for line in ["potoroo_cluster_node_partitions{node=\"a\"} 512.0", "potoroo_cluster_nodes{"] {
        assert!(metrics.contains(line), "`{line}` is not in:\n{metrics}");
    }
    let (text, done) = cluster.ask("status");
    assert!(done && text.contains("events/s"), "{text}");
    let (text, done) = cluster.ask("rebalance");
    assert!(done && text.contains("nothing to do") || text.contains("for less than 3 s"), "{text}");
    // One that stands still is named, and so is who waits for it.
    let lead = cluster.lead();
    let (leads, follows) = if lead == "a" { (a, b) } else { (b, a) };
    follows.signal(Signal::STOP);
    let stands_still = |text: &str| text.contains("itself: it tells nothing since");
    let deadline = Instant::now() + LIMIT;
    while !stands_still(&cluster.ask("status").0) {
        assert!(Instant::now() < deadline, "{}", cluster.ask("status").0);
    }
    follows.signal(Signal::CONT);
    let (text, done) = cluster.ask("stop");
    assert!(done, "{text}");
    let ended = leads.finish();
    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.log);
    assert!(ended.out.contains("an operator had all nodes stop"), "{}", ended.out);
    let ended = follows.finish();
    assert!(ended.out.contains("the application has ended on all nodes"), "{}", ended.out);
}

/// Head and body of what an admin port answers.
fn http(port: SocketAddr, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(port).expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
    (head.to_owned(), body.to_owned())
}

#[test]
fn check_says_what_the_loss_of_a_node_does_to_each_edge() {
    let cluster = Cluster::windows("cluster-check", 1, "1");
    let checked = cluster.start_with("a", "--check --nodes-max 3").finish();
    assert_eq!(checked.code, Some(0), "{}", checked.log);
    for part in [
        "when a node is lost",
        "source numbers: node: goes on from the last checkpoint, each event once; machine",
        "sink windows: node: each output once, in the same file; machine: the same where",
        "links: 2 cores × 2 cores of up to 2 other nodes (--nodes-max) × 2 levels × 2",
    ] {
        assert!(checked.out.contains(part), "`{part}` is not in: {}", checked.out);
    }
    let alone = App::start(cluster.example, &format!("{} --check", cluster.arguments)).finish();
    assert!(!alone.out.contains("when a node is lost"), "{}", alone.out);
}

#[test]
fn a_node_is_gone_when_its_process_is_dead() {
    let cluster = Cluster::windows("cluster-gone", 10_000_000, "1000");
    let a = cluster.start_with("a", "--nodes-max 2");
    let b = cluster.start_with("b", "--nodes-max 2");
    cluster.wait_for_nodes(&["a", "b"]);
    let third = cluster.start_with("c", "").finish();
    third.refused(1, &["the cluster has 2 nodes", "--nodes-max"]);
    let lead = cluster.lead();
    let (app, other) = if lead == "a" { (&a, "b") } else { (&b, "a") };
    let (text, done) = cluster.ask(&format!("gone {lead}"));
    let lives = format!("node `{lead}`, lives: end it (`kill -9");
    assert!(!done && text.contains(&lives), "{text}");
    // The other one has to lead first.
    app.signal(Signal::KILL);
    let (text, done) = cluster.ask(&format!("gone {lead}"));
    assert!(done && text.contains(&format!("node `{lead}` is gone")), "{text}");
    let left = cluster.status();
    assert_eq!(partitions(&left), [(other, 1024)], "{left}");
    let (text, done) = cluster.ask("gone c");
    assert!(done && text.contains("no process is node `c`"), "{text}");
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
    far.refused(1, &["not on loopback", "--links-in-the-clear"]);
    let any = cluster.start_with("b", "--listen 0.0.0.0:7000 --links-in-the-clear").finish();
    any.refused(1, &["--advertise ADDR:7000"]);
    let advertised = cluster.start_with("b", "--advertise 10.0.0.1:7000").finish();
    advertised.refused(1, &["10.0.0.1:7000, which is not on loopback"]);
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

/// They would take the CPU from a core.
#[test]
fn threads_of_a_node_stay_off_the_cpus_of_its_cores() {
    let cluster = Cluster::windows("cluster-threads", 10_000_000, "1000");
    let apps = ["a", "b"].map(|node| cluster.start(node));
    cluster.wait_for_nodes(&["a", "b"]);
    for app in &apps {
        let tasks = format!("/proc/{}/task", app.process().as_raw_nonzero());
        let read = |path: String| fs::read_to_string(path).unwrap_or_default();
        let mut seen = Vec::new();
        for task in fs::read_dir(&tasks).expect("it lives").map_while(Result::ok) {
            let task = task.path().display().to_string();
            let (name, status) = (read(format!("{task}/comm")), read(format!("{task}/status")));
            let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
            let of_cluster = ["lease", "agree", "links", "nodes", "node", "lead"];
            let name = name.trim().trim_start_matches("potoroo-").to_owned();
            if let Some(allowed) = allowed.filter(|_| of_cluster.contains(&&*name)) {
                let cpus = allowed.trim().split([',', '-']).next().and_then(|cpu| cpu.parse().ok());
                seen.push((name, cpus.unwrap_or(0)));
            }
        }
        for name in ["lease", "agree", "links"] {
            assert!(seen.iter().any(|(one, _)| one == name), "{name}: {seen:?}");
        }
        // Both cores have CPU 0; where there is no other, nothing can be left free.
        let cpus = thread::available_parallelism().expect("it is known").get();
        assert!(cpus == 1 || seen.iter().all(|(_, first)| *first > 0), "{seen:?}");
    }
}

/// Where the lead takes nodes, as the agreement has it.
fn port_of_lead(cluster: &Cluster) -> SocketAddr {
    let address = cluster.agreed()["lead"]["value"].as_str().and_then(|text| text.parse().ok());
    address.expect("an address")
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
