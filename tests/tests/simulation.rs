//! What the simulator shows beside topologies: that it repeats itself, that it reaches the hard
//! places, and how cores end, wake, stop and make events up.

use potoroo::flow::Counts;
use potoroo_sdk::prelude::*;
use potoroo_tests::items::{Facts, Frames, Lines, Slim, Trial};
use potoroo_tests::oracle::{Results, judge, observe};
use potoroo_tests::seeds::{each_seed, in_turn};
use potoroo_tests::simulator::{Deployment, Generator, Outcome, Simulation};
use potoroo_tests::topology::{Kind, Topology};
use potoroo_tests::trial::{expect, simulate};
use potoroo_tests::workload::Workload;

fn topology(seed: u64) -> Topology {
    let kinds = vec![Kind::KeyStateful, Kind::Stateless, Kind::KeyStateful];
    Topology { seed, kinds, sources: 1, one_connection: false, fancy: true }
}

fn hostile(seed: u64) -> Outcome {
    let workload = Workload { clients: 5, garbage: true, cuts: true, ..Workload::plain(1, 80) };
    simulate(&topology(seed), &Deployment::tiny(3, seed), &workload.scripts(seed))
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    let mut traces = Vec::new();
    each_seed("the_same_seed_gives_the_same_run_and_another_seed_another", 20, |seed| {
        let (one, two) = (hostile(seed), hostile(seed));
        assert_eq!(one.trace, two.trace);
        assert_eq!(one.sinks, two.sinks);
        assert_eq!(one.ticks, two.ticks);
        traces.push(one.trace.0);
    });
    let count = traces.len();
    traces.sort_unstable();
    traces.dedup();
    assert_eq!(traces.len(), count, "runs of different seeds differ");
}

/// A simulator that meets no trouble proves nothing.
#[test]
fn the_hard_places_are_reached() {
    let mut all: Vec<Outcome> = Vec::new();
    each_seed("the_hard_places_are_reached", 40, |seed| all.push(hostile(seed)));
    let sum = |count: fn(&Counts) -> u64| -> u64 {
        all.iter().flat_map(|outcome| &outcome.counts).map(count).sum()
    };
    let runs = all.len() as u64;
    assert!(sum(|counts| counts.turns_blocked) > 20 * runs, "back-pressure is the normal case");
    assert!(sum(|counts| counts.frames_sent) > 20 * runs);
    assert!(sum(|counts| counts.frames_local) > 20 * runs);
    assert!(sum(|counts| counts.sinks.iter().map(|sink| sink.waits).sum()) > 5 * runs);
    if runs > 1 {
        assert!(sum(|counts| counts.replies_lost) > 0, "connections go before their replies");
        let broken = |outcome: &Outcome| {
            let mut letters = outcome.letters.iter();
            letters.any(|letter| letter.reason.detail() == "length is above the limit")
        };
        assert!(all.iter().any(broken), "some input cannot be understood any further");
    }
}

/// Room in a lane is announced: a core that sleeps because it waits for room is woken.
#[test]
fn a_core_that_waits_for_room_looks_again() {
    each_seed("a_core_that_waits_for_room_looks_again", 100, |seed| {
        assert_eq!(hostile(seed).timer_turns, 0, "a core had room and was not woken");
    });
}

/// Where nothing is ever full, every core that got something to do has been woken for it.
#[test]
fn no_wake_is_lost() {
    each_seed("no_wake_is_lost", 60, |seed| {
        let workload = Workload { clients: 3, ..Workload::plain(1, 100) };
        let cores = 1 + seed as usize % 8;
        let nodes = Deployment::drawn_nodes(cores, seed);
        let deployment = Deployment { nodes, ..Deployment::ample(cores) };
        let outcome = simulate(&topology(seed), &deployment, &workload.scripts(seed));
        assert_eq!(outcome.timer_turns, 0, "a core had work and was not woken");
    });
}

/// Sources that are stopped end after what they have sent: it is all delivered.
#[test]
fn stopped_sources_deliver_what_they_sent() {
    let mut early = 0;
    each_seed("stopped_sources_deliver_what_they_sent", 100, |seed| {
        let workload = Workload { clients: 4, cuts: true, ..Workload::plain(1, 80) };
        let cores = 1 + seed as usize % 4;
        let stop_at = Some(seed * 13 % 400);
        let deployment = Deployment { stop_at, ..Deployment::tiny(cores, seed) };
        let scripts = workload.scripts(seed);
        let outcome = simulate(&topology(seed), &deployment, &scripts);
        let all: usize = scripts.iter().map(|script| script.bytes_sent()).sum();
        early += u64::from(outcome.sent.iter().sum::<usize>() < all);
    });
    assert!(early > 0, "some are stopped before they have sent everything");
}

