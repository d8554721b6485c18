//! Stages that take their events in batches give the same results as one event at a time.

use potoroo_sdk::host::{
    Cause, ExchangeId, Feed, Hint, Host, Inflow, Inputs, NO_SLOT, Origin, Route, SinkId, SourceId,
    Stop, TableId, Timing, UnderWay,
};
use potoroo_sdk::plan::Plan;
use potoroo_sdk::prelude::*;
use potoroo_sdk::table::AnyRow;
use potoroo_sdk::text::Text;

mod support;

use support::RowsByHash;

/// A host that lets every event run at once, as an engine on one core does, or sends every event.
#[derive(Default)]
struct Everything {
    sends: bool,
    rows: RowsByHash,
    sent: Vec<(Route, Cause, Option<Timing>, Vec<u8>)>,
    outputs: Vec<(SinkId, Vec<u8>)>,
    refused: Vec<Vec<u8>>,
    batch_max: usize,
    /// What is said of the time of other streams; the end of time for `None`.
    others: Option<EventTime>,
}

impl Host for Everything {
    fn send(
        &mut self,
        route: Route,
        cause: &Cause,
        timing: Option<&Timing>,
        bytes: usize,
    ) -> &mut [u8] {
        self.sent.push((route, *cause, timing.copied(), vec![0; bytes]));
        &mut self.sent.last_mut().expect("it was just sent").3
    }

    fn in_place(
        &mut self,
        _: ExchangeId,
        _: usize,
        hashes: &[u64],
        causes: &[Cause],
        _: &mut [Timing],
        slots: &mut [u32],
    ) -> u64 {
        assert!(!hashes.is_empty() && hashes.len() == causes.len() && hashes.len() == slots.len());
        self.batch_max = self.batch_max.max(hashes.len());
        if self.sends { 0 } else { u64::MAX >> (64 - hashes.len()) }
    }

    fn output(&mut self, sink: SinkId, _: &Cause, bytes: &[u8]) {
        self.outputs.push((sink, bytes.to_vec()));
    }

    fn batch_max(&mut self) -> usize {
        64
    }

    fn blocked(&self) -> bool {
        false
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

    fn hint(&mut self, _: TableId, _: Hint) {}

    fn watermark(&self, _: TableId, _: Inflow) -> EventTime {
        self.others.unwrap_or(EventTime::MAX)
    }

    fn refuse(&mut self, _: &Cause, _: Reason, bytes: &[u8]) {
        self.refused.push(bytes.to_vec());
    }
}

impl Everything {
    /// Runs all of `bytes` at the source of `plan`, and what it causes, in batches.
    fn run(&mut self, plan: &Plan, bytes: &[u8]) {
        let origin = Origin { connection: 1, position: 0 };
        let cause = Cause { ingress: 0, origin, source: SourceId(0) };
        let (ended, skipping) = (true, false);
        let feed = Feed { cause, ended, events_max: 1 << 40, frame_bytes_max: 1 << 20, skipping };
        let under_way = UnderWay::default();
        let mut own = vec![EventTime::MIN; plan.times.len()];
        let done = plan.sources[0].stage.ingest(bytes, feed, &mut own, &under_way, self);
        assert_eq!((done.bytes, done.stop), (bytes.len(), Stop::More(0)));
        assert!(under_way.take().key.is_none(), "a key that is gone is still noted");
        while !self.sent.is_empty() {
            let sent = std::mem::take(&mut self.sent);
            for run in sent.chunk_by(|(one, ..), (other, ..)| one.exchange == other.exchange) {
                run.chunks(64).for_each(|run| self.run_frames(plan, run, &under_way));
            }
        }
    }

