//! Batched: the same joins on a host that takes events in batches and fires what is due between
//! them, as the engine does on a single thread; and that goes on with stored rows in between.

use std::cell::Cell;

use potoroo_sdk::host::{
    BATCH_EVENTS, Cause, ExchangeId, Feed, Hint, Host, Inflow, Origin, Route, SinkId, SourceId,
    TableId, Timing, UnderWay,
};
use potoroo_sdk::plan::{Plan, PlannedDue};
use potoroo_sdk::prelude::*;
use potoroo_sdk::table::AnyRow;

use super::input::{Arrival, Given, SIDES, Shape, sides, sorted};
use super::support::{HintsByTable, RowsByHash};

struct Batched {
    random: Random,
    /// By exchange.
    watermarks: Vec<EventTime>,
    /// By exchange: by this much another connection is slower, which brings nothing.
    lags: Vec<Duration>,
    inflows: Vec<Vec<Inflow>>,
    rows: RowsByHash,
    hints: HintsByTable,
    outputs: Vec<String>,
    refused: usize,
    left_blocked: usize,
    fires: bool,
    /// While something fires: how much more may come out before the host is asked again.
    room: Cell<usize>,
    room_max: usize,
}

impl Host for Batched {
    fn send(&mut self, _: Route, _: &Cause, _: Option<&Timing>, _: usize) -> &mut [u8] {
        panic!("everything runs in place");
    }

    fn in_place(
        &mut self,
        exchange: ExchangeId,
        _: usize,
        hashes: &[u64],
        _: &[Cause],
        timings: &mut [Timing],
        slots: &mut [u32],
    ) -> u64 {
        let at = usize::from(exchange.0);
        for (timing, (hash, slot)) in timings.iter_mut().zip(hashes.iter().zip(slots)) {
            self.watermarks[at] = self.watermarks[at].max(timing.own - self.lags[at]);
            timing.watermark = self.watermarks[at];
            *slot = self.rows.guess(*hash);
        }
        u64::MAX >> (BATCH_EVENTS - hashes.len())
    }

    fn output(&mut self, _: SinkId, _: &Cause, bytes: &[u8]) {
        if self.fires {
            let room = self.room.get().checked_sub(1);
            self.room.set(room.expect("no more comes out than has room"));
        }
        self.outputs.push(String::from_utf8_lossy(bytes).trim_end().to_owned());
    }

    fn batch_max(&mut self) -> usize {
        self.room_max = 1 + self.random.below(BATCH_EVENTS as u64 / 8) as usize;
        self.room.set(self.room_max);
        self.room_max
    }

    fn blocked(&self) -> bool {
        self.room.set(self.room_max);
        self.outputs.len() % 3 == 1
    }

    fn find(&mut self, table: TableId, hash: u64, previous: Option<u32>) -> Option<u32> {
        self.rows.find(table, hash, previous)
    }

    fn bind(&mut self, table: TableId, hash: u64, slot: u32) {
        self.rows.bind(table, hash, slot);
    }

    fn unbind(&mut self, table: TableId, hash: u64, slot: u32, _: &dyn AnyRow) {
        self.rows.unbind(table, hash, slot);
    }

    fn hint(&mut self, table: TableId, hint: Hint) {
        self.hints.add(table, hint);
    }

    fn watermark(&self, table: TableId, without: Inflow) -> EventTime {
        self.least(self.inflows[usize::from(table.0)].iter().filter(|inflow| **inflow != without))
    }

    fn refuse(&mut self, _: &Cause, _: Reason, _: &[u8]) {
        self.refused += 1;
    }
}

impl Batched {
    fn new(plan: &Plan, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut lag = |_| Duration::from_nanos(random.below(2) * random.below(30));
        let lags = plan.exchanges.iter().map(&mut lag).collect();
        let watermarks = plan.exchanges.iter().map(|_| EventTime::MIN).collect();
        let of = |table| plan.dues.iter().find(|due| usize::from(due.table.0) == table);
        let inflows =
            (0..plan.tables.len()).map(|table| of(table).expect("it is due").inflows.clone());
        Self {
            random,
            watermarks,
            lags,
            inflows: inflows.collect(),
            rows: RowsByHash::default(),
            hints: HintsByTable::default(),
            outputs: Vec::new(),
            refused: 0,
            left_blocked: 0,
            fires: false,
            room: Cell::new(0),
            room_max: 0,
        }
    }

