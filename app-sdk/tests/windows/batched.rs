//! Batched: the same windows on a host that takes events in batches, guesses their rows and fires
//! what is due between batches, as the engine does on a single thread; and that goes on with stored
//! rows after half of the input.

use potoroo_sdk::host::{
    BATCH_EVENTS, Cause, ExchangeId, Feed, Hint, Host, Inflow, NO_SLOT, Origin, Route, SinkId,
    SourceId, TableId, Timing, UnderWay,
};
use potoroo_sdk::plan::Plan;
use potoroo_sdk::prelude::*;
use potoroo_sdk::stream::LATE_FOR_WINDOWS;
use potoroo_sdk::table::AnyRow;

use super::random::{by_key, describe, draw};
use super::support::{HintsByTable, RowsByHash};
use super::{Numbers, nanos, numbered};

struct Batched {
    random: Random,
    watermark: EventTime,
    /// By this much another connection is slower, which brings nothing.
    lag: Duration,
    rows: RowsByHash,
    hints: HintsByTable,
    outputs: Vec<(SinkId, Vec<u8>)>,
    guessed: usize,
}

impl Host for Batched {
    fn send(&mut self, _: Route, _: &Cause, _: Option<&Timing>, _: usize) -> &mut [u8] {
        panic!("everything runs in place");
    }

    fn in_place(
        &mut self,
        _: ExchangeId,
        _: usize,
        hashes: &[u64],
        _: &[Cause],
        timings: &mut [Timing],
        slots: &mut [u32],
    ) -> u64 {
        for (timing, (hash, slot)) in timings.iter_mut().zip(hashes.iter().zip(slots)) {
            self.watermark = self.watermark.max(timing.own - self.lag);
            timing.watermark = self.watermark;
            *slot = self.rows.guess(*hash);
            self.guessed += usize::from(*slot != NO_SLOT);
        }
        u64::MAX >> (BATCH_EVENTS - hashes.len())
    }

    fn output(&mut self, sink: SinkId, _: &Cause, bytes: &[u8]) {
        self.outputs.push((sink, bytes.to_vec()));
    }

    fn batch_max(&mut self) -> usize {
        1 + self.random.below(BATCH_EVENTS as u64) as usize
    }

    fn blocked(&self) -> bool {
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

    fn watermark(&self, _: TableId, _: Inflow) -> EventTime {
        EventTime::MAX
    }

    fn refuse(&mut self, _: &Cause, reason: Reason, _: &[u8]) {
        assert_eq!(reason, LATE_FOR_WINDOWS, "nothing else is wrong");
    }
}

impl Batched {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let lag = nanos(if random.chance(0.5) { 0 } else { random.below(40) });
        Self {
            random,
            watermark: EventTime::MIN,
            lag,
            rows: RowsByHash::default(),
            hints: HintsByTable::default(),
            outputs: Vec::new(),
            guessed: 0,
        }
    }

    /// Fires what is due at the watermark.
    fn fire(&mut self, plan: &Plan, under_way: &UnderWay) {
        let cause = Cause { ingress: 0, origin: Origin::default(), source: SourceId(0) };
        for due in &plan.dues {
            loop {
                let until = self.watermark;
                let hints = self.hints.take(due, until);
                if hints.is_empty() {
                    break;
                }
                let done = due.stage.fire(&hints, until, &cause, under_way, self);
                hints[done..].iter().for_each(|hint| self.hints.add(due.table, *hint));
            }
        }
    }

    /// Goes on with all rows in another program, as after a crash.
    fn move_rows(&mut self, from: &Plan, to: &Plan) {
        self.hints.0.clear();
        self.rows.move_rows(from, to);
        to.dues.iter().for_each(|due| due.stage.hint_all(self));
    }

