//! What is kept, added, missing and dropped when a program goes on from what another one stored.

use super::*;
use crate::checkpoint::{facts, manifest};

fn types(name: &str) -> TypeFacts {
    TypeFacts { name: name.into(), shape: name.bytes().map(u64::from).sum() }
}

fn exchange(event: &str, sources: &[&str], tables: &[&str]) -> ExchangeFacts {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    ExchangeFacts {
        label: format!("{} → key_by", sources.join("+")),
        level: 0,
        event: types(event),
        key: types("u64"),
        sources: names(sources),
        tables: names(tables),
        reached_tables: names(tables),
        reached_sinks: vec![],
    }
}

/// As [`facts::example`] is, with sources, sinks and exchanges.
fn example() -> Identity {
    let source =
        |name: &str| SourceFacts { name: name.into(), event: types("Quote"), origin: None };
    let sink = |name: &str, reply| SinkFacts { name: name.into(), reply };
    Identity {
        sources: vec![source("quotes"), source("orders")],
        sinks: vec![sink("rejections", false), sink("reply", true)],
        exchanges: vec![
            exchange("Quote", &["quotes"], &["markets"]),
            exchange("Order", &["orders"], &["counts"]),
        ],
        ..facts::example()
    }
}

fn of(stored: Identity) -> Manifest {
    Manifest { facts: stored, ..manifest::tests::example() }
}

#[track_caller]
fn check(drop: &[&str], change: impl FnOnce(&mut Identity), expected: &[&str]) -> ProgramChanges {
    let mut now = example();
    change(&mut now);
    let drop: Vec<String> = drop.iter().map(|name| (*name).to_owned()).collect();
    let changes = ProgramChanges::between(&of(example()), &now, &drop);
    assert_eq!(changes.differences(), expected);
    changes
}

#[test]
fn each_difference_is_named_with_what_was_and_what_is() {
    check(&[], |_| (), &[]);
    let other = |now: &mut Identity| now.application = "word-count".into();
    check(&[], other, &["it belongs to application `market-spread`"]);
    let fewer = |now: &mut Identity| now.partitions = 64;
    check(&[], fewer, &["partitions were 1024 and are 64: give --partitions 1024"]);
    let shapes = |now: &mut Identity| {
        now.tables[0].state = TypeFacts { name: "Market".into(), shape: 0x4444 };
        now.tables[1].key.shape = 0x5555;
    };
    check(
        &[],
        shapes,
        &[
            "table `markets`: its state was `Market` (shape 0000000000002222) and is `Market` \
             (shape 0000000000004444); `Table::migrating` converts it",
            "table `counts`: its key was `Symbol` (shape 0000000000001111) and is `Symbol` (shape \
             0000000000005555); give the table another name, and --drop the old one",
        ],
    );
    check(&[], |now| now.tables[0].state.name = "Spread".into(), &[]);
}

#[test]
fn windows_that_changed_are_named_with_what_they_were_and_are() {
    let bars = |windows: Option<&str>, shape| {
        let mut facts = example();
        facts.tables[0].windows = windows.map(str::to_owned);
        facts.tables[0].state.shape = shape;
        facts
    };
    #[track_caller]
    fn check(was: Identity, is: &Identity, expected: &[&str]) {
        assert_eq!(ProgramChanges::between(&of(was), is, &[]).differences(), expected);
    }
    let (one, other) = (bars(Some("tumbling 1s"), 1), bars(Some("tumbling 2s"), 2));
    let text = "table `markets`: its windows were tumbling 1s and are tumbling 2s; give them \
                another name, and --drop the old ones";
    check(one.clone(), &other, &[text]);
    check(one.clone(), &one, &[]);
    // The states of the same windows, and a table that is one of windows now.
    let text = |was, is| {
        format!(
            "table `markets`: its state was `Market` (shape 000000000000000{was}) and is `Market` \
             (shape 000000000000000{is}); `Table::migrating` converts it"
        )
    };
    check(one.clone(), &bars(Some("tumbling 1s"), 3), &[&text(1, 3)]);
    check(bars(None, 3), &one, &[&text(3, 1)]);
}

#[test]
fn what_is_missing_is_dropped_by_name_only() {
    let without = |now: &mut Identity| {
        now.tables.remove(1);
        now.sources.remove(0);
        now.sinks.remove(0);
    };
    let line = |what: &str, name: &str| {
        format!(
            "{what} `{name}` is not in the program any more: put it back, or start with `--drop \
             {name}` to lose what is stored for it"
        )
    };
    let (table, source) = (line("table", "counts"), line("source", "quotes"));
    let sink = line("sink", "rejections");
    check(&[], without, &[&table, &source, &sink]);
    let changes = check(&["quotes", "rejections"], without, &[&table]);
    let dropped = [(ChangeOf::Source, "quotes".into()), (ChangeOf::Sink, "rejections".into())];
    assert_eq!(changes.dropped, dropped);
    let changes = check(&["quotes", "rejections", "counts"], without, &[]);
    assert!(!changes.keeps_all_numbers());
    check(
        &["markets"],
        |_| (),
        &["--drop markets: the program has this table: leave the flag out"],
    );
    let only = |now: &mut Identity| drop(now.tables.remove(1));
    let nothing = "--drop total: nothing of this name is in the checkpoint; in it, and not in the \
                   program: table `counts`";
    check(&["total"], only, &[nothing, &table]);
}

