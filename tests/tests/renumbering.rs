//! Frames of a program that changed, whose exchanges and sinks have other numbers and levels: they
//! go on by what they are.

use potoroo::checkpoint::{Chunk, Epoch, Identity, Manifest, ProgramChanges, Renumbering, Section};
use potoroo::flow::{Core, RestoreError};
use potoroo_runtime::Nanos;
use potoroo_sdk::host::SinkId;
use potoroo_sdk::key::Key;
use potoroo_sdk::prelude::*;
use potoroo_sdk::value::{self, Corrupt};
use potoroo_tests::alone::{first_part, only_core, stored_frame};

fn length(line: &str) -> u64 {
    line.len() as u64
}

/// Counts the lines of each length.
fn count(app: &Application, lines: &Keyed<String, u64>) {
    let counts = app.table::<u64, u64>("counts");
    let counted = lines.update(&counts, |count, line| {
        *count += 1;
        format!("{line} {count}")
    });
    counted.sink("out", LineText::new());
}

fn before() -> Application {
    let app = Application::new("lines");
    count(&app, &app.source("in", LineText::new()).key_by(length));
    app
}

/// Another source, sink and table stand before the old ones, and a `key_by` on the way.
fn after() -> Application {
    let app = Application::new("lines");
    let others = app.source("others", LineText::new());
    others.map(ToOwned::to_owned).sink("copies", LineText::new());
    let sizes = app.table::<u64, u64>("sizes");
    others.key_by(length).update(&sizes, |size, _| *size += 1);
    let lines = app.source("in", LineText::new()).key_by(|line| !length(line));
    count(&app, &lines.key_by(length));
    app
}

fn event(line: &str) -> Vec<u8> {
    stored_frame(1, 1, Key::hash(&length(line)), &value::to_vec(&line.to_owned()))
}

fn output(bytes: &[u8]) -> Vec<u8> {
    stored_frame(3, 1, 0, bytes)
}

/// The numbers in the program after of what the one before has stored.
fn numbers() -> Renumbering {
    let facts = |application| Identity::of(only_core(application, 1).plan(), 1);
    let manifest = Manifest { facts: facts(before()), ..Manifest::default() };
    let changes = ProgramChanges::between(&manifest, &facts(after()), &[]);
    assert_eq!(changes.differences(), [""; 0]);
    assert!(changes.keeps_all_numbers());
    changes.renumbering
}

fn restored() -> Core {
    let (mut core, numbers) = (only_core(after(), 1), numbers());
    let mut restore = |section, bytes| core.restore(&Chunk { section, bytes }, &numbers, Nanos(1));
    assert_eq!(restore(Section::Outboxes(0), event("and")), Ok(()));
    assert_eq!(restore(Section::Lanes(0), event("one")), Ok(()));
    assert_eq!(restore(Section::Lanes(1), output(b"sent\n")), Ok(()));
    let corrupt = Err(RestoreError::Corrupt(Corrupt));
    assert_eq!(restore(Section::Lanes(1), event("all")), corrupt, "its level was another");
    assert_eq!(restore(Section::Lanes(0), output(b"all\n")), corrupt, "its level was another");
    core.restored();
    core
}

#[test]
fn frames_of_the_program_before_go_on_where_they_were_going() {
    let mut core = restored();
    while core.turn(Nanos(2), |_| {}) > 0 {}
    let out = core.outlet(SinkId(1)).expect("the core owns it");
    assert_eq!(out.waiting(), b"sent\none 1\nand 2\n");
    let copies = core.outlet(SinkId(0)).expect("the core owns it");
    assert_eq!(copies.waiting(), b"");
}

/// As the program before, and it uses times, which events under way do not have.
fn timed() -> Application {
    let app = Application::new("lines");
    let lines = app.source("in", LineText::new());
    let lines = lines.event_time(|_| EventTime::from_seconds(1), IN_ORDER).key_by(length);
    let (on_time, late) = lines.split_late();
    count(&app, &on_time);
    late.sink("late", LineText::new());
    app
}

/// What a program with one `key_by` makes of a frame of another one.
fn goes_on(program: fn() -> Application, frame: Vec<u8>) -> Core {
    let mut core = only_core(program(), 1);
    let numbers = Renumbering::same(core.plan());
    let chunk = Chunk { section: Section::Lanes(0), bytes: frame };
    assert_eq!(core.restore(&chunk, &numbers, Nanos(1)), Ok(()));
    core.restored();
    while core.turn(Nanos(2), |_| {}) > 0 {}
    core
}

#[test]
fn a_frame_without_a_time_is_on_time_and_one_with_a_time_is_a_frame() {
    let mut core = goes_on(timed, event("one"));
    let waiting = |core: &mut Core, sink| core.outlet(SinkId(sink)).map(|it| it.waiting().to_vec());
    assert_eq!(waiting(&mut core, 0), Some(b"one 1\n".to_vec()));
    assert_eq!(waiting(&mut core, 1), Some(Vec::new()), "it is not late");
    let late = [5_i64.to_le_bytes(), 5_i64.to_le_bytes()].concat();
    let archive = value::to_vec(&"one".to_owned());
    let hash = Key::hash(&length("one"));
    // Flags: origin, time and own watermark.
    let frame = stored_frame(1 | 4 | 8, 1, hash, &[late, archive].concat());
    let mut core = goes_on(timed, frame.clone());
    assert_eq!(waiting(&mut core, 1), Some(b"one\n".to_vec()), "it is late");
    let mut core = goes_on(before, frame);
    assert_eq!(waiting(&mut core, 0), Some(b"one 1\n".to_vec()), "no use of the time");
}

/// What is not replayed yet is in the next checkpoint at its present level.
#[test]
fn frames_that_are_not_replayed_are_stored_again_at_their_new_level() {
    let mut core = restored();
    core.enable_checkpoints(Epoch::NONE, 2, 1 << 20);
    let chunks = first_part(&mut core);
    let sections: Vec<Section> = chunks.iter().map(|chunk| chunk.section).collect();
    assert_eq!(sections, [Section::Lanes(1), Section::Lanes(2)]);
}

#[test]
fn a_frame_with_another_key_than_its_exchange_gives_is_refused() {
    let (mut core, numbers) = (only_core(after(), 1), numbers());
    let bytes = stored_frame(1, 1, Key::hash(&7_u64), &value::to_vec(&"one".to_owned()));
    let chunk = Chunk { section: Section::Lanes(0), bytes };
    let refused = core.restore(&chunk, &numbers, Nanos(1)).expect_err("its key is another");
    assert!(refused.to_string().contains("`in → key_by → key_by`, which has other keys"));
}
