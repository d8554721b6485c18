//! Reports for programs. The schema is `summary.json`, and `status.json` for what the status adds.

use serde::Serialize;

use super::figures::{Status, Summary};

impl Summary {
    /// One JSON object on one line, without line feed. Times are whole nanoseconds, rates events
    /// per second; `latency_ns` is `null` for a path that no event took. `outside_gaps_ns` leaves
    /// out the events during which a core stood still while it had nothing to do. `checkpoints` is
    /// there with `--state` only, `time` in
    /// applications that go by event time:
    ///
    /// ```json
    #[doc = include_str!("summary.json")]
    /// ```
    pub fn json(&self) -> String {
        print(self)
    }
}

impl Status {
    /// One JSON object: that of [`Summary::json`] without `stop`, and this, where `held` is `null`
    /// for a core that is not held back, and a recent gap has its start and end, in nanoseconds
    /// since the Unix epoch, and how often the scheduler took the CPU away:
    ///
    /// ```json
    #[doc = include_str!("status.json")]
    /// ```
    pub fn json(&self) -> String {
        print(self)
    }
}

fn print(report: &impl Serialize) -> String {
    serde_json::to_string(report).expect("strings and numbers always serialize")
}

#[cfg(test)]
mod tests {
    use std::mem::discriminant;

    use serde_json::{Map, Value};

    use super::*;
    use crate::control::report::{CoreStatus, StopReason, example, example_core};

    fn parse(text: &str) -> Value {
        assert!(!text.contains('\n'), "one line");
        serde_json::from_str(text).expect("valid JSON")
    }

    fn parse_lines(schema: &str) -> Value {
        serde_json::from_str(schema).expect("the schema is JSON")
    }

    /// Both have the same fields and kinds of values, but for `null`.
    fn same_shape(schema: &Value, value: &Value, at: &str) {
        match (schema, value) {
            (_, Value::Null) => {}
            (Value::Object(schema), Value::Object(value)) => {
                let keys = |object: &Map<String, Value>| object.keys().cloned().collect::<Vec<_>>();
                assert_eq!(keys(value), keys(schema), "the fields of {at}");
                schema.iter().for_each(|(key, of)| same_shape(of, &value[key], key));
            }
            (Value::Array(schema), Value::Array(values)) => {
                assert!(!values.is_empty(), "{at} has an example");
                for (index, value) in values.iter().enumerate() {
                    same_shape(schema.get(index).unwrap_or(&schema[0]), value, at);
                }
            }
            (schema, value) => assert_eq!(discriminant(schema), discriminant(value), "{at}"),
        }
    }

    #[test]
    fn a_summary_has_the_documented_shape() {
        let value = parse(&Summary { snapshot: example(), stop: StopReason::Ended }.json());
        same_shape(&parse_lines(include_str!("summary.json")), &value, "");
        assert_eq!(value["stop"], "ended");
        assert_eq!(value["events_per_second"], 100_050.0);
        assert_eq!(value["sources"][1]["refused"], 3);
        assert_eq!(value["sources"][0]["overdue"], 5);
        assert_eq!(value["sinks"][0]["waits"], 2);
        assert_eq!(value["tables"][0]["rows"], 350);
        assert_eq!(value["checkpoints"]["slice_ns_max"], 21_000);
        assert_eq!(value["checkpoints"]["slice_own_ns_max"], 20_500);
        assert_eq!(value["checkpoints"]["last_cost"]["events_delayed"], 7);
    }

    #[test]
    fn latencies_are_whole_nanoseconds_or_null() {
        let value = parse(&Summary { snapshot: example(), stop: StopReason::Signal }.json());
        let path = &value["paths"][0];
        assert_eq!(
            (&path["path"], &path["end"]),
            (&"orders → rejections".into(), &"rejections".into())
        );
        let p50 = path["latency_ns"]["p50"].as_u64().expect("an integer");
        assert!((499_000..=501_000).contains(&p50), "{p50}");
        let max = path["latency_ns"]["max"].as_u64().expect("an integer");
        assert!((1_000_000..=1_001_000).contains(&max), "{max}");
        assert!(path["latency_ns"]["p99_99"].is_u64());
        assert!(value["paths"][1]["latency_ns"].is_null());
        assert!(value["paths"][1]["outside_gaps_ns"].is_null());
    }

    #[test]
    fn a_status_has_its_cores() {
        let free = CoreStatus { held: None, ..example_core() };
        let cores = vec![example_core(), free];
        let value =
            parse(&Status { snapshot: example(), cores, cluster: None, links: Vec::new() }.json());
        assert!(value.get("stop").is_none());
        let per_core = value["per_core"].clone();
        let schema = parse_lines(include_str!("status.json"));
        same_shape(&schema, &serde_json::json!({ "per_core": per_core }), "");
        let core = &value["per_core"][0];
        assert_eq!((&core["cpu"], &core["blocked_turns"]), (&7.into(), &2.into()));
        assert_eq!((&core["poller"], &core["plain_thread"]), (&"epoll".into(), &true.into()));
        assert_eq!(core["turn_ns"]["max"], 1500);
        assert_eq!(core["lane_bytes"], Value::from(vec![0, 4096]));
        assert_eq!(core["held"]["by"], "sink rejections");
        assert_eq!(core["stages"][0]["stage"], "ingress of orders");
        assert_eq!(core["stages"][0]["stalls"], 2);
        assert_eq!(core["gaps"]["longest_ns"], 40_000);
        assert_eq!(core["gaps"]["recent"], serde_json::json!([[5, 40_005, 1]]));
        assert!(value["per_core"][1]["held"].is_null());
    }
}
