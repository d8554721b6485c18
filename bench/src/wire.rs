//! `wire`: Market Spread over loopback TCP, the load on one core and the server on the other.
//!
//! Round trips are closed loop, one order under way. The server is another process in every case.

pub mod ask;
pub mod frames;
pub mod market;
mod serve;
mod server;

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

pub use self::serve::{Kind, serve};

use self::ask::ReceivedQuotes;
use self::market::Market;
use self::server::Server;
use crate::pairs::{Contest, Entrant, alternate, probe as probes};
use crate::place::{Chase, Place};
use crate::report::{Goal, Report};
use crate::take::Take;
use crate::track::Track;

/// Runs the round trips and the streams.
///
/// # Errors
/// A process could not be started, or bytes were lost or changed.
pub fn bench(report: &mut Report) -> Result<()> {
    NOTES.iter().for_each(|note| report.note(note));
    let program = market::program()?;
    (0..=STREAM_CASES.len()).for_each(|_| report.budget().expect(NEED));
    let site = Site { place: report.place(), slice: report.scale().window, program: &program };
    round_trips(report, site)?;
    STREAM_CASES.iter().try_for_each(|case| streams(report, site, case))
}

/// Where and how long contenders run, and what the engine's one is.
#[derive(Clone, Copy)]
struct Site<'a> {
    place: Place,
    slice: Duration,
    program: &'a Path,
}

/// One size of sends.
struct StreamCase {
    suffix: &'static str,
    send_bytes: usize,
    over_recv_min: f64,
    /// Events per second that the engine should reach with this size.
    rate_min: Option<f64>,
}

const STREAM_CASES: [StreamCase; 2] = [
    StreamCase { suffix: "16k", send_bytes: 16 * 1024, over_recv_min: 0.8, rate_min: None },
    StreamCase { suffix: "64k", send_bytes: 64 * 1024, over_recv_min: 0.4, rate_min: Some(20e6) },
];

fn round_trips(report: &mut Report, site: Site<'_>) -> Result<()> {
    let contenders = vec![
        Entrant::of_window("engine", || answer(site)),
        Entrant::of_window("echo", || echo(site)),
    ];
    let contest = Contest {
        what: "orders one at a time",
        probe: &probe(report),
        ratios: &[["engine", "echo"]],
        need: NEED,
    };
    let series = alternate(report, &contest, contenders)?;
    let p50 = |latency: &Take| latency.quantile(0.5);
    let ratio = series.ratio("engine", "echo", p50);
    report.goal("wire_over_echo_p50", ratio, NONE, Goal::AtMost(1.1));
    let ratio = series.ratio("engine", "echo", |latency| latency.quantile(0.99));
    report.goal("wire_over_echo_p99", ratio, NONE, Goal::AtMost(1.2));
    for name in series.names() {
        report.figure(format!("{name}_p50_ns"), series.median(name, p50), NONE);
        report.detail(name, series.typical(name, p50).all().summary());
        report.track(Track::closed(name, series.takes(name, |take| take)));
    }
    Ok(())
}

/// Loopback between two windows: it moves with the CPUs and with the kernel below them.
fn probe(report: &Report) -> impl Fn() -> Result<Vec<f64>> + use<> {
    let (place, length) = (report.place(), report.scale().probe);
    move || probes::of_loopback(place, length)
}

/// All series need the same time.
const NEED: f64 = 1.0;
/// Figures by class have the raw round trip of their class beside them.
const NONE: f64 = 0.0;

fn answer(site: Site<'_>) -> Result<Take> {
    let market = Market::start(site.program, site.place, 1)?;
    // It ends when both of its sources have had their connection.
    let quotes = ask::connect(market.quotes())?;
    let chase = Chase::start(site.place, market.process())?;
    let trips = ask::round_trips(site.place, site.slice, market.orders())?;
    let gaps = market.gaps();
    drop((chase, quotes));
    let end = market.finish()?;
    let latency = trips.take(gaps?);
    ensure!(end.orders >= latency.count(), "there are more answers than orders");
    ensure!(end.refused == 0, "{} orders were not understood", end.refused);
    Ok(latency)
}

fn echo(site: Site<'_>) -> Result<Take> {
    let server = Server::start(Kind::Echo, site.place)?;
    let trips = ask::round_trips(site.place, site.slice, server.address())?;
    Ok(trips.take(server.finish()?))
}

fn streams(report: &mut Report, site: Site<'_>, case: &StreamCase) -> Result<()> {
    let suffix = case.suffix;
    let contenders = vec![
        Entrant::of_window("engine", || follow(site, case.send_bytes)),
        Entrant::of_window("recv", || receive(site, case.send_bytes)),
    ];
    let contest = Contest {
        what: &format!("quotes in sends of {} bytes", case.send_bytes),
        probe: &probe(report),
        ratios: &[["engine", "recv"]],
        need: NEED,
    };
    let series = alternate(report, &contest, contenders)?;
    let ratio = series.ratio("engine", "recv", ReceivedQuotes::events_per_second);
    report.goal(
        format!("events_over_recv_{suffix}"),
        ratio,
        NONE,
        Goal::AtLeast(case.over_recv_min),
    );
    if let Some(rate_min) = case.rate_min {
        let rate = series.median("engine", ReceivedQuotes::events_per_second);
        report.goal("events_per_second", rate, NONE, Goal::AtLeast(rate_min));
    }
    for name in series.names() {
        let rate = series.median(name, ReceivedQuotes::events_per_second);
        report.figure(format!("{name}_events_per_second_{suffix}"), rate, NONE);
        let typical = series.typical(name, ReceivedQuotes::events_per_second);
        report.detail(format!("{name}_{suffix}"), json!({ "events": typical.events }));
    }
    Ok(())
}

fn follow(site: Site<'_>, send_bytes: usize) -> Result<ReceivedQuotes> {
    stream_quotes(site.place, site.slice, site.program, send_bytes, 1)
}

/// Quotes as fast as Market Spread takes them, over connections that take turns.
///
/// # Errors
/// The application cannot be started, or lost quotes.
pub fn stream_quotes(
    place: Place,
    slice: Duration,
    program: &Path,
    send_bytes: usize,
    connections: usize,
) -> Result<ReceivedQuotes> {
    let market = Market::start(program, place, connections)?;
    ask::market_stream(place, slice, market, send_bytes, connections)
}

fn receive(site: Site<'_>, send_bytes: usize) -> Result<ReceivedQuotes> {
    let server = Server::start(Kind::Receive, site.place)?;
    let stream = ask::stream(site.place, site.slice, server.address(), send_bytes)?;
    server.finish()?;
    Ok(stream)
}

/// How to read the figures.
const NOTES: [&str; 4] = [
    "engine: the example market_spread as a process of its own on one core, answers to each order",
    "echo: orders of 57 bytes, answers of 59, one at a time, both sides polling",
    "recv: quotes of 46 bytes, whole ones per send, a receiver that only counts bytes",
    "events_per_second: quotes in sends of 64 KiB, counted by the engine itself during the stream",
];
