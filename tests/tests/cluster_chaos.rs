//! Everything at once: nodes are killed, stand still, leave and come in any order, shares change,
//! and clients send and take all the while. Each order has its line once, in order.
//!
//! `POTOROO_SEEDS=20 cargo test -p potoroo-tests --test cluster_chaos -- --nocapture` does more of
//! it, and prints what was done.

mod support;

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use potoroo_connector::{Error, Options, Source};
use potoroo_sdk::random::Random;
use potoroo_tests::seeds::each_seed;
use rustix::process::Signal;
use serde_json::Value;
use support::cluster::{Cluster, nodes};
use support::ledger::{check_fed, check_lines, check_totals, collect, orders};
use support::{App, LIMIT, Scratch, free_port, tool};

/// Names of nodes; at least one of them lives at any time.
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// Deeds of one seed.
const DEEDS: usize = 12;

/// Orders that may be sent for each deed.
const ORDERS: usize = 4_000;

/// A busy machine may take a node from its CPU for longer: then the others go on without it, which
/// is a deed like others.
const LEASE_MS: u64 = 2_000;

/// A node that was to end before its generation had begun.
const BEFORE_IT_BEGAN: i32 = 3;

/// A node that was left behind.
const LEFT_BEHIND: i32 = 72;

struct Chaos {
    cluster: Cluster,
    random: Random,
    apps: [Option<App>; NAMES.len()],
    /// Wishes of operators that may still be under way.
    wishes: Vec<Child>,
    kills: usize,
}

impl Chaos {
    fn new(seed: u64, source: u16, sink: u16) -> Self {
        let scratch = Scratch::new(&format!("chaos-{seed}"));
        let arguments = format!(
            "--source orders=potoroo://127.0.0.1:{source}?streams=1 --sink \
             totals=potoroo://127.0.0.1:{sink}?token=hush --sink copies=file:{} --checkpoint-ms 20 \
             --idle park --cores 0,0 --gather-ms 100 --drain-seconds 60",
            scratch.path("copies")
        );
        let place = scratch.path("cluster");
        let (example, lease_ms) = ("ledger answers", LEASE_MS);
        let cluster = Cluster { scratch, example, arguments, place, lease_ms };
        let (random, apps, wishes) = (Random::new(seed), [const { None }; 4], Vec::new());
        Self { cluster, random, apps, wishes, kills: 0 }
    }

    /// One of the nodes that live, at random.
    fn living(&mut self) -> Option<usize> {
        let living: Vec<usize> = (0..NAMES.len()).filter(|at| self.apps[*at].is_some()).collect();
        let at = self.random.below(living.len().max(1) as u64) as usize;
        living.get(at).copied()
    }

    fn is_alone(&self) -> bool {
        self.apps.iter().flatten().count() < 2
    }

    fn start(&mut self, at: usize) {
        self.apps[at] = Some(self.cluster.start(NAMES[at]));
    }

    /// Waits for the end of a node. Its code is one of `codes`.
    fn finish(&mut self, at: usize, codes: &[i32]) {
        let ended = self.apps[at].take().expect("it was started").finish();
        let code = ended.code.unwrap_or(0);
        let said = format!("node {} with code {code}: {}{}", NAMES[at], ended.out, ended.log);
        // A lead that stands still keeps its port.
        let busy = code == 1 && ended.log.contains("Address already in use");
        assert!(codes.contains(&code) || busy, "{said}");
    }

    /// Takes those away that have ended by themselves, as a supervisor does.
    fn see_ends(&mut self) {
        for at in 0..NAMES.len() {
            if self.apps[at].as_mut().is_some_and(App::has_ended) {
                self.finish(at, &[0, LEFT_BEHIND]);
            }
        }
        self.wishes.retain_mut(|wish| wish.try_wait().expect("it was started").is_none());
    }

    /// Waits for some looks, so that a deed comes in the midst of the one before or long after it.
    fn linger(&mut self) {
        for _ in 0..self.random.below(4) * self.random.below(8) {
            self.cluster.status();
        }
    }

    /// What all nodes say, and what is known of them.
    fn said(&mut self) -> String {
        let mut said = self.cluster.ask("status").0;
        for (app, name) in self.apps.iter_mut().zip(NAMES) {
            let log = app.as_mut().map_or("it has ended", |app| app.log_so_far());
            said += &format!("\n--- node {name}: {log}");
        }
        said
    }

    fn wish(&mut self, wish: &str) {
        let mut command = Command::new(tool());
        command.arg("cluster").args(wish.split(' ')).args(["--cluster", &self.cluster.place]);
        let command = command.stdout(Stdio::null()).stderr(Stdio::null());
        self.wishes.push(command.spawn().expect("it can be run"));
    }

