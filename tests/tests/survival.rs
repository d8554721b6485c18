//! Applications that are killed at any step and started again on other numbers of cores: what they
//! leave is what one that was never disturbed leaves, and each of their checkpoints is what it is
//! after the same input.

use std::collections::BTreeMap;
use std::panic::catch_unwind;

use potoroo_sdk::prelude::*;
use potoroo_tests::items::{Facts, Frames, Lines, Shown, Slim, Trial};
use potoroo_tests::oracle::{Results, expect, judge};
use potoroo_tests::runs::{
    Case, Chronicle, CommittedHead, Receiver, RestoredHead, Sabotage, Sender, Subject, Troubles,
    World, live,
};
use potoroo_tests::seeds::{Concern, each_seed, random};
use potoroo_tests::simulator::{Generator, Script};
use potoroo_tests::topology::{Kind, SinkPromise, Topology};
use potoroo_tests::workload::Workload;

/// Random applications over a file for each source.
fn topology(seed: u64) -> Topology {
    let length = 1 + seed / 3 % 3;
    let sequences = Kind::sequences(length as u32);
    let kinds = sequences[(seed / 9) as usize % sequences.len()].clone();
    let one_connection = !seed.is_multiple_of(3);
    let sources = if one_connection { 1 } else { 2 };
    Topology { seed, kinds, sources, one_connection, fancy: seed.is_multiple_of(2) }
}

fn case(seed: u64, troubles: Troubles) -> Case {
    Case { seed, events: 40 + 400 * (seed % 2) as usize, troubles }
}

/// Runs of the application of the case's seed.
///
/// # Errors
/// What was left is not what the reference leaves, or else a checkpoint is not what the reference
/// holds after the same input.
fn survive(case: &Case) -> Result<Chronicle, String> {
    let Case { seed, events, ref troubles } = *case;
    let topology = topology(seed);
    let describe = || topology.application();
    let (clients, is_sent) = edges(&topology);
    let workload = Workload::plain(topology.sources, events as u64);
    let scripts = Workload { clients, ..workload }.scripts(seed);
    let mut world = World::default();
    for (index, script) in scripts.iter().enumerate() {
        if is_sent(script.source) {
            let sender = Sender::new(script.source, &script.bytes, seed ^ (index as u64) << 50);
            world.senders.push(sender);
        }
        world.inputs.push(script.bytes.clone());
    }
    for (index, sink) in topology.sinks().into_iter().enumerate() {
        if sink.name != "reply" && (seed / 4 + index as u64).is_multiple_of(2) {
            world.receivers.insert(sink.name, Receiver::default());
        }
    }
    // Files have no way back: replies are lost.
    let named = |promise: &SinkPromise| promise.name != "reply";
    let sinks: Vec<SinkPromise> = topology.sinks().into_iter().filter(named).collect();
    let generators = Vec::new();
    let subject = Subject { describe: &describe, partitions: 16, cores_max: 4, generators };
    let chronicle = live(seed, &subject, troubles, &mut world)?;
    check(&describe, &scripts, &sinks, world.tables.clone(), |sink| world.history(sink))?;
    for head in &world.heads {
        let scripts = up_to(head, &world, &scripts, is_sent);
        let restored = head.restore(seed, &subject, troubles.sabotage)?;
        let RestoredHead { tables, output } = restored;
        check(&describe, &scripts, &sinks, tables, |sink| output[sink].clone())
            .map_err(|wrong| format!("{head}: {wrong}"))?;
    }
    Ok(chronicle)
}

/// The part of `scripts` that a checkpoint has.
fn up_to(
    head: &CommittedHead,
    world: &World,
    scripts: &[Script],
    is_sent: fn(u8) -> bool,
) -> Vec<Script> {
    let mut senders = world.senders.iter();
    let part = |script: &Script| {
        let sender = if is_sent(script.source) { senders.next() } else { None };
        let bytes = head.position(&format!("s{}", script.source), sender);
        Script { bytes: script.bytes[..bytes].to_vec(), ..script.clone() }
    };
    scripts.iter().map(part).collect()
}

