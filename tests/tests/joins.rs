//! Joins of the engine, in the simulator: the same pairs and answers as those of the reference, on
//! any number of cores, and each once whatever is killed.

use potoroo_sdk::prelude::*;
use potoroo_tests::runs::{Subject, Troubles, World, live};
use potoroo_tests::seeds::{Concern, each_seed, random};
use potoroo_tests::simulator::{Deployment, Script, Simulation};

#[event]
struct Arrival {
    time: i64,
    key: u64,
    number: u64,
}

fn parse(line: &str) -> Option<Arrival> {
    let mut words = line.split(' ');
    let mut next = || words.next()?.parse::<i64>().ok();
    let (time, key, number) = (next()?, next()?.unsigned_abs(), next()?.unsigned_abs());
    Some(Arrival { time, key, number })
}

/// Two sources, and one of the operators in which their streams meet, or `first` of one of them.
fn joins(which: u64) -> Application {
    let app = Application::new("joins");
    let [left, right] = ["s0", "s1"].map(|name| {
        app.source(name, LineText::new())
            .map(parse)
            .event_time(|arrival| EventTime::from_millis(arrival.time), within(millis(20)))
            .key_by(|arrival| arrival.key)
    });
    let pair = |left: Arrival, right: Option<Arrival>| {
        let right = right.map_or("none".to_owned(), |right| right.number.to_string());
        format!("{} {} {right}", left.key, left.number)
    };
    let pairs = match which {
        0 => left.as_of("rows", &right, pair),
        1 => left.join_left("rows", &right, Interval::new(-5_000_000, 30_000_000), pair),
        2 => left.join("rows", &right, Interval::around(millis(25)), move |left, right| {
            pair(left, Some(right))
        }),
        _ => {
            right.sink("others", Numbers);
            left.first("rows", millis(40)).map(move |arrival| pair(arrival, None))
        }
    };
    let counts = app.table::<u64, Count>("counts");
    let again = pairs.key_by(|line| line.len() as u64);
    again.update(&counts, |count, _| count.add(1));
    pairs.sink("out", LineText::new());
    app
}

struct Numbers;

impl Encode for Numbers {
    type Event = Arrival;

    fn encode(&self, arrival: Arrival, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{}\n", arrival.number).as_bytes());
    }
}

fn script(source: u8, seed: u64) -> Script {
    let mut random = random(seed ^ u64::from(source) << 40, Concern::Workload);
    let (mut bytes, mut now) = (String::new(), 0);
    let keys = 1 + random.below(12);
    for number in 0..1 + random.below(200) {
        now += random.below(20) as i64;
        let jitter = if random.chance(0.1) { random.below(60) } else { random.below(20) };
        let (time, key) = (now - jitter as i64, random.below(keys));
        bytes.push_str(&format!("{time} {key} {number}\n"));
    }
    Script { source, bytes: bytes.into_bytes(), ..Script::default() }
}

fn sorted(bytes: &[u8]) -> Vec<String> {
    let text = str::from_utf8(bytes).expect("lines are text");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// What the reference says, in no order.
fn expected(which: u64, scripts: &[Script]) -> Vec<String> {
    let mut reference = Reference::new(joins(which)).expect("it is sound");
    for (script, source) in scripts.iter().zip(["s0", "s1"]) {
        reference.feed(source, &script.bytes);
    }
    ["s1", "s0"].into_iter().for_each(|source| reference.end(source));
    sorted(&reference.output("out"))
}

#[test]
fn joins_of_two_connections_are_those_of_the_reference() {
    let mut lines = [0; 4];
    each_seed("joins_of_two_connections_are_those_of_the_reference", 400, |seed| {
        let (cores, which) = (1 + seed as usize / 4 % 4, seed % 4);
        let scripts = [0, 1].map(|source| script(source, seed));
        let deployment = Deployment::any(cores, seed);
        let describe = || joins(which);
        let outcome = Simulation::new(seed, &deployment, &describe, scripts.to_vec()).run();
        let seen = sorted(&outcome.sinks["out"]);
        assert_eq!(seen, expected(which, &scripts), "seed {seed}, {which}");
        lines[which as usize] += seen.len();
    });
    assert!(lines.iter().all(|lines| *lines > 1000), "{lines:?}");
}

/// Killed at any step and started again on other numbers of cores: the same, each once.
#[test]
fn joins_survive_whatever_is_killed() {
    let (mut recoveries, mut seeds) = (0, 0);
    each_seed("joins_survive_whatever_is_killed", 200, |seed| {
        let which = seed % 4;
        let scripts = [0, 1].map(|source| script(source, seed));
        let inputs = scripts.iter().map(|script| script.bytes.clone()).collect();
        let mut world = World { inputs, ..World::default() };
        let describe = || joins(which);
        let generators = Vec::new();
        let subject = Subject { describe: &describe, partitions: 16, cores_max: 4, generators };
        let troubles = Troubles::any(seed);
        let chronicle = live(seed, &subject, &troubles, &mut world);
        let chronicle = chronicle.unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
        let seen = sorted(&world.history("out"));
        assert_eq!(seen, expected(which, &scripts), "seed {seed}, {which}, {troubles:?}");
        recoveries += chronicle.recoveries;
        seeds += 1;
    });
    assert!(seeds == 1 || recoveries > seeds / 2, "{recoveries}");
}
