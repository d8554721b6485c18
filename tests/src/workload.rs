//! The workload: what the clients of a run send, mistakes included.

use potoroo_sdk::random::Random;

use crate::items::{Facts, PAYLOAD_BYTES_MAX, write_frame};
use crate::seeds::{Concern, random};
use crate::simulator::Script;

/// How late events may come that are on time, where times count.
pub const LATENESS_MS: u64 = 20;

/// Bytes of a lane that fills up although batches have several events, where times count.
pub const FULL_LANE_BYTES: usize = 1 << 13;

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Sources of the application.
    pub sources: u8,
    /// Connections of each source.
    pub clients: usize,
    /// Most items of a connection.
    pub items_max: u64,
    /// Keys.
    pub keys: u64,
    /// Most bytes of a note.
    pub note_bytes_max: u64,
    /// Frames that are no items stand between those that are.
    pub garbage: bool,
    /// Connections break off anywhere, some with a length that cannot be.
    pub cuts: bool,
}

impl Workload {
    const PLAIN: Self = Self {
        sources: 1,
        clients: 1,
        items_max: 1,
        keys: 20,
        note_bytes_max: 650,
        garbage: false,
        cuts: false,
    };

    /// Items of one connection for each source, without mistakes.
    pub fn plain(sources: u8, items_max: u64) -> Self {
        Self { sources, clients: 1, items_max, ..Self::PLAIN }
    }

    /// The scripts of all clients under `seed`.
    pub fn scripts(&self, seed: u64) -> Vec<Script> {
        let mut random = random(seed, Concern::Workload);
        let count = usize::from(self.sources) * self.clients;
        (0..count).map(|client| self.script(client, &mut random)).collect()
    }

    fn script(&self, client: usize, random: &mut Random) -> Script {
        let mut bytes = Vec::new();
        for seq in 0..1 + random.below(self.items_max) {
            if self.garbage && random.chance(0.1) {
                write_garbage(random, &mut bytes);
            }
            let (origin, seq) = (client as u32, seq as u32);
            let facts = Facts { origin, seq, key: random.below(self.keys) as u32, ..FACTS };
            let note = note(random, self.note_bytes_max);
            write_frame(Facts { note: &note, ..facts }, &mut bytes);
        }
        let cut = (self.cuts && random.chance(0.5)).then(|| random.below(bytes.len() as u64));
        if self.cuts && cut.is_none() && random.chance(0.3) {
            break_length(random, &mut bytes);
        }
        Script {
            deaf_after: None,
            source: (client % usize::from(self.sources)) as u8,
            bytes,
            cut: cut.map(|cut| cut as usize),
            after: if client > 1 { random.below(client as u64 / 2 + 1) as usize } else { 0 },
        }
    }
}

const FACTS: Facts<'static> = Facts { origin: 0, seq: 0, key: 0, branch: 0, trail: 0, note: "" };

/// The items of a script without mistakes.
pub fn each_item(script: &Script, mut take: impl FnMut(Facts<'_>)) {
    let mut rest = script.bytes.as_slice();
    while let [high, low, _, payload @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])) - 1;
        let (item, behind) = payload.split_at(length);
        let word = |at: usize| u32::from_be_bytes(item[at..at + 4].try_into().expect("four"));
        let note = str::from_utf8(&item[12..]).expect("notes are text");
        take(Facts { origin: word(0), seq: word(4), key: word(8), note, ..FACTS });
        rest = behind;
    }
}

/// How many bytes come or go at once: one, a part of a frame, some frames, everything.
pub fn piece(random: &mut Random) -> usize {
    match random.below(4) {
        0 => 1,
        1 => 1 + random.below(20) as usize,
        2 => 1 + random.below(2_000) as usize,
        _ => usize::MAX,
    }
}

/// Mostly short; sometimes too long for the stack space of the code that archives it.
fn note(random: &mut Random, bytes_max: u64) -> String {
    let length = match random.below(20) {
        0 => 450 + random.below(200),
        1..8 => random.below(60),
        _ => 0,
    };
    (0..length.min(bytes_max)).map(|at| char::from(b'a' + (at % 26) as u8)).collect()
}

/// A whole frame that is no item, or no frame at all.
fn write_garbage(random: &mut Random, out: &mut Vec<u8>) {
    let length = match random.below(3) {
        0 => 0,
        1 => 1 + random.below(12) as u16,
        _ => 13 + random.below(100) as u16,
    };
    out.extend_from_slice(&length.to_be_bytes());
    // An item's tag would make the longer ones items.
    out.extend((0..length).map(|_| 0x80 | random.below(128) as u8));
}

/// A length above the limit, and bytes behind it that cannot be decoded.
fn break_length(random: &mut Random, out: &mut Vec<u8>) {
    out.extend_from_slice(
        &(PAYLOAD_BYTES_MAX as u16 + 1 + random.below(60_000) as u16).to_be_bytes(),
    );
    out.extend((0..random.below(50)).map(|_| random.below(256) as u8));
}
