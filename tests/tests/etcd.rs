//! Nodes that agree in etcd, on a real server: the contract of agreements, what networks and
//! servers do to it, and real processes that are killed, stand still or are cut off.

mod support;

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use potoroo::cluster::agreement::contract;
use potoroo::cluster::agreement::{Agreed, Agreement, Changed, EntryChange, Expected, Login};
use rustix::process::Signal;
use serde_json::Value;
use support::cluster::{Cluster, THREE, nodes};
use support::etcd::{Etcd, session};
use support::gate::{Deed, Gate, NOT_FOUND, NOTHING, answering};
use support::network::Network;
use support::{App, Scratch, free_port, head};

/// Short, and longer than a busy machine keeps a thread from a CPU.
const LEASE: Duration = Duration::from_secs(5);

const LONG: Duration = Duration::from_secs(60);

/// The shortest lease of a node in etcd.
const LEASE_MS: u64 = 3000;

#[test]
fn it_keeps_the_contract_of_agreements() {
    let scratch = Scratch::new("etcd-contract");
    let Some(etcd) = Etcd::start(&scratch) else { return };
    let servers = etcd.address.to_string();
    contract::check(&|| {
        Box::new(session(&servers, "contract", LEASE, None).expect("it can be used"))
    });
    // Clusters of other names do not see each other, whatever one name begins with.
    let sessions = ["a", "a0", "a.b"].map(|name| session(&servers, name, LONG, None));
    let [a, a0, ab] = sessions.map(|session| session.expect("it can be used"));
    for one in [&a, &a0, &ab] {
        assert_eq!(one.claim("lead", "it").expect("it can be used"), None);
    }
    assert_eq!(contract::list(&a).len(), 1);
}

#[test]
fn a_change_whose_answer_is_lost_is_done_once() {
    let scratch = Scratch::new("etcd-answers");
    let Some(etcd) = Etcd::start(&scratch) else { return };
    let gate = Gate::before(etcd.address);
    let one = session(&gate.address.to_string(), "answers", LONG, None).expect("it can be used");
    let lose = |deed: Deed, path: &'static str| {
        let lost = AtomicUsize::new(0);
        gate.judge(move |request| match request.contains(path) {
            true if lost.fetch_add(1, Ordering::Relaxed) == 0 => deed,
            _ => Deed::Pass,
        });
    };
    for deed in [Deed::LoseAnswer, Deed::Lose, Deed::Busy] {
        let (key, bound) = (format!("{deed:?}"), Some(one.session()));
        let change = |expected, new: Option<Agreed>| {
            lose(deed, "/txn");
            one.change(&EntryChange { key: &key, expected, new, held: None }).expect("it is tried")
        };
        let first = Agreed { value: "1".to_owned(), session: bound };
        assert_eq!(change(Expected::Nothing, Some(first.clone())), Changed::Done);
        let second = Agreed { value: "2".to_owned(), session: None };
        assert_eq!(change(Expected::Entry(&first), Some(second.clone())), Changed::Done);
        let differs = change(Expected::Entry(&first), None);
        assert_eq!(differs, Changed::Differs(Some(second.clone())));
        assert_eq!(change(Expected::Entry(&second), None), Changed::Done);
        lose(deed, "/txn");
        assert_eq!(one.claim(&key, "1").expect("it is tried"), None);
        lose(deed, "/grant");
        one.begin_session().expect("it is tried");
        lose(deed, "/keepalive");
        one.renew().expect("it is tried");
    }
}

#[test]
fn one_of_several_servers_is_enough() {
    let scratch = Scratch::new("etcd-servers");
    let Some(mut etcd) = Etcd::start(&scratch) else { return };
    // One refuses connections, and one accepts them and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let silent = silent.local_addr().expect("it is bound");
    let servers = format!("127.0.0.1:{},{silent},{}", free_port(), etcd.address);
    let one = session(&servers, "servers", LONG, None).expect("one answers");
    assert_eq!(one.claim("lead", "it").expect("one answers"), None);
    etcd.kill();
    let gone = one.list().expect_err("none answers").to_string();
    assert!(gone.contains(&servers.replace(',', ", ")) && gone.contains("start it"), "{gone}");
    etcd.resume();
    assert_eq!(one.list().expect("it answers again").len(), 1);
    // What was connected before is not any more.
    one.renew().expect("it stands");
}

