//! Markers: at each level a marker comes between the frames between which it was set.

use std::collections::BTreeMap;

/// Markers of one direction.
pub(super) struct MarkerAccount {
    /// By epoch: at each level, frames before the marker.
    set: BTreeMap<u32, Vec<u64>>,
    /// By level: the newest epoch of which the marker was passed. Its place means nothing then.
    passed: Vec<u32>,
}

impl MarkerAccount {
    pub(super) fn new(levels: usize) -> Self {
        Self { set: BTreeMap::new(), passed: vec![0; levels] }
    }

    /// A marker was written after these frames of each level.
    ///
    /// # Errors
    /// It is no newer one.
    pub(super) fn set(&mut self, epoch: u64, frames: Vec<u64>) -> Result<(), String> {
        let last = self.set.keys().next_back().copied().unwrap_or(0);
        let newer = u32::try_from(epoch).ok().filter(|epoch| *epoch > last);
        let epoch = newer.ok_or_else(|| format!("a marker of {epoch} follows one of {last}"))?;
        self.set.insert(epoch, frames);
        Ok(())
    }

    /// A level has a marker of this epoch, before or after the frame of this number.
    ///
    /// # Errors
    /// It should be elsewhere.
    pub(super) fn look(
        &mut self,
        level: usize,
        frame: u64,
        (epoch, before): (u32, bool),
    ) -> Result<(), String> {
        if epoch <= self.passed[level] {
            return Ok(());
        }
        let set = self.set.get(&epoch).ok_or_else(|| format!("no marker of {epoch} was sent"))?;
        if before != (frame >= set[level]) {
            return Err(format!(
                "the marker of {epoch} was set at level {level} before frame {}, and frame {frame} \
                 is on the wrong side of it",
                set[level]
            ));
        }
        if before {
            self.passed[level] = epoch;
        }
        Ok(())
    }
}
