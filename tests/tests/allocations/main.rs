//! Nothing is allocated or freed per event once every key is known: proven by counting what a core
//! does on its thread, not by reading its code.
//!
//! Two cores are driven as the engine drives them, over real lanes, on this one thread.

mod counting;
mod links;
mod times;

use std::sync::Arc;

use potoroo::flow::{ConnectionId, Core, CoreConfig, PartitionMap, SharedCounts};
use potoroo::prelude::*;
use potoroo::sdk::host::{SinkId, SourceId};
use potoroo_runtime::{Nanos, mesh_with_words};

const KEYS: u64 = 1000;
const EVENTS: u64 = 100_000;
const FRAME_BYTES: usize = 16;
const LANE_BYTES: usize = 256 * 1024;

#[event]
struct Trade {
    account: u64,
    quantity: u64,
}

#[event]
struct Total {
    account: u64,
    quantity: u64,
}

#[key]
struct Group(u32);

#[state]
struct Position {
    quantity: u64,
    trades: u64,
}

struct TradeCodec;

impl Decode for TradeCodec {
    type Event = Trade;
    type Framing = FixedSize;

    fn framing(&self) -> FixedSize {
        FixedSize::new(FRAME_BYTES)
    }

    fn decode(&self, payload: &[u8]) -> Result<Trade, Reason> {
        let mut fields = Fields::new(payload);
        Ok(Trade { account: fields.u64_be()?, quantity: fields.u64_be()? })
    }
}

struct TotalCodec;

impl Encode for TotalCodec {
    type Event = Total;

    fn encode(&self, total: Total, out: &mut Vec<u8>) {
        out.put_u64_be(total.account);
        out.put_u64_be(total.quantity);
    }
}

/// Two exchanges, three tables, every kind of handler, times, five sinks and a reply.
fn application() -> Application {
    let app = Application::new("allocations");
    let positions = app.table::<u64, Position>("positions");
    let groups = app.table::<Group, u64>("groups");
    let rare = app.table::<u64, u64>("rare");
    let totals = app
        .source("trades", TradeCodec)
        .filter(|trade| trade.quantity != 3)
        .map(|trade| Trade { account: trade.account, quantity: trade.quantity + 1 })
        .event_time(|trade| EventTime::from_nanos(trade.quantity as i64 ^ 8), IN_ORDER)
        .key_by(|trade| trade.account)
        .update(&positions, |position, trade| {
            position.quantity += trade.quantity;
            position.trades += 1;
            (position.trades % 2 == 0)
                .then_some(Total { account: trade.account, quantity: position.quantity })
        });
    totals.reply(TotalCodec);
    let (on_time, late) = totals.split_late();
    let [even, odd] = on_time.route(|total| total.account as usize % 2);
    even.merge(&odd).sink("on-time", TotalCodec);
    late.sink("late", TotalCodec);
    totals.sink("totals", TotalCodec);
    totals
        .flat_map(|total, out| (0..total.account % 3).for_each(|_| out.emit(total)))
        .key_by(|total| Group(total.account as u32 % 10))
        .update(&groups, |sum, total| {
            *sum += 1;
            Total { account: total.account % 10, quantity: *sum }
        })
        .sink("groups", TotalCodec);
    // Rows that come and go: each key's is made by one event and removed by the next.
    totals
        .update_with(&rare, |entry, total, out: &mut Out<Total>| {
            **entry += 1;
            if **entry == 2 {
                entry.remove();
                out.emit(total);
            }
        })
        .sink("rare", TotalCodec);
    app
}

/// Two cores and one connection on each.
struct Pair {
    cores: Vec<(Core, ConnectionId)>,
    now: u64,
    /// Bytes that left through sinks and as replies.
    bytes_out: usize,
}