#[test]
fn history_may_be_compacted_at_any_time() {
    let scratch = Scratch::new("etcd-compacted");
    let Some(etcd) = Etcd::start(&scratch) else { return };
    let one = session(&etcd.address.to_string(), "compacted", LONG, None).expect("it can be used");
    for value in ["1", "2", "3"] {
        assert_eq!(one.claim("lead", value).expect("it can be used"), None);
    }
    let revision = one.version().expect("it can be read");
    let compact = format!("{{\"revision\":\"{revision}\",\"physical\":true}}");
    let compacted = etcd.post("/v3/kv/compaction", &compact).expect("it answers");
    assert!(compacted.starts_with("HTTP/1.0 200"), "{compacted}");
    assert_eq!(contract::list(&one)["lead"].value, "3");
    assert_eq!(one.claim("lead", "4").expect("it can be used"), None);
}

#[test]
fn a_user_without_rights_is_refused_by_name() {
    let scratch = Scratch::new("etcd-users");
    let Some(etcd) = Etcd::start(&scratch) else { return };
    etcd.enable_users();
    let servers = etcd.address.to_string();
    let session = |login: Option<(&str, &str)>| {
        let login = login
            .map(|(user, password)| Login { user: user.to_owned(), password: password.to_owned() });
        session(&servers, "users", LONG, login).and_then(|session| {
            session.claim("lead", "it").map(drop).map_err(|error| error.to_string())
        })
    };
    session(Some(("node", "pw-node"))).expect("it may");
    for (login, part) in [
        (None, "POTOROO_ETCD_USER"),
        (Some(("node", "pw-wrong")), "the password of POTOROO_ETCD_PASSWORD is another one"),
        (Some(("stranger", "pw-node")), "does not know the user"),
        (Some(("other", "pw-other")), "the right to read and write keys under /potoroo/"),
    ] {
        let refused = session(login).expect_err("it may not");
        assert!(refused.contains(part), "{login:?}: {refused}");
        assert!(!refused.contains("pw-"), "{refused}");
    }
}

/// A token that was given before is not good any more then.
#[test]
fn users_may_change_while_nodes_run() {
    let scratch = Scratch::new("etcd-users-change");
    let key = scratch.write("key", b"what signs tokens in this test");
    let tokens = format!("jwt,sign-method=HS256,priv-key={key}");
    let Some(etcd) = Etcd::start_with(&scratch, &["--auth-token", &tokens]) else { return };
    etcd.enable_users();
    let login = Login { user: "node".to_owned(), password: "pw-node".to_owned() };
    let servers = etcd.address.to_string();
    let one = session(&servers, "users", LONG, Some(login)).expect("it may");
    let root = "{\"name\":\"root\",\"password\":\"pw-root\"}";
    let answer = etcd.post("/v3/auth/authenticate", root).expect("it answers");
    let (_, body) = answer.split_once("\r\n\r\n").expect("head and body");
    let body: Value = serde_json::from_str(body).expect("it is JSON");
    let token = body["token"].as_str().expect("it has one");
    let user = "{\"name\":\"new\",\"password\":\"pw\"}";
    let added = etcd.post_as(token, "/v3/auth/user/add", user).expect("it answers");
    assert!(added.starts_with("HTTP/1.0 200"), "{added}");
    assert!(contract::list(&one).is_empty(), "it logs in again");
    one.renew().expect("it logs in again");
    assert_eq!(one.claim("lead", "it").expect("it may"), None);
}

#[test]
fn a_server_that_is_no_etcd_does_not_hide_the_others() {
    let scratch = Scratch::new("etcd-others");
    let Some(mut etcd) = Etcd::start(&scratch) else { return };
    for answer in [NOT_FOUND, NOTHING] {
        let servers = format!("{},{}", answering(answer), etcd.address);
        let one = session(&servers, "others", LONG, None).expect("one is an etcd");
        assert_eq!(one.claim("lead", "it").expect("one is an etcd"), None);
        one.renew().expect("one is an etcd");
        etcd.kill();
        let refused = one.list().expect_err("none is any more").to_string();
        assert!(refused.contains("is no etcd"), "{refused}");
        etcd.resume();
    }
}

