//! What the operators of a topology do. Every handler leaves its mark on the trail of the item.

use potoroo_sdk::prelude::*;

use crate::items::Facts;
use crate::seeds::mix;

/// What a table of a topology remembers.
#[state]
pub struct Memory {
    count: u64,
    digest: u64,
    /// The latest sequence numbers, where order is determined.
    last: Vec<u32>,
}

impl Memory {
    /// Remembers an item so that its place among the others shows; returns what is known now.
    pub fn follow(&mut self, facts: Facts<'_>) -> u64 {
        self.count += 1;
        self.digest = mix(self.digest, digest(facts));
        self.last.push(facts.seq);
        if self.last.len() > 4 {
            self.last.remove(0);
        }
        mix(self.digest, self.count)
    }

    /// Remembers an item so that the order does not matter.
    pub fn add(&mut self, facts: Facts<'_>) {
        self.count += 1;
        self.digest = self.digest.wrapping_add(digest(facts));
    }

    /// Items since the row was created.
    pub fn count(&self) -> u64 {
        self.count
    }
}

/// Everything about an item as one number.
fn digest(facts: Facts<'_>) -> u64 {
    let Facts { origin, seq, key, branch, trail, note } = facts;
    let place = mix(u64::from(origin) << 32 | u64::from(seq), u64::from(key) << 32);
    mix(place ^ note.len() as u64, trail ^ u64::from(branch))
}

/// The item after a step with this `mark`.
pub fn marked(facts: Facts<'_>, mark: u64) -> Facts<'_> {
    Facts { trail: mix(facts.trail, mark), ..facts }
}

/// Whether a filter with this `mark` keeps the item: three out of four.
pub fn kept(facts: Facts<'_>, mark: u64) -> bool {
    !mix(digest(facts), mark).is_multiple_of(4)
}

/// Which of `ways` ways an item takes; one too high now and then, as applications may say.
pub fn way(facts: Facts<'_>, mark: u64, ways: u64) -> usize {
    (mix(digest(facts), mark) % (ways + 1)) as usize
}

/// When an item happened: later ones mostly later, and some never.
pub fn time(facts: Facts<'_>, mark: u64) -> EventTime {
    let jitter = mix(digest(facts), mark) % 101;
    match jitter {
        100 => EventTime::MAX,
        millis => EventTime::from_millis(10 * i64::from(facts.seq) + millis as i64),
    }
}

/// An item is late if another one came before it that happened later by more than this.
pub const LATENESS: Lateness = within(millis(50));

/// One of several copies; later ones are shorter, so that one may fit where another does not.
pub fn copied(facts: Facts<'_>, mark: u64, copy: u64) -> Facts<'_> {
    let note = &facts.note[..facts.note.len() >> copy];
    marked(Facts { note, ..facts }, mark ^ copy)
}

/// How many copies a step with this `mark` makes: 0 to 3.
pub fn copies(facts: Facts<'_>, mark: u64) -> u64 {
    mix(digest(facts), mark) % 4
}
