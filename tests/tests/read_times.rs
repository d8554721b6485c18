//! Latency counts from when the bytes of an event were read, however full its inlet has been since.

use std::sync::Arc;

use potoroo::flow::{ConnectionId, Core, CoreConfig, PartitionMap, SharedCounts};
use potoroo_runtime::{Nanos, mesh};
use potoroo_sdk::codec::LineText;
use potoroo_sdk::host::SourceId;
use potoroo_sdk::prelude::*;

/// Lines that end in a table.
fn counting() -> Application {
    let app = Application::new("counting");
    let counts = app.table::<u64, u64>("counts");
    app.source("lines", LineText::new())
        .key_by(|line| line.len() as u64)
        .update(&counts, |count, _| *count += 1);
    app
}

struct Seat {
    core: Core,
    tally: Arc<SharedCounts>,
    inlet: ConnectionId,
}

impl Seat {
    fn new() -> Self {
        let plan = counting().plan().expect("it is sound");
        let lanes = mesh(1, plan.levels() + 1, 65_536).pop().expect("there is one core");
        let tally = Arc::new(SharedCounts::new(&plan));
        let config = CoreConfig {
            core: 0,
            lanes,
            map: PartitionMap::spread(1, &[0]),
            sink_owners: Vec::new(),
            inlet_bytes: 4096,
            outlet_bytes: 4096,
            local_bytes: 65_536,
            keep_letters: false,
            readers: Vec::new(),
            tally: tally.clone(),
        };
        let mut core = Core::new(plan, config);
        let inlet = core.open_inlet(SourceId(0), false);
        Self { core, tally, inlet }
    }

    /// Reads `bytes` at `now`; returns how many there was room for.
    fn read(&mut self, bytes: &[u8], now: u64) -> usize {
        let room = self.core.inlet_room(self.inlet);
        let bytes = &bytes[..bytes.len().min(room.len())];
        room[..bytes.len()].copy_from_slice(bytes);
        self.core.inlet_filled(self.inlet, bytes.len(), Nanos(now));
        bytes.len()
    }

    fn turn(&mut self, now: u64) -> usize {
        self.core.turn(Nanos(now), |_| {})
    }

    /// Number and maximum of the latencies so far.
    fn latencies(&self) -> (u64, u64) {
        let latencies = self.tally.path(0).snapshot();
        (latencies.len(), latencies.max())
    }
}

/// One turn per microsecond takes 64 lines of four bytes, and whatever there is room for is read.
#[test]
fn a_source_that_never_lets_its_inlet_be_empty_has_bounded_latency() {
    const TURN_NS: u64 = 1000;
    let mut seat = Seat::new();
    let lines = b"abc\n".repeat(1024);
    for read_bytes in [4096, 256] {
        for turn in 1..5000 {
            let now = turn * TURN_NS;
            seat.read(&lines[..read_bytes], now);
            assert!(seat.turn(now) > 0, "it is saturated");
        }
        let (_, longest) = seat.latencies();
        // The inlet holds the lines of 16 turns.
        assert!(longest <= 20 * TURN_NS, "{longest} ns, with reads of {read_bytes} bytes");
    }
}

#[test]
fn an_event_counts_from_the_read_that_completed_it() {
    let mut seat = Seat::new();
    seat.read(b"one\ntw", 1_000_000);
    seat.read(b"o\nthree", 2_000_000);
    seat.turn(2_000_000);
    // Latencies end with the turn after.
    seat.turn(3_000_000);
    assert_eq!(seat.latencies().0, 2, "the third is not complete");
    let (first, second) = (2_000_000, 1_000_000);
    let seen = seat.tally.path(0).snapshot();
    assert!(close(seen.max(), first) && close(seen.min(), second), "{} {}", seen.max(), seen.min());
    seat.read(b"\n", 9_000_000);
    seat.turn(9_000_000);
    seat.turn(9_000_010);
    assert!(seat.tally.path(0).snapshot().min() < 1000, "its beginning had waited for its end");
}

/// Latencies are kept with a few per cent of error.
fn close(seen: u64, expected: u64) -> bool {
    seen.abs_diff(expected) < expected / 8
}

/// A line that comes byte by byte, with more reads than stamps, is one event.
#[test]
fn more_reads_than_stamps_lose_nothing() {
    let mut seat = Seat::new();
    for now in 1..=100 {
        seat.read(b"a\n", now * 1_000_000);
    }
    while seat.turn(200_000_000) > 0 {}
    seat.turn(200_000_000);
    let (events, longest) = seat.latencies();
    assert_eq!(events, 100);
    assert!(close(longest, 199_000_000), "{longest}");
}