    fn run(&mut self, plans: [&Plan; 2], input: &[u8]) {
        let mut plan = plans[0];
        let (under_way, mut own) = (UnderWay::default(), vec![EventTime::MIN; plan.times.len()]);
        let mut rest = input;
        while !rest.is_empty() {
            if core::ptr::eq(plan, plans[0]) && rest.len() < input.len() / 2 {
                self.move_rows(plan, plans[1]);
                plan = plans[1];
            }
            let origin = Origin { connection: 1, position: 0 };
            let cause = Cause { ingress: 0, origin, source: SourceId(0) };
            let events_max = 1 + self.random.below(100);
            let frame_bytes_max = 1 << 20;
            let feed = Feed { cause, ended: true, events_max, frame_bytes_max, skipping: false };
            let done = plan.sources[0].stage.ingest(rest, feed, &mut own, &under_way, self);
            rest = &rest[done.bytes..];
            if self.random.chance(0.7) {
                self.fire(plan, &under_way);
            }
        }
        self.watermark = EventTime::MAX;
        self.fire(plan, &under_way);
        assert!(self.hints.0.is_empty(), "{:?}", self.hints.0);
        assert!(plan.tables.iter().all(|table| table.rows.count() == 0), "a row is left");
    }

    fn lines(&self, plan: &Plan, sink: &str) -> Vec<String> {
        let is = |id: &SinkId| plan.sinks[usize::from(id.0)].name.as_deref() == Some(sink);
        let outputs = self.outputs.iter().filter(|(id, _)| is(id));
        outputs.map(|(_, bytes)| String::from_utf8_lossy(bytes).trim_end().to_string()).collect()
    }
}

/// Returns how often a row was guessed.
fn check(seed: u64) -> usize {
    let drawn = draw(seed, 1);
    let lines = drawn.events.iter();
    let lines = lines.map(|(_, (key, time, number))| format!("{key} {time} {number}\n"));
    let input = lines.collect::<String>();
    let mut reference = Reference::new(describe(&drawn)).expect("it is sound");
    reference.feed("in", input.as_bytes());
    reference.end("in");
    let [first, plan] = [(); 2].map(|()| describe(&drawn).plan().expect("it is sound"));
    let mut host = Batched::new(seed);
    host.run([&first, &plan], input.as_bytes());
    // When late events are shown depends on how far the watermark is.
    let is_late = |line: &String| line.contains("Late");
    for late in [false, true] {
        let of = |lines: Vec<String>| {
            by_key(lines.into_iter().filter(|line| is_late(line) == late).collect())
        };
        let of_reference = of(super::lines(&reference, 0));
        assert_eq!(of(host.lines(&plan, "out")), of_reference, "seed {seed}: {drawn:?}");
    }
    if plan.sinks.len() > 1 {
        let late = host.lines(&plan, "late").join("\n");
        let of_reference = reference.output("late");
        assert_eq!(late, String::from_utf8_lossy(&of_reference).trim_end(), "seed {seed}");
    }
    host.guessed
}

#[test]
fn batches_give_the_same_windows_as_one_event_at_a_time() {
    let guessed: usize = (0..600).map(check).sum();
    assert!(guessed > 10_000, "{guessed} rows were guessed");
}

/// What a window had in an earlier program.
#[state]
struct Former(u64);

#[test]
fn windows_go_on_with_converted_states() {
    let former = Application::new("windows");
    let windows = former.windows::<u64, Former>("windows", tumbling(nanos(100)));
    numbered(&former, 0).window(&windows, |count, _| count.0 += 1);
    windows.closed(|count, _| count.0.to_string()).sink("out", LineText::new());
    let present = Application::new("windows");
    let windows = present.windows::<u64, Numbers>("windows", tumbling(nanos(100)));
    let windows = windows.migrating(|former: Former| Numbers(vec![1000 + former.0]));
    numbered(&present, 0).window(&windows, |numbers, (.., number)| numbers.0.push(number));
    windows.closed(|numbers, _| format!("{:?}", numbers.0)).sink("out", LineText::new());
    let plans = [former, present].map(|app| app.plan().expect("it is sound"));
    let mut host = Batched::new(7);
    let input: String = (0..1000).map(|number| format!("1 {} {number}\n", number / 100)).collect();
    host.run([&plans[0], &plans[1]], input.as_bytes());
    let lines = host.lines(&plans[1], "out");
    let [line] = &lines[..] else { panic!("one window: {lines:?}") };
    let numbers: Vec<u64> = line
        .trim_matches(['[', ']'])
        .split(", ")
        .map(|number| number.parse().expect("a number"))
        .collect();
    assert!(numbers[0] > 1300, "what came before was counted: {}", numbers[0]);
    assert_eq!(numbers[1], numbers[0] - 1000, "the others follow");
    assert_eq!(numbers.len() as u64, 1 + 1000 - numbers[1]);
}
