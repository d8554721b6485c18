//! `connector`: a keyed count between clients of the connector protocol, with checkpoints, beside
//! the same between plain TCP connections, without.
//!
//! ```text
//!   client of a source ──► ingress ─ count ─ egress ──► store ── checkpoint ──► client of a sink
//!   connection         ──► ingress ─ count ─ egress ──────────────────────────► connection
//! ```
//!
//! The clients are threads of this process, and all threads but the engine's core run where the
//! system puts them, at normal priority: a connector has several that may wait, and at real-time
//! priority a core or a client would keep them from their CPU.

mod clients;

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use potoroo::prelude::*;
use potoroo::{Config, Running, SinkAddress, SourceAddress};
use serde_json::json;

use self::clients::{
    ConnectorSink, ConnectorSource, Deliveries, EndFlag, EventSender, ResultReceiver, TcpReceiver,
    TcpSender,
};
use crate::checkpoint::StateFolder;
use crate::engine::load::{Item, ItemCodec, Load};
use crate::load::Traffic;
use crate::place::{join, start};
use crate::report::Report;
use crate::rounds::{Contender, Series, alternate};
use crate::stamp;

/// Milliseconds between checkpoints, each of which delivers what came before it.
const INTERVAL_MS: u64 = 200;
/// Twenty of them in a full slice.
const SLICES: u32 = 8;
/// Different keys.
const KEYS: u64 = 10_000;
/// Events per second where the delay is measured: far below what either can do.
const RATE: u32 = 20_000;
/// Events of a message, and of a write to a plain connection.
const BATCH: usize = 64;

/// Runs both at full speed and at a rate.
///
/// # Errors
/// The folder for temporary files cannot be written, or events were lost or doubled.
pub fn bench(report: &mut Report) -> Result<()> {
    NOTES.iter().for_each(|note| report.note(note));
    let full = compete(report, None)?;
    let raw = full.raw_rtt_ns(&full.names());
    let ratio = full.ratio("connector", "tcp", Deliveries::events_per_second);
    report.figure("connector_over_tcp_throughput", ratio, raw);
    for name in full.names() {
        let rate = full.median(name, Deliveries::events_per_second);
        report.figure(format!("{name}_events_per_second"), rate, raw);
        let events = full.typical(name, Deliveries::events_per_second).events;
        report.detail(name, json!({ "events": events }));
    }
    let paced = compete(report, Some(RATE))?;
    for name in paced.names() {
        let raw = paced.raw_rtt_ns(&[name]);
        for (suffix, fraction) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
            let ms = |lap: &Deliveries| lap.delay.quantile(fraction) / 1e6;
            report.figure(format!("{name}_delay_{suffix}_ms"), paced.median(name, ms), raw);
        }
    }
    Ok(())
}

fn compete(report: &mut Report, rate: Option<u32>) -> Result<Series<Deliveries>> {
    let (core, slice) = (report.place().right, report.scale().slice * SLICES);
    let contenders = vec![
        Contender::new("connector", move || connector(core, slice, rate)),
        Contender::new("tcp", move || tcp(core, slice, rate)),
    ];
    let pace = rate.map_or("full speed".to_owned(), |rate| format!("{rate} events/s"));
    alternate(report, &format!("{KEYS} keys, {pace}"), contenders)
}

fn connector(core: usize, slice: Duration, rate: Option<u32>) -> Result<Deliveries> {
    let folder = StateFolder::new("connector");
    let sink = ConnectorSink::listen()?;
    let config = Config {
        state: Some(folder.path().into()),
        checkpoint_ms: INTERVAL_MS,
        ..config(core, "potoroo://127.0.0.1:0?streams=1", &format!("potoroo://{}", sink.address()?))
    };
    lap(config, slice, rate, ConnectorSource::connect, sink)
}

fn tcp(core: usize, slice: Duration, rate: Option<u32>) -> Result<Deliveries> {
    let sink = TcpReceiver::listen()?;
    let to = format!("tcp://{}", sink.address()?);
    lap(config(core, "tcp://127.0.0.1:0?connections=1", &to), slice, rate, TcpSender::connect, sink)
}

