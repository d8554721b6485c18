//! Applications inside another program: channels, status, stop and drop.

use std::fmt;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use potoroo::connect::demand::Demand;
use potoroo::connect::opening::Opening;
use potoroo::connect::promise::Promise;
use potoroo::connect::refusal::EdgeRefusal;
use potoroo::connect::source::{OpenSource, SourceConnector};
use potoroo::connect::starting::Starting;
use potoroo::connect::upstream::Upstream;
use potoroo::prelude::*;
use potoroo::sdk::codec::LineText;
use potoroo::{Config, Error, Running, SinkAddress, SourceAddress};
use potoroo_sdk::host::SourceId;

/// Nothing that works takes so long, even on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

#[event]
struct Trade {
    account: u64,
    quantity: u64,
}

#[event]
struct Position {
    account: u64,
    total: u64,
}

/// Never used: events come through a channel.
struct TradeCodec;

impl Decode for TradeCodec {
    type Event = Trade;
    type Framing = FixedSize;

    fn framing(&self) -> FixedSize {
        FixedSize::new(16)
    }

    fn decode(&self, payload: &[u8]) -> Result<Trade, Reason> {
        let mut fields = Fields::new(payload);
        Ok(Trade { account: fields.u64_be()?, quantity: fields.u64_be()? })
    }
}

struct PositionCodec;

impl Encode for PositionCodec {
    type Event = Position;

    fn encode(&self, position: Position, out: &mut Vec<u8>) {
        out.put_u64_be(position.account);
        out.put_u64_be(position.total);
    }
}

fn positions() -> Application {
    let app = Application::new("positions");
    let totals = app.table::<u64, u64>("totals");
    app.source("trades", TradeCodec)
        .key_by(|trade| trade.account)
        .update(&totals, |total, trade| {
            *total += trade.quantity;
            Position { account: trade.account, total: *total }
        })
        .sink("positions", PositionCodec);
    app
}

fn config(cores: &[usize]) -> Config {
    let config = Config { cores: cores.to_vec(), progress: false, ..Config::default() };
    config.source("trades", SourceAddress::Channel).sink("positions", SinkAddress::Channel)
}

fn start(cores: &[usize]) -> Running {
    potoroo::run(positions, config(cores)).unwrap_or_else(|error| panic!("{error}"))
}

/// Account and total of each position.
fn parse(bytes: &[u8]) -> Vec<(u64, u64)> {
    assert_eq!(bytes.len() % 16, 0, "whole events");
    let number = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().expect("eight bytes"));
    bytes.chunks(16).map(|event| (number(&event[..8]), number(&event[8..]))).collect()
}

fn wait_until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {LIMIT:?}");
        thread::yield_now();
    }
}

#[test]
fn what_goes_in_comes_out_on_any_cores() {
    const TRADES: u64 = 50_000;
    const ACCOUNTS: u64 = 100;
    for cores in [&[0][..], &[0, 1], &[0, 0, 1, 1]] {
        let mut running = start(cores);
        let mut trades = running.source("trades").expect("a channel");
        let mut out = running.sink("positions").expect("a channel");
        assert!(running.source("trades").is_none(), "there is one end");
        assert!(running.sink("trades").is_none(), "it is no sink");
        let sender = thread::spawn(move || {
            for trade in 0..TRADES {
                let event = Trade { account: trade % ACCOUNTS, quantity: trade };
                trades.send(&event).expect("it runs");
            }
        });
        let mut positions = Vec::new();
        while let Some(bytes) = out.recv() {
            positions.extend_from_slice(&bytes);
        }
        sender.join().expect("the sender ends");
        let positions = parse(&positions);
        for account in 0..ACCOUNTS {
            let found = positions.iter().filter(|(of, _)| *of == account).map(|(_, total)| *total);
            let mut total = 0;
            let expected = (account..TRADES).step_by(ACCOUNTS as usize).map(|quantity| {
                total += quantity;
                total
            });
            assert!(found.eq(expected), "account {account} on {cores:?}");
        }
        let summary = running.wait().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(summary.snapshot.sources[0].events, TRADES);
        assert_eq!(summary.snapshot.sinks[0].events, TRADES);
        assert_eq!(summary.snapshot.tables[0].rows, ACCOUNTS);
    }
}

