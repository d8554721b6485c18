//! `link`: 64-byte frames over loopback TCP, as servers of one application pass them on, beside the
//! same bytes on a bare connection.
//!
//! Round trips are closed loop, one frame under way. What a frame costs both CPUs is measured with
//! a fixed number of frames per system call, each batch taken before the next one is sent. Turns
//! in which nothing comes are not counted.

mod crossing;
mod ends;
mod trips;

use anyhow::Result;

use self::crossing::Crossing;
use self::ends::{BareEnd, LinkEnd};
use crate::pairs::{Contest, Entrant, alternate, probe as probes};
use crate::report::{Goal, Report};
use crate::take::Take;
use crate::track::Track;

/// Runs both parts.
///
/// # Errors
/// There is no loopback, or frames arrived changed, twice or not at all.
pub fn bench(report: &mut Report) -> Result<()> {
    (0..=BATCHES.len()).for_each(|_| report.budget().expect(NEED));
    round_trips(report)?;
    BATCHES.iter().try_for_each(|batch| crossings(report, batch))?;
    report.note("frames have 64 bytes; a bare connection has no records, no credit and no lanes");
    report.note("crossing: CPU time of both sides per frame, without turns in which nothing came");
    Ok(())
}

/// All series need the same time.
const NEED: f64 = 1.0;
/// Figures by class have the raw round trip of their class beside them.
const NONE: f64 = 0.0;

fn round_trips(report: &mut Report) -> Result<()> {
    let (place, slice) = (report.place(), report.scale().window);
    let contenders = vec![
        Entrant::of_window("link", move || trips::round_trips::<LinkEnd>(place, slice)),
        Entrant::of_window("bare", move || trips::round_trips::<BareEnd>(place, slice)),
    ];
    let contest = Contest {
        what: "frames one at a time",
        probe: &probe(report),
        ratios: &[["link", "bare"]],
        need: NEED,
    };
    let series = alternate(report, &contest, contenders)?;
    let p50 = |latency: &Take| latency.quantile(0.5);
    report.goal("link_over_bare_p50", series.ratio("link", "bare", p50), NONE, Goal::AtMost(1.2));
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

/// Frames that are handed to the system at once.
struct Batch {
    frames: u64,
    /// Nanoseconds that a frame may cost both sides.
    goal: Option<f64>,
}

const BATCHES: [Batch; 5] = [
    Batch { frames: 1, goal: None },
    Batch { frames: 4, goal: None },
    Batch { frames: 16, goal: None },
    Batch { frames: 64, goal: Some(200.0) },
    Batch { frames: 256, goal: Some(90.0) },
];

fn crossings(report: &mut Report, batch: &Batch) -> Result<()> {
    let (place, slice, frames) = (report.place(), report.scale().window, batch.frames);
    let contenders = vec![
        Entrant::of_window("link", move || crossing::cross::<LinkEnd>(place, slice, frames)),
        Entrant::of_window("bare", move || crossing::cross::<BareEnd>(place, slice, frames)),
    ];
    let contest = Contest {
        what: &format!("{frames} frames per send"),
        probe: &probe(report),
        ratios: &[["link", "bare"]],
        need: NEED,
    };
    let series = alternate(report, &contest, contenders)?;
    let cost = series.median("link", Crossing::ns_per_frame);
    let name = format!("crossing_{frames}_ns");
    match batch.goal {
        Some(goal) => report.goal(name, cost, NONE, Goal::AtMost(goal)),
        None => report.figure(name, cost, NONE),
    }
    let ratio = series.ratio("link", "bare", Crossing::ns_per_frame);
    report.figure(format!("crossing_{frames}_over_bare"), ratio, NONE);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effort::Scale;
    use crate::place::Place;

    #[test]
    fn every_frame_arrives_at_toy_size() {
        let mut report = Report::new("link", Place::toy(), Scale::toy());
        bench(&mut report).unwrap();
        assert!(report.value("link_over_bare_p50").is_some());
        assert!(report.value("crossing_64_ns").is_some());
    }
}