#[test]
fn what_is_no_etcd_says_so() {
    let gate = Gate::before(free_address());
    let refused = session(&gate.address.to_string(), "x", LONG, None).err().expect("none is there");
    assert!(refused.contains("no etcd answers at"), "{refused}");
    let address = answering(NOT_FOUND);
    let refused = session(&address.to_string(), "x", LONG, None).err().expect("it is none");
    assert!(refused.contains("is no etcd") && refused.contains("correct the address"), "{refused}");
}

fn free_address() -> std::net::SocketAddr {
    std::net::SocketAddr::from(([127, 0, 0, 1], free_port()))
}

/// Three nodes of a cluster in `etcd`.
fn cluster(scratch: Scratch, etcd: &Etcd, count: u64, rate: &str) -> Cluster {
    let place = etcd.place("windows");
    Cluster { lease_ms: LEASE_MS, ..Cluster::windows_at(scratch, place, count, rate) }
}

fn start_three(cluster: &Cluster) -> Vec<App> {
    let apps = THREE.iter().map(|node| cluster.start(node)).collect();
    cluster.wait_for_nodes(&THREE);
    apps
}

fn number_of(node: &str) -> usize {
    THREE.iter().position(|name| *name == node).expect("it is one of three")
}

#[track_caller]
fn left_behind(app: App) {
    let ended = app.finish();
    ended.refused(72, &["is suspended", "the others went on without this node"]);
}

#[test]
fn any_node_may_be_killed_where_nodes_agree_in_etcd() {
    const COUNT: u64 = 60_000;
    let scratch = Scratch::new("etcd-kills");
    let Some(etcd) = Etcd::start(&scratch) else { return };
    let cluster = cluster(scratch, &etcd, COUNT, "5000");
    assert!(cluster.survive(0, 4) > 0, "none was killed");
    cluster.check(COUNT);
}

#[test]
fn the_others_go_on_without_a_node_that_stands_still() {
    let scratch = Scratch::new("etcd-still");
    let Some(etcd) = Etcd::start(&scratch) else { return };
    let cluster = cluster(scratch, &etcd, 10_000_000, "5000");
    let mut apps = start_three(&cluster);
    for leads in [false, true] {
        let lead = number_of(&cluster.lead());
        let at = if leads { lead } else { (lead + 1) % 3 };
        apps[at].signal(Signal::STOP);
        let others: Vec<&str> = THREE.into_iter().filter(|node| *node != THREE[at]).collect();
        cluster.wait_for_nodes(&others);
        cluster.wait_for_commits(3);
        apps[at].signal(Signal::CONT);
        let again = cluster.start(THREE[at]);
        left_behind(std::mem::replace(&mut apps[at], again));
        cluster.wait_for_nodes(&THREE);
    }
    cluster.stop_and_check(apps);
}

/// Nothing is processed again: the generation stays.
#[test]
fn an_outage_of_etcd_is_a_pause() {
    let scratch = Scratch::new("etcd-outage");
    let Some(mut etcd) = Etcd::start(&scratch) else { return };
    let cluster = cluster(scratch, &etcd, 10_000_000, "5000");
    let mut apps = start_three(&cluster);
    let before = cluster.wait_for_commits(2)["generation"].as_u64();
    // Shorter than the lease, if the machine is not too busy, and then longer.
    etcd.kill();
    etcd.resume();
    cluster.wait_for_commits(3);
    assert_eq!(cluster.status()["generation"].as_u64(), before);
    etcd.kill();
    apps.iter_mut().for_each(|app| drop(app.wait_for("is suspended")));
    let (state, windows) = (cluster.scratch.path("state"), cluster.scratch.path("windows"));
    let bytes = || std::fs::metadata(&windows).expect("it is there").len();
    let (committed, written) = (head(&state), bytes());
    etcd.resume();
    // They cannot have gone on before, so what is there is what they had written.
    let first = apps[0].wait_for("goes on");
    assert!(first.contains("its lease is renewed"), "{first}");
    apps[1..].iter_mut().for_each(|app| drop(app.wait_for("goes on")));
    let after = cluster.wait_for_commits(3);
    assert_eq!(after["generation"].as_u64(), before, "nothing was rolled back");
    assert!(head(&state) != committed && bytes() > written);
    cluster.stop_and_check(apps);
}

