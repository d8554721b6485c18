//! `as_of` against loops over all versions.

use potoroo_sdk::prelude::*;
use potoroo_sdk::time::TOO_LATE;

use super::input::{Arrival, Fed, Given, Shape, by_key, show, sides, sorted};

fn application(shape: Shape) -> Application {
    let app = Application::new("as-of");
    let [events, versions] = sides(&app, shape);
    let answers = events.as_of("versions", &versions, |event, version| {
        let version = version.map_or("none".to_owned(), |version| version.number.to_string());
        format!("{}+{version}", event.number)
    });
    show(&app, &answers);
    app
}

/// The moment from which a version counts.
fn counts_from(version: &Given) -> i64 {
    version.time.max(version.own + 1)
}

/// The line of an event, from all versions that matter.
fn answer(event: &Given, versions: &[Given]) -> String {
    let of_key = versions.iter().filter(|version| version.key == event.key);
    let counting = of_key.filter(|version| counts_from(version) <= event.time);
    let version = counting.max_by_key(|version| (version.time, version.number));
    let version = version.map_or("none".to_owned(), |version| version.number.to_string());
    format!("{} {}+{version} at {}", event.key, event.number, event.time)
}

#[test]
fn each_step_brings_the_answers_that_it_decides() {
    for seed in 0..400 {
        let mut random = Random::new(seed);
        let shape = Shape::random(&mut random, 1);
        let mut fed = Fed::new(application(shape), shape);
        let (mut versions, mut waiting, mut mark) = (Vec::new(), Vec::<Given>::new(), i64::MIN);
        for given in shape.input(&mut random) {
            if shape.source(given.side) == shape.source(1) {
                mark = mark.max(given.own);
            }
            let mut decided: Vec<Given> =
                waiting.extract_if(.., |event| event.time <= mark).collect();
            decided.sort_by_key(|event| event.time);
            let is_due = given.side == 0 && !given.is_late();
            if is_due && given.time <= mark {
                decided.push(given);
            } else if is_due {
                waiting.push(given);
            }
            let expected = decided.iter().map(|event| answer(event, &versions)).collect();
            assert_eq!(
                by_key(fed.feed(&given)),
                by_key(expected),
                "seed {seed}: {given:?}, {shape:?}"
            );
            if given.side == 1 {
                versions.push(given);
            }
        }
        let mut found = fed.end(0);
        assert!(found.is_empty() || shape.is_shared, "they wait for versions");
        found.extend(fed.end(1));
        waiting.sort_by_key(|event| event.time);
        let expected = waiting.iter().map(|event| answer(event, &versions)).collect();
        assert_eq!(by_key(found), by_key(expected), "seed {seed}");
    }
}

#[test]
fn contents_depend_on_each_connection_alone() {
    for seed in 0..400 {
        let mut random = Random::new(seed);
        let connections = 2 + random.below(2);
        let shape = Shape::random(&mut random, connections);
        let mut input = shape.input(&mut random);
        // Of versions with one time the last to arrive counts, which depends on the schedule.
        let mut times = std::collections::HashSet::new();
        input.retain(|given| given.side == 0 || times.insert((given.key, given.time)));
        // Without some events times did not go on as they did.
        let mut own = std::collections::HashMap::new();
        for given in &mut input {
            let own = own.entry((shape.source(given.side), given.connection)).or_insert(i64::MIN);
            *own = (*own).max(given.time - shape.lateness[given.side] as i64 - 1);
            given.own = *own;
        }
        let versions: Vec<Given> = input.iter().filter(|given| given.side == 1).copied().collect();
        let (late, events): (Vec<&Given>, Vec<&Given>) =
            input.iter().filter(|given| given.side == 0).partition(|given| given.is_late());
        let expected = events.iter().map(|event| answer(event, &versions)).collect();
        let mut fed = Fed::new(application(shape), shape);
        let mut found: Vec<String> = input.iter().flat_map(|given| fed.feed(given)).collect();
        found.extend([0, 1].into_iter().flat_map(|at| fed.end(at)));
        assert_eq!(sorted(found), sorted(expected), "seed {seed}: {shape:?}");
        let refused = fed.reference.refused();
        assert_eq!(refused.len(), late.len(), "seed {seed}: late versions are not refused");
        assert!(refused.iter().all(|refused| refused.reason == TOO_LATE));
    }
}

#[test]
fn old_versions_are_forgotten() {
    let mut fed = Fed::new(application(Shape::PLAIN), Shape::PLAIN);
    let version = |time, number| Given { side: 1, connection: 0, key: 7, time, number, own: 0 };
    // 5000 versions take much more than a row may.
    for time in 0..5000 {
        fed.promise(0, time - 1);
        fed.feed(&version(time, time.unsigned_abs()));
    }
    assert!(fed.reference.refused().is_empty());
    let mut text = String::new();
    fed.reference.table("versions", |key, row| text = format!("{key:?} {row:?}"));
    assert!(text.contains("number: 4998") && !text.contains("number: 4997"), "{text}");
}

#[test]
fn pairs_have_versions_too() {
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let shape = Shape { is_deep: [false; 2], ..Shape::random(&mut random, 1) };
        let app = Application::new("chain");
        let [left, right] = sides(&app, shape);
        let interval = Interval::new(-3, 4);
        let pairs = left.join("pairs", &right, interval, |left, right| Arrival {
            time: left.time.max(right.time),
            number: left.number,
            ..left
        });
        let answers = pairs.as_of("versions", &right, |pair, version| {
            let version = version.map_or("none".to_owned(), |version| version.number.to_string());
            format!("{}+{version}", pair.number)
        });
        show(&app, &answers);
        let input = shape.input(&mut random);
        let on_time = |at| input.iter().filter(move |given| given.side == at && !given.is_late());
        let versions: Vec<Given> = input.iter().filter(|given| given.side == 1).copied().collect();
        let mut expected = Vec::new();
        for left in on_time(0) {
            let near = |right: &&Given| (-3..=4).contains(&(right.time - left.time));
            let partners = on_time(1).filter(|right| right.key == left.key).filter(near);
            expected.extend(partners.map(|right| {
                let time = left.time.max(right.time);
                answer(&Given { time, ..*left }, &versions)
            }));
        }
        let mut fed = Fed::new(app, shape);
        let mut found: Vec<String> = input.iter().flat_map(|given| fed.feed(given)).collect();
        found.extend([0, 1].into_iter().flat_map(|at| fed.end(at)));
        assert_eq!(sorted(found), sorted(expected), "seed {seed}: {shape:?}");
    }
}
