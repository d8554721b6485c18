//! Ids of connections in later generations: whatever was under way for a connection of an earlier
//! one is answered to none, and ids distinguish them.

use std::collections::BTreeSet;

use potoroo::checkpoint::{Chunk, Epoch, Renumbering, Section};
use potoroo::flow::Core;
use potoroo_runtime::Nanos;
use potoroo_sdk::host::SourceId;
use potoroo_sdk::key::Key;
use potoroo_sdk::prelude::*;
use potoroo_sdk::value;
use potoroo_tests::alone::{only_core, stored_frame};

fn echo() -> Application {
    let app = Application::new("echo");
    app.source("in", LineText::new()).key_by(|line| line.len() as u64).reply(LineText::new());
    app
}

#[test]
fn no_two_generations_have_connections_of_one_id() {
    let mut ids = BTreeSet::new();
    for generation in 1..=5 {
        let mut core = only_core(echo(), 1);
        core.enable_checkpoints(Epoch::NONE, generation, 1 << 20);
        for _ in 0..3 {
            let id = core.open_inlet(SourceId(0), false);
            assert!(ids.insert(id.0), "{id:?} of generation {generation} is not new");
        }
    }
}

/// Takes back a line that the connection `origin` had sent.
fn restore(core: &mut Core, origin: u64) {
    let (hash, line) = (Key::hash(&4_u64), value::to_vec(&"late".to_owned()));
    let chunk = Chunk { section: Section::Lanes(0), bytes: stored_frame(1, origin, hash, &line) };
    let numbers = Renumbering::same(core.plan());
    core.restore(&chunk, &numbers, Nanos(1)).expect("it is valid");
    core.restored();
}

/// Processes all that is under way; returns what the connection of an inlet is answered.
fn replies(core: &mut Core, inlet: usize) -> Vec<u8> {
    while core.turn(Nanos(2), |_| {}) > 0 {}
    core.reply(inlet).expect("it is open").waiting().to_vec()
}

/// Generations repeat after a while: what is under way must suffice.
#[test]
fn a_late_reply_reaches_no_connection_that_takes_the_place_of_its_own() {
    let mut before = only_core(echo(), 1);
    let gone = before.open_inlet(SourceId(0), false);
    restore(&mut before, gone.0);
    assert_eq!(replies(&mut before, gone.inlet()), b"late\n", "it would be answered");
    let mut core = only_core(echo(), 1);
    restore(&mut core, gone.0);
    let new = core.open_inlet(SourceId(0), false);
    assert_eq!((new.core(), new.inlet()), (gone.core(), gone.inlet()));
    assert_eq!(replies(&mut core, new.inlet()), b"");
    assert_eq!(core.counts().replies_lost, 1);
}
