//! The least of many moments of which one changes at a time.
//!
//! ```text
//!                 least                     a node is the lesser of the two below it: a change
//!              /         \                  touches as many nodes as there are levels
//!          least          least
//!         /     \        /     \
//!       0        1     2        3           places
//! ```

use potoroo_sdk::time::EventTime;

/// Moments at places from 0 on, of which the least is known.
pub(super) struct Least {
    /// The root is at 1; the places begin at half of the length, a power of two.
    nodes: Vec<EventTime>,
}

impl Least {
    /// The end of time at all places.
    // cold: at start
    pub(super) fn new() -> Self {
        Self { nodes: vec![EventTime::MAX; 2] }
    }

    /// Places that it has room for.
    pub(super) fn places(&self) -> usize {
        self.nodes.len() / 2
    }

    /// What is at a place; the end of time where nothing was set.
    #[inline]
    pub(super) fn at(&self, place: usize) -> EventTime {
        self.nodes.get(self.places() + place).copied().unwrap_or(EventTime::MAX)
    }

    /// Sets what is at a place.
    #[inline]
    pub(super) fn set(&mut self, place: usize, moment: EventTime) {
        if place >= self.places() {
            self.grow(place);
        }
        let mut node = self.places() + place;
        self.nodes[node] = moment;
        while node > 1 {
            node /= 2;
            self.nodes[node] = self.nodes[2 * node].min(self.nodes[2 * node + 1]);
        }
    }

    // cold: when there are more places than ever
    #[cold]
    fn grow(&mut self, place: usize) {
        let before: Vec<EventTime> = self.nodes.split_off(self.places());
        self.nodes = vec![EventTime::MAX; 2 * (place + 1).next_power_of_two()];
        before.into_iter().enumerate().for_each(|(place, moment)| self.set(place, moment));
    }

    /// The least of all.
    #[inline]
    pub(super) fn least(&self) -> EventTime {
        self.nodes[1]
    }

    /// A place that has the least of all.
    // cold: for gauges
    pub(super) fn place(&self) -> usize {
        let mut node = 1;
        while node < self.places() {
            node = 2 * node + usize::from(self.nodes[2 * node] != self.nodes[node]);
        }
        node - self.places()
    }

    /// The least of all but the one at `place`.
    #[inline]
    pub(super) fn least_but(&self, place: usize) -> EventTime {
        if place >= self.places() {
            return self.least();
        }
        let (mut node, mut least) = (self.places() + place, EventTime::MAX);
        while node > 1 {
            least = least.min(self.nodes[node ^ 1]);
            node /= 2;
        }
        least
    }
}

#[cfg(test)]
mod tests {
    use potoroo_sdk::random::Random;

    use super::*;

    #[test]
    fn it_is_the_least_of_what_was_set() {
        for seed in 0..200 {
            let mut random = Random::new(seed);
            let (mut least, mut model) = (Least::new(), vec![EventTime::MAX; 40]);
            for _ in 0..100 {
                let places = 1 + random.below(40);
                let place = random.below(places) as usize;
                let moment = EventTime::from_nanos(random.below(20) as i64);
                least.set(place, moment);
                model[place] = moment;
                assert_eq!(Some(&least.least()), model.iter().min());
                assert_eq!(least.at(least.place()), least.least());
                for (place, moment) in model.iter().enumerate() {
                    let others = model.iter().enumerate().filter(|(other, _)| *other != place);
                    let others = others.map(|(_, moment)| *moment).min();
                    assert_eq!(Some(least.least_but(place)), others);
                    assert_eq!(least.at(place), *moment);
                }
            }
        }
    }
}