/// A frame that no buffer can hold ends its connection, and no other.
#[test]
fn a_frame_longer_than_the_buffer_breaks_its_connection_only() {
    each_seed("a_frame_longer_than_the_buffer_breaks_its_connection_only", 20, |seed| {
        let topology = Topology { kinds: Vec::new(), fancy: false, ..topology(seed) };
        let workload = Workload { clients: 3, note_bytes_max: 100, ..Workload::plain(1, 40) };
        let good = workload.scripts(seed);
        let mut scripts = good.clone();
        // 600 bytes are within the limit of the codec and not within that of the buffer.
        let broken = &mut scripts[1].bytes;
        *broken = [600_u16.to_be_bytes().as_slice(), &[0; 600], &good[1].bytes].concat();
        let deployment = Deployment { inlet_bytes: 512, ..Deployment::tiny(2, seed) };
        let describe = || topology.application();
        let outcome = Simulation::new(seed, &deployment, &describe, scripts).run();
        assert_eq!(outcome.letters.len(), 1);
        assert!(outcome.letters[0].reason.detail().contains("--inlet-bytes"));
        let mut others = good;
        others[1].bytes.clear();
        let seen = observe(&outcome, &others).expect("whole lines");
        let refused = seen.refused.clone();
        let expected = Results { refused, ..expect(&topology, &others) };
        assert_eq!(judge(&expected, &seen, &topology.sinks()), Ok(()));
    });
}

/// A client that takes no more replies holds everything back, for a while: then it is closed, what
/// is lost is counted, and all others get everything.
#[test]
fn a_client_that_takes_no_replies_is_closed() {
    let mut stalled = 0;
    each_seed("a_client_that_takes_no_replies_is_closed", 100, |seed| {
        let workload = Workload { clients: 4, ..Workload::plain(1, 80) };
        let deployment = Deployment {
            reply_stall_ns: 1_000_000,
            ..Deployment::tiny(1 + seed as usize % 3, seed)
        };
        let mut scripts = workload.scripts(seed);
        scripts[1].deaf_after = Some(seed as usize * 7 % 300);
        stalled += simulate(&topology(seed), &deployment, &scripts).stalled;
    });
    assert!(stalled > 0 || std::env::var_os("POTOROO_SEED").is_some(), "no connection was closed");
}

/// Names the process that hangs for the test below.
const HANGS: &str = "POTOROO_TEST_HANGS";

/// The simulator cannot end a turn that does not end, but it says which one it was.
#[test]
fn a_turn_that_never_ends_is_reported_with_its_seed() {
    const NAME: &str = "a_turn_that_never_ends_is_reported_with_its_seed";
    if std::env::var_os(HANGS).is_some() {
        each_seed(NAME, 1, |_| {
            in_turn(|| {
                loop {
                    std::hint::spin_loop();
                }
            })
        });
    }
    let mut hanging = std::process::Command::new(std::env::current_exe().expect("a path"));
    hanging.args([NAME, "--exact"]).env(HANGS, "1").env("POTOROO_SEED", "7");
    let ended = hanging.env("POTOROO_TURN_MS", "20").output().expect("it starts");
    let log = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success() && log.contains("POTOROO_SEED=7 cargo"), "{log}");
}

#[state]
struct Sum {
    count: u64,
    sum: u64,
}

fn generated() -> Application {
    let app = Application::new("generated");
    app.generator("numbers", |seed| {
        move |index| {
            let (seq, key) = (index as u32, (index * seed % 13) as u32);
            (index < 900).then(|| Slim::make(Facts { seq, key, ..Facts::default() }))
        }
    });
    let sums = app.table::<u32, Sum>("sums");
    app.source("s0", Frames::<Slim>::new())
        .key_by(|slim| Slim::facts(slim).key)
        .update(&sums, |sum, slim| {
            sum.count += 1;
            sum.sum += u64::from(Slim::facts(slim).seq);
            Slim::make(Facts { trail: sum.sum, ..Slim::facts(slim) })
        })
        .sink("out", Lines::new());
    app
}

/// Generated events come at their time and are held back like all others.
#[test]
fn generators_make_all_their_events() {
    each_seed("generators_make_all_their_events", 40, |seed| {
        for (rate, count) in [(0, 500), (2_000_000, 500), (50_000, u64::MAX)] {
            let deployment = Deployment::tiny(1 + seed as usize % 3, seed);
            let mut simulation = Simulation::new(seed, &deployment, &generated, Vec::new());
            let generator = Generator { source: 0, name: "numbers".to_owned(), rate, count };
            simulation.generate(seed as usize % deployment.cores, &generator);
            let outcome = simulation.run();
            let mut reference = Reference::new(generated()).expect("it is sound");
            reference.generate("s0", "numbers", 1, count.min(900));
            let sorted = |bytes: Vec<u8>| {
                let text = String::from_utf8(bytes).expect("lines are text");
                let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
                lines.sort();
                lines
            };
            let expected = sorted(reference.output("out"));
            assert_eq!(sorted(outcome.sinks["out"].clone()), expected, "rate {rate}");
        }
    });
}

/// Rows are looked up for a whole batch, also while it adds rows: none of them is there twice.
#[test]
fn a_table_that_grows_large_keeps_the_order() {
    let mut largest = 0;
    each_seed("a_table_that_grows_large_keeps_the_order", 4, |seed| {
        let kinds = vec![Kind::KeyStateful];
        let topology = Topology { seed, kinds, sources: 1, one_connection: true, fancy: false };
        let workload = Workload { keys: 40_000, note_bytes_max: 0, ..Workload::plain(1, 120_000) };
        let deployment = Deployment::any(1 + seed as usize % 2, seed);
        let outcome = simulate(&topology, &deployment, &workload.scripts(seed));
        let rows = outcome.counts.iter().flat_map(|counts| &counts.tables).map(|table| table.0);
        largest = rows.max().unwrap_or_default().max(largest);
    });
    assert!(largest > 25_000 || std::env::var_os("POTOROO_SEED").is_some(), "{largest} rows");
}
