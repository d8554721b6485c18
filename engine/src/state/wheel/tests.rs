//! The wheel against a sorted map, and what it costs.

use std::collections::BTreeMap;

use potoroo_sdk::random::Random;

use super::*;

/// What should be in the wheel: how often each hint.
#[derive(Default)]
struct Model(BTreeMap<Hint, usize>);

impl Model {
    fn enter(&mut self, hint: Hint) {
        *self.0.entry(hint).or_default() += 1;
    }

    fn remove(&mut self, hint: Hint) {
        let count = self.0.get_mut(&hint).unwrap_or_else(|| panic!("{hint:?} was not there"));
        *count -= 1;
        if *count == 0 {
            self.0.remove(&hint);
        }
    }

    fn first(&self) -> Option<EventTime> {
        self.0.first_key_value().map(|(hint, _)| hint.due)
    }
}

fn at(nanos: i64) -> EventTime {
    EventTime::from_nanos(nanos)
}

/// A due that is near, far, or anywhere: also before `now`, and at the ends of time.
fn due(random: &mut Random, now: i64) -> EventTime {
    at(match random.below(10) {
        0 => random.u64().cast_signed(),
        1 => [i64::MIN, i64::MAX, now][random.below(3) as usize],
        2 => now.saturating_sub_unsigned(random.below(1000)),
        _ => now.saturating_add_unsigned(random.u64() >> (1 + random.below(63))),
    })
}

#[test]
fn what_is_due_comes_once_and_nothing_else_does() {
    for seed in 0..2000 {
        let mut random = Random::new(seed);
        let (mut wheel, mut model) = (Wheel::new(), Model::default());
        let mut now = if random.chance(0.5) { 1 << 60 } else { random.u64().cast_signed() };
        let prunes = random.chance(0.5);
        for _ in 0..100 {
            for _ in 0..random.below(300) {
                let slot = random.below(50) as u32;
                let hint = Hint { due: due(&mut random, now), slot };
                wheel.enter(hint);
                model.enter(hint);
            }
            now = now.saturating_add_unsigned(random.u64() >> (1 + random.below(63)));
            let (calls, mut more) = (random.below(20), true);
            for _ in 0..calls {
                let mut hints = [Hint::NONE; 64];
                let hints = &mut hints[..1 + random.below(64) as usize];
                let mut moves = random.below(256) as usize;
                let taken = wheel.take(at(now), hints, &mut moves);
                more = taken.more;
                for hint in &hints[..taken.count] {
                    assert!(hint.due <= at(now), "seed {seed}: {hint:?} came at {now}");
                    model.remove(*hint);
                }
                let (first, next) = (model.first(), wheel.next_due());
                assert_eq!(first.is_some(), next.is_some(), "seed {seed}");
                assert!(next <= first, "seed {seed}: {first:?} is due before {next:?}");
                if !more {
                    assert!(
                        first.is_none_or(|due| due > at(now)),
                        "seed {seed}: {first:?} by {now}"
                    );
                    // A list does not know which hint is its first after one was dropped.
                    assert!(prunes || next == first, "seed {seed}");
                }
                if prunes && random.chance(0.3) {
                    let (looks, gone) = (random.below(700) as usize, random.below(50) as u32);
                    wheel.prune(looks, |hint| {
                        let is_live = hint.slot != gone;
                        if !is_live {
                            model.remove(hint);
                        }
                        is_live
                    });
                }
            }
            assert_eq!(wheel.count(), model.0.values().sum::<usize>(), "seed {seed}");
            assert!(more || calls > 0);
        }
    }
}

/// Takes all that is due. Returns how many hints moved.
fn drain(wheel: &mut Wheel, until: EventTime, mut visit: impl FnMut(Hint)) -> usize {
    let mut moved = 0;
    loop {
        let (mut hints, mut moves) = ([Hint::NONE; 64], 256);
        let taken = wheel.take(until, &mut hints, &mut moves);
        moved += 256 - moves;
        hints[..taken.count].iter().for_each(|hint| visit(*hint));
        if !taken.more {
            return moved;
        }
    }
}

const MINUTE_NS: u64 = 60_000_000_000;
const START_NS: i64 = 1_764_547_200_000_000_000;

/// Timers spread over a minute while time goes on by a millisecond: about two moves for each.
#[test]
fn a_hint_moves_twice_about() {
    const HINTS: usize = 1_000_000;
    let (mut random, mut wheel) = (Random::new(1), Wheel::new());
    for slot in 0..HINTS as u32 {
        let due = at(START_NS + random.below(MINUTE_NS) as i64);
        wheel.enter(Hint { due, slot });
    }
    let bytes = wheel.memory_bytes();
    let (mut moved, mut taken) = (0, 0);
    for millisecond in 1..=60_000 {
        let until = START_NS + millisecond * 1_000_000;
        moved += drain(&mut wheel, at(until), |hint| {
            assert!(
                (until - 1_000_000..=until).contains(&hint.due.nanos()),
                "in its own millisecond"
            );
            taken += 1;
        });
    }
    assert_eq!((taken, wheel.count()), (HINTS, 0));
    assert!(moved * 10 <= HINTS * 35, "{moved} moves of {HINTS} hints");
    assert!(bytes <= HINTS * 17, "{bytes} bytes for {HINTS} hints");
    assert!(wheel.memory_bytes() <= bytes + HINTS, "pages are used again");
}

/// However many are due at one moment, they are taken from where they lie.
#[test]
fn a_million_rows_with_one_due_do_not_move() {
    let mut wheel = Wheel::new();
    let due = at(START_NS + 999_999_999);
    let before = at(due.nanos() - 1);
    wheel.enter(Hint { due: at(START_NS), slot: 0 });
    drain(&mut wheel, at(START_NS), |_| {});
    (0..1_000_000).for_each(|slot| wheel.enter(Hint { due, slot }));
    assert_eq!(
        (drain(&mut wheel, before, |_| panic!("it is early")), wheel.count()),
        (0, 1_000_000)
    );
    let mut taken = 0;
    assert_eq!((drain(&mut wheel, due, |_| taken += 1), taken), (0, 1_000_000));
}

/// What is refused is pruned and nothing else, however it is cut into calls.
#[test]
fn what_is_gone_is_pruned() {
    for seed in 0..200 {
        let (mut random, mut wheel) = (Random::new(seed), Wheel::new());
        let mut live = 0;
        for slot in 0..random.below(10_000) as u32 {
            wheel.enter(Hint { due: due(&mut random, START_NS), slot });
            live += usize::from(slot % 3 != 0);
        }
        let looks = 1 + random.below(2000) as usize;
        while !wheel.prune(looks, |hint| hint.slot % 3 != 0) {}
        assert_eq!(wheel.count(), live, "seed {seed}");
        let bytes = wheel.memory_bytes();
        let mut taken = 0;
        drain(&mut wheel, EventTime::MAX, |hint| {
            assert_ne!(hint.slot % 3, 0, "seed {seed}");
            taken += 1;
        });
        assert_eq!((taken, wheel.count(), wheel.memory_bytes()), (live, 0, bytes), "seed {seed}");
    }
}
