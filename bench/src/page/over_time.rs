//! Latency and throughput over time, with the gaps at their foot.

use super::plot::{Axis, NARROW, Panel, Size, WIDE, drawing, label, mark, series_class};
use super::runs::{IntervalSummary, Line};

/// Drawings of one series in both sizes; nothing when its log is not there.
pub fn plot(line: &Line, name: &str) -> String {
    if line.moments.is_empty() {
        return String::new();
    }
    [WIDE, NARROW].map(|size| draw(line, name, size)).concat()
}

fn draw(line: &Line, name: &str, size: Size) -> String {
    let moments = &line.moments;
    let end = moments.last().map_or(0.0, |moment| moment.start + moment.length);
    let values = || moments.iter().filter(|moment| moment.count > 0).flat_map(|it| it.values);
    let low = values().min().unwrap_or(1) as f64;
    let high = values().max().unwrap_or(1) as f64;
    let height = size.height * 0.78;
    let mut panel = Panel::new(size, 0.0, height, Axis::seconds(end), Axis::durations(low, high));
    panel.axes("", "latency");
    pauses(&mut panel, moments);
    for &(at, _) in &line.marks {
        panel.foot(at, 0.06, "gap");
    }
    for (index, class) in [(2, "thin dashed"), (1, "thin"), (0, "")] {
        let class = format!("{} {class}", series_class(index));
        for run in joined(moments) {
            let points: Vec<_> = run.iter().flat_map(|it| steps(it, it.values[index])).collect();
            panel.line(points.into_iter(), class.trim_end());
            // One mark tells the lines apart where colours do not; more would hide them.
            let middle = &run[run.len() / 2];
            if middle.count > 0 {
                panel.mark(middle.start + middle.length / 2.0, middle.values[index] as f64, index);
            }
        }
    }
    let rates = throughput(line, size, height);
    let mut body = panel.finish();
    body += &rates;
    body += &legend(size);
    let title = format!("Latency and throughput of {name} over time");
    drawing(size, height + size.height * RATES_SHARE, &title, &body)
}

fn throughput(line: &Line, size: Size, top: f64) -> String {
    let moments = &line.moments;
    let end = moments.last().map_or(0.0, |moment| moment.start + moment.length);
    let rate = |moment: &IntervalSummary| moment.count as f64 / moment.length.max(1e-9);
    let high = moments.iter().map(rate).fold(1.0, f64::max);
    let height = size.height * RATES_SHARE;
    let mut panel = Panel::new(size, top, height, Axis::seconds(end), Axis::numbers(high * 1.05));
    panel.axes("recorded time; dotted: a pause", "events per second");
    pauses(&mut panel, moments);
    for run in joined(moments) {
        let ends = |it: &IntervalSummary| [(it.start, rate(it)), (it.start + it.length, rate(it))];
        let points: Vec<_> = run.iter().flat_map(ends).collect();
        panel.line(points.into_iter(), "s6");
    }
    panel.finish()
}

/// What the three lines are; the page says it again in words.
fn legend(size: Size) -> String {
    let names = ["p50", "p99.9", "max"];
    let place = |index: usize| size.width - 18.0 - 62.0 * (3 - index) as f64;
    let entry = |(index, name): (usize, &str)| {
        mark(place(index), 14.0, index) + &label(place(index) + 9.0, 18.0, "tick", name)
    };
    names.into_iter().enumerate().map(entry).collect()
}

fn pauses(panel: &mut Panel, moments: &[IntervalSummary]) {
    for moment in moments.iter().skip(1).filter(|moment| !moment.joined) {
        panel.rule(moment.start, "round");
    }
}

/// Both ends of an interval at one value; nothing for one without events.
fn steps(moment: &IntervalSummary, ns: u64) -> impl Iterator<Item = (f64, f64)> + use<> {
    let ends = [moment.start, moment.start + moment.length].map(|at| (at, ns as f64));
    ends.into_iter().filter({
        let events = moment.count > 0;
        move |_| events
    })
}

/// Intervals without a pause between them.
fn joined(moments: &[IntervalSummary]) -> impl Iterator<Item = &[IntervalSummary]> {
    moments.chunk_by(|_, next| next.joined)
}

/// Height of the panel of throughput, as a share of a whole drawing.
const RATES_SHARE: f64 = 0.42;
