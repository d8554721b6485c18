//! `wire`: Market Spread over loopback TCP, the load on one core and the server on the other.
//!
//! Round trips are closed loop, one order under way. The server is another process in every case.

mod ask;
mod frames;
mod serve;
mod server;

use anyhow::Result;
use serde_json::json;

pub use self::serve::{Kind, serve};

use self::ask::Stream;
use self::server::Server;
use crate::place::Place;
use crate::recorder::Recorder;
use crate::report::Report;
use crate::rounds::{Contender, Scale, alternate};

/// Runs the round trips and the streams.
///
/// # Errors
/// A process could not be started, or bytes were lost or changed.
pub fn bench(place: Place, scale: Scale) -> Result<Report> {
    let mut report = Report::new("wire", place, scale);
    round_trips(&mut report, place, scale)?;
    for (suffix, send_bytes) in [("16k", 16 * 1024), ("64k", 64 * 1024)] {
        streams(&mut report, place, scale, suffix, send_bytes)?;
    }
    report.note("echo: orders of 57 bytes, answers of 59, one at a time, both sides polling");
    report.note("recv: quotes of 46 bytes, whole ones per send, a receiver that only counts bytes");
    Ok(report)
}

fn round_trips(report: &mut Report, place: Place, scale: Scale) -> Result<()> {
    eprintln!("orders one at a time");
    let series = alternate(place, scale, vec![Contender::new("echo", || echo(place, scale))])?;
    for &name in series.names() {
        let p50 = |latency: &Recorder| latency.quantile(0.5);
        let raw = series.raw_rtt_ns(&[name]);
        report.figure(format!("{name}_p50_ns"), series.median(name, p50), raw);
        report.detail(name, series.typical(name, p50).summary());
    }
    Ok(())
}

fn echo(place: Place, scale: Scale) -> Result<Recorder> {
    let server = Server::start(Kind::Echo, place)?;
    let latency = ask::round_trips(place, scale.slice, server.address())?;
    server.finish()?;
    Ok(latency)
}

fn streams(
    report: &mut Report,
    place: Place,
    scale: Scale,
    suffix: &str,
    send_bytes: usize,
) -> Result<()> {
    eprintln!("quotes in sends of {send_bytes} bytes");
    let receive = Contender::new("recv", || receive(place, scale, send_bytes));
    let series = alternate(place, scale, vec![receive])?;
    for &name in series.names() {
        let rate = series.median(name, Stream::events_per_second);
        let raw = series.raw_rtt_ns(&[name]);
        report.figure(format!("{name}_events_per_second_{suffix}"), rate, raw);
        let typical = series.typical(name, Stream::events_per_second);
        report.detail(format!("{name}_{suffix}"), json!({ "events": typical.events }));
    }
    Ok(())
}

fn receive(place: Place, scale: Scale, send_bytes: usize) -> Result<Stream> {
    let server = Server::start(Kind::Receive, place)?;
    let stream = ask::stream(place, scale.slice, server.address(), send_bytes)?;
    server.finish()?;
    Ok(stream)
}
