//! Cases of event time with their right results, through the reference interpreter.
//!
//! `data/time/given.json` has the cases. A case has sources with connections, steps in order of
//! arrival, and results with the step (from 0) that brings each of them:
//!
//! - `event` has a key, a time and a value; `promise`: nothing on time at or before it will come;
//!   `end`, of one connection, one source, or everything.
//! - All results of each step are compared. Those of one key are in order; between the keys of one
//!   step the order is free.
//!
//! An application of this test writes each result as the inside of a JSON object. [`Shown::show`]
//! adds the key and the time that the result has as an event.

use std::collections::BTreeMap;

use potoroo_sdk::prelude::*;
use potoroo_sdk::reference::FedConnection;
use serde_json::{Map, Value as Json, json};

#[path = "time_cases/applications.rs"]
mod applications;
#[path = "time_cases/windows.rs"]
mod windows;

/// What comes in: a key, a time and a value, which is JSON.
#[event]
pub struct Arrival {
    key: String,
    time: EventTime,
    value: String,
}

/// A result of a key: the inside of a JSON object.
#[event]
pub struct Shown {
    key: String,
    inside: String,
}

impl Shown {
    fn new(key: &str, inside: String) -> Self {
        Self { key: key.to_owned(), inside }
    }

    /// Writes results with their keys and times to the sink `out`.
    fn show<K: Key>(app: &Application, results: &Keyed<Shown, K>) {
        let seen = app.table::<String, u64>("seen").expire_after(hours(1));
        results
            .key_by(|shown| shown.key.to_owned())
            .update_row(&seen, |row, shown| {
                **row += 1;
                let (key, time) = (json!(row.key()), row.time().nanos());
                format!("{{\"key\":{key},\"time\":{time},{}}}", shown.inside)
            })
            .sink("out", LineText::new());
    }
}

/// Reads what [`Runner::step`] writes.
fn arrival(line: &str) -> Option<Arrival> {
    let [key, time, value] = line.split('\t').collect::<Vec<_>>().try_into().ok()?;
    let time = EventTime::from_nanos(time.parse().ok()?);
    Some(Arrival { key: key.to_owned(), time, value: value.to_owned() })
}

/// The events of a source, with the lateness that the case gives it.
fn source(app: &Application, case: &Json, name: &str) -> Stream<Arrival> {
    let nanos = case["sources"][name]["lateness"].as_u64().expect("each source has a lateness");
    let lateness = within(Duration::from_nanos(nanos));
    app.source(name, LineText::new()).map(arrival).event_time(|arrival| arrival.time, lateness)
}

/// A duration of the case, in nanoseconds.
fn duration(case: &Json, parameter: &str) -> Duration {
    Duration::from_nanos(case["parameters"][parameter].as_u64().expect("the case has it"))
}

/// A case while it runs.
struct Runner {
    reference: Reference,
    /// By name of the source and of the connection.
    connections: BTreeMap<(String, String), FedConnection>,
    /// Results of earlier steps.
    seen: usize,
}

impl Runner {
    fn new(app: Application, case: &Json) -> Self {
        let mut reference = Reference::new(app).expect("it is sound");
        let mut connections = BTreeMap::new();
        for (source, of) in case["sources"].as_object().expect("it has sources") {
            let names = match &of["connections"] {
                Json::Null => vec!["0"],
                names => names.as_array().expect("a list").iter().map(text).collect(),
            };
            // The first one is there from the start.
            for (at, name) in names.into_iter().enumerate() {
                let connection = match at {
                    0 => reference.connection(source),
                    _ => reference.connect(source),
                };
                connections.insert((source.clone(), name.to_owned()), connection);
            }
        }
        Self { reference, connections, seen: 0 }
    }

    /// The connections that a step names.
    fn named(&self, step: &Json) -> Vec<FedConnection> {
        let fits = |wanted: &Json, name: &str| wanted.is_null() || wanted == name;
        let all = self.connections.iter();
        let named = all.filter(|((source, connection), _)| {
            fits(&step["source"], source) && fits(&step["connection"], connection)
        });
        named.map(|(_, connection)| connection.clone()).collect()
    }

