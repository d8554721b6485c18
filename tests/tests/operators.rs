//! Every operator by itself and every way to combine streams, in the simulator against the
//! reference, on every number of cores.

use potoroo::flow::DeadLetter;
use potoroo_sdk::prelude::*;
use potoroo_tests::items::{Facts, Frames, Item, Lines, Slim, Trial};
use potoroo_tests::oracle;
use potoroo_tests::seeds::each_seed;
use potoroo_tests::simulator::{Deployment, Script, Simulation};
use potoroo_tests::topology::{Determined, Grain, SinkPromise};
use potoroo_tests::workload::Workload;

/// What an operator remembers.
#[state]
struct Seen {
    count: u64,
    latest: Vec<u32>,
    name: Option<String>,
}

impl Seen {
    fn add(&mut self, seq: u32) -> u64 {
        self.count += 1;
        self.latest.insert(0, seq);
        self.latest.truncate(3);
        self.latest.iter().fold(self.count, |sum, seq| sum * 1_000 + u64::from(*seq))
    }
}

fn items(app: &Application) -> Stream<Item> {
    app.source("s0", Frames::<Item>::new())
}

fn key(item: View<'_, Item>) -> u32 {
    Item::facts(item).key
}

/// The same item with this trail.
fn with_trail(item: View<'_, Item>, trail: u64) -> Item {
    Item::make(Facts { trail, ..Item::facts(item) })
}

/// Runs what `describe` describes on 1, 2, 3 and 8 cores; `orders` says which sinks keep which
/// order. The tables are always compared.
fn check(test: &str, orders: &[(&str, Grain)], describe: impl Fn(&Application)) {
    each_seed(test, 12, |seed| {
        let scripts = Workload::plain(1, 150).scripts(seed);
        for cores in [1, 2, 3, 8] {
            check_run(seed, &Deployment::tiny(cores, seed), &scripts, orders, &describe);
        }
    });
}

fn check_run(
    seed: u64,
    deployment: &Deployment,
    scripts: &[Script],
    orders: &[(&str, Grain)],
    describe: &impl Fn(&Application),
) {
    let application = || {
        let app = Application::new("operators");
        describe(&app);
        app
    };
    let promise = |(name, grain): &(&str, Grain)| SinkPromise {
        name: (*name).to_owned(),
        determined: Determined::Order(*grain),
    };
    let sinks: Vec<SinkPromise> = orders.iter().map(promise).collect();
    let expected = oracle::expect(&application, scripts, &sinks);
    let outcome = Simulation::new(seed, deployment, &application, scripts.to_vec()).run();
    let seen = oracle::observe(&outcome, scripts).expect("outputs are whole");
    if let Err(wrong) = oracle::judge(&expected, &seen, &sinks) {
        panic!("{wrong} on {deployment:?}");
    }
}

#[test]
fn a_source_straight_into_a_sink() {
    check("a_source_straight_into_a_sink", &[("out", Grain::Whole)], |app| {
        items(app).sink("out", Lines::new());
    });
}

#[test]
fn map_to_one_to_some_and_to_two() {
    let orders = ["one", "some", "two"].map(|name| (name, Grain::Whole));
    check("map_to_one_to_some_and_to_two", &orders, |app| {
        let items = items(app);
        items.map(|item| with_trail(item, 1)).sink("one", Lines::new());
        items
            .map(|item| (Item::facts(item).seq % 3 == 0).then(|| with_trail(item, 2)))
            .sink("some", Lines::new());
        items.map(|item| [3, 4].map(|trail| with_trail(item, trail))).sink("two", Lines::new());
    });
}

#[test]
fn map_to_another_type() {
    check("map_to_another_type", &[("out", Grain::Fine)], |app| {
        items(app)
            .map(|item| Slim::make(Item::facts(item)))
            .key_by(slim_key)
            .map(|slim| Item::make(Facts { note: "new", ..Slim::facts(slim) }))
            .sink("out", Lines::new());
    });
}

fn slim_key(slim: Slim) -> u32 {
    Slim::facts(slim).key
}

#[test]
fn filter_and_flat_map() {
    check("filter_and_flat_map", &[("kept", Grain::Whole), ("many", Grain::Whole)], |app| {
        let items = items(app);
        items.filter(|item| Item::facts(item).seq % 2 == 0).sink("kept", Lines::new());
        items
            .flat_map(|item, out| {
                let copies = Item::facts(item).seq % 5;
                (0..copies).for_each(|copy| out.emit(with_trail(item, copy.into())));
            })
            .sink("many", Lines::new());
    });
}

