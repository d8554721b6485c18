//! `first` against a map.

use std::collections::HashMap;

use potoroo_sdk::prelude::*;
use potoroo_sdk::time::TOO_LATE;

use super::input::{Fed, Shape, by_key, print, side};

#[test]
fn repeats_are_dropped_until_their_key_is_forgotten() {
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let (shape, keep) = (Shape::random(&mut random, 1), 1 + random.below(20));
        let shape = Shape { is_shared: false, ..shape };
        let app = Application::new("first");
        let first = side(&app, 0, shape.lateness[0]).first("keys", Duration::from_nanos(keep));
        print(&app, &first.map(|arrival| arrival.number.to_string()));
        side(&app, 1, 0).sink("other", Numbers);
        let (mut fed, mut known) = (Fed::new(app, Shape::PLAIN), HashMap::<u64, i64>::new());
        let mut refused = 0;
        for given in shape.input(&mut random).iter().filter(|given| given.side == 0) {
            known.retain(|_, first| *first + keep as i64 > given.own);
            let expected = if given.time + keep as i64 <= given.own {
                refused += 1;
                None
            } else if let std::collections::hash_map::Entry::Vacant(vacant) = known.entry(given.key)
            {
                vacant.insert(given.time);
                Some(format!("{} {} at {}", given.key, given.number, given.time))
            } else {
                None
            };
            let expected: Vec<String> = expected.into_iter().collect();
            assert_eq!(
                by_key(fed.feed(given)),
                expected,
                "seed {seed}: {given:?}, {keep}, {shape:?}"
            );
            assert_eq!(fed.rows("keys"), known.len(), "seed {seed}: keys are forgotten");
        }
        assert_eq!(fed.reference.refused().len(), refused);
        assert!(fed.reference.refused().iter().all(|refused| refused.reason == TOO_LATE));
        fed.end(0);
        assert_eq!(fed.rows("keys"), known.len(), "the end forgets nothing");
    }
}

/// Writes the number of each event.
struct Numbers;

impl Encode for Numbers {
    type Event = super::input::Arrival;

    fn encode(&self, arrival: super::input::Arrival, out: &mut Vec<u8>) {
        out.extend_from_slice(arrival.number.to_string().as_bytes());
    }
}
