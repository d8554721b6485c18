//! Memory is bounded: a core whose sink takes nothing takes in only what it has room for.

use std::sync::Arc;

use potoroo::flow::{ConnectionId, Core, CoreConfig, PartitionMap, SharedCounts};
use potoroo_runtime::{LaneLimits, Lanes, Nanos, mesh};
use potoroo_sdk::host::{SinkId, SourceId};
use potoroo_sdk::plan::Plan;
use potoroo_sdk::prelude::*;
use potoroo_tests::items::{Facts, Frames, Lines, Slim, Trial, write_frame};

/// Items pass two exchanges, each making two out of one.
fn doubling() -> Application {
    let app = Application::new("doubling");
    let double = |slim: Slim| [0, 1].map(|trail| Slim::make(Facts { trail, ..Slim::facts(slim) }));
    app.source("s0", Frames::<Slim>::new())
        .key_by(|slim| Slim::facts(slim).key)
        .map(double)
        .key_by(|slim| Slim::facts(slim).seq)
        .map(double)
        .sink("out", Lines::new());
    app
}

/// Bytes of a lane.
const LANE_BYTES: usize = 4096;
/// Bytes of the frame of a slim item: 24 of the header and 24 of the item.
const ITEM_BYTES: usize = 48;

fn core() -> Core {
    core_of(doubling().plan().expect("it is sound"), LANE_BYTES, 1)
}

fn core_of(plan: Plan, lane_bytes: usize, outlet_bytes: usize) -> Core {
    let lanes = mesh(1, plan.levels() + 1, lane_bytes).pop().expect("there is one core");
    let config = config_of(&plan, lanes, PartitionMap::spread(8, &[0]), lane_bytes, outlet_bytes);
    Core::new(plan, config)
}

fn config_of(
    plan: &Plan,
    lanes: Lanes,
    map: PartitionMap,
    lane_bytes: usize,
    outlet_bytes: usize,
) -> CoreConfig {
    CoreConfig {
        core: 0,
        lanes,
        map,
        sink_owners: vec![0; plan.sinks.len()],
        inlet_bytes: 1 << 16,
        outlet_bytes,
        local_bytes: lane_bytes,
        keep_letters: true,
        readers: Vec::new(),
        tally: Arc::new(SharedCounts::new(plan)),
    }
}

/// Each item becomes one long line.
fn lengthening() -> Application {
    let app = Application::new("lengthening");
    app.source("s0", Frames::<Slim>::new())
        .key_by(|slim| Slim::facts(slim).key)
        .map(|_| "x".repeat(LINE_BYTES))
        .sink("out", LineText::new());
    app
}

const LINE_BYTES: usize = 64 << 10;
const MIB: usize = 1 << 20;

/// What a batch causes is known when it has run: the first one may leave a line for each of its
/// events beyond the limit of the outlet, those after it may not.
#[test]
fn long_outputs_make_batches_short() {
    let plan = lengthening().plan().expect("it is sound");
    let mut core = core_of(plan, MIB, MIB);
    let mut burst = Vec::new();
    (0..200).for_each(|seq| write_frame(Facts { seq, ..Facts::default() }, &mut burst));
    let id = core.open_inlet(SourceId(0), false);
    let mut waited = Vec::new();
    for _ in 0..3 {
        let mut fed = 0;
        loop {
            fed += fill(&mut core, id, &burst[fed..]);
            let outlet = core.outlet(SinkId(0)).expect("the core owns it");
            let waiting = outlet.waiting().len();
            outlet.written(waiting);
            if waiting == 0 {
                break;
            }
            waited.push(waiting);
        }
        assert_eq!(fed, burst.len());
        assert!((0..5000).all(|_| core.turn(Nanos(3), |_| {}) == 0), "idle turns change nothing");
    }
    assert!(waited[0] <= MIB + 64 * (LINE_BYTES + 1), "{waited:?}");
    assert!(waited[0] > MIB + 8 * LINE_BYTES, "a batch is larger at first: {waited:?}");
    let later = MIB + 2 * (LINE_BYTES + 1);
    assert!(waited[2..].iter().all(|waiting| *waiting < later), "{waited:?}");
}

/// Of three cores the first has the source and the others the keys; one of these takes nothing.
#[test]
fn a_full_lane_holds_back_its_own_frames_only() {
    // Which core owns the first event of the batch that finds no room depends on where they begin.
    (0..8).for_each(count_what_arrives);
}