    fn run_frames(
        &mut self,
        plan: &Plan,
        frames: &[(Route, Cause, Option<Timing>, Vec<u8>)],
        under_way: &UnderWay,
    ) {
        let archives: Vec<&[u8]> = frames.iter().map(|(.., bytes)| bytes.as_slice()).collect();
        let hashes: Vec<u64> = frames.iter().map(|(route, ..)| route.hash).collect();
        let causes: Vec<Cause> = frames.iter().map(|(_, cause, ..)| *cause).collect();
        let timings: Vec<Timing> = frames.iter().filter_map(|(.., timing, _)| *timing).collect();
        let slots = vec![NO_SLOT; frames.len()];
        let (archives, hashes, causes) = (&*archives, &*hashes, &*causes);
        let inputs = Inputs { archives, hashes, slots: &slots, causes, timings: &timings };
        let stage = &plan.exchanges[frames[0].0.exchange.0 as usize].stage;
        assert_eq!(stage.batch(inputs, under_way, self), frames.len());
        assert!(under_way.take().key.is_none(), "a key that is gone is still noted");
    }
}

/// 300 words, each of which occurs many times, with gaps in a pattern that no batch has.
fn words() -> Vec<u8> {
    (0..300u32).flat_map(|place| format!("w{}\n", place * place % 11).into_bytes()).collect()
}

/// Outputs of both hosts, by sink, in order; and the longest batch that reached an exchange.
fn compare(describe: fn() -> Application) -> usize {
    let mut reference = Reference::new(describe()).expect("the application can run");
    reference.feed("words", &words());
    let mut batch_max = 0;
    for sends in [false, true] {
        let plan = describe().plan().expect("the application can run");
        let mut host = Everything { sends, ..Everything::default() };
        host.run(&plan, &words());
        assert!(host.refused.is_empty());
        for sink in &plan.sinks {
            let label = sink.name.as_deref().unwrap_or("reply");
            let of = |id: &SinkId| plan.sinks[id.0 as usize].name == sink.name;
            let outputs: Vec<Vec<u8>> = host
                .outputs
                .iter()
                .filter(|(id, _)| of(id))
                .map(|(_, bytes)| bytes.clone())
                .collect();
            // Sent events leave the order between exchanges open.
            if !sends || plan.exchanges.len() == 1 {
                assert_eq!(outputs, reference.outputs(label), "sink {label}, sends: {sends}");
            }
        }
        batch_max = batch_max.max(host.batch_max);
    }
    batch_max
}

/// An event of fixed size: a host is asked about no others.
#[event]
struct Word {
    text: Text<8>,
}

fn source(app: &Application) -> Stream<Word> {
    let word = |word: &str| Word { text: Text::new(word.as_bytes()).unwrap_or_default() };
    app.source("words", LineText::new()).map(word)
}

/// An event without fields, whose archive has no bytes.
#[event]
struct Beat;

#[test]
fn events_without_fields_pass_an_exchange() {
    let describe = || {
        let app = Application::new("beats");
        let beats = app.table::<u64, u64>("beats");
        app.source("words", LineText::new())
            .map(|_| Beat)
            .key_by(|_| 1u64)
            .update(&beats, |count, _| {
                *count += 1;
                format!("{count}")
            })
            .sink("counts", LineText::new());
        app
    };
    assert!(compare(describe) > 1);
}

#[test]
fn a_chain_of_all_operators_runs_in_batches() {
    let describe = || {
        let app = Application::new("chain");
        let counts = app.table::<Text<8>, u64>("counts");
        let odd = app.table::<Text<8>, u64>("odd");
        source(&app)
            .filter(|word| word.text.as_bytes() != b"w3")
            .flat_map(|word, out| (0..word.text.len()).for_each(|_| out.emit(word)))
            .map(|word| (word.text.as_bytes() != b"w5").then_some(word))
            .key_by(|word| word.text)
            .filter(|word| word.text.as_bytes() != b"w4")
            .update(&counts, |count, word| {
                *count += 1;
                format!("{} {count}", word.text)
            })
            .update_with(&odd, |seen, word, out| {
                **seen += 1;
                if **seen == 7 {
                    seen.remove();
                }
                out.emit(format!("{word} of {}", **seen));
            })
            .map(|word| [word.to_string(), word.to_uppercase()])
            .sink("lines", LineText::new());
        app
    };
    // What the operators before the exchange leave of a batch.
    assert!(compare(describe) > 32);
}

#[test]
fn ways_that_never_meet_run_in_batches() {
    let describe = || {
        let app = Application::new("apart");
        let (one, two) = (app.table::<Text<8>, u64>("one"), app.table::<Text<8>, u64>("two"));
        let words = source(&app);
        for (table, sink) in [(&one, "first"), (&two, "second")] {
            words
                .key_by(|word| word.text)
                .update(table, |count, word| {
                    *count += 1;
                    format!("{} {count}", word.text)
                })
                .sink(sink, LineText::new());
        }
        app
    };
    assert_eq!(compare(describe), 64);
}

#[test]
fn events_that_get_their_key_at_once_run_in_batches() {
    let describe = || {
        let app = Application::new("lengths");
        let counts = app.table::<u64, u64>("counts");
        app.source("words", LineNumbers)
            .key_by(|number| number % 7)
            .update(&counts, |count, number| {
                *count += number;
                count.to_string()
            })
            .sink("sums", LineText::new());
        app
    };
    assert_eq!(compare(describe), 64);
}

/// Reads the number in each line `wN`.
struct LineNumbers;

impl Decode for LineNumbers {
    type Event = u64;
    type Framing = <LineText as Decode>::Framing;