#[test]
fn split_and_route_send_each_event_one_way() {
    let whole = ["even", "odd", "met"].map(|name| (name, Grain::Whole));
    let fine = ["first", "second", "rest"].map(|name| (name, Grain::Fine));
    check("split_and_route", &[whole, fine].concat(), |app| {
        let items = items(app);
        let (even, odd) = items.split(|item| Item::facts(item).seq % 2 == 0);
        even.sink("even", Lines::new());
        odd.sink("odd", Lines::new());
        // The two ways meet at once: no event overtakes another.
        even.map(|item| with_trail(item, 1)).merge(&odd).sink("met", Lines::new());
        let [first, second, rest] = items.key_by(key).route(|item| key(item) as usize % 9);
        first.sink("first", Lines::new());
        second.filter(|item| Item::facts(item).seq % 3 == 0).sink("second", Lines::new());
        rest.update(&app.table::<u32, Seen>("rest"), |seen, item| {
            with_trail(item, seen.add(Item::facts(item).seq))
        })
        .sink("rest", Lines::new());
    });
}

#[test]
fn late_events_go_their_own_way_and_those_of_no_time_are_refused() {
    let orders = ["on-time", "late"].map(|name| (name, Grain::Fine));
    check("late_events_go_their_own_way", &orders, |app| {
        let time = |seq: u32| match seq % 40 {
            39 => EventTime::MIN,
            _ => EventTime::from_millis(i64::from(seq ^ 5)),
        };
        let timed = items(app).event_time(move |item| time(Item::facts(item).seq), IN_ORDER);
        let (on_time, late) = timed.split_late();
        let table = app.table::<u32, Seen>("seen");
        on_time
            .key_by(key)
            .update(&table, |seen, item| with_trail(item, seen.add(Item::facts(item).seq)))
            .sink("on-time", Lines::new());
        late.key_by(key).map(|item| with_trail(item, 1)).sink("late", Lines::new());
    });
}

#[test]
fn key_by_and_update_in_all_shapes() {
    let orders = ["one", "some", "two"].map(|name| (name, Grain::Fine));
    check("key_by_and_update_in_all_shapes", &orders, |app| {
        let keyed = items(app).key_by(key);
        let [a, b, c, d] = ["one", "some", "two", "none"].map(|name| app.table::<u32, Seen>(name));
        keyed
            .update(&a, |seen, item| with_trail(item, seen.add(Item::facts(item).seq)))
            .sink("one", Lines::new());
        keyed
            .update(&b, |seen, item| {
                let trail = seen.add(Item::facts(item).seq);
                (trail % 2 == 0).then(|| with_trail(item, trail))
            })
            .sink("some", Lines::new());
        keyed
            .update(&c, |seen, item| {
                let trail = seen.add(Item::facts(item).seq);
                [trail, trail + 1].map(|trail| with_trail(item, trail))
            })
            .sink("two", Lines::new());
        keyed.update(&d, |seen, item| {
            seen.add(Item::facts(item).seq);
            seen.name = Some(Item::facts(item).note.to_owned());
        });
    });
}

#[test]
fn update_with_knows_the_key_and_removes_rows() {
    check("update_with_knows_the_key_and_removes_rows", &[("out", Grain::Fine)], |app| {
        let table = app.table_with::<u32, Seen>("made", |key| Seen {
            count: u64::from(*key) * 100,
            ..Seen::default()
        });
        items(app)
            .key_by(key)
            .update_with(&table, |row, item, out| {
                let trail = row.add(Item::facts(item).seq) ^ u64::from(*row.key());
                (0..trail % 4).for_each(|copy| out.emit(with_trail(item, trail + copy)));
                if row.count % 3 == 2 {
                    row.remove();
                }
            })
            .sink("out", Lines::new());
    });
}

#[test]
fn two_updates_of_one_table_in_one_stage() {
    check("two_updates_of_one_table_in_one_stage", &[("out", Grain::Fine)], |app| {
        let table = app.table::<u32, Seen>("both");
        items(app)
            .key_by(key)
            .update(&table, |seen, item| with_trail(item, seen.add(1)))
            .update_with(&table, |seen, item, out| {
                let trail = seen.add(Item::facts(item).seq);
                out.emit(with_trail(item, trail));
                if seen.count > 10 {
                    seen.remove();
                }
            })
            .update(&table, |seen, item| with_trail(item, seen.add(2)))
            .sink("out", Lines::new());
    });
}

#[test]
fn collect_brings_everything_into_one_place() {
    check("collect_brings_everything_into_one_place", &[("out", Grain::Whole)], |app| {
        let table = app.table::<(), Seen>("all");
        items(app)
            .collect()
            .update(&table, |seen, item| with_trail(item, seen.add(Item::facts(item).seq)))
            .sink("out", Lines::new());
    });
}

#[test]
fn keys_of_several_types() {
    let orders = ["texts", "tuples", "strings"].map(|name| (name, Grain::Fine));
    check("keys_of_several_types", &orders, |app| {
        let items = items(app);
        let texts = app.table::<Text<8>, Seen>("texts");
        let tuples = app.table::<(u8, i64), Seen>("tuples");
        let strings = app.table::<String, Seen>("strings");
        items
            .key_by(|item| Text::new(key(item).to_string().as_bytes()).expect("it is short"))
            .update(&texts, |seen, item| with_trail(item, seen.add(Item::facts(item).seq)))
            .sink("texts", Lines::new());
        items
            .key_by(|item| (key(item) as u8, -i64::from(key(item))))
            .update(&tuples, |seen, item| with_trail(item, seen.add(Item::facts(item).seq)))
            .sink("tuples", Lines::new());
        items
            .key_by(|item| format!("the key {}", key(item)))
            .update(&strings, |seen, item| with_trail(item, seen.add(Item::facts(item).seq)))
            .sink("strings", Lines::new());
    });
}

