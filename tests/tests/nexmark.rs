//! Three queries of the NEXMark benchmark, which are those of an auction house: the hot items (5),
//! the highest bids (7) and the new users (8). They run in the simulator, on any number of cores,
//! against programs that have all events at once.

use std::collections::{BTreeMap, BTreeSet};

use potoroo_sdk::prelude::*;
use potoroo_tests::seeds::{Concern, each_seed, random};
use potoroo_tests::simulator::{Deployment, Script, Simulation};

/// A person, an auction or a bid.
#[event]
struct Entry {
    /// 0 for a person, 1 for an auction, 2 for a bid.
    kind: u64,
    /// In milliseconds.
    time: i64,
    /// Of the person or auction; of a bid, that of its auction.
    id: u64,
    /// Who sells or bids.
    person: u64,
    price: u64,
}

fn parse(line: &str) -> Option<Entry> {
    let mut words = line.split(' ');
    let mut next = || words.next()?.parse().ok();
    let (kind, time, id) = (next()?, next()?, next()?);
    Some(Entry { kind, time: time as i64, id, person: next()?, price: next()? })
}

/// What has the greatest number, all of them.
#[state]
struct Greatest {
    number: u64,
    of: Vec<u64>,
}

impl Greatest {
    fn offer(&mut self, number: u64, one: u64) {
        if number > self.number {
            (self.number, self.of) = (number, Vec::new());
        }
        if number == self.number {
            self.of.push(one);
        }
    }

    fn line(&self, end: EventTime) -> String {
        let mut of = self.of.clone();
        of.sort_unstable();
        format!("{end} {} {of:?}", self.number)
    }
}

fn queries() -> Application {
    let app = Application::new("nexmark");
    let [first, second, third] = ["s0", "s1", "s2"].map(|source| {
        app.source(source, LineText::new())
            .map(parse)
            .event_time(|entry| EventTime::from_millis(entry.time), within(millis(JITTER)))
    });
    let entries = first.merge(&second).merge(&third);
    let [persons, auctions, bids] = entries.route(|entry| entry.kind as usize);
    hot_items(&app, &bids);
    highest_bids(&app, &bids);
    new_users(&app, &persons, &auctions);
    app
}

/// The auctions with the most bids of the last ten seconds, each two seconds.
fn hot_items(app: &Application, bids: &Stream<Entry>) {
    let counts = app.windows::<u64, Count>("bids", sliding(seconds(10), seconds(2)));
    let hottest = app.windows::<(), Greatest>("hottest", tumbling(seconds(2)));
    bids.key_by(|bid| bid.id).window(&counts, |count, _| count.add(1));
    counts
        .closed(|count, window| (count.get(), *window.key()))
        .collect()
        .window(&hottest, |hottest, (bids, auction)| hottest.offer(bids, auction));
    hottest.closed(|hottest, window| hottest.line(window.end())).sink("q5", LineText::new());
}

/// The auctions with the highest bid of each ten seconds.
fn highest_bids(app: &Application, bids: &Stream<Entry>) {
    let highest = app.windows::<(), Greatest>("highest", tumbling(seconds(10)));
    bids.collect().window(&highest, |highest, bid| highest.offer(bid.price, bid.id));
    highest.closed(|highest, window| highest.line(window.end())).sink("q7", LineText::new());
}

/// Who came and sold something within the same ten seconds.
fn new_users(app: &Application, persons: &Stream<Entry>, auctions: &Stream<Entry>) {
    let news = app.windows::<u64, (Count, Count)>("news", tumbling(seconds(10)));
    persons.key_by(|person| person.id).window(&news, |(came, _), _| came.add(1));
    auctions.key_by(|auction| auction.person).window(&news, |(_, sold), _| sold.add(1));
    news.closed(|(came, sold), window| {
        let is_new = came.get() > 0 && sold.get() > 0;
        is_new.then(|| format!("{} {}", window.key(), window.end()))
    })
    .sink("q8", LineText::new());
}

/// Most milliseconds that an entry comes after a later one.
const JITTER: u64 = 500;

const SOURCES: usize = 3;