    fn framing(&self) -> Self::Framing {
        LineText::new().framing()
    }

    fn decode(&self, line: &[u8]) -> Result<u64, Reason> {
        let text = std::str::from_utf8(&line[1..]).map_err(|_| Reason::new("not UTF-8"))?;
        text.parse().map_err(|_| Reason::new("no number"))
    }
}

#[test]
fn what_is_made_of_one_event_goes_on_one_by_one_where_ways_meet() {
    let app = Application::new("made");
    let sum = app.table::<(), u64>("sum");
    let words = app.source("words", LineText::new());
    let words = words.flat_map(|line, out| {
        line.split(' ').for_each(|word| out.emit(String::from(word)));
    });
    words.map(|word| word.to_uppercase()).merge(&words).sink("all", LineText::new());
    words
        .collect()
        .flat_map(|word, out| (0..2).for_each(|_| out.emit(word.len() as u64)))
        .update(&sum, |sum, length| {
            *sum *= 2;
            length
        })
        .update(&sum, |sum, length| {
            *sum += length;
            sum.to_string()
        })
        .sink("sums", LineText::new());
    let mut reference = Reference::new(app).expect("the application can run");
    reference.feed("words", b"a bc\n");
    assert_eq!(reference.output("all"), b"A\na\nBC\nbc\n");
    assert_eq!(reference.output("sums"), b"1\n3\n8\n18\n");
}

/// A chain through one table over two exchanges, on one core.
#[test]
fn a_table_that_two_exchanges_update_sees_event_by_event() {
    let describe = || {
        let app = Application::new("again");
        let sums = app.table::<u64, u64>("sums");
        app.source("words", LineNumbers)
            .key_by(|number| number % 3)
            .update(&sums, |sum, number| {
                *sum = 3 * *sum % 1_000_003 + number;
                number
            })
            .key_by(|number| number % 2)
            .update(&sums, |sum, number| {
                *sum += number;
                sum.to_string()
            })
            .sink("sums", LineText::new());
        app
    };
    assert_eq!(compare(describe), 1);
}

#[test]
fn two_ways_to_one_table_keep_the_order_of_events() {
    let describe = || {
        let app = Application::new("one-table");
        let last = app.table::<(), String>("last");
        let words = source(&app);
        for (sink, short) in [("short", true), ("long", false)] {
            words
                .filter(move |word| (word.text.len() < 3) == short)
                .collect()
                .update(&last, |last, word| {
                    let before = std::mem::replace(last, word.text.to_string());
                    format!("{} after {before}", word.text)
                })
                .sink(sink, LineText::new());
        }
        app
    };
    assert_eq!(compare(describe), 1);
}

#[test]
fn streams_that_are_parted_run_in_batches_until_they_meet() {
    let apart = || {
        let app = Application::new("parted");
        let [a, b] = ["a", "b"].map(|name| app.table::<Text<8>, u64>(name));
        let (rare, often) = source(&app).split(|word| word.text.as_bytes() == b"w4");
        let [first, second] = often
            .key_by(|word| word.text)
            .route(|word| usize::from(word.text.as_bytes()[1] > b'3') * 7);
        for (part, table, sink) in [(first, &a, "first"), (second, &b, "second")] {
            part.update(table, |count, word| {
                *count += 1;
                format!("{} {count}", word.text)
            })
            .sink(sink, LineText::new());
        }
        rare.map(|word| word.text.to_string()).sink("rare", LineText::new());
        app
    };
    assert!(compare(apart) > 1);
    let met = || {
        let app = Application::new("met");
        let (rare, often) = source(&app).split(|word| word.text.as_bytes() == b"w4");
        let often = often.map(|word| Word { text: Text::new(b"seen").unwrap_or(word.text) });
        rare.merge(&often).map(|word| word.text.to_string()).sink("all", LineText::new());
        app
    };
    compare(met);
}

#[test]
fn late_events_run_in_batches_before_and_after_an_exchange() {
    let describe = || {
        let app = Application::new("late");
        let counts = app.table::<u64, u64>("counts");
        let timed = app
            .source("words", LineNumbers)
            .event_time(|number: u64| EventTime::from_nanos(number as i64), IN_ORDER)
            .filter(|number| number != 4);
        let (on_time, late) = timed.key_by(|number| number % 3).split_late();
        late.update(&counts, |count, number| {
            *count += number;
            count.to_string()
        })
        .sink("late", LineText::new());
        on_time.map(|number| number.to_string()).sink("on-time", LineText::new());
        app
    };
    assert!(compare(describe) > 32);
}

#[test]
fn a_table_that_is_updated_twice_sees_event_by_event() {
    let describe = || {
        let app = Application::new("twice");
        let sum = app.table::<(), u64>("sum");
        source(&app)
            .collect()
            .update(&sum, |sum, word| {
                *sum = 2 * *sum % 1_000_003;
                word
            })
            .update(&sum, |sum, word| {
                *sum += word.text.len() as u64;
                sum.to_string()
            })
            .sink("sums", LineText::new());
        app
    };
    compare(describe);
}

#[test]
fn ways_that_meet_in_a_merge_or_a_connection_keep_the_order_of_events() {
    let merged = || {
        let app = Application::new("merged");
        let words = app.source("words", LineText::new());
        words.merge(&words.map(|word| word.to_uppercase())).sink("all", LineText::new());
        app
    };
    compare(merged);
    let answered = || {
        let app = Application::new("answered");
        let words = app.source("words", LineText::new());
        words.reply(LineText::new());
        words.map(|word| word.to_uppercase()).reply(LineText::new());
        app
    };
    compare(answered);
}

#[test]
fn both_sides_of_a_join_run_in_batches() {
    let describe = || {
        let app = Application::new("pairs");
        let numbers = app.source("words", LineNumbers);
        let timed = numbers
            .event_time(|number: u64| EventTime::from_nanos(number as i64), within(seconds(1)));
        let [left, right] = [0, 1]
            .map(|odd| timed.filter(move |number| number % 2 == odd).key_by(|number| number % 5));
        left.join("pairs", &right, Interval::around(seconds(1)), |left, right| {
            format!("{left} {right}")
        })
        .sink("pairs", LineText::new());
        app
    };
    let mut reference = Reference::new(describe()).expect("the application can run");
    reference.feed("words", &words());
    let others = Some(EventTime::MIN);
    let mut host = Everything { sends: true, others, ..Everything::default() };
    host.run(&describe().plan().expect("the application can run"), &words());
    let mut outputs: Vec<Vec<u8>> = host.outputs.into_iter().map(|(_, bytes)| bytes).collect();
    let mut expected = reference.outputs("pairs");
    outputs.sort();
    expected.sort();
    assert!(expected.len() > 1000 && host.refused.is_empty());
    assert_eq!(outputs, expected);
}

#[test]
fn repeats_are_dropped_in_batches() {
    let describe = || {
        let app = Application::new("first");
        app.source("words", LineNumbers)
            .event_time(|number: u64| EventTime::from_nanos(number as i64), within(seconds(1)))
            .key_by(|number| number)
            .first("numbers", seconds(1))
            .map(|number| number.to_string())
            .sink("numbers", LineText::new());
        app
    };
    assert_eq!(compare(describe), 64);
}
