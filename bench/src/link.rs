//! `link`: events of 64 bytes over loopback TCP, as nodes of one application pass them on and admit
//! them, beside the same 64 bytes on a bare connection.
//!
//! Round trips are closed loop, one event under way. What an event costs both CPUs is measured with
//! a fixed number of events per system call, each batch taken before the next one is sent. Turns
//! in which nothing comes are not counted.

mod crossing;
mod ends;
#[cfg(feature = "tls")]
mod secure;
mod trips;

use anyhow::Result;
#[cfg(feature = "tls")]
use potoroo::cluster::tls::TlsPort;
use potoroo_runtime::Connection;

use self::crossing::Crossing;
use self::ends::{BareEnd, LinkEnd};
use crate::pairs::{Contest, Entrant, alternate, probe as probes};
use crate::report::{Goal, Report};
use crate::take::Take;
use crate::track::Track;

/// Runs both parts.
///
/// # Errors
/// There is no loopback, or events arrived changed, twice or not at all.
pub fn bench(report: &mut Report) -> Result<()> {
    (0..=BATCHES.len()).for_each(|_| report.budget().expect(NEED));
    round_trips(report)?;
    BATCHES.iter().try_for_each(|batch| crossings(report, batch))?;
    report.note("events have 64 bytes; plain TCP has no headers, no credit, no lanes, no checks");
    report.note("crossing: CPU time of both sides per event, without turns in which nothing came");
    Ok(())
}

/// A link in the clear.
type Link = LinkEnd<Connection>;

/// A link that is encrypted, in a build with the feature `tls`.
const TLS: &str = "link_tls";
const HAS_TLS: bool = cfg!(feature = "tls");
const RATIOS: &[[&str; 2]] =
    if HAS_TLS { &[["link", "tcp"], [TLS, "link"]] } else { &[["link", "tcp"]] };

/// All series need the same time.
const NEED: f64 = 1.0;
/// Figures by class have the raw round trip of their class beside them.
const NONE: f64 = 0.0;

fn round_trips(report: &mut Report) -> Result<()> {
    let (place, slice) = (report.place(), report.scale().window);
    let contenders = vec![
        Entrant::of_window("link", move || trips::round_trips::<Link>(place, slice)),
        Entrant::of_window("tcp", move || trips::round_trips::<BareEnd>(place, slice)),
        #[cfg(feature = "tls")]
        Entrant::of_window(TLS, move || trips::round_trips::<LinkEnd<TlsPort>>(place, slice)),
    ];
    let contest =
        Contest { what: "events one at a time", probe: &probe(report), ratios: RATIOS, need: NEED };
    let series = alternate(report, &contest, contenders)?;
    let p50 = |latency: &Take| latency.quantile(0.5);
    report.goal("link_over_tcp_p50", series.ratio("link", "tcp", p50), NONE, Goal::AtMost(1.25));
    if HAS_TLS {
        report.figure("link_tls_over_link_p50", series.ratio(TLS, "link", p50), NONE);
    }
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

/// Events that are handed to the system at once.
struct Batch {
    events: u64,
    /// Nanoseconds that an event may cost both sides.
    goal: Option<f64>,
}

const BATCHES: [Batch; 5] = [
    Batch { events: 1, goal: None },
    Batch { events: 4, goal: None },
    Batch { events: 16, goal: None },
    Batch { events: 64, goal: Some(250.0) },
    Batch { events: 256, goal: Some(120.0) },
];

fn crossings(report: &mut Report, batch: &Batch) -> Result<()> {
    let (place, slice, events) = (report.place(), report.scale().window, batch.events);
    let contenders = vec![
        Entrant::of_window("link", move || crossing::cross::<Link>(place, slice, events)),
        Entrant::of_window("tcp", move || crossing::cross::<BareEnd>(place, slice, events)),
        #[cfg(feature = "tls")]
        Entrant::of_window(TLS, move || crossing::cross::<LinkEnd<TlsPort>>(place, slice, events)),
    ];
    let contest = Contest {
        what: &format!("{events} events per send"),
        probe: &probe(report),
        ratios: RATIOS,
        need: NEED,
    };
    let series = alternate(report, &contest, contenders)?;
    let cost = series.median("link", Crossing::ns_per_event);
    let name = format!("crossing_ns_{events}");
    match batch.goal {
        Some(goal) => report.goal(name, cost, NONE, Goal::AtMost(goal)),
        None => report.figure(name, cost, NONE),
    }
    let ratio = series.ratio("link", "tcp", Crossing::ns_per_event);
    report.figure(format!("crossing_over_tcp_{events}"), ratio, NONE);
    if HAS_TLS {
        let cost = series.median(TLS, Crossing::ns_per_event);
        report.figure(format!("crossing_ns_{events}_tls"), cost, NONE);
        let ratio = series.ratio(TLS, "link", Crossing::ns_per_event);
        report.figure(format!("crossing_tls_over_link_{events}"), ratio, NONE);
    }
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
        assert!(report.value("link_over_tcp_p50").is_some());
        assert!(report.value("crossing_ns_64").is_some());
        assert_eq!(report.value("crossing_ns_64_tls").is_some(), HAS_TLS);
        assert_eq!(report.value("link_tls_over_link_p50").is_some(), HAS_TLS);
    }
}
