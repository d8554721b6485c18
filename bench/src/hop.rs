//! `hop`: 64-byte frames between two cores, without anything done to them.
//!
//! Round trips are closed loop, one frame under way; throughput goes one direction and publishes
//! once per 64 frames. Every frame is written whole and summed up by the other side.

mod trips;

mod disruptor;
mod ring;
mod rtrb;

use anyhow::{Result, ensure};
use serde_json::json;

use crate::pingpong;
use crate::report::{Goal, Report};
use crate::rounds::{Contender, Series, alternate};
use crate::take::Take;
use crate::track::Track;

/// Runs both parts.
///
/// # Errors
/// Frames arrived changed, twice or not at all.
pub fn bench(report: &mut Report) -> Result<()> {
    round_trips(report)?;
    throughput(report)?;
    report.note("one clock reading (about 10 ns) is inside each round trip of every contender");
    report.note("frames have 64 bytes; throughput publishes per 64 frames on both sides");
    Ok(())
}

/// What a round-trip contender saw.
#[derive(Debug)]
pub struct Trips {
    /// Time from one answer to the next.
    pub latency: Take,
    /// Sum of the answered sequence numbers.
    pub sum: u64,
}

impl Trips {
    fn p50_ns(&self) -> f64 {
        self.latency.quantile(0.5)
    }

    fn verified(self) -> Result<Self> {
        ensure!(self.latency.count() > 0, "no round trip was made");
        ensure!(self.sum == sum_below(self.latency.count()), "answers do not match the questions");
        Ok(self)
    }
}

/// What a throughput contender received.
#[derive(Debug)]
pub struct Flow {
    /// Frames received.
    pub frames: u64,
    /// Time until the last one.
    pub nanos: u64,
    /// Sum of their sequence numbers.
    pub sum: u64,
}

impl Flow {
    fn frames_per_second(&self) -> f64 {
        self.frames as f64 * 1e9 / self.nanos as f64
    }

    fn verified(self) -> Result<Self> {
        ensure!(self.frames > 0, "no frame came through");
        ensure!(self.sum == sum_below(self.frames), "frames were lost, doubled or changed");
        Ok(self)
    }
}

fn round_trips(report: &mut Report) -> Result<()> {
    let (place, slice) = (report.place(), report.scale().slice);
    let raw = move || {
        let latency = pingpong::run(place, slice);
        let sum = sum_below(latency.count());
        Ok(Trips { latency, sum })
    };
    let contenders = vec![
        Contender::new("raw", raw),
        Contender::new("ring", move || ring::round_trips(place, slice).verified()),
        Contender::new("rtrb", move || rtrb::round_trips(place, slice).verified()),
        Contender::new("disruptor", move || disruptor::round_trips(place, slice).verified()),
    ];
    let series = alternate(report, "round trips of 64-byte frames", contenders)?;
    report_round_trips(report, &series);
    Ok(())
}

fn report_round_trips(report: &mut Report, series: &Series<Trips>) {
    let raw = series.raw_rtt_ns(&["raw", "ring"]);
    let ratio = series.ratio("ring", "raw", Trips::p50_ns);
    report.goal("ring_over_raw_p50", ratio, raw, Goal::AtMost(1.15));
    for peer in ["rtrb", "disruptor"] {
        let ratio = series.ratio(peer, "raw", Trips::p50_ns);
        report.figure(format!("{peer}_over_raw_p50"), ratio, series.raw_rtt_ns(&["raw", peer]));
    }
    for name in series.names() {
        let p50 = series.median(name, Trips::p50_ns);
        report.figure(format!("{name}_rtt_p50_ns"), p50, series.raw_rtt_ns(&[name]));
        let typical = series.typical(name, Trips::p50_ns);
        report.detail(format!("{name}_rtt_ns"), typical.latency.all().summary());
        report.track(Track::closed(name, series.takes(name, |trips| &trips.latency)));
        report.checksum(name, typical.sum);
    }
}

fn throughput(report: &mut Report) -> Result<()> {
    let (place, slice) = (report.place(), report.scale().slice);
    let contenders = vec![
        Contender::new("ring", move || ring::throughput(place, slice).verified()),
        Contender::new("rtrb", move || rtrb::throughput(place, slice).verified()),
        Contender::new("disruptor", move || disruptor::throughput(place, slice).verified()),
    ];
    let series = alternate(report, "throughput of 64-byte frames in one direction", contenders)?;
    let ratio = series.ratio("ring", "rtrb", Flow::frames_per_second);
    let raw = series.raw_rtt_ns(&["ring", "rtrb"]);
    report.goal("ring_over_rtrb_throughput", ratio, raw, Goal::AtLeast(1.0));
    let ratio = series.ratio("ring", "disruptor", Flow::frames_per_second);
    let raw = series.raw_rtt_ns(&["ring", "disruptor"]);
    report.figure("ring_over_disruptor_throughput", ratio, raw);
    for name in series.names() {
        let rate = series.median(name, Flow::frames_per_second);
        report.figure(format!("{name}_frames_per_second"), rate, series.raw_rtt_ns(&[name]));
        let typical = series.typical(name, Flow::frames_per_second);
        let detail = json!({ "frames": typical.frames, "checksum": typical.sum });
        report.detail(format!("{name}_throughput"), detail);
    }
    Ok(())
}

/// 0 + 1 + … + (count − 1), wrapping like the sums that it is compared with.
fn sum_below(count: u64) -> u64 {
    let count = u128::from(count);
    (count * count.saturating_sub(1) / 2) as u64
}

/// Bytes of a frame, length word included.
const FRAME_BYTES: usize = 64;
/// Frames per publication.
const BATCH_FRAMES: u64 = 64;
/// 256 KiB on both sides.
const CAPACITY_FRAMES: usize = 4096;
/// Ends a slice; no sequence number gets there.
const END: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Place;
    use crate::rounds::Scale;

    #[test]
    fn every_contender_proves_its_checksum_at_toy_size() {
        let mut report = Report::new("hop", Place::toy(), Scale::toy());
        bench(&mut report).unwrap();
        assert!(report.value("ring_over_raw_p50").is_some());
        assert!(report.value("ring_over_rtrb_throughput").is_some());
    }

    #[test]
    fn lost_frames_are_an_error() {
        assert!(Flow { frames: 3, nanos: 1, sum: 3 }.verified().is_ok());
        assert!(Flow { frames: 3, nanos: 1, sum: 4 }.verified().is_err());
    }
}