    fn least<'a>(&self, inflows: impl Iterator<Item = &'a Inflow>) -> EventTime {
        let said = inflows.map(|inflow| match inflow {
            Inflow::Exchange(id) => self.watermarks[usize::from(id.0)],
            other => panic!("nothing comes from {other:?}"),
        });
        said.min().unwrap_or(EventTime::MAX)
    }

    /// Fires what is due.
    fn fire(&mut self, due: &PlannedDue, under_way: &UnderWay) {
        let cause = Cause { ingress: 0, origin: Origin::default(), source: due.source };
        loop {
            let until = self.least(due.due_by.iter());
            let hints = self.hints.take(due, until);
            if hints.is_empty() {
                return;
            }
            self.fires = true;
            let done = due.stage.fire(&hints, until, &cause, under_way, self);
            self.fires = false;
            self.left_blocked += hints.len() - done;
            hints[done..].iter().for_each(|hint| self.hints.add(due.table, *hint));
        }
    }

    /// Goes on with all rows in another plan, as after a crash.
    fn move_rows(&mut self, from: &Plan, to: &Plan) {
        self.hints.0.clear();
        self.rows.move_rows(from, to);
        to.dues.iter().for_each(|due| due.stage.hint_all(self));
    }

    /// Runs the lines of each source.
    fn run(&mut self, plans: [&Plan; 2], inputs: &[String]) {
        let (under_way, mut plan) = (UnderWay::default(), plans[0]);
        let mut own = vec![vec![EventTime::MIN; plan.times.len()]; inputs.len()];
        let mut rest: Vec<&[u8]> = inputs.iter().map(|input| input.as_bytes()).collect();
        let left = |rest: &[&[u8]]| rest.iter().map(|rest| rest.len()).sum::<usize>();
        let half = left(&rest) / 2;
        while left(&rest) > 0 {
            if core::ptr::eq(plan, plans[0]) && left(&rest) < half {
                self.move_rows(plan, plans[1]);
                plan = plans[1];
            }
            let at = self.random.below(inputs.len() as u64) as usize;
            let origin = Origin { connection: 1 + at as u64, position: 0 };
            let cause = Cause { ingress: 0, origin, source: SourceId(at as u8) };
            let events_max = 1 + self.random.below(20);
            let frame_bytes_max = 1 << 20;
            let feed = Feed { cause, ended: true, events_max, frame_bytes_max, skipping: false };
            let stage = &plan.sources[at].stage;
            let done = stage.ingest(rest[at], feed, &mut own[at], &under_way, self);
            rest[at] = &rest[at][done.bytes..];
            if self.random.chance(0.7) {
                plan.dues.iter().for_each(|due| self.fire(due, &under_way));
            }
        }
        let mut order: Vec<usize> = (0..self.watermarks.len()).collect();
        if self.random.chance(0.5) {
            order.reverse();
        }
        for exchange in order {
            self.watermarks[exchange] = EventTime::MAX;
            plan.dues.iter().for_each(|due| self.fire(due, &under_way));
        }
        let left = &self.hints.0;
        assert!(left.iter().all(|(_, hint)| hint.due == EventTime::MAX), "{left:?}");
    }
}

fn describe(shape: Shape, which: u64) -> Application {
    let app = Application::new("batched");
    let [left, right] = sides(&app, shape);
    let pair = |left: Arrival, right: Option<Arrival>| {
        format!("{}+{:?}", left.number, right.map(|right| right.number))
    };
    let pairs = match which {
        0 => left.as_of("rows", &right, pair),
        1 => left.join_left("rows", &right, Interval::new(-4, 6), pair),
        _ => left.join(
            "rows",
            &right,
            Interval::around(Duration::from_nanos(5)),
            move |left, right| pair(left, Some(right)),
        ),
    };
    pairs.sink("out", LineText::new());
    app
}

/// Returns how many hints came back because the host was blocked.
fn check(seed: u64, which: u64) -> usize {
    let mut random = Random::new(seed);
    let shape = Shape { is_deep: [false; 2], ..Shape::random(&mut random, 1) };
    let shape = Shape { keys: 1 + random.below(150), events: 200, ..shape };
    let given = shape.input(&mut random);
    let mut reference = Reference::new(describe(shape, which)).expect("it is sound");
    let sources = if shape.is_shared { 1 } else { 2 };
    let mut inputs = vec![String::new(); sources];
    for Given { side, key, time, number, .. } in given {
        let (line, at) = (format!("{key} {time} {number} {side}\n"), shape.source(side));
        reference.feed(SIDES[at], line.as_bytes());
        inputs[at].push_str(&line);
    }
    SIDES[..sources].iter().for_each(|source| reference.end(source));
    let plans = [(); 2].map(|()| describe(shape, which).plan().expect("it is sound"));
    let mut host = Batched::new(&plans[0], seed);
    host.run([&plans[0], &plans[1]], &inputs);
    let text = |line: Vec<u8>| String::from_utf8_lossy(&line).trim_end().to_owned();
    let expected = reference.outputs("out").into_iter().map(text).collect();
    assert_eq!(sorted(host.outputs), sorted(expected), "seed {seed}, {which}: {shape:?}");
    assert_eq!(host.refused, reference.refused().len(), "seed {seed}, {which}");
    host.left_blocked
}

#[test]
fn batches_give_the_same_pairs_as_one_event_at_a_time() {
    let left: Vec<usize> =
        (0..3).map(|which| (0..300).map(|seed| check(seed, which)).sum()).collect();
    assert!(left[0] > 20 && left[1] > 20, "{left:?} hints were given again");
}