fn config(core: usize, source: &str, sink: &str) -> Config {
    let source: SourceAddress = source.parse().expect("an address");
    let sink: SinkAddress = sink.parse().expect("an address");
    let config = Config { cores: vec![core], progress: false, ..Config::default() };
    config.source("items", source).sink("counts", sink)
}

/// One run of the application, from its start to its end.
fn lap<S: EventSender>(
    config: Config,
    slice: Duration,
    rate: Option<u32>,
    connect: impl FnOnce(SocketAddr) -> Result<S>,
    receiver: impl ResultReceiver,
) -> Result<Deliveries> {
    let running = potoroo::run(application, config)?;
    let over = EndFlag::default();
    thread::scope(|scope| {
        let receiving = start(scope, || receiver.receive(&over))?;
        let sent = feed(&running, slice, rate, connect);
        if sent.is_err() {
            running.stop();
        }
        let ended = running.wait();
        over.set();
        let delivered = join(receiving);
        ended.context("the engine failed")?;
        check(delivered?, sent?)
    })
}

/// Sends for as long as the slice lasts; returns how many events were sent.
fn feed<S: EventSender>(
    running: &Running,
    slice: Duration,
    rate: Option<u32>,
    connect: impl FnOnce(SocketAddr) -> Result<S>,
) -> Result<u64> {
    let mut sender = connect(running.listening("items").context("it does not listen")?)?;
    let (mut load, start) = (Load::new(KEYS), stamp::now());
    let mut batch = Vec::new();
    match rate {
        None => {
            while stamp::now() - start < slice.as_nanos() as u64 {
                batch.clear();
                (0..BATCH).for_each(|_| put(&load.next(0), &mut batch));
                sender.send(load.sent(), &batch)?;
            }
        }
        Some(rate) => {
            let mut departures = Traffic::constant(rate).departures(0, start, slice);
            while !departures.is_over() {
                batch.clear();
                while let Some(due_ns) = departures.due(stamp::now()) {
                    put(&load.next(due_ns), &mut batch);
                }
                if !batch.is_empty() {
                    sender.send(load.sent(), &batch)?;
                    sender.flush()?;
                }
                thread::sleep(TICK);
            }
        }
    }
    sender.finish()?;
    Ok(load.sent())
}

/// Fails unless each event was delivered once.
fn check(delivered: Deliveries, sent: u64) -> Result<Deliveries> {
    ensure!(sent > 0, "no event was sent");
    let events = delivered.events;
    ensure!(events == sent, "{events} events were delivered of {sent}");
    ensure!(delivered.sum == sent * (sent - 1) / 2, "other events were delivered than were sent");
    Ok(delivered)
}

fn put(item: &Item, out: &mut Vec<u8>) {
    let mut bytes = [0; size_of::<Item>()];
    let words = [item.key, item.value, item.intended_ns].into_iter().chain(item.rest);
    for (room, word) in bytes.chunks_exact_mut(8).zip(words) {
        room.copy_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(&bytes);
}

/// What is known of an event when it was counted.
#[event]
struct Count {
    value: u64,
    intended_ns: u64,
}

fn application() -> Application {
    let app = Application::new("connector-count");
    let counts = app.table::<u64, u64>("counts");
    app.source("items", ItemCodec)
        .key_by(|item| item.key)
        .update(&counts, |count, item| {
            *count += 1;
            Count { value: item.value, intended_ns: item.intended_ns }
        })
        .sink("counts", Counts);
    app
}

struct Counts;

impl Encode for Counts {
    type Event = Count;

    fn encode(&self, count: View<'_, Count>, out: &mut Vec<u8>) {
        out.put_u64_le(count.value);
        out.put_u64_le(count.intended_ns);
    }
}

/// How often the sender looks what is due.
const TICK: Duration = Duration::from_millis(1);

/// How to read the figures.
const NOTES: [&str; 4] = [
    "connector: exactly once, with a checkpoint every 200 ms; tcp: at most once, without any",
    "events of 64 bytes, 64 in a message; results of 16; one core and its clients, normal priority",
    "events_per_second: at the receiver, from its first delivery to its last",
    "delay: from when an event was due, looked at each ms, to its delivery, with its checkpoint",
];
