//! `limits`: what the host itself can do. No engine is faster than this.
//!
//! Each probe runs once per round, like a contender, and proves that it did the work: bytes come
//! back as they were sent, sums are right, a chase ends where it must.

mod calls;
mod memory;
mod readings;
mod sockets;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};

use self::memory::{Block, PointerChase};
use self::readings::Readings;
use crate::pingpong;
use crate::place::Place;
use crate::report::Report;
use crate::rounds::{Contender, Series, alternate};

/// Runs all probes.
///
/// # Errors
/// The run was asked to end.
pub fn bench(report: &mut Report) -> Result<()> {
    NOTES.iter().for_each(|note| report.note(note));
    messages(report)?;
    calls(report)?;
    memory(report)
}

/// Round trips of 64 bytes over loopback TCP: the median is the first reading.
///
/// # Errors
/// There is no loopback, or bytes came back changed.
pub fn loopback(place: Place, slice: Duration) -> Result<Vec<(&'static str, f64)>> {
    sockets::tcp(place, slice)
}

/// The smallest messages there are, by three ways.
fn messages(report: &mut Report) -> Result<()> {
    let (place, slice) = (report.place(), report.scale().slice);
    let lines = move || {
        let latency = pingpong::run(place, slice)?;
        ensure!(latency.count() > 0, "no cache line came back");
        let (p50, p999) = (latency.quantile(0.5), latency.quantile(0.999));
        Ok(vec![("core_to_core_rtt_p50_ns", p50), ("core_to_core_rtt_p999_ns", p999)])
    };
    let contenders = vec![
        Contender::new("core to core", lines),
        Contender::new("tcp", move || sockets::tcp(place, slice)),
        Contender::new("udp", move || sockets::udp(place, slice)),
    ];
    let series = alternate(report, "round trips", contenders)?;
    tell(report, &series);
    Ok(())
}

/// What a program asks of the system all the time, and what the system takes without being asked.
fn calls(report: &mut Report) -> Result<()> {
    let (place, slice) = (report.place(), report.scale().slice);
    let contenders = vec![
        Contender::new("clock", move || calls::clock(place, slice)),
        Contender::new("syscall", move || calls::syscall(place, slice)),
        Contender::new("jitter", move || calls::jitter(place, slice)),
    ];
    let series = alternate(report, "clock, system calls, jitter", contenders)?;
    tell(report, &series);
    Ok(())
}

fn memory(report: &mut Report) -> Result<()> {
    let (place, slice, bytes) = (report.place(), report.scale().slice, report.scale().memory_bytes);
    let block = Block::new(bytes);
    // The largest as large as the block: beyond all caches that a core shares.
    let chases = [
        ("load_16k_ns", 16 << 10),
        ("load_512k_ns", 512 << 10),
        ("load_8m_ns", 8 << 20),
        ("load_memory_ns", bytes),
    ];
    let chases = chases.map(|(name, size)| (name, Arc::new(PointerChase::new(size.min(bytes)))));
    let mut contenders = vec![
        Contender::new("read", || memory::read(place, slice, &block)),
        Contender::new("read by both", || memory::read_by_both(place, slice, &block)),
        Contender::new("copy", move || memory::copy(place, slice, bytes)),
    ];
    for (name, chase) in chases {
        contenders.push(Contender::new(name, move || memory::chase(place, slice, name, &chase)));
    }
    let series = alternate(report, "memory", contenders)?;
    tell(report, &series);
    Ok(())
}

/// Median over the rounds of each reading.
fn tell(report: &mut Report, series: &Series<Readings>) {
    for probe in series.names() {
        let names: Vec<_> =
            series.typical(probe, |_| 0.0).iter().map(|reading| reading.0).collect();
        for (index, name) in names.into_iter().enumerate() {
            let value = series.median(probe, |readings| readings[index].1);
            report.figure(name, value, series.raw_rtt_ns(&[probe]));
        }
    }
}

/// How to read the figures.
const NOTES: [&str; 6] = [
    "core_to_core: one cache line there and one back, both sides spinning",
    "tcp, udp: 64 bytes over loopback there and back, both sides polling without sleep",
    "clock: what this program stamps with; clock_std: std::time::Instant; clock_step: its grain",
    "gap: time between two clock readings of a loop that does nothing else, on both CPUs at once",
    "read, copy: gigabytes per second of one core, of both for read_both; copied bytes count once",
    "load_*: one dependent load from a working set of that size, in pages as malloc gives them",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effort::Scale;
    use crate::place::Place;

    #[test]
    fn every_probe_proves_its_work_at_toy_size() {
        let mut report = Report::new("limits", Place::toy(), Scale::toy());
        bench(&mut report).unwrap();
        for name in ["tcp_rtt_p50_ns", "udp_rtt_p50_ns", "syscall_ns", "gap_worst_us"] {
            assert!(report.value(name).is_some_and(|value| value > 0.0), "{name} is missing");
        }
        assert_eq!(report.json()["failed"], serde_json::json!({}));
    }
}
