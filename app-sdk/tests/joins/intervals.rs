//! `join` and `join_left` against loops over all events.

use potoroo_sdk::prelude::*;
use potoroo_sdk::time::TOO_LATE;

use super::input::{Arrival, Fed, Given, Shape, by_key, show, sides, sorted};

#[derive(Clone, Copy, Debug)]
struct Bounds {
    lower: i64,
    upper: i64,
    left: bool,
}

impl Bounds {
    fn random(random: &mut Random) -> Self {
        let lower = random.below(20) as i64 - 10;
        let (upper, left) = (lower + random.below(12) as i64, random.below(2) == 0);
        Self { lower, upper, left }
    }

    fn holds(self, left: &Given, right: &Given) -> bool {
        let apart = right.time - left.time;
        left.key == right.key && (self.lower..=self.upper).contains(&apart)
    }

    fn pair(left: &Given, right: &Given) -> String {
        let time = left.time.max(right.time);
        format!("{} {}+{} at {time}", left.key, left.number, right.number)
    }

    fn single(self, left: &Given) -> String {
        let time = left.time.max(left.time + self.upper);
        format!("{} {}+none at {time}", left.key, left.number)
    }
}

fn application(shape: Shape, bounds: Bounds) -> Application {
    let app = Application::new("join");
    let [left, right] = sides(&app, shape);
    let interval = Interval::new(bounds.lower, bounds.upper);
    let pair = |left: Arrival, right: Option<Arrival>| {
        let right = right.map_or("none".to_owned(), |right| right.number.to_string());
        format!("{}+{right}", left.number)
    };
    let pairs = match bounds.left {
        true => left.join_left("joined", &right, interval, pair),
        false => left.join("joined", &right, interval, move |left, right| pair(left, Some(right))),
    };
    show(&app, &pairs);
    app
}

/// One connection per side: what comes out at each step.
struct Naive {
    bounds: Bounds,
    shape: Shape,
    seen: Vec<Given>,
    /// Left events without a partner that has come.
    single: Vec<Given>,
    right_mark: i64,
}

impl Naive {
    fn step(&mut self, given: &Given) -> Vec<String> {
        if self.shape.source(given.side) == self.shape.source(1) {
            self.right_mark = self.right_mark.max(given.own);
        }
        let mut lines = self.settle();
        if given.is_late() {
            return lines;
        }
        let mut partners: Vec<Given> =
            self.seen.iter().filter(|other| other.side != given.side).copied().collect();
        partners.sort_by_key(|other| other.time);
        let (mut has_partner, bounds) = (false, self.bounds);
        for other in partners {
            let (left, right) = if given.side == 0 { (given, &other) } else { (&other, given) };
            if bounds.holds(left, right) {
                lines.push(Bounds::pair(left, right));
                self.single.retain(|single| single.number != left.number);
                has_partner = true;
            }
        }
        if given.side == 0 && !has_partner {
            self.single.push(*given);
        }
        self.seen.push(*given);
        lines.extend(self.settle());
        lines
    }

    fn settle(&mut self) -> Vec<String> {
        let (bounds, right_mark) = (self.bounds, self.right_mark);
        let is_done = |left: &Given| left.time.saturating_add(bounds.upper) <= right_mark;
        let mut done: Vec<Given> =
            self.single.iter().filter(|left| is_done(left)).copied().collect();
        self.single.retain(|left| !is_done(left));
        done.sort_by_key(|left| left.time);
        done.retain(|_| bounds.left);
        done.iter().map(|left| bounds.single(left)).collect()
    }
}

#[test]
fn each_step_brings_what_it_decides() {
    for seed in 0..400 {
        let mut random = Random::new(seed);
        let (shape, bounds) = (Shape::random(&mut random, 1), Bounds::random(&mut random));
        let mut fed = Fed::new(application(shape, bounds), shape);
        let (seen, single) = (Vec::new(), Vec::new());
        let mut naive = Naive { bounds, shape, seen, single, right_mark: i64::MIN };
        for given in shape.input(&mut random) {
            let (found, expected) = (by_key(fed.feed(&given)), by_key(naive.step(&given)));
            assert_eq!(found, expected, "seed {seed}: {given:?} with {bounds:?}, {shape:?}");
        }
        let mut found = fed.end(0);
        assert!(found.is_empty() || shape.is_shared, "they wait for the right stream");
        naive.right_mark = i64::MAX;
        found.extend(fed.end(1));
        assert_eq!(by_key(found), by_key(naive.settle()), "seed {seed}");
        assert_eq!(fed.rows("joined"), 0, "seed {seed}: nothing is left of it");
    }
}

#[test]
fn contents_depend_on_each_connection_alone() {
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let connections = 2 + random.below(2);
        let (shape, bounds) =
            (Shape::random(&mut random, connections), Bounds::random(&mut random));
        let input = shape.input(&mut random);
        let on_time = |at| input.iter().filter(move |given| given.side == at && !given.is_late());
        let mut expected = Vec::new();
        for left in on_time(0) {
            let partners: Vec<_> = on_time(1).filter(|right| bounds.holds(left, right)).collect();
            expected.extend(partners.iter().map(|right| Bounds::pair(left, right)));
            if partners.is_empty() && bounds.left {
                expected.push(bounds.single(left));
            }
        }
        let mut fed = Fed::new(application(shape, bounds), shape);
        let mut found: Vec<String> = input.iter().flat_map(|given| fed.feed(given)).collect();
        found.extend([1, 0].into_iter().flat_map(|at| fed.end(at)));
        assert_eq!(sorted(found), sorted(expected), "seed {seed}: {bounds:?}, {shape:?}");
        let late = input.iter().filter(|given| given.is_late()).count();
        let refused = fed.reference.refused();
        assert_eq!(refused.len(), late, "seed {seed}");
        assert!(refused.iter().all(|refused| refused.reason == TOO_LATE));
    }
}

#[test]
fn what_finds_no_partner_any_more_is_forgotten() {
    for seed in 0..100 {
        let mut random = Random::new(seed);
        let (shape, bounds) = (Shape::random(&mut random, 1), Bounds::random(&mut random));
        let mut fed = Fed::new(application(shape, bounds), shape);
        shape.input(&mut random).iter().for_each(|given| _ = fed.feed(given));
        assert!(fed.rows("joined") > 0);
        let far = 10_000_000;
        let first = random.below(2) as usize;
        [first, 1 - first].into_iter().for_each(|at| _ = fed.promise(at, far));
        // Right events that the left stream needed are looked at once in a while.
        fed.promise(1, 2 * far);
        assert_eq!(fed.rows("joined"), 0, "seed {seed}: {bounds:?}");
    }
}
