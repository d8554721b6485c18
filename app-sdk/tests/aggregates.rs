//! Aggregates against naive ones: parts that are put together, and what is stored.

use potoroo_sdk::aggregate::Merge;
use potoroo_sdk::prelude::*;
use potoroo_sdk::value::{self, Schema};

type All = ((Count, Sum<i64>, Min<i64>), (Max<i64>, First<i64>, Last<i64>), Top<3, (i64, u64)>);

/// Some numbers, of which several are equal.
fn numbers(random: &mut Random) -> Vec<(i64, u64)> {
    let count = random.below(12);
    (0..count).map(|at| (random.below(7) as i64 - 3, at)).collect()
}

fn add(all: &mut All, (number, at): (i64, u64)) {
    let ((count, sum, min), (max, first, last), top) = all;
    count.add(1);
    sum.add(number);
    min.offer(number);
    max.offer(number);
    first.offer(number);
    last.offer(number);
    top.offer((number, 100 - at));
}

fn check(all: &All, numbers: &[(i64, u64)]) {
    let ((count, sum, min), (max, first, last), top) = all;
    let values = || numbers.iter().map(|(number, _)| number);
    assert_eq!(count.get() as usize, numbers.len());
    assert_eq!(sum.get(), values().sum::<i64>());
    assert_eq!((min.get(), max.get()), (values().min(), values().max()));
    assert_eq!((first.get(), last.get()), (values().next(), values().next_back()));
    let mut best: Vec<(i64, u64)> = numbers.iter().map(|(n, at)| (*n, 100 - at)).collect();
    best.sort_by(|a, b| b.cmp(a));
    assert!(top.iter().eq(best.iter().take(3)));
    assert_eq!(top.best(), best.first());
}

#[test]
fn parts_put_together_are_the_whole() {
    for seed in 0..500 {
        let mut random = Random::new(seed);
        let numbers = numbers(&mut random);
        let (mut whole, mut merged) = (All::default(), All::default());
        let mut part = All::default();
        for number in &numbers {
            add(&mut whole, *number);
            add(&mut part, *number);
            if random.below(3) == 0 {
                merged.merge(&part);
                part = All::default();
            }
        }
        merged.merge(&part);
        check(&whole, &numbers);
        assert_eq!(merged, whole);
        let mut bytes = Vec::new();
        value::append(&merged, &mut bytes).expect("it is short");
        assert_eq!(value::read::<All>(&bytes), Ok(merged));
    }
}

/// Compares by its first field alone.
#[value]
struct Busy {
    trades: u64,
    symbol: char,
}

impl PartialOrd for Busy {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.trades.partial_cmp(&other.trades)
    }
}

#[test]
fn of_equal_ones_the_first_to_arrive_is_better() {
    let offered = |all: &[(u64, char)]| {
        let mut top = Top::<2, Busy>::default();
        all.iter().for_each(|(trades, symbol)| {
            top.offer(Busy { trades: *trades, symbol: *symbol });
        });
        top
    };
    let symbols = |top: &Top<2, Busy>| top.iter().map(|busy| busy.symbol).collect::<String>();
    assert_eq!(symbols(&offered(&[(1, 'a'), (1, 'b'), (1, 'c')])), "ab");
    assert_eq!(symbols(&offered(&[(1, 'a'), (1, 'b'), (2, 'c')])), "ca");
    let mut merged = offered(&[(1, 'a')]);
    merged.merge(&offered(&[(1, 'b'), (1, 'c')]));
    assert_eq!(symbols(&merged), "ab");
    let mut none = Top::<0, f64>::default();
    none.offer(1.0);
    assert!(none.is_empty());
    let mut floats = Top::<2, f64>::default();
    [f64::NAN, 1.0, f64::NAN, 2.0].into_iter().for_each(|float| floats.offer(float));
    assert!(floats.iter().eq(&[2.0, 1.0]));
}

#[test]
fn means() {
    let (mut one, mut other) = (Mean::default(), Mean::default());
    assert_eq!(one.get(), None);
    one.merge(&other);
    assert_eq!(one.get(), None);
    [1.0, 2.0].into_iter().for_each(|number| one.add(number));
    other.add(6.0);
    one.merge(&other);
    assert_eq!((one.get(), one.count()), (Some(3.0), 3));
}

#[test]
fn an_agenda_is_in_the_order_of_its_moments() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let (mut agenda, mut naive) = (Agenda::default(), Vec::new());
        for thing in 0..20 {
            let at = EventTime::from_nanos(random.below(8) as i64);
            if random.below(2) == 0 {
                agenda.add(at, thing);
                naive.push((at, thing));
                naive.sort();
            } else {
                let due = naive.first().is_some_and(|(first, _)| *first <= at);
                assert_eq!(agenda.take_due(at), due.then(|| naive.remove(0)));
            }
            assert_eq!(agenda.next_at(), naive.first().map(|(at, _)| *at));
            assert_eq!((agenda.len(), agenda.is_empty()), (naive.len(), naive.is_empty()));
            assert!(agenda.iter().eq(naive.iter().map(|(at, thing)| (*at, thing))));
        }
    }
}

#[test]
fn they_are_shown_as_what_they_hold() {
    let mut all = All::default();
    add(&mut all, (5, 0));
    let mut text = String::new();
    all.json(&mut text);
    assert_eq!(text, "[[1,5,5],[5,5,5],[[5,100]]]");
}