/// Compares tables and the `output` of sinks with what the reference makes of `scripts`.
///
/// # Errors
/// The first difference.
fn check(
    describe: &dyn Fn() -> Application,
    scripts: &[Script],
    sinks: &[SinkPromise],
    tables: BTreeMap<String, Vec<String>>,
    output: impl Fn(&str) -> Vec<u8>,
) -> Result<(), String> {
    let expected = expect(describe, scripts, sinks);
    let mut seen = BTreeMap::new();
    for name in expected.sinks.keys() {
        let items = Shown::parse_all(&output(name));
        seen.insert(name.clone(), items.map_err(|wrong| format!("sink `{name}`: {wrong}"))?);
    }
    let refused = expected.refused.clone();
    let seen = Results { sinks: seen, tables: Some(tables), refused, replies_lost: 0 };
    judge(&expected, &seen, sinks)
}

/// How many connections each source has, and whether senders send it: otherwise it is a file.
fn edges(topology: &Topology) -> (usize, fn(u8) -> bool) {
    match random(topology.seed, Concern::Network).below(3) {
        0 => (1, |_| false),
        1 => (1, |source| source == 0),
        _ => (if topology.one_connection { 1 } else { 2 }, |_| true),
    }
}

#[test]
fn nothing_is_lost_or_doubled_whenever_it_is_killed() {
    let mut all = Chronicle::default();
    let mut seeds = 0;
    each_seed("nothing_is_lost_or_doubled_whenever_it_is_killed", 300, |seed| {
        let one = survive_or_reduce(case(seed, Troubles::any(seed)));
        seeds += 1;
        all.steps += one.steps;
        all.commits += one.commits;
        all.aborts += one.aborts;
        all.recoveries += one.recoveries;
        all.frames_replayed += one.frames_replayed;
        all.rollbacks += one.rollbacks;
        all.changes += one.changes;
        all.losses += one.losses;
        all.part_steps_max = all.part_steps_max.max(one.part_steps_max);
        all.late_commits += one.late_commits;
        all.losses_ignored += one.losses_ignored;
        all.heads += one.heads;
    });
    println!("{seeds} seeds: {all:?}");
    if seeds > 1 {
        assert!(all.recoveries > seeds / 2, "{all:?}");
        assert!(all.frames_replayed > seeds, "{all:?}");
        assert!(all.aborts > seeds / 2, "{all:?}");
        assert!(all.heads >= all.commits, "{all:?}");
        assert!(all.changes > seeds / 2, "{all:?}");
        assert!(all.losses > seeds / 5, "{all:?}");
        assert!(all.losses_ignored > seeds / 10, "{all:?}");
    }
}

/// Nothing dies: what is lost or doubled would be so because nodes come and go.
#[test]
fn nothing_is_lost_or_doubled_when_nodes_come_and_go() {
    let (mut changes, mut seeds) = (0, 0);
    each_seed("nothing_is_lost_or_doubled_when_nodes_come_and_go", 100, |seed| {
        let any = Troubles::any(seed);
        let troubles = Troubles { kills: 0, begin: 0.1, changes: 0.02, ..any };
        changes += survive_or_reduce(case(seed, troubles)).changes;
        seeds += 1;
    });
    println!("{seeds} seeds: {changes} changes");
    assert!(seeds == 1 || changes > 2 * seeds, "{changes} changes");
}

/// Each generation of a running application goes on from any checkpoint that is retained.
#[test]
fn nothing_is_lost_or_doubled_whenever_it_is_rolled_back() {
    let (mut rollbacks, mut seeds) = (0, 0);
    each_seed("nothing_is_lost_or_doubled_whenever_it_is_rolled_back", 200, |seed| {
        let any = Troubles::any(seed);
        let troubles =
            Troubles { kills: 6, kill_steps_max: 3_000, begin: 0.1, rollbacks: 0.8, ..any };
        rollbacks += survive_or_reduce(case(seed, troubles)).rollbacks;
        seeds += 1;
    });
    println!("{seeds} seeds: {rollbacks} rollbacks");
    assert!(seeds == 1 || rollbacks > seeds, "{rollbacks} rollbacks");
}

