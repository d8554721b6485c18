//! The applications of windows, and the function from a time to its windows.

use potoroo_sdk::prelude::*;
use potoroo_sdk::windows::WindowKind;
use serde_json::{Value as Json, json};

use super::{Arrival, ArrivalView, Shown, duration, nanos, source, text};

/// Values of a window, in order of arrival.
#[state]
pub struct Values(Vec<String>);

impl Merge for Values {
    fn merge(&mut self, later: &Self) {
        self.0.extend(later.0.iter().cloned());
    }
}

impl Values {
    fn add(&mut self, arrival: ArrivalView<'_>) {
        self.0.push(arrival.value.to_owned());
    }

    fn json(&self) -> String {
        format!("\"values\":[{}],\"firing\":", self.0.join(","))
    }
}

fn firing<K>(window: &Window<'_, K>) -> &'static str {
    match window.firing() {
        Firing::Early => "\"early\"",
        Firing::Closed => "\"closed\"",
        Firing::Late => "\"late\"",
    }
}

/// The bounds of a window.
fn bounds<K>(window: &Window<'_, K>) -> String {
    format!("\"start\":{},\"end\":{}", window.start().nanos(), window.end().nanos())
}

fn has(case: &Json, parameter: &str) -> bool {
    !case["parameters"][parameter].is_null()
}

pub fn tumbling_windows(app: &Application, case: &Json) {
    shown(app, case, tumbling(duration(case, "size")).offset(or_zero(case, "offset")));
}

pub fn sliding_windows(app: &Application, case: &Json) {
    let kind = sliding(duration(case, "size"), duration(case, "slide"));
    shown(app, case, kind.offset(or_zero(case, "offset")));
}

pub fn session_windows(app: &Application, case: &Json) {
    shown(app, case, sessions(duration(case, "gap")));
}

fn or_zero(case: &Json, parameter: &str) -> Duration {
    if has(case, parameter) { duration(case, parameter) } else { Duration::ZERO }
}

/// Windows of a kind with what the case says of them.
fn windows(
    app: &Application,
    case: &Json,
    kind: impl WindowKind<Values>,
) -> Windows<String, Values> {
    let mut windows = app.windows("rows", kind).wait(or_zero(case, "wait"));
    if has(case, "early") {
        windows = windows.early(duration(case, "early"));
    }
    match case["parameters"]["late"].as_str() {
        Some("fire") => windows.late(Late::Fire),
        Some("oldest") => windows.late(Late::Oldest),
        _ => windows,
    }
}

fn arrivals(app: &Application, case: &Json) -> Keyed<Arrival, String> {
    source(app, case, "in").key_by(|arrival| arrival.key.to_owned())
}

fn shown(app: &Application, case: &Json, kind: impl WindowKind<Values>) {
    let windows = windows(app, case, kind);
    let windowed = arrivals(app, case).window(&windows, |values, arrival| values.add(arrival));
    let shown = windows.closed(|values, window| {
        let inside = format!("{},{}{}", bounds(window), values.json(), firing(window));
        Shown::new(window.key(), inside)
    });
    match case["parameters"]["late"].as_str() {
        Some("side") => {
            let late = windowed.late();
            let late =
                late.map(|arrival| Shown::new(arrival.key, format!("\"late\":{}", arrival.value)));
            Shown::show(app, &late.merge(&shown).key_by(|shown| shown.key.to_owned()));
        }
        _ => Shown::show(app, &shown),
    }
}

pub fn counted_windows(app: &Application, case: &Json) {
    let count = case["parameters"]["count"].as_u64().expect("a number of events");
    let kind = match has(case, "timeout") {
        true => counted(count).or_after(duration(case, "timeout")),
        false => counted(count),
    };
    let windows = windows(app, case, kind);
    arrivals(app, case).window(&windows, |values, arrival| values.add(arrival));
    let shown = windows.closed(|values, window| {
        Shown::new(window.key(), format!("{}{}", values.json(), firing(window)))
    });
    Shown::show(app, &shown);
}

/// The greatest sums of each window: windows of windows.
pub fn chain(app: &Application, case: &Json) {
    let (first, second) = (&case["parameters"]["first"], &case["parameters"]["second"]);
    assert_eq!(text(&first["construct"]), "tumbling");
    let size = |of: &Json| Duration::from_nanos(nanos(&of["size"]).unsigned_abs());
    let limit = second["top"].as_u64().expect("how many are the greatest") as usize;
    let sums = app.windows::<String, i64>("rows", tumbling(size(first)));
    let top = app.windows::<(), Vec<(i64, String)>>("top", tumbling(size(second)));
    arrivals(app, case).window(&sums, |sum, arrival| {
        *sum += arrival.value.parse::<i64>().expect("a number");
    });
    sums.closed(|sum, window| (*sum, window.key().clone())).collect().window(&top, |top, sum| {
        let (sum, key) = sum;
        top.push((sum, key.to_owned()));
    });
    let shown = top.closed(move |top, window| {
        let mut top = top.clone();
        top.sort_by_key(|(sum, _)| -sum);
        let top: Vec<Json> =
            top.into_iter().take(limit).map(|(sum, key)| json!([key, sum])).collect();
        let values = Json::Array(top);
        let of = format!("{},\"values\":{values},\"firing\":{}", bounds(window), firing(window));
        Shown::new("", of)
    });
    Shown::show(app, &shown);
}

/// Checks a case that asks for the windows of each time.
pub fn assign(case: &Json) {
    let (size, times) = (duration(case, "size"), case["times"].as_array().expect("a list"));
    for (at, time) in times.iter().enumerate() {
        let app = Application::new("assign");
        let slide = if has(case, "slide") { duration(case, "slide") } else { size };
        let kind = sliding(size, slide).offset(or_zero(case, "offset"));
        let windows = app.windows::<(), Values>("rows", kind);
        let times = app.source("in", LineText::new()).map(|line| line.parse::<i64>().ok());
        let times = times.event_time(EventTime::from_nanos, IN_ORDER);
        times.collect().window(&windows, |values, time| values.0.push(time.to_string()));
        let bounds = |_: &Values, window: &Window<'_, ()>| {
            format!("[{},{}]", window.start().nanos(), window.end().nanos())
        };
        windows.closed(bounds).sink("out", LineText::new());
        let mut reference = Reference::new(app).expect("it is sound");
        reference.feed("in", format!("{time}\n").as_bytes());
        reference.end("in");
        let found = reference.outputs("out");
        let found = found.iter().map(|line| serde_json::from_slice::<Json>(line).expect("JSON"));
        let expected = &case["expect"][at];
        assert_eq!(json!(found.collect::<Vec<_>>()), expected["windows"], "{}: {time}", case["id"]);
        assert_eq!((&expected["step"], &expected["time"]), (&json!(at), time));
    }
    assert_eq!(case["expect"].as_array().map_or(0, Vec::len), times.len());
}
