//! What of an output file counts after rollbacks.

use serde_json::Value;

/// Which bytes of an output file belong to the history that counts.
#[derive(Default)]
pub struct History {
    ranges: Vec<(usize, usize)>,
    seen: usize,
}

impl History {
    /// The file has `length` bytes, and the last `repeated` of those that count come again.
    pub fn roll_back(&mut self, length: usize, mut repeated: usize) {
        self.ranges.push((self.seen, length));
        self.seen = length;
        while repeated > 0 {
            let (start, end) = self.ranges.pop().expect("what repeats was there");
            let cut = repeated.min(end - start);
            repeated -= cut;
            if end - cut > start {
                self.ranges.push((start, end - cut));
            }
        }
    }

    pub fn bytes(mut self, file: &[u8]) -> Vec<u8> {
        self.ranges.push((self.seen, file.len()));
        self.ranges.iter().flat_map(|(start, end)| &file[*start..*end]).copied().collect()
    }
}

/// Bytes that come again, as the answer to a rollback has them.
pub fn repeated(answer: &Value) -> usize {
    let repeats = answer["repeats"].as_array().expect("a list");
    repeats.iter().map(|one| one["bytes"].as_u64().expect("a number") as usize).sum()
}