/// As after a restore from a copy that knows of nothing.
#[test]
fn an_etcd_that_has_lost_everything_is_written_anew() {
    let scratch = Scratch::new("etcd-lost");
    let Some(mut etcd) = Etcd::start(&scratch) else { return };
    let cluster = cluster(scratch, &etcd, 10_000_000, "5000");
    let mut apps = start_three(&cluster);
    let before = cluster.wait_for_commits(2)["generation"].as_u64();
    etcd.kill();
    std::fs::remove_dir_all(cluster.scratch.path("etcd")).expect("it is ours");
    etcd.resume();
    apps.iter_mut().for_each(|app| drop(app.wait_for("goes on")));
    cluster.wait(|status| status["lead"].is_string());
    // A node that comes then is one of them, and sees what they see.
    apps.push(cluster.start("d"));
    let after = cluster.wait_for_nodes(&["a", "b", "c", "d"]);
    assert_eq!(after["generation"].as_u64(), before.map(|before| before + 1), "{after}");
    cluster.stop_and_check(apps);
}

#[test]
fn what_cannot_be_a_node_in_etcd_is_refused() {
    let scratch = Scratch::new("etcd-refused");
    let Some(etcd) = Etcd::start(&scratch) else { return };
    let state = format!(" --state {}", scratch.path("state"));
    let cluster = cluster(scratch, &etcd, 1_000_000, "1000");
    let with = |place: String, lease_ms: u64, arguments: String| {
        let example = cluster.example;
        let scratch = Scratch::new("etcd-refused-one");
        Cluster { scratch, example, place, lease_ms, arguments }.start("a").finish()
    };
    let (place, arguments) = (|| cluster.place.clone(), || cluster.arguments.clone());
    with(place(), 2999, arguments()).refused(1, &["2999", "2 seconds", "3000"]);
    let stateless = arguments().replace(&state, "");
    with(place(), LEASE_MS, stateless).refused(1, &["needs `--state`"]);
    let odd = with(format!("{}/x", place()), LEASE_MS, arguments());
    odd.refused(2, &["letters, digits", "write etcd://"]);
    let absent = format!("etcd://127.0.0.1:{}/windows", free_port());
    with(absent, LEASE_MS, arguments()).refused(1, &["no etcd answers at", "start it"]);
    let (text, _) = cluster.ask("status");
    assert!(text.contains("no nodes have ever agreed in etcd://"), "{text}");
}

/// Each node has a network of its own, so that it can be cut off.
fn in_namespaces(test: &str) -> Option<(Network, Etcd, Cluster, Vec<App>)> {
    let scratch = Scratch::new(test);
    let network = Network::start(3)?;
    let etcd = Etcd::start_at(&scratch, network.host(2379))?;
    let cluster = cluster(scratch, &etcd, 10_000_000, "5000");
    let apps = (0..3).map(|node| start_at(&network, &cluster, node)).collect();
    cluster.wait_for_nodes(&THREE);
    Some((network, etcd, cluster, apps))
}

fn start_at(network: &Network, cluster: &Cluster, node: usize) -> App {
    let listen = format!("--listen {} --links-in-the-clear", network.node(node, 7100));
    cluster.start_within(&network.within(node), THREE[node], &listen)
}

/// A node that was cut off takes part again: it is started again, unless it saw that it had lost
/// the lead before the others went on.
fn come_again(network: &Network, cluster: &Cluster, apps: &mut [App], at: usize) {
    let mut has_ended = false;
    cluster.wait(|status| {
        has_ended = apps[at].has_ended();
        let shares = |node: &Value| node["partitions"].as_u64() > Some(0);
        has_ended || nodes(status).filter(|node| shares(node)).count() == 3
    });
    if has_ended {
        let again = start_at(network, cluster, at);
        left_behind(std::mem::replace(&mut apps[at], again));
    }
    cluster.wait_for_nodes(&THREE);
}