    /// The only connection that a step names.
    fn one(&self, step: &Json) -> FedConnection {
        let named = self.named(step);
        assert_eq!(named.len(), 1, "{step} is on one connection");
        named.into_iter().next().expect("there is one")
    }

    /// Takes a step, and returns its results.
    fn step(&mut self, step: &Json) -> Vec<Json> {
        let (what, of) = step.as_object().expect("an object").iter().next().expect("a step");
        match what.as_str() {
            "event" => {
                let (key, time, value) = (text(&of["key"]), nanos(&of["time"]), &of["value"]);
                let line = format!("{key}\t{time}\t{value}\n");
                self.reference.feed_to(&self.one(of), line.as_bytes());
            }
            "promise" => {
                let time = EventTime::from_nanos(nanos(&of["time"]));
                self.reference.promise_of(&self.one(of), time);
            }
            "end" => {
                self.named(of).iter().for_each(|connection| self.reference.end_of(connection));
            }
            other => panic!("this test cannot take a step `{other}`"),
        }
        let results = self.reference.outputs("out").split_off(self.seen);
        self.seen += results.len();
        let result = |bytes: &Vec<u8>| serde_json::from_slice(bytes).expect("it is JSON");
        results.iter().map(result).collect()
    }
}

fn text(json: &Json) -> &str {
    json.as_str().unwrap_or_else(|| panic!("{json} is no text"))
}

fn nanos(json: &Json) -> i64 {
    json.as_i64().unwrap_or_else(|| panic!("{json} is no number"))
}

/// Results by key, in order.
fn by_key(results: impl IntoIterator<Item = Json>) -> BTreeMap<String, Vec<Json>> {
    let mut of: BTreeMap<String, Vec<Json>> = BTreeMap::new();
    for result in results {
        of.entry(text(&result["key"]).to_owned()).or_default().push(result);
    }
    of
}

/// What a case expects of a step.
fn expected(case: &Json, at: usize) -> impl Iterator<Item = Json> {
    let all = case["expect"].as_array().expect("a list").iter();
    let of_step = all.filter(move |result| result["step"] == at);
    of_step.map(|result| {
        let mut result: Map<String, Json> = result.as_object().expect("an object").clone();
        result.remove("step");
        Json::Object(result)
    })
}

fn run(app: Application, case: &Json) {
    let mut runner = Runner::new(app, case);
    let mut compared = 0;
    for (at, step) in case["steps"].as_array().expect("a list").iter().enumerate() {
        let (found, expected) = (by_key(runner.step(step)), by_key(expected(case, at)));
        assert_eq!(found, expected, "{}, step {at}: {step}", case["id"]);
        compared += expected.values().map(Vec::len).sum::<usize>();
    }
    assert_eq!(compared, case["expect"].as_array().map_or(0, Vec::len), "all were compared");
    if let Some(rows) = case["rows"].as_array() {
        let mut left = Vec::new();
        runner.reference.table("rows", |key, _| left.push(format!("{key:?}")));
        left.sort();
        assert_eq!(left, rows.iter().map(Json::to_string).collect::<Vec<_>>());
    }
}

#[test]
fn every_given_case_has_its_right_results() {
    let given = include_str!("data/time/given.json");
    let given: Json = serde_json::from_str(given).expect("it is JSON");
    let mut count = 0;
    for case in given["cases"].as_array().expect("a list") {
        match applications::of(case) {
            Some(app) => run(app, case),
            None => windows::assign(case),
        }
        count += 1;
    }
    assert_eq!(count, 20, "the file is whole");
}

#[test]
#[should_panic(expected = "step 3")]
fn a_wrong_result_is_noticed() {
    let given: Json = serde_json::from_str(include_str!("data/time/given.json")).expect("JSON");
    let mut cases = given["cases"].as_array().expect("a list").iter();
    let mut case = cases.find(|case| case["id"] == "g-timer").expect("it is there").clone();
    case["expect"][0]["due"] = json!(51);
    run(applications::of(&case).expect("it can run"), &case);
}