/// A process that is started again has the same flags.
#[test]
fn what_was_dropped_before_may_be_dropped_again_until_the_program_has_it() {
    let mut stored = example();
    stored.tables.remove(1);
    stored.dropped = vec![(ChangeOf::Table, "counts".into())];
    let drop = ["counts".to_owned()];
    let again = ProgramChanges::between(&of(stored.clone()), &stored, &drop);
    assert_eq!(again.differences(), [""; 0]);
    assert_eq!(again.dropped, stored.dropped);
    let back = ProgramChanges::between(&of(stored.clone()), &example(), &[]);
    assert_eq!((back.differences(), back.dropped), (vec![], vec![]));
    let wrong = ProgramChanges::between(&of(stored), &example(), &drop).differences();
    assert_eq!(wrong, ["--drop counts: the program has this table: leave the flag out"]);
}

#[test]
fn a_name_that_two_share_is_dropped_for_the_one_that_is_missing() {
    let shared = |mut facts: Identity| {
        facts.sinks.push(SinkFacts { name: "counts".into(), reply: false });
        facts
    };
    let (stored, mut now, drop) = (shared(example()), shared(example()), ["counts".to_owned()]);
    now.tables.remove(1);
    let first = ProgramChanges::between(&of(stored.clone()), &now, &drop);
    assert_eq!((first.differences(), first.dropped.len()), (vec![], 1));
    now.dropped = first.dropped;
    let again = ProgramChanges::between(&of(now.clone()), &now, &drop);
    assert_eq!((again.differences(), again.dropped), (vec![], now.dropped.clone()));
}

/// A label is no name.
#[test]
fn a_key_by_is_not_dropped() {
    let without = |now: &mut Identity| drop(now.exchanges.remove(0));
    let nothing = "--drop quotes → key_by: nothing of this name is in the checkpoint; in it, and \
                   not in the program: nothing";
    let changes = check(&["quotes → key_by"], without, &[nothing]);
    assert!(changes.list.iter().all(|one| !one.is_dropped()));
}

#[test]
fn a_state_that_can_be_converted_is_migrated() {
    let migrating = |now: &mut Identity| {
        now.tables[0].state.shape = 0x4444;
        now.tables[0].older = facts::Older(vec![0x2222]);
    };
    let changes = check(&[], migrating, &[]);
    let was = TypeFacts { name: "Market".into(), shape: 0x2222 };
    assert_eq!(changes.list[0].kind, ChangeKind::Migrated(was));
}

#[test]
fn numbers_follow_names() {
    let changes = check(
        &[],
        |now| {
            now.tables.reverse();
            now.sources
                .insert(0, SourceFacts { name: "news".into(), event: types("News"), origin: None });
            now.sinks.insert(0, SinkFacts { name: "copies".into(), reply: false });
            now.exchanges.insert(0, exchange("News", &["news"], &[]));
        },
        &[],
    );
    use potoroo_sdk::host::{ExchangeId, SinkId, SourceId, TableId};
    let numbers = &changes.renumbering;
    assert_eq!(numbers.table(TableId(0)), Some(Some(TableId(1))));
    assert_eq!(numbers.table(TableId(2)), None);
    assert_eq!(numbers.source(SourceId(1)), Some(SourceId(2)));
    assert_eq!(numbers.sink(SinkId(0)), Some(Some(SinkId(1))));
    assert_eq!(numbers.sink(SinkId(1)), Some(Some(SinkId(2))));
    assert_eq!(numbers.exchange(ExchangeId(1)), Some(ExchangeId(2)));
    let added = changes.list.iter().filter(|one| one.kind == ChangeKind::Added);
    let added: Vec<String> = added.map(Change::to_string).collect();
    assert_eq!(added, ["source `news`", "sink `copies`", "key_by `news → key_by`"]);
}