#[test]
fn flushed_events_come_out_while_it_runs() {
    let mut running = start(&[0]);
    let mut trades = running.source("trades").expect("a channel");
    let mut out = running.sink("positions").expect("a channel");
    for round in 1..=3 {
        trades.send(&Trade { account: 7, quantity: 5 }).expect("it runs");
        trades.flush().expect("it runs");
        let bytes = out.recv().expect("it runs");
        assert_eq!(parse(&bytes), [(7, 5 * round)]);
        wait_until(|| running.status().snapshot.sources[0].events == round);
    }
    assert_eq!(running.status().cores.len(), 1);
    assert!(running.listening("trades").is_none() && running.admin().is_none());
    drop(trades);
    assert!(out.recv().is_none(), "the source ended, and so did the application");
    running.wait().unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn stop_delivers_what_was_handed_over() {
    let mut running = start(&[0, 1]);
    let mut trades = running.source("trades").expect("a channel");
    let mut out = running.sink("positions").expect("a channel");
    for _ in 0..10 {
        trades.send(&Trade { account: 1, quantity: 1 }).expect("it runs");
    }
    trades.flush().expect("it runs");
    wait_until(|| running.status().snapshot.sources[0].events == 10);
    running.stop();
    let mut positions = Vec::new();
    while let Some(bytes) = out.recv() {
        positions.extend(parse(&bytes));
    }
    assert_eq!(positions.last(), Some(&(1, 10)));
    let summary = running.wait().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(summary.stop, potoroo::control::report::StopReason::Asked);
    assert_eq!(summary.snapshot.undelivered, 0);
    // The application has ended: the sender notices.
    wait_until(|| {
        trades.send(&Trade { account: 1, quantity: 1 }).is_err() || trades.flush().is_err()
    });
}

/// What was flushed before it was asked to stop is processed: the sender believes it sent.
#[test]
fn stop_processes_what_was_flushed() {
    const TRADES: u64 = 4000;
    for cores in [&[0][..], &[0, 1]].into_iter().cycle().take(20) {
        let mut running = start(cores);
        let mut trades = running.source("trades").expect("a channel");
        let mut out = running.sink("positions").expect("a channel");
        for _ in 0..TRADES {
            trades.send(&Trade { account: 1, quantity: 1 }).expect("it runs");
        }
        trades.flush().expect("it runs");
        running.stop();
        let mut last = None;
        while let Some(bytes) = out.recv() {
            last = parse(&bytes).last().copied();
        }
        assert_eq!(last, Some((1, TRADES)));
        let summary = running.wait().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(summary.snapshot.sources[0].events, TRADES);
    }
}

#[test]
fn dropping_stops_and_waits() {
    let mut running = start(&[0, 1]);
    let mut trades = running.source("trades").expect("a channel");
    trades.send(&Trade { account: 1, quantity: 1 }).expect("it runs");
    trades.flush().expect("it runs");
    // The sink has no receiver, which must not keep the application from ending.
    drop(running);
    wait_until(|| {
        trades.send(&Trade { account: 1, quantity: 1 }).is_err() || trades.flush().is_err()
    });
}

#[test]
fn a_sink_without_a_receiver_ends_the_application() {
    let mut running = start(&[0]);
    let mut trades = running.source("trades").expect("a channel");
    // Before anything comes out that it could still take.
    drop(running.sink("positions"));
    trades.send(&Trade { account: 1, quantity: 1 }).expect("it runs");
    drop(trades);
    let summary = running.wait().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(summary.stop, potoroo::control::report::StopReason::SinkFailed);
    assert_eq!(summary.snapshot.undelivered, 1);
}

/// Dropped when no core has the application any more.
struct Held(Arc<AtomicU64>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn a_description_may_capture_and_is_given_back() {
    let held = Arc::new(AtomicU64::new(1));
    let guard = Held(held.clone());
    let factor = 3;
    let describe = move || {
        let _ = &guard;
        let app = Application::new("factor");
        app.source("numbers", LineText::new())
            .map(move |line| line.len() as u64 * factor)
            .sink("numbers", NumberCodec);
        app
    };
    let config = Config { cores: vec![0, 0], progress: false, ..Config::default() };
    let config = config.source("numbers", SourceAddress::Channel);
    let config = config.sink("numbers", SinkAddress::Channel);
    let mut running = potoroo::run(describe, config).unwrap_or_else(|error| panic!("{error}"));
    let mut numbers = running.source("numbers").expect("a channel");
    let mut out = running.sink("numbers").expect("a channel");
    numbers.send(&"four".to_owned()).expect("it runs");
    drop(numbers);
    assert_eq!(out.recv().as_deref(), Some(&12_u64.to_be_bytes()[..]));
    running.wait().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(held.load(Ordering::SeqCst), 0, "it is given back");
}

struct NumberCodec;

impl Encode for NumberCodec {
    type Event = u64;

    fn encode(&self, number: u64, out: &mut Vec<u8>) {
        out.put_u64_be(number);
    }
}

#[test]
fn what_cannot_run_is_refused() {
    let refused = |config: Config| potoroo::run(positions, config).err().expect("it cannot run");
    let error = refused(Config::default());
    assert!(matches!(error, Error::Config(_)), "{error}");
    let error = refused(Config { cores: vec![], ..config(&[0]) });
    assert!(error.to_string().contains("`cores` is empty"), "{error}");
    let empty = || Application::new("empty");
    let error = potoroo::run(empty, Config::default()).err().expect("it has no source");
    assert!(matches!(error, Error::Plan(_)), "{error}");
}

/// Whatever changes from one description to the next is refused; nothing runs, nothing panics.
#[test]
fn a_description_that_changes_is_refused() {
    for steady in [1, 2] {
        let asked = AtomicU64::new(0);
        let changing = move || {
            let number = asked.fetch_add(1, Ordering::Relaxed);
            let app = Application::new(&format!("changing-{}", number / steady));
            app.source("trades", TradeCodec).sink("copies", TradeCopy);
            app
        };
        let config = Config { cores: vec![0, 0], ..Config::default() };
        let config = config.source("trades", SourceAddress::Channel);
        let config = config.sink("copies", SinkAddress::Null);
        match potoroo::run(changing, config) {
            Err(error @ Error::Description) => assert!(error.to_string().contains("each time")),
            other => panic!("steady for {steady}: {:?}", other.map(|_| "it runs")),
        }
    }
}

struct TradeCopy;

impl Encode for TradeCopy {
    type Event = Trade;

    fn encode(&self, trade: Trade, out: &mut Vec<u8>) {
        out.put_u64_be(trade.account);
    }
}

/// A source that cannot be started.
#[derive(Debug)]
struct Never;

impl fmt::Display for Never {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("never:")
    }
}

impl SourceConnector for Never {
    fn promise(&self, _checkpoints: bool) -> Promise {
        Promise::new("never", "it is not started")
    }

    fn demand(&self, _inlet_bytes: usize) -> Demand {
        Demand::default()
    }

    fn open(&self, _opening: &mut Opening<'_>) -> Result<Box<dyn OpenSource>, EdgeRefusal> {
        Ok(Box::new(Self))
    }
}

impl OpenSource for Never {
    fn start(
        &mut self,
        _source: SourceId,
        _starting: &mut Starting<'_>,
    ) -> Result<Option<Box<dyn Upstream>>, EdgeRefusal> {
        Err(EdgeRefusal::Reason("it is never started".to_owned()))
    }
}

/// A program that embeds the engine goes on, and may start it again.
#[test]
fn a_start_that_fails_leaves_no_port_open() {
    let described = || {
        let app = Application::new("fails");
        let lines = app.source("lines", LineText::new());
        lines.merge(&app.source("never", LineText::new())).sink("out", LineText::new());
        app
    };
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let address = free.expect("a port is free");
    for scheme in ["tcp", "potoroo"] {
        let lines = format!("{scheme}://{address}").parse::<SourceAddress>().expect("an address");
        let config = Config { cores: vec![0, 0], progress: false, ..Config::default() };
        let config = config.source("lines", lines).sink("out", SinkAddress::Null);
        let config = config.source("never", SourceAddress::other(Never));
        let refused = potoroo::run(described, config).err().expect("it cannot be started");
        assert!(refused.to_string().contains("it is never started"), "{refused}");
        TcpListener::bind(address).expect("no thread listens there");
    }
}

/// Threads of this process with one of these names.
fn threads(names: &[&str]) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("there are threads");
    // A thread may end meanwhile.
    let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).ok();
    let found = tasks.flatten().filter_map(name);
    found.filter(|name| names.contains(&name.trim())).count()
}