fn count_what_arrives(start: u32) {
    let app = Application::new("counting");
    let counts = app.table::<u32, u64>("counts");
    app.source("s0", Frames::<Slim>::new())
        .key_by(|slim| Slim::facts(slim).seq)
        .update(&counts, |count, _| *count += 1);
    let plan = app.plan().expect("it is sound");
    let mut lanes = mesh(3, plan.levels() + 1, 1 << 16);
    let mut taking = lanes.pop().expect("there are three cores").inbound;
    let (map, own) = (PartitionMap::spread(8, &[1, 2]), lanes.swap_remove(0));
    let config = config_of(&plan, own, map.clone(), 1 << 16, 1 << 16);
    let mut core = Core::new(plan, config);
    let mut items = Vec::new();
    let mut write = |seq| write_frame(Facts { seq, ..Facts::default() }, &mut items);
    (start..start + 10_000).for_each(&mut write);
    let id = core.open_inlet(SourceId(0), false);
    let (mut fed, mut arrived, mut idle) = (0, 0, 0);
    while idle < 3 {
        let bytes = feed(&mut core, id, &items[fed..]);
        fed += bytes;
        let work = core.turn(Nanos(2), |_| {});
        idle = if work + bytes == 0 { idle + 1 } else { 0 };
        let mut lane = taking[0].drain(0, LaneLimits { epoch: 0, end: None });
        while let Some((_, next)) = lane.frame_at(lane.head()) {
            lane.consume_to(next);
            arrived += 1;
        }
    }
    let taken = core.counts().sources[0].events;
    assert!((1000..9000).contains(&taken), "the full lane ends it: {taken}");
    let due = (start..start + taken as u32).filter(|seq| map.owner(seq.hash()) == 2).count();
    assert_eq!(arrived, due, "what the other core owns has arrived");
}

/// Feeds what there is room for; returns how much.
fn feed(core: &mut Core, id: ConnectionId, items: &[u8]) -> usize {
    let room = core.inlet_room(id);
    let bytes = room.len().min(items.len());
    room[..bytes].copy_from_slice(&items[..bytes]);
    core.inlet_filled(id, bytes, Nanos(1));
    bytes
}

/// Feeds until the core does nothing any more; returns how much.
fn fill(core: &mut Core, id: ConnectionId, items: &[u8]) -> usize {
    let mut fed = 0;
    loop {
        let bytes = feed(core, id, &items[fed..]);
        fed += bytes;
        if core.turn(Nanos(2), |_| {}) == 0 && bytes == 0 {
            return fed;
        }
    }
}

#[test]
fn a_sink_that_takes_nothing_holds_the_sources_back() {
    let mut items = Vec::new();
    for seq in 0..100_000 {
        write_frame(Facts { seq, ..Facts::default() }, &mut items);
    }
    let mut core = core();
    let id = core.open_inlet(SourceId(0), false);
    let fed = fill(&mut core, id, &items);
    let taken = core.counts().sources[0].events as usize;
    // Of each event there is half in the second lane; the outbox of a level has one event's frames.
    let first = LANE_BYTES / ITEM_BYTES;
    let second = first / 2;
    assert!(taken <= first + second + 4, "{taken} events were taken and cannot go on");
    assert!(fed < taken * 15 + (1 << 16) + 1, "{fed} bytes were taken");
    let outlet = core.outlet(SinkId(0)).expect("the core owns it");
    assert!(outlet.waiting().len() < 200, "one event's outputs wait beyond the limit");
}

#[test]
fn what_was_held_back_goes_on_when_there_is_room() {
    let mut items = Vec::new();
    (0..50).for_each(|seq| write_frame(Facts { seq, ..Facts::default() }, &mut items));
    let mut core = core();
    let id = core.open_inlet(SourceId(0), false);
    let mut fed = fill(&mut core, id, &items);
    let mut lines = 0;
    let mut idle = 0;
    while idle < 10 {
        fed += feed(&mut core, id, &items[fed..]);
        let work = core.turn(Nanos(3), |_| {});
        let outlet = core.outlet(SinkId(0)).expect("the core owns it");
        lines += outlet.waiting().iter().filter(|byte| **byte == b'\n').count();
        let waiting = outlet.waiting().len();
        outlet.written(waiting);
        idle = if work + waiting == 0 { idle + 1 } else { 0 };
    }
    assert_eq!(fed, items.len());
    assert_eq!(lines, 200, "each item becomes four");
}
