//! Expected: what the outputs of an application must add up to, found in plain code.

use std::collections::{HashMap, VecDeque};

use super::input::Input;
use crate::engine::load::{Item, Load, checksum};

/// The sum that a number of events of an input makes.
pub type ExpectedSum = fn(Input, u64) -> u64;

/// Each event once.
pub fn once(input: Input, events: u64) -> u64 {
    Load::checksum(input.keys, events)
}

/// Each event in as many windows as a minute has seconds.
pub fn sixty_times(input: Input, events: u64) -> u64 {
    once(input, events).wrapping_mul(60)
}

/// Each order with the quote before it.
pub fn as_of(input: Input, events: u64) -> u64 {
    let mut quotes = HashMap::new();
    sum(all(input, events).map(|item| match is_left(&item) {
        true => pair(&item, quotes.get(&item.key).copied().unwrap_or(0)),
        false => {
            quotes.insert(item.key, item.value);
            0
        }
    }))
}

/// Each pair of a left and a right event of a key that are [`JOIN_NS`] apart at most.
pub fn join(input: Input, events: u64) -> u64 {
    let mut sides: [HashMap<u64, VecDeque<Item>>; 2] = Default::default();
    sum(all(input, events).map(|item| {
        let [mine, others] = if is_left(&item) { [1, 0] } else { [0, 1] };
        let partners = sides[others].entry(item.key).or_default();
        while partners.front().is_some_and(|it| it.intended_ns + JOIN_NS < item.intended_ns) {
            partners.pop_front();
        }
        let pairs = partners.iter().map(|partner| match is_left(&item) {
            true => pair(&item, partner.value),
            false => pair(partner, item.value),
        });
        let pairs = sum(pairs);
        sides[mine].entry(item.key).or_default().push_back(item);
        pairs
    }))
}

/// What a left event and the value of a right one make.
#[inline]
pub fn pair(left: &Item, right: u64) -> u64 {
    checksum(left.key, 1, left.value.wrapping_sub(right))
}

/// Every other event of the load; marks are right ones.
#[inline]
pub fn is_left(item: &Item) -> bool {
    !item.value.is_multiple_of(2)
}

fn all(input: Input, events: u64) -> impl Iterator<Item = Item> {
    let mut load = Load::new(input.keys);
    (0..events).map(move |number| load.next(input.time_ns(number)))
}

fn sum(values: impl Iterator<Item = u64>) -> u64 {
    values.fold(0, u64::wrapping_add)
}

/// How far pairs are apart at most: with ten thousand keys an event has ten partners, half of them
/// before it.
pub const JOIN_NS: u64 = 100_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_a_join_has_ten_partners() {
        let input = Input { keys: 100, per_second: 10_000, past: 0, lead: 0 };
        let (left, right): (Vec<Item>, Vec<Item>) = all(input, 10_000).partition(is_left);
        let is_pair = |left: &Item, right: &&Item| {
            left.key == right.key && left.intended_ns.abs_diff(right.intended_ns) <= JOIN_NS
        };
        let pairs = left.iter().map(|event| right.iter().filter(|it| is_pair(event, it)).count());
        let mean = pairs.sum::<usize>() as f64 / left.len() as f64;
        assert!((9.0..=10.5).contains(&mean), "{mean}");
    }
}