#[test]
fn the_others_go_on_without_a_node_that_is_cut_off_from_all() {
    let Some((network, _etcd, cluster, mut apps)) = in_namespaces("etcd-cut") else { return };
    for leads in [false, true] {
        let lead = number_of(&cluster.lead());
        let at = if leads { lead } else { (lead + 1) % 3 };
        network.cut(at);
        apps[at].wait_for("is suspended");
        let others: Vec<&str> = THREE.into_iter().filter(|node| *node != THREE[at]).collect();
        cluster.wait_for_nodes(&others);
        cluster.wait_for_commits(3);
        network.mend(at);
        come_again(&network, &cluster, &mut apps, at);
    }
    cluster.stop_and_check(apps);
}

#[test]
fn a_node_that_is_cut_off_from_etcd_alone_is_left_behind() {
    let Some((network, etcd, cluster, mut apps)) = in_namespaces("etcd-alone") else { return };
    let lead = number_of(&cluster.lead());
    for at in [(lead + 1) % 3, lead] {
        network.block(at, etcd.address);
        apps[at].wait_for("is suspended");
        let others: Vec<&str> = THREE.into_iter().filter(|node| *node != THREE[at]).collect();
        cluster.wait_for_nodes(&others);
        cluster.wait_for_commits(3);
        network.unblock(at, etcd.address);
        come_again(&network, &cluster, &mut apps, at);
    }
    cluster.stop_and_check(apps);
}

/// A generation that it begins meanwhile takes longer than its lease.
#[test]
fn a_lead_that_is_cut_off_while_it_begins_leaves_the_next_one_alone() {
    let Some((network, etcd, cluster, mut apps)) = in_namespaces("etcd-begins") else { return };
    let lead = number_of(&cluster.lead());
    let (next, still) = ((lead + 1) % 3, (lead + 2) % 3);
    let listen = format!("--listen {} --links-in-the-clear", network.node(next, 7101));
    let lost = cluster.start_within(&network.within(next), "x", &listen);
    cluster.wait_for_nodes(&["a", "b", "c", "x"]);
    let before = cluster.status()["generation"].as_u64();
    // It makes no links, so that no generation begins with it.
    apps[still].signal(Signal::STOP);
    lost.signal(Signal::KILL);
    apps[lead].wait_for("node `x` is lost");
    let state = cluster.scratch.path("state");
    let generation = || support::head_of(&state).map(|head| head.generation);
    cluster.wait(|_| generation() > before);
    network.block(lead, etcd.address);
    cluster.wait_for_nodes(&[THREE[next]]);
    let begun = cluster.wait_for_commits(3)["generation"].as_u64();
    apps[lead].wait_for("is suspended");
    cluster.wait_for_commits(3);
    network.unblock(lead, etcd.address);
    // The one that stands still has begun nothing, and would come again.
    apps[still].signal(Signal::KILL);
    let mut apps: Vec<_> = apps.into_iter().map(Some).collect();
    left_behind(apps[lead].take().expect("it was started"));
    cluster.wait_for_commits(3);
    assert_eq!(cluster.status()["generation"].as_u64(), begun, "it changes nothing");
    cluster.stop_and_check(vec![apps[next].take().expect("it was started")]);
}

/// Both see etcd: the lead counts.
#[test]
fn a_node_that_is_cut_off_from_the_lead_alone_comes_again() {
    let Some((network, _etcd, cluster, apps)) = in_namespaces("etcd-pair") else { return };
    let lead = number_of(&cluster.lead());
    let at = (lead + 1) % 3;
    network.block(at, network.node(lead, 0));
    let others: Vec<&str> = THREE.into_iter().filter(|node| *node != THREE[at]).collect();
    cluster.wait(|status| {
        let shares = |node: &&Value| node["partitions"].as_u64() > Some(0);
        let all: Vec<_> = nodes(status).filter(shares).collect();
        all.len() == 2 && all.iter().all(|it| others.iter().any(|name| it["node"] == **name))
    });
    cluster.wait_for_commits(3);
    network.unblock(at, network.node(lead, 0));
    cluster.wait_for_nodes(&THREE);
    cluster.stop_and_check(apps);
}