/// # Panics
/// It does not survive: with the smallest case that does not, either.
fn survive_or_reduce(case: Case) -> Chronicle {
    let fails = |case: &Case| !matches!(catch_unwind(|| survive(case)), Ok(Ok(_)));
    match catch_unwind(|| survive(&case)) {
        Ok(Ok(chronicle)) => chronicle,
        _ => {
            let reduced = case.reduce(fails);
            println!(
                "the smallest case that fails, too: POTOROO_CASE='{reduced}' cargo test -p \
                 potoroo-tests a_case_survives"
            );
            let wrong = survive(&reduced).expect_err("it failed before");
            panic!("{wrong}\n{:?}\n{:?}", reduced.troubles, topology(reduced.seed));
        }
    }
}

/// One case that failed once, given as `POTOROO_CASE`; without it the first of all.
#[test]
fn a_case_survives() {
    let given = std::env::var("POTOROO_CASE").ok();
    let given = given.map(|text| text.parse().unwrap_or_else(|wrong| panic!("{wrong}")));
    let case = given.unwrap_or_else(|| case(0, Troubles::any(0)));
    survive(&case).unwrap_or_else(|wrong| panic!("{wrong}"));
}

#[test]
fn a_case_that_fails_is_reduced_to_one_that_fails_still() {
    let fails = |case: &Case| survive(case).is_err();
    let failing = (0..1_000).map(|seed| {
        let sabotage = Some(Sabotage::VisibleAtOnce);
        let troubles = Troubles { kills: 6, begin: 0.1, sabotage, ..Troubles::any(seed) };
        case(seed, troubles)
    });
    let failing = failing.into_iter().find(fails).expect("the sabotage is noticed");
    let reduced = failing.clone().reduce(fails);
    assert!(fails(&reduced), "{reduced}");
    assert!(reduced.troubles.kills < failing.troubles.kills, "{failing} became {reduced}");
    assert!(reduced.events < failing.events, "{failing} became {reduced}");
    let again: Case = reduced.to_string().parse().expect("it was written as it is read");
    assert_eq!(again.to_string(), reduced.to_string());
    assert!("1 2 3".parse::<Case>().is_err());
}

/// Each mistake in the protocol is caught.
#[test]
fn every_sabotage_is_noticed() {
    for sabotage in Sabotage::ALL {
        let caught = (0..1_000).map(|seed| {
            let (kills, kill_steps_max) = (4 + seed % 3, 2_000);
            let any = Troubles::any(seed);
            let rollbacks = if sabotage.needs_rollback() { 0.5 } else { any.rollbacks };
            let changes = if sabotage.needs_changes() { 0.01 } else { any.changes };
            let losses = if sabotage.needs_losses() { 0.9 } else { any.losses };
            let stuck = if sabotage.needs_stuck_sinks() { 0.001 } else { any.stuck };
            let begin = 0.1;
            let troubles =
                Troubles { kills, kill_steps_max, begin, rollbacks, changes, losses, stuck, ..any };
            case(seed, Troubles { sabotage: Some(sabotage), ..troubles })
        });
        let caught = caught.into_iter().find(is_noticed);
        let caught = caught.unwrap_or_else(|| panic!("{sabotage:?} is not noticed in 1000 seeds"));
        let reason = wrong(&caught).expect("it was noticed");
        let reduced = caught.clone().reduce(is_noticed);
        println!("with seed {}, and with `{reduced}`: {reason}", caught.seed);
    }
}

/// What goes wrong with a sabotage, and the smallest case that notices it. When the simulator draws
/// otherwise than it did, `every_sabotage_is_noticed` prints others.
const NOTICED: [(&str, &str); 7] = [
    (
        "acknowledged before HEAD names it",
        "9 439 1 2000 0.1 0.001 0 0 0 0 0 0 0 0 AcknowledgedBeforeHead",
    ),
    ("acknowledged at the cut", "5 68 1 1000 0.1 0 0 0 0 0 0 0 0 0 AcknowledgedAtCut"),
    ("streams that no client opened forgotten", "0 7 2 1000 0.1 0 0 0 0 0 0 0 0 0 UnopenedLost"),
    ("delivered before the commit", "0 1 0 1 0.1 0 0 0 0 0 0 0 0 0 DeliveredAtOnce"),
    ("committed and forgotten at recovery", "0 7 1 1000 0.1 0 0 0 0 0 0 0 0 0 UndeliveredLost"),
    ("a vote for output that is not stored", "0 30 3 1 0.1 0 0 0 0 0 0 0 0 0 OutputNotStored"),
    ("a file that is not synced", "4 1 0 1 0.1 0 0 1 0 0 0 0 0 0 ShownNotSynced"),
];