fn entries(seed: u64) -> Vec<Entry> {
    let mut random = random(seed, Concern::Workload);
    let mut now = JITTER as i64;
    let mut entry = |_| {
        now += random.below(150) as i64;
        let kind = [0, 1, 2, 2, 2, 2, 2, 2][random.below(8) as usize];
        let time = now - random.below(JITTER + 1) as i64;
        let (id, person) = (random.below(if kind == 0 { 30 } else { 8 }), random.below(30));
        Entry { kind, time, id, person, price: random.below(60) }
    };
    (0..300).map(&mut entry).collect()
}

fn scripts(entries: &[Entry]) -> Vec<Script> {
    let script = |source| Script { source, ..Script::default() };
    let mut scripts: Vec<Script> = (0..SOURCES as u8).map(script).collect();
    for (at, Entry { kind, time, id, person, price }) in entries.iter().enumerate() {
        let line = format!("{kind} {time} {id} {person} {price}\n");
        scripts[at % SOURCES].bytes.extend_from_slice(line.as_bytes());
    }
    scripts
}

type ByEnd<T> = BTreeMap<i64, Vec<T>>;

/// For each window the things with the greatest number.
fn greatest(windows: &ByEnd<(u64, u64)>) -> Vec<String> {
    let line = |(end, all): (&i64, &Vec<(u64, u64)>)| {
        let most = all.iter().map(|(number, _)| *number).max().expect("none is empty");
        let best = all.iter().filter(|(number, _)| *number == most);
        let mut of: Vec<u64> = best.map(|(_, one)| *one).collect();
        of.sort_unstable();
        format!("{} {most} {of:?}", EventTime::from_millis(*end))
    };
    windows.iter().map(line).collect()
}

/// The end of the window of `size` that has this moment.
fn end(time: i64, size: i64) -> i64 {
    (time / size + 1) * size
}

fn hot_items_of(bids: &[&Entry]) -> Vec<String> {
    let mut counts: BTreeMap<(i64, u64), u64> = BTreeMap::new();
    for bid in bids {
        for slide in 0..5 {
            *counts.entry((end(bid.time, 2_000) + slide * 2_000, bid.id)).or_default() += 1;
        }
    }
    let mut windows = ByEnd::new();
    for ((end, auction), count) in counts {
        windows.entry(end).or_default().push((count, auction));
    }
    greatest(&windows)
}

fn highest_bids_of(bids: &[&Entry]) -> Vec<String> {
    let mut windows = ByEnd::new();
    for bid in bids {
        windows.entry(end(bid.time, 10_000)).or_default().push((bid.price, bid.id));
    }
    greatest(&windows)
}

fn new_users_of(entries: &[Entry]) -> Vec<String> {
    let of = |kind: u64| entries.iter().filter(move |entry| entry.kind == kind);
    let came: BTreeSet<_> = of(0).map(|it| (it.id, end(it.time, 10_000))).collect();
    let sold: BTreeSet<_> = of(1).map(|it| (it.person, end(it.time, 10_000))).collect();
    let both = came.intersection(&sold);
    both.map(|(id, end)| format!("{id} {}", EventTime::from_millis(*end))).collect()
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

#[test]
fn queries_are_answered_as_by_programs_that_have_all_events_at_once() {
    let mut lines = [0; 3];
    each_seed("queries_are_answered_as_by_programs_that_have_all_events_at_once", 60, |seed| {
        let entries = entries(seed);
        let bids: Vec<&Entry> = entries.iter().filter(|entry| entry.kind == 2).collect();
        let deployment = Deployment::any(1 + seed as usize % 4, seed);
        let outcome = Simulation::new(seed, &deployment, &queries, scripts(&entries)).run();
        let seen = ["q5", "q7", "q8"].map(|query| {
            let text = str::from_utf8(&outcome.sinks[query]).expect("lines are text");
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        });
        // Windows of one key close in the order of their ends.
        assert_eq!(seen[0], hot_items_of(&bids), "seed {seed}");
        assert_eq!(seen[1], highest_bids_of(&bids), "seed {seed}");
        assert_eq!(sorted(seen[2].clone()), sorted(new_users_of(&entries)), "seed {seed}");
        lines.iter_mut().zip(&seen).for_each(|(lines, seen)| *lines += seen.len());
    });
    assert!(lines[0] > 600 && lines[1] > 120 && lines[2] > 60, "{lines:?}");
}
