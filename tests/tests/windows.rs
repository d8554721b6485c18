//! Windows of the engine, in the simulator: the same contents as those of the reference, on any
//! number of cores, and each once whatever is killed.

use potoroo_sdk::prelude::*;
use potoroo_tests::runs::{Subject, Troubles, World, live};
use potoroo_tests::seeds::{Concern, each_seed, random};
use potoroo_tests::simulator::{Deployment, Script, Simulation};

#[event]
struct Trade {
    time: i64,
    key: u64,
    amount: u64,
}

/// What came out of one window.
#[event]
struct Closed {
    key: u64,
    amount: u64,
}

type Sums = (Count, Sum<u64>);

fn parse(line: &str) -> Option<Trade> {
    let mut words = line.split(' ');
    let mut next = || words.next()?.parse::<i64>().ok();
    let (time, key, amount) = (next()?, next()?.unsigned_abs(), next()?.unsigned_abs());
    Some(Trade { time, key, amount })
}

/// Three kinds of windows over two sources, windows of those, and late events aside.
fn windows(which: u64) -> Application {
    let app = Application::new("windows");
    let [left, right] = ["s0", "s1"].map(|name| {
        app.source(name, LineText::new())
            .map(parse)
            .event_time(|trade| EventTime::from_millis(trade.time), within(millis(20)))
    });
    let trades = left.merge(&right).key_by(|trade| trade.key);
    let open = match which {
        0 => app.windows::<u64, Sums>("open", tumbling(millis(50))).wait(millis(10)),
        1 => app.windows::<u64, Sums>("open", sliding(millis(60), millis(20))),
        _ => app.windows::<u64, Sums>("open", sessions(millis(15))),
    };
    let late = trades
        .window(&open, |sums, trade| {
            sums.0.add(1);
            sums.1.add(trade.amount);
        })
        .late();
    late.map(|trade| format!("{} {} {}", trade.key, trade.time, trade.amount))
        .sink("late", LineText::new());
    let all = app.windows::<(), Sums>("all", tumbling(millis(200)));
    let closed = open.closed(|sums, window| {
        (
            Closed { key: *window.key(), amount: sums.1.get() },
            format!(
                "{} {} {} {} {}",
                window.key(),
                window.start(),
                window.end(),
                sums.0.get(),
                sums.1.get()
            ),
        )
    });
    closed.map(|(_, line)| String::from(line)).sink("out", LineText::new());
    closed.map(|(closed, _)| closed).unkeyed().collect().window(&all, |sums, closed| {
        sums.0.add(1);
        sums.1.add(closed.amount ^ closed.key << 20);
    });
    all.closed(|sums, window| format!("{} {} {}", window.end(), sums.0.get(), sums.1.get()))
        .sink("all", LineText::new());
    app
}

const SINKS: [&str; 3] = ["out", "late", "all"];

fn script(source: u8, seed: u64) -> Script {
    let mut random = random(seed ^ u64::from(source) << 40, Concern::Workload);
    let (mut bytes, mut now) = (String::new(), 0);
    let keys = 1 + random.below(12);
    for _ in 0..1 + random.below(200) {
        now += random.below(20) as i64;
        let jitter = if random.chance(0.1) { random.below(120) } else { random.below(20) };
        let (time, key) = (now - jitter as i64, random.below(keys));
        bytes.push_str(&format!("{time} {key} {}\n", random.below(1000)));
    }
    Script { source, bytes: bytes.into_bytes(), ..Script::default() }
}

fn sorted(bytes: &[u8]) -> Vec<String> {
    let text = str::from_utf8(bytes).expect("lines are text");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// What the reference says, by sink, in no order: one source after the other, since contents of
/// windows depend on no order of connections.
fn expected(which: u64, scripts: &[Script]) -> [Vec<String>; 3] {
    let mut reference = Reference::new(windows(which)).expect("it is sound");
    for (script, source) in scripts.iter().zip(["s0", "s1"]) {
        reference.feed(source, &script.bytes);
    }
    ["s1", "s0"].into_iter().for_each(|source| reference.end(source));
    SINKS.map(|sink| sorted(&reference.output(sink)))
}

#[test]
fn windows_of_two_connections_hold_what_those_of_the_reference_do() {
    let mut lines = [0; 3];
    each_seed("windows_of_two_connections_hold_what_those_of_the_reference_do", 400, |seed| {
        let (cores, which) = (1 + seed as usize / 3 % 4, seed % 3);
        let scripts = [0, 1].map(|source| script(source, seed));
        let deployment = Deployment::any(cores, seed);
        let describe = || windows(which);
        let outcome = Simulation::new(seed, &deployment, &describe, scripts.to_vec()).run();
        let seen = SINKS.map(|sink| sorted(&outcome.sinks[sink]));
        assert_eq!(seen, expected(which, &scripts), "seed {seed}, {which}");
        lines.iter_mut().zip(&seen).for_each(|(lines, seen)| *lines += seen.len());
    });
    assert!(lines.iter().all(|lines| *lines > 1000), "{lines:?}");
}

/// Killed at any step and started again on other numbers of cores: the same, each once.
#[test]
fn windows_survive_whatever_is_killed() {
    let (mut recoveries, mut seeds) = (0, 0);
    each_seed("windows_survive_whatever_is_killed", 200, |seed| {
        let which = seed % 3;
        let scripts = [0, 1].map(|source| script(source, seed));
        let inputs = scripts.iter().map(|script| script.bytes.clone()).collect();
        let mut world = World { inputs, ..World::default() };
        let describe = || windows(which);
        let generators = Vec::new();
        let subject = Subject { describe: &describe, partitions: 16, cores_max: 4, generators };
        let troubles = Troubles::any(seed);
        let chronicle = live(seed, &subject, &troubles, &mut world);
        let chronicle = chronicle.unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
        let seen = SINKS.map(|sink| sorted(&world.history(sink)));
        assert_eq!(seen, expected(which, &scripts), "seed {seed}, {which}, {troubles:?}");
        recoveries += chronicle.recoveries;
        seeds += 1;
    });
    assert!(seeds == 1 || recoveries > seeds / 2, "{recoveries}");
}