#[test]
fn each_mistake_with_connectors_and_output_is_noticed_by_its_smallest_case() {
    for (mistake, case) in NOTICED {
        let case: Case = case.parse().expect("it was written as it is read");
        assert!(is_noticed(&case), "{mistake}: `{case}` does not notice it");
    }
}

/// Whether the runs of a case fail because of its sabotage.
fn is_noticed(case: &Case) -> bool {
    wrong(case).is_some_and(|wrong| !wrong.starts_with(BY_HEAD))
}

/// How a case fails because of its sabotage.
fn wrong(case: &Case) -> Option<String> {
    let mut without = case.clone();
    without.troubles.sabotage = None;
    survive(case).err().filter(|_| survive(&without).is_ok())
}

/// How the reason of a HEAD begins that is wrong after runs that are not.
const BY_HEAD: &str = "HEAD of epoch";

/// A checkpoint that is not whole is noticed though no run goes on from it.
#[test]
fn every_sabotage_of_a_checkpoint_is_noticed_by_restoring_it() {
    let sabotages = [
        Sabotage::LanesLost,
        Sabotage::OutboxesLost,
        Sabotage::OutboxesFirst,
        Sabotage::MarkerLate,
        Sabotage::RemovedLost,
        Sabotage::NewestPartOnly,
        Sabotage::PartMissing,
        Sabotage::PositionsLate,
        Sabotage::CoversIgnored,
        Sabotage::ChainsByCore,
    ];
    for sabotage in sabotages {
        let mut cases = (0..1_000).map(|seed| {
            let (kills, begin, sabotage) = (0, 0.1, Some(sabotage));
            // Who goes on from a checkpoint would notice it.
            let changes = 0.0;
            case(seed, Troubles { kills, begin, changes, sabotage, ..Troubles::any(seed) })
        });
        let noticed = cases.find_map(|case| Some((case.seed, wrong(&case)?)));
        let (seed, wrong) = noticed.unwrap_or_else(|| panic!("{sabotage:?} is not noticed"));
        println!("{sabotage:?} with seed {seed}: {wrong}");
        assert!(wrong.starts_with(BY_HEAD), "{sabotage:?}: {wrong}");
    }
}

fn generated() -> Application {
    let app = Application::new("generated");
    app.generator("numbers", |_| {
        // It depends on what it made before: going on means making it again.
        let mut made = 0;
        move |index| {
            made += index;
            let facts = Facts { seq: index as u32, key: (made % 13) as u32, ..Facts::default() };
            Some(Slim::make(facts))
        }
    });
    let sums = app.table::<u32, u64>("sums");
    app.source("s0", Frames::<Slim>::new())
        .key_by(|slim| Slim::facts(slim).key)
        .update(&sums, |sum, slim| {
            *sum += u64::from(Slim::facts(slim).seq);
            Slim::make(Facts { trail: *sum, ..Slim::facts(slim) })
        })
        .sink("out", Lines::new());
    app
}

#[test]
fn generators_go_on_where_they_were() {
    each_seed("generators_go_on_where_they_were", 30, |seed| {
        let (rate, count) = (if seed.is_multiple_of(2) { 0 } else { 500_000 }, 800);
        let generators = vec![Generator { source: 0, name: "numbers".to_owned(), rate, count }];
        let subject = Subject { describe: &generated, partitions: 16, cores_max: 3, generators };
        let mut world = World::default();
        let troubles = Troubles::any(seed);
        live(seed, &subject, &troubles, &mut world).expect("it goes on");
        let lines = |bytes: &[u8]| {
            let mut lines: Vec<_> =
                bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            lines.sort();
            lines
        };
        let made = |count: u64| {
            let mut reference = Reference::new(generated()).expect("it is sound");
            reference.generate("s0", "numbers", 1, count);
            lines(&reference.output("out"))
        };
        assert!(lines(&world.history("out")) == made(count), "seed {seed}, {troubles:?}");
        for head in &world.heads {
            let restored = head.restore(seed, &subject, None).expect("it is whole");
            let as_expected =
                lines(&restored.output["out"]) == made(head.position("s0", None) as u64);
            assert!(as_expected, "seed {seed}, {head}, {troubles:?}");
        }
    });
}