#[test]
fn merge_keeps_the_order_of_each_side() {
    check("merge_keeps_the_order_of_each_side", &[("out", Grain::Fine)], |app| {
        let items = items(app);
        let table = app.table::<u32, u64>("sum");
        let branch = |bit: u32| {
            items.map(move |item| Item::make(Facts { branch: bit, ..Item::facts(item) }))
        };
        let (near, far) = (branch(0), branch(1).key_by(key).unkeyed());
        near.merge(&far)
            .key_by(key)
            .update(&table, |sum, item| {
                *sum += u64::from(Item::facts(item).seq);
                with_trail(item, 1)
            })
            .sink("out", Lines::new());
    });
}

#[test]
fn a_finer_key_behind_a_coarser_one_keeps_the_order() {
    check("a_finer_key_behind_a_coarser_one", &[("out", Grain::Fine)], |app| {
        let (groups, keys) = (app.table::<u32, Seen>("groups"), app.table::<u32, Seen>("keys"));
        items(app)
            .key_by(|item| Grain::Coarse.group(key(item)))
            .update(&groups, |seen, item| with_trail(item, seen.add(Item::facts(item).seq)))
            .key_by(key)
            .update(&keys, |seen, item| {
                let trail = Item::facts(item).trail ^ seen.add(Item::facts(item).seq);
                with_trail(item, trail)
            })
            .sink("out", Lines::new());
    });
}

#[test]
fn several_consumers_and_sinks_and_replies_of_one_stream() {
    let orders = [("a", Grain::Fine), ("b", Grain::Fine), ("reply", Grain::Fine)];
    check("several_consumers_and_sinks_and_replies_of_one_stream", &orders, |app| {
        let table = app.table::<u32, Seen>("seen");
        let updated = items(app)
            .key_by(key)
            .update(&table, |seen, item| with_trail(item, seen.add(Item::facts(item).seq)));
        updated.sink("a", Lines::new());
        updated.reply(Lines::new());
        updated.filter(|item| Item::facts(item).trail % 2 == 0).sink("b", Lines::new());
    });
}

#[test]
fn an_event_too_long_for_a_lane_is_refused_and_no_other() {
    each_seed("an_event_too_long_for_a_lane_is_refused_and_no_other", 20, |seed| {
        let scripts = Workload::plain(1, 150).scripts(seed);
        let deployment = Deployment::tiny(1 + seed as usize % 3, seed);
        let application = || {
            let app = Application::new("long");
            let items = items(&app);
            items.sink("out", Lines::new());
            items
                .filter(|item| Item::facts(item).seq % 7 == 6)
                .map(|item| Item::make(Facts { note: LONG, ..Item::facts(item) }))
                .key_by(key)
                .sink("long", Lines::new());
            app
        };
        let outcome = Simulation::new(seed, &deployment, &application, scripts.clone()).run();
        let items = outcome.sinks["out"].iter().filter(|byte| **byte == b'\n').count();
        // What never leaves its core needs no lane.
        let long = outcome.sinks["long"].iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(outcome.letters.len() + long, items / 7, "each is delivered or refused");
        let refused: u64 = outcome.counts.iter().map(|counts| counts.sources[0].refused).sum();
        assert_eq!(refused, outcome.letters.len() as u64, "they are counted, too");
        let too_long = |letter: &DeadLetter| letter.reason.detail().contains("--lane-bytes");
        assert!(outcome.letters.iter().all(too_long));
    });
}

/// Longer than a quarter of a tiny lane.
const LONG: &str = match str::from_utf8(&[b'x'; 3000]) {
    Ok(text) => text,
    Err(_) => panic!("it is text"),
};

/// Far more exchanges than applications have: every level has its own lanes and its own outbox.
#[test]
fn forty_exchanges_in_a_row() {
    each_seed("forty_exchanges_in_a_row", 4, |seed| {
        let scripts = Workload::plain(1, 60).scripts(seed);
        for cores in [1, 2, 3] {
            let deployment = Deployment::tiny(cores, seed);
            check_run(seed, &deployment, &scripts, &[("out", Grain::Fine)], &|app| {
                let keyed = (0..40).fold(items(app).key_by(key), |keyed, step| {
                    keyed.map(move |item| with_trail(item, step)).key_by(key)
                });
                keyed.sink("out", Lines::new());
            });
        }
    });
}

#[test]
fn more_exchanges_than_there_are_levels_are_a_mistake() {
    let app = Application::new("deep");
    let first = items(&app).key_by(key);
    (0..300).fold(first, |keyed, _| keyed.key_by(key)).sink("out", Lines::new());
    let mistakes = app.plan().err().expect("it is too deep").to_string();
    assert!(mistakes.contains("more than 60 `key_by`s"), "{mistakes}");
}
