//! `hop`: 64-byte frames between two cores, without anything done to them.
//!
//! Round trips are closed loop, one frame under way; throughput goes one direction and publishes
//! once per 64 frames. Every frame is written whole and summed up by the other side.

mod outcome;
mod trips;

mod disruptor;
mod ring;
mod rtrb;

use anyhow::Result;
use serde_json::json;

use self::outcome::{Flow, Trips, sum_below};
use crate::pairs::{Contest, Entrant, Paired, alternate, probe as probes};
use crate::pingpong;
use crate::report::{Goal, Report};
use crate::track::Track;

/// Runs both parts.
///
/// # Errors
/// Frames arrived changed, twice or not at all.
pub fn bench(report: &mut Report) -> Result<()> {
    (0..2).for_each(|_| report.budget().expect(NEED));
    round_trips(report)?;
    throughput(report)?;
    report.note("one clock reading (about 10 ns) is inside each round trip of every contender");
    report.note("frames have 64 bytes; throughput publishes per 64 frames on both sides");
    Ok(())
}

fn round_trips(report: &mut Report) -> Result<()> {
    let (place, slice) = (report.place(), report.scale().window);
    let raw = move || {
        let latency = pingpong::run(place, slice)?;
        let sum = sum_below(latency.count());
        Ok(Trips { latency, sum })
    };
    let contenders = vec![
        Entrant::of_window("raw", raw),
        Entrant::of_window("ring", move || ring::round_trips(place, slice)?.verified()),
        Entrant::of_window("rtrb", move || rtrb::round_trips(place, slice)?.verified()),
        Entrant::of_window("disruptor", move || disruptor::round_trips(place, slice)?.verified()),
    ];
    let contest = Contest {
        what: "round trips of 64-byte frames",
        probe: &probe(report),
        ratios: &[["ring", "raw"]],
        need: NEED,
    };
    let series = alternate(report, &contest, contenders)?;
    report_round_trips(report, &series);
    Ok(())
}

/// The CPUs between two windows.
fn probe(report: &Report) -> impl Fn() -> Result<Vec<f64>> + use<> {
    let (place, length) = (report.place(), report.scale().probe);
    move || probes::of_cores(place, length)
}

/// Both parts need the same time.
const NEED: f64 = 1.0;
/// Figures by class have the raw round trip of their class beside them.
const NONE: f64 = 0.0;

fn report_round_trips(report: &mut Report, series: &Paired<Trips>) {
    let ratio = series.ratio("ring", "raw", Trips::p50_ns);
    report.goal("ring_over_raw_p50", ratio, NONE, Goal::AtMost(1.15));
    for peer in ["rtrb", "disruptor"] {
        let ratio = series.ratio(peer, "raw", Trips::p50_ns);
        report.figure(format!("{peer}_over_raw_p50"), ratio, NONE);
    }
    for name in series.names() {
        let p50 = series.median(name, Trips::p50_ns);
        report.figure(format!("{name}_rtt_p50_ns"), p50, NONE);
        let typical = series.typical(name, Trips::p50_ns);
        report.detail(format!("{name}_rtt_ns"), typical.latency.all().summary());
        report.track(Track::closed(name, series.takes(name, |trips| &trips.latency)));
        report.checksum(name, typical.sum);
    }
}

fn throughput(report: &mut Report) -> Result<()> {
    let (place, slice) = (report.place(), report.scale().window);
    let contenders = vec![
        Entrant::of_window("ring", move || ring::throughput(place, slice)?.verified()),
        Entrant::of_window("rtrb", move || rtrb::throughput(place, slice)?.verified()),
        Entrant::of_window("disruptor", move || disruptor::throughput(place, slice)?.verified()),
    ];
    let contest = Contest {
        what: "throughput of 64-byte frames in one direction",
        probe: &probe(report),
        ratios: &[["ring", "rtrb"]],
        need: NEED,
    };
    let series = alternate(report, &contest, contenders)?;
    let ratio = series.ratio("ring", "rtrb", Flow::frames_per_second);
    report.goal("ring_over_rtrb_throughput", ratio, NONE, Goal::AtLeast(1.0));
    let ratio = series.ratio("ring", "disruptor", Flow::frames_per_second);
    report.figure("ring_over_disruptor_throughput", ratio, NONE);
    for name in series.names() {
        let rate = series.median(name, Flow::frames_per_second);
        report.figure(format!("{name}_frames_per_second"), rate, NONE);
        let typical = series.typical(name, Flow::frames_per_second);
        let detail = json!({ "frames": typical.frames, "checksum": typical.sum });
        report.detail(format!("{name}_throughput"), detail);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effort::Scale;
    use crate::place::Place;

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
