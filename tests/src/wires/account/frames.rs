//! Frames: at each level those come that were sent, in order, each once.

use std::collections::VecDeque;

/// Frames of one direction.
pub(super) struct FrameAccount {
    levels: Vec<LevelAccount>,
}

#[derive(Default)]
struct LevelAccount {
    /// Frames that were written and not read.
    under_way: VecDeque<Vec<u8>>,
    written: u64,
    read: u64,
}

impl FrameAccount {
    pub(super) fn new(levels: usize) -> Self {
        Self { levels: (0..levels).map(|_| LevelAccount::default()).collect() }
    }

    pub(super) fn levels(&self) -> usize {
        self.levels.len()
    }

    /// A frame was written.
    pub(super) fn write(&mut self, level: usize, frame: Vec<u8>) {
        let level = &mut self.levels[level];
        level.written += 1;
        level.under_way.push_back(frame);
    }

    /// By level: frames that were written.
    pub(super) fn written(&self) -> Vec<u64> {
        self.levels.iter().map(|level| level.written).collect()
    }

    /// Frames of a level that were read.
    pub(super) fn read_at(&self, level: usize) -> u64 {
        self.levels[level].read
    }

    /// Frames that were read.
    pub(super) fn read(&self) -> u64 {
        self.levels.iter().map(|level| level.read).sum()
    }

    /// A frame has come.
    ///
    /// # Errors
    /// Another one should have.
    pub(super) fn take(&mut self, number: usize, frame: &[u8]) -> Result<(), String> {
        let level = &mut self.levels[number];
        let sent = level.under_way.pop_front();
        if sent.as_deref() != Some(frame) {
            let (read, left) = (level.read, level.under_way.len());
            let what = sent.map_or("none was".to_owned(), |sent| format!("one of {}", sent.len()));
            return Err(format!(
                "frame {read} of level {number} has {} bytes, and {what} sent there with {left} \
                 after it",
                frame.len()
            ));
        }
        level.read += 1;
        Ok(())
    }

    /// # Errors
    /// Some frame has not come.
    pub(super) fn check_empty(&self) -> Result<(), String> {
        for (number, level) in self.levels.iter().enumerate() {
            let lost = level.under_way.len();
            if lost > 0 {
                return Err(format!("{lost} frames of level {number} were sent and never came"));
            }
        }
        Ok(())
    }
}