#[test]
fn threads_and_ports_of_a_cluster_end_with_its_application() {
    const OF_CLUSTERS: [&str; 4] =
        ["potoroo-links", "potoroo-nodes", "potoroo-node", "potoroo-lead"];
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = folder.join(format!("embed-cluster-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("it can be written");
    let numbers = folder.join("numbers");
    std::fs::write(&numbers, "1\n2\n1\n").expect("it can be written");
    let counts = || {
        let app = Application::new("counts");
        let counts = app.table::<u64, u64>("counts");
        app.source("numbers", LineText::new())
            .map(|line: &str| line.parse::<u64>().ok())
            .key_by(|number| number)
            .update(&counts, |count, number| {
                *count += 1;
                (*count > 0).then(|| format!("{number} {count}"))
            })
            .sink("counts", LineText::new());
        app
    };
    let address = |name: &str| format!("file:{}", folder.join(name).display());
    for _ in 0..2 {
        let place = folder.join("cluster").display().to_string();
        let cluster = Some(place.parse().expect("a folder"));
        let node = Some("a".parse().expect("a name"));
        let (cores, progress, gather_ms) = (vec![0], false, 0);
        let config = Config { cores, progress, cluster, node, gather_ms, ..Config::default() }
            .source("numbers", address("numbers").parse().expect("a source"))
            .sink("counts", address("out").parse().expect("a sink"));
        potoroo::run(counts, config).expect("it can run").wait().expect("it ends");
        // They end a moment later.
        wait_until(|| threads(&OF_CLUSTERS) == 0);
    }
    let out = std::fs::read_to_string(folder.join("out")).expect("it was written");
    assert_eq!(out.lines().count(), 3, "{out}");
    std::fs::remove_dir_all(&folder).expect("it is ours");
}
