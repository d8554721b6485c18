//! The events of the `engine` benchmark and what comes of them, the same for all contenders.
//!
//! Keys are scattered over 64 bits: sequential keys would flatter a plain hash map, whose cheap
//! hash keeps them side by side.

use potoroo::prelude::*;
use potoroo::sdk::codec::FixedSize;
use serde::{Deserialize, Serialize};

/// One event: as large as a cache line.
///
/// Not aligned like one, because timely's buffers would then come from the slow path of the
/// allocator; contenders that gain from it align it themselves.
#[event]
#[repr(C)]
#[derive(Serialize, Deserialize)]
pub struct Item {
    /// Which state it belongs to.
    pub key: u64,
    /// Position in the stream, from 0.
    pub value: u64,
    /// When it should have been sent, on the clock of `stamp`; 0 at full speed.
    pub intended_ns: u64,
    /// Makes the line full; carried across, never read.
    pub rest: [u64; 5],
}

const _: () = assert!(size_of::<Item>() == 64);

/// Items as clients send them: their words, little-endian. A generator makes no use of it.
pub struct ItemCodec;

impl Decode for ItemCodec {
    type Event = Item;
    type Framing = FixedSize;

    fn framing(&self) -> FixedSize {
        FixedSize::new(size_of::<Item>())
    }

    fn decode(&self, payload: &[u8]) -> Result<Item, Reason> {
        let mut fields = Fields::new(payload);
        let mut word = || fields.u64_le();
        let (key, value, intended_ns) = (word()?, word()?, word()?);
        Ok(Item { key, value, intended_ns, rest: [word()?, word()?, word()?, word()?, word()?] })
    }
}

/// An endless stream of events over a fixed set of keys, always the same one.
#[derive(Clone, Debug)]
pub struct Load {
    random: u64,
    keys: u64,
    sent: u64,
}

impl Load {
    /// Events over `keys` keys, at least 1.
    pub fn new(keys: u64) -> Self {
        assert!(keys > 0, "events need a key");
        assert!(keys <= 1 << 32, "indices have 32 random bits");
        Self { random: SEED, keys, sent: 0 }
    }

    /// The next event.
    #[inline]
    pub fn next(&mut self, intended_ns: u64) -> Item {
        self.random = self.random.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT);
        let index = ((self.random >> 32) * self.keys) >> 32;
        let value = self.sent;
        self.sent += 1;
        Item { key: scatter(index), value, intended_ns, rest: [index; 5] }
    }

    /// How many events were made.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// All keys that can occur, for putting them into a table before the clock starts.
    pub fn keys(keys: u64) -> impl Iterator<Item = u64> {
        (0..keys).map(scatter)
    }

    /// What the checksum of all states must be after the first `events` events.
    pub fn checksum(keys: u64, events: u64) -> u64 {
        let mut load = Self::new(keys);
        (0..events).map(|_| load.next(0)).fold(0, |sum, event| {
            sum.wrapping_add(event.key).wrapping_add(event.value.wrapping_mul(VALUE_WEIGHT))
        })
    }
}

/// What is kept per key: a cache line of simple aggregates.
#[state]
#[repr(C)]
#[derive(Copy)]
pub struct Tally {
    /// Number of events.
    pub count: u64,
    /// Sum of the values, wrapping.
    pub sum: u64,
    /// The latest value.
    pub last: u64,
    /// The largest value.
    pub highest: u64,
    /// Intended time of the latest event.
    pub seen_ns: u64,
    /// Exclusive or of the values.
    pub mixed: u64,
    /// Room up to 64 bytes, as the state of an application would have.
    pub rest: [u64; 2],
}

const _: () = assert!(size_of::<Tally>() == 64);

impl Tally {
    /// Takes one event in.
    #[inline]
    pub fn update(&mut self, value: u64, intended_ns: u64) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(value);
        self.last = value;
        self.highest = self.highest.max(value);
        self.seen_ns = intended_ns;
        self.mixed ^= value;
    }

    /// This state's part of the checksum: proves which key got how many events and which values.
    pub fn checksum(&self, key: u64) -> u64 {
        checksum(key, self.count, self.sum)
    }
}

/// What a key with this number of events and that sum of their values adds to the checksum.
pub fn checksum(key: u64, count: u64, sum: u64) -> u64 {
    key.wrapping_mul(count).wrapping_add(sum.wrapping_mul(VALUE_WEIGHT))
}

/// Spreads 0, 1, 2, … over all 64 bits, one to one (the finaliser of SplitMix64).
#[inline]
pub fn scatter(index: u64) -> u64 {
    let mut bits = index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

const SEED: u64 = 1;
/// Knuth's MMIX generator: one multiplication per event, upper half used.
const MULTIPLIER: u64 = 6_364_136_223_846_793_005;
const INCREMENT: u64 = 1_442_695_040_888_963_407;
/// Keeps keys and values from cancelling out in the sum.
const VALUE_WEIGHT: u64 = 0xD6E8_FEB8_6659_FD93;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{HashMap, HashSet};

    #[test]
    fn keys_are_distinct_and_the_stream_uses_them_all() {
        let all: HashSet<u64> = Load::keys(100).collect();
        assert_eq!(all.len(), 100);
        let mut load = Load::new(100);
        let used: HashSet<u64> = (0..10_000).map(|_| load.next(0).key).collect();
        assert_eq!(used, all);
    }

    #[test]
    fn states_add_up_to_the_expected_checksum() {
        let mut load = Load::new(7);
        let mut states: HashMap<u64, Tally> = HashMap::new();
        for _ in 0..1000 {
            let event = load.next(0);
            states.entry(event.key).or_default().update(event.value, 0);
        }
        let sum = states.iter().fold(0u64, |sum, (&key, t)| sum.wrapping_add(t.checksum(key)));
        assert_eq!(sum, Load::checksum(7, 1000));
    }
}