impl Pair {
    /// Each core reads the source of its number, if there are two, and the same one otherwise.
    fn new(describe: fn() -> Application) -> Self {
        let plan = describe().plan().expect("the application is sound");
        let (levels, words) = (plan.levels() + 1, plan.watermark_levels());
        let both = plan.sources.len() == 2;
        let readers = if both { vec![Some(0), Some(1)] } else { Vec::new() };
        let lanes = mesh_with_words(2, levels, &words, LANE_BYTES).into_iter().enumerate();
        let cores = lanes.map(|(core, lanes)| {
            let plan = describe().plan().expect("the application is sound");
            let tally = Arc::new(SharedCounts::new(&plan));
            let source = SourceId(if both { core as u8 } else { 0 });
            let sink_owners = (0..plan.sinks.len()).map(|sink| sink % 2).collect();
            let config = CoreConfig {
                core,
                lanes,
                map: PartitionMap::spread(1024, &[0, 1]),
                sink_owners,
                inlet_bytes: 64 * 1024,
                outlet_bytes: 256 * 1024,
                local_bytes: LANE_BYTES,
                keep_letters: false,
                readers: readers.clone(),
                tally,
            };
            let mut core = Core::new(plan, config);
            let id = core.open_inlet(source, false);
            (core, id)
        });
        Self { cores: cores.collect(), now: 1, bytes_out: 0 }
    }

    /// Brings all of `bytes` to the cores, and turns until nothing is left to do.
    fn run(&mut self, bytes: [&[u8]; 2]) {
        let mut taken = [0; 2];
        loop {
            let mut work = 0;
            for (((core, id), bytes), taken) in self.cores.iter_mut().zip(bytes).zip(&mut taken) {
                self.now += 1000;
                work += fill(core, *id, &bytes[*taken..], taken, Nanos(self.now));
                work += core.turn(Nanos(self.now), |_| {});
                self.bytes_out += empty(core);
            }
            if work == 0 && taken == bytes.map(<[u8]>::len) {
                return;
            }
        }
    }

    fn events(&mut self) -> u64 {
        self.cores
            .iter_mut()
            .map(|(core, _)| core.counts().sources.iter().map(|source| source.events).sum::<u64>())
            .sum()
    }
}

/// As the engine does after reading from a socket.
fn fill(core: &mut Core, id: ConnectionId, bytes: &[u8], taken: &mut usize, now: Nanos) -> usize {
    let room = core.inlet_room(id);
    let count = room.len().min(bytes.len()).min(4096);
    room[..count].copy_from_slice(&bytes[..count]);
    core.inlet_filled(id, count, now);
    *taken += count;
    count
}

/// As the engine does when writing to sockets.
fn empty(core: &mut Core) -> usize {
    let mut bytes = 0;
    for sink in 0..core.plan().sinks.len() as u16 {
        let Some(outlet) = core.outlet(SinkId(sink)) else { continue };
        let waiting = outlet.waiting().len();
        outlet.written(waiting);
        bytes += waiting;
    }
    for at in 0..core.replying().len() {
        let slot = core.replying()[at];
        let outlet = core.reply(slot).expect("replies wait there");
        let waiting = outlet.waiting().len();
        outlet.written(waiting);
        bytes += waiting;
    }
    bytes
}

/// Trades over all accounts.
fn trades(count: u64) -> Vec<u8> {
    let frame = |trade: u64| {
        let mut frame = (trade % KEYS).to_be_bytes().to_vec();
        frame.extend((trade % 7).to_be_bytes());
        frame
    };
    (0..count).flat_map(frame).collect()
}

#[test]
fn nothing_is_allocated_per_event_after_warm_up() {
    let mut pair = Pair::new(application);
    // Each key in every state that it can have; buffers as full as they become.
    let bytes = trades(EVENTS);
    pair.run([&bytes; 2]);
    pair.run([&bytes; 2]);
    let (events, bytes_out) = (pair.events(), pair.bytes_out);
    let before = counting::calls();
    pair.run([&bytes; 2]);
    let calls = counting::calls() - before;
    assert_eq!(pair.events() - events, 2 * EVENTS);
    assert!(pair.bytes_out > bytes_out, "results left");
    assert_eq!(calls, 0, "allocations and frees during {} events", 2 * EVENTS);
}

#[test]
fn the_counter_counts() {
    let before = counting::calls();
    let made = std::hint::black_box(Box::new(7_u64));
    assert_eq!(counting::calls() - before, 1);
    drop(made);
    assert_eq!(counting::calls() - before, 2);
    let mut grown = std::hint::black_box(Vec::<u8>::with_capacity(1));
    grown.extend([0; 100]);
    assert_eq!(counting::calls() - before, 4);
}