#[test]
fn exchanges_are_known_by_shapes_sources_and_tables() {
    let one = |sources: &[&str], tables: &[&str]| exchange("Order", sources, tables);
    let base = [one(&["a"], &["t"])];
    assert_eq!(pair(&base, &base), [Some(0)]);
    // Another operator, source or table does not matter.
    assert_eq!(pair(&base, &[one(&["a"], &[]), one(&["a"], &["t"])]), [Some(1)]);
    assert_eq!(pair(&base, &[one(&["a", "b"], &["t"])]), [Some(0)]);
    assert_eq!(pair(&base, &[one(&["a"], &["t", "u"])]), [Some(0)]);
    // Another event, key or table does.
    assert_eq!(pair(&base, &[exchange("Quote", &["a"], &["t"])]), [None]);
    let other_key = ExchangeFacts { key: types("String"), ..one(&["a"], &["t"]) };
    assert_eq!(pair(&base, &[other_key]), [None]);
    assert_eq!(pair(&base, &[one(&["a"], &["u"])]), [None]);
    assert_eq!(pair(&base, &[one(&["b"], &["t"])]), [None]);
    // One of two that fit is none.
    let wider = [one(&["a"], &["t", "u"]), one(&["a"], &["t", "v"])];
    assert_eq!(pair(&base, &wider), [None]);
    assert_eq!(
        pair(&[one(&["a"], &[]), one(&["a"], &["u"])], &[one(&["a"], &["u", "v"])]),
        [None, None]
    );
}

/// What happens to a frame past other exchanges is no other than before, or the frame is refused.
#[test]
fn exchanges_are_known_by_what_their_events_reach_past_others() {
    let one = |tables: &[&str], reached: &[&str], sinks: &[&str]| {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let (reached_tables, reached_sinks) = (names(reached), names(sinks));
        ExchangeFacts { reached_tables, reached_sinks, ..exchange("Order", &["a"], tables) }
    };
    // By one key and then another, and after that by either key.
    let two = [one(&[], &["t"], &[]), one(&["t"], &["t"], &[])];
    assert_eq!(pair(&two, &[one(&["u"], &["u"], &[]), two[1].clone()]), [None, Some(1)]);
    assert_eq!(pair(&two, &[one(&[], &[], &["x"]), two[1].clone()]), [None, Some(1)]);
    // More than before does not matter.
    let more = [one(&[], &["t", "u"], &["x"]), one(&["t"], &["t", "u"], &["x"])];
    assert_eq!(pair(&two[1..], &more), [Some(1)]);
    assert_eq!(pair(&[one(&[], &[], &["x"])], &[one(&[], &[], &["y"])]), [None]);
}

/// Output for it is lost by then, and nothing else.
#[test]
fn frames_go_on_without_a_sink_that_is_dropped() {
    let mut stored = example();
    stored.exchanges[0].reached_sinks = vec!["copies".into()];
    stored.sinks.push(SinkFacts { name: "copies".into(), reply: false });
    let exchange = |drop: &[String]| {
        let changes = ProgramChanges::between(&of(stored.clone()), &example(), drop);
        changes.renumbering.exchange(potoroo_sdk::host::ExchangeId(0))
    };
    assert_eq!(exchange(&[]), None);
    assert_eq!(exchange(&["copies".into()]), Some(potoroo_sdk::host::ExchangeId(0)));
}

#[test]
fn exchanges_that_look_alike_are_paired_in_order_if_their_number_stays() {
    let one = || exchange("Order", &["a"], &["t"]);
    let other = || exchange("Quote", &["b"], &[]);
    let two = [one(), other(), one()];
    assert_eq!(pair(&two, &[other(), one(), one()]), [Some(1), Some(0), Some(2)]);
    assert_eq!(pair(&two, &[one(), other()]), [None, Some(1), None]);
    assert_eq!(pair(&[one()], &two), [None]);
    // One is gone, and another one is new.
    let after = |label: &str| ExchangeFacts { label: label.into(), ..one() };
    let [first, second, third] = ["a → filter → key_by", "a → key_by", "a → map → key_by"];
    let (before, now) = ([after(first), after(second)], [after(second), after(third)]);
    assert_eq!(pair(&before, &now), [None, None]);
    assert_eq!(pair(&before[..1], &now[..1]), [Some(0)], "operators may differ");
}

/// One is gone and another one is new, which nothing but the names shows.
#[test]
fn exchanges_that_look_alike_are_paired_by_their_names() {
    let named = |name: &str| ExchangeFacts {
        label: format!("a → key_by `{name}`"),
        ..exchange("Order", &["a"], &["t"])
    };
    let [first, second, third] = ["first", "second", "third"].map(named);
    let before = [first.clone(), second.clone()];
    assert_eq!(pair(&before, &[second.clone(), third.clone()]), [None, Some(0)]);
    assert_eq!(pair(&before, &[second.clone(), first.clone()]), [Some(1), Some(0)]);
    assert_eq!(pair(&before[..1], &[third]), [None]);
    // Names are given and taken back where there is no doubt.
    let unnamed = exchange("Order", &["a"], &["t"]);
    assert_eq!(pair(std::slice::from_ref(&unnamed), &before[..1]), [Some(0)]);
    assert_eq!(pair(&before[..1], std::slice::from_ref(&unnamed)), [Some(0)]);
    assert_eq!(pair(&[unnamed.clone(), unnamed], &before), [None, None]);
}