    /// Does something to the cluster, and says what.
    fn deed(&mut self) -> String {
        let name = |at: usize| NAMES[at];
        let absent = (0..NAMES.len()).find(|at| self.apps[*at].is_none());
        let Some(at) = self.living() else {
            self.start(0);
            return "start a".to_owned();
        };
        match (self.random.below(10), absent) {
            (0..=2, Some(absent)) => {
                self.start(absent);
                format!("start {}", name(absent))
            }
            (3, _) if !self.is_alone() => {
                self.apps[at].as_ref().expect("it lives").signal(Signal::TERM);
                self.finish(at, &[0, BEFORE_IT_BEGAN, LEFT_BEHIND]);
                format!("end {}", name(at))
            }
            (4, _) if !self.is_alone() => {
                self.wish(&format!("leave {}", name(at)));
                format!("leave {}", name(at))
            }
            (5, _) => {
                let weight = 1 + self.random.below(3);
                self.wish(&format!("weight {} {weight}", name(at)));
                format!("weight {} {weight}", name(at))
            }
            (6, _) => {
                let app = self.apps[at].as_ref().expect("it lives");
                app.signal(Signal::STOP);
                let over = self.random.below(2) == 0;
                if over {
                    // The others go on without it, if there are any.
                    self.cluster.wait(|status| {
                        let living = nodes(status).filter(|node| !node["process"].is_null());
                        let (its, others): (Vec<_>, Vec<_>) =
                            living.partition(|node| node["node"] == name(at));
                        its.is_empty() || others.is_empty()
                    });
                } else {
                    self.linger();
                }
                let app = self.apps[at].as_ref().expect("it lives");
                app.signal(Signal::CONT);
                format!("stop {}{}", name(at), if over { " for long" } else { "" })
            }
            _ => {
                self.apps[at].as_ref().expect("it lives").signal(Signal::KILL);
                self.finish(at, &[0]);
                self.kills += 1;
                let again = self.random.below(3) > 0 || self.apps.iter().all(Option::is_none);
                if again {
                    self.start(at);
                }
                format!("kill {}{}", name(at), if again { ", start it" } else { "" })
            }
        }
    }
}

/// Whether a generation runs.
fn lives(status: &Value) -> bool {
    status["lead"].is_string()
}

/// Sends orders as far as they are `allowed`, over whatever becomes of the connection.
fn feed(port: u16, orders: String, allowed: Arc<AtomicUsize>) -> JoinHandle<Result<(), Error>> {
    thread::spawn(move || {
        let options = Options { patience: LIMIT, ..Options::new(format!("127.0.0.1:{port}")) };
        let mut source = Source::connect(options)?;
        let (stream, stored) = source.open("lines", 0)?;
        let mut sent = stored as usize;
        while sent < orders.len() {
            let end = (sent + 200).min(orders.len());
            if end > allowed.load(Ordering::Relaxed) {
                source.flush()?;
                thread::park_timeout(Duration::from_millis(1));
                continue;
            }
            source.send(stream, end as u64, &orders.as_bytes()[sent..end])?;
            sent = end;
        }
        source.end(stream);
        source.finish()
    })
}

#[test]
fn each_order_has_its_line_once_whatever_nodes_do() {
    each_seed("cluster_chaos each_order", 1, |seed| {
        let (source, sink) = (free_port(), free_port());
        let (orders, over) = (orders(DEEDS * ORDERS), Arc::new(AtomicBool::new(false)));
        let allowed = Arc::new(AtomicUsize::new(0));
        let client = feed(source, orders.clone(), allowed.clone());
        let collector = collect(sink, over.clone());
        let mut chaos = Chaos::new(seed, source, sink);
        (0..3).for_each(|at| chaos.start(at));
        chaos.cluster.wait(lives);
        for deed in 1..=DEEDS {
            allowed.store(orders.len() * deed / DEEDS, Ordering::Relaxed);
            chaos.linger();
            chaos.see_ends();
            println!("seed {seed}: {}", chaos.deed());
        }
        allowed.store(usize::MAX, Ordering::Relaxed);
        // Its input ends, and so do all nodes.
        let until = Instant::now() + LIMIT;
        while !client.is_finished() || chaos.apps.iter().any(Option::is_some) {
            chaos.see_ends();
            if !client.is_finished() && chaos.apps.iter().all(Option::is_none) {
                chaos.start(0);
            }
            assert!(Instant::now() < until, "seed {seed}: it does not end: {}", chaos.said());
            thread::park_timeout(Duration::from_millis(5));
        }
        check_fed(client.join().expect("no panic"));
        over.store(true, Ordering::Relaxed);
        check_totals(&collector.join().expect("it gets all"), &orders);
        let copies = String::from_utf8(chaos.cluster.scratch.read("copies"));
        check_lines(copies.expect("it is text").lines(), &orders);
        println!("seed {seed}: {} kills", chaos.kills);
    });
}
