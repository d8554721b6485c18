//! The percentile plot: latency over the number of nines, all runs of a group in one drawing.

use super::plot::{Axis, NARROW, Panel, Size, WIDE, drawing, label, mark, series_class};
use super::runs::{Distribution, Group, Line, Runs};

/// The plot for a page, in both sizes.
pub fn plot(runs: &Runs, group: &Group) -> String {
    [WIDE, NARROW].map(|size| draw(runs, group, size, "")).concat()
}

/// The plot as a file of its own, with its legend inside.
pub fn alone(runs: &Runs, group: &Group) -> String {
    let mut legend = label(20.0, 24.0, "title", &group.title);
    for (index, &line) in group.lines.iter().enumerate() {
        let y = WIDE.height + 22.0 + 20.0 * index as f64;
        legend += &mark(24.0, y - 4.0, index);
        legend += &label(38.0, y, "tick", &runs.name(group, line));
    }
    let y = WIDE.height + 22.0 + 20.0 * group.lines.len() as f64;
    legend += &label(20.0, y, "tick", LEGEND);
    let style = format!("<style>{}</style>", include_str!("plot.css"));
    let background = "<rect class=\"paper\" width=\"100%\" height=\"100%\"/>";
    draw(runs, group, WIDE, &format!("{style}{background}{legend}"))
}

/// What the two kinds of lines mean.
pub const LEGEND: &str =
    "solid: the tail as it was · dashed: the same without events that a gap touched";

fn draw(runs: &Runs, group: &Group, size: Size, before: &str) -> String {
    let lines: Vec<&Line> = group.lines.iter().map(|&line| &runs.lines[line]).collect();
    let views = lines.iter().flat_map(|line| [Some(&line.all), line.outside.as_ref()]).flatten();
    let views: Vec<&Distribution> = views.filter(|view| view.percentiles.count > 0).collect();
    let values = || views.iter().flat_map(|view| view.curve.iter().map(|&(_, ns)| ns as f64));
    let low = values().fold(f64::INFINITY, f64::min);
    let (low, high) = (low.min(1e9), values().fold(1.0, f64::max));
    let count = views.iter().map(|view| view.percentiles.count).max().unwrap_or(0);
    let (x, y) = (Axis::nines(count), Axis::durations(low, high));
    // A file has a heading and a legend that the page has outside of the drawing.
    let (top, extra) = match before {
        "" => (0.0, 0.0),
        _ => (24.0, 20.0 * group.lines.len() as f64 + 34.0),
    };
    let mut panel = Panel::new(size, top, size.height - top, x, y);
    panel.axes("percentile, by its number of nines", "latency");
    for (index, line) in lines.iter().enumerate() {
        line_of(&mut panel, &line.all, index, "");
        if let Some(outside) = &line.outside {
            line_of(&mut panel, outside, index, "dashed");
        }
        marks_of(&mut panel, &line.all, index);
    }
    let body = format!("{before}{}", panel.finish());
    drawing(size, size.height + extra, &format!("Percentiles of {}", group.title), &body)
}

fn line_of(panel: &mut Panel, view: &Distribution, series: usize, kind: &str) {
    let class = format!("{} {kind}", series_class(series));
    let points: Vec<_> = points(view).collect();
    panel.line(points.into_iter(), class.trim_end());
}

/// Marks at the nines, where people read values off.
fn marks_of(panel: &mut Panel, view: &Distribution, series: usize) {
    let usual = view.percentiles;
    let values = [usual.p50, usual.p90, usual.p99, usual.p999, usual.p9999];
    let places = [0.5f64.log10().abs(), 1.0, 2.0, 3.0, 4.0];
    let high = (usual.count.max(1) as f64).log10();
    for (place, value) in places.into_iter().zip(values).filter(|(place, _)| *place <= high) {
        panel.mark(place, value as f64, series);
    }
}

/// The curve by nines; the maximum stands where one event in all would.
fn points(view: &Distribution) -> impl Iterator<Item = (f64, f64)> + '_ {
    let high = (view.percentiles.count.max(1) as f64).log10();
    let events = view.percentiles.count > 0;
    let points = view.curve.iter().filter(move |_| events);
    points.map(move |&(quantile, ns)| ((1.0 - quantile).log10().abs().min(high), ns as f64))
}