/// An earlier version has named tables only.
#[test]
fn what_an_earlier_version_wrote_has_the_numbers_of_the_same_program() {
    let mut stored = example();
    (stored.sources, stored.sinks, stored.exchanges) = (vec![], vec![], vec![]);
    let same = ProgramChanges::between(&of(stored.clone()), &example(), &[]);
    assert_eq!(same.differences(), [""; 0]);
    assert!(same.keeps_all_numbers());
    let mut changed = example();
    changed.fingerprint = 1;
    changed.tables.reverse();
    changed.sources.remove(1);
    let other = ProgramChanges::between(&of(stored), &changed, &["fills".into()]);
    assert!(!other.keeps_all_numbers());
    let differences = other.differences();
    assert_eq!(differences.len(), 1, "{differences:?}");
    assert!(differences[0].starts_with("source `orders` is not in the program"), "{differences:?}");
    let table = other.renumbering.table(potoroo_sdk::host::TableId(0));
    assert_eq!(table, Some(Some(potoroo_sdk::host::TableId(1))));
}

#[test]
fn of_one_table_nothing_else_is_compared() {
    let mut now = example();
    (now.fingerprint, now.tables[0].key.shape) = (1, 0x5555);
    now.tables.swap(0, 1);
    let stored = of(example());
    assert_eq!(now.accept_table("m", &stored, "counts"), Ok(1), "where it was stored");
    let refused = now.accept_table("m", &stored, "markets").expect_err("its key differs");
    assert!(refused.to_string().contains("table `markets`: its key was"), "{refused}");
    now.application = "word-count".into();
    assert!(now.accept_table("m", &stored, "counts").is_err());
}

#[test]
fn the_message_has_the_application_and_what_to_do() {
    use crate::checkpoint::Accept;
    let now = Identity { partitions: 8, ..example() };
    let refused = now.accept("manifest-1-1-0", &of(example())).expect_err("they differ");
    assert_eq!(
        refused.to_string(),
        "manifest-1-1-0 cannot be used by application `market-spread`:\n  - partitions were 1024 \
         and are 8: give --partitions 1024\nstart the program that wrote it, or give another \
         --state"
    );
}

/// A receiver has seen ids with these numbers.
#[test]
fn a_source_keeps_what_stands_for_it_in_origins_as_long_as_it_keeps_its_name() {
    let program = |sources: &[&str]| {
        let source =
            |name: &&str| SourceFacts { name: (*name).into(), event: types("Quote"), origin: None };
        Identity { sources: sources.iter().map(source).collect(), ..example() }
    };
    let origins = |facts: &Identity| -> Vec<u16> {
        (0..facts.sources.len()).map(|at| facts.origin(at)).collect()
    };
    let back = |stored: &Identity, newest: Option<&Identity>, sources: &[&str]| {
        let mut now = program(sources);
        let stored = of(stored.clone());
        ProgramChanges::between(&stored, &now, &[]).keep(&stored, newest, &mut now);
        now
    };
    let next = |stored: &Identity, sources: &[&str]| back(stored, None, sources);
    let first = program(&["a", "b"]);
    assert_eq!(origins(&first), [0, 1]);
    let second = next(&first, &["z", "a", "b"]);
    assert_eq!(origins(&second), [2, 0, 1]);
    let third = next(&second, &["b", "z"]);
    assert_eq!(origins(&third), [1, 2]);
    let fourth = next(&third, &["a", "b", "z"]);
    assert_eq!(origins(&fourth), [3, 1, 2], "what `a` was is never given again");
    assert_eq!(origins(&next(&fourth, &["b"])), [1]);
    // A checkpoint of the first program is gone back to: ids that were given since are not given to
    // other sources, and a source that was there keeps its own.
    let again = back(&first, Some(&fourth), &["a", "b", "y"]);
    assert_eq!((origins(&again), again.origins), (vec![0, 1, 4], 5));
    assert_eq!(origins(&back(&first, Some(&third), &["y", "z", "a"])), [3, 2, 0]);
    let mut many = first;
    for number in 0..600 {
        many = next(&many, &["a", &format!("n{number}")]);
    }
    let last = origins(&many);
    assert!(last[0] == 0 && (1..=Identity::ORIGIN_MAX).contains(&last[1]), "{last:?}");
    // An earlier version has no names, and this is another program.
    let unnamed = Identity { fingerprint: 1, sources: vec![], ..example() };
    assert_eq!(origins(&next(&unnamed, &["a", "b"])), [256, 257]);
}
