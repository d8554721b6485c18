//! Markers: at each level a marker comes between the frames between which it was set.

use std::collections::BTreeMap;

/// Markers of one direction.
pub(super) struct MarkerAccount {
    /// By epoch: at each level, frames before the marker.
    set: BTreeMap<u32, Vec<u64>>,
    /// By level: frames whose bytes have come.
    frames: Vec<u64>,
    /// The newest epoch of which the marker's bytes have.
    come: u32,
    /// By level: the newest epoch of which the marker was passed. Its place means nothing then.
    passed: Vec<u32>,
}

impl MarkerAccount {
    pub(super) fn new(levels: usize) -> Self {
        let (frames, passed) = (vec![0; levels], vec![0; levels]);
        Self { set: BTreeMap::new(), frames, come: 0, passed }
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

    /// The bytes of a frame have come.
    pub(super) fn count_frame(&mut self, level: usize) {
        self.frames[level] += 1;
    }

    /// Those of a marker have.
    ///
    /// # Errors
    /// They stand elsewhere than they were written.
    pub(super) fn come(&mut self, epoch: u64) -> Result<(), String> {
        let set = u32::try_from(epoch).ok().and_then(|epoch| self.set.get(&epoch));
        let set = set.ok_or_else(|| format!("no marker of {epoch} was sent"))?;
        if *set != self.frames {
            let frames = &self.frames;
            return Err(format!("the marker of {epoch} was set after {set:?}, not {frames:?}"));
        }
        self.come = epoch as u32;
        Ok(())
    }

    /// A lane has this newest marker, which lies before its frame of this number or is one of those
    /// after it.
    ///
    /// # Errors
    /// It should be another one, or elsewhere.
    pub(super) fn look(
        &mut self,
        level: usize,
        frame: u64,
        (epoch, before): (u32, bool),
    ) -> Result<(), String> {
        if epoch != self.come {
            return Err(format!("the newest marker is that of {}, not of {epoch}", self.come));
        }
        if epoch <= self.passed[level] {
            return Ok(());
        }
        let set = self.set[&epoch][level];
        if before != (frame >= set) {
            return Err(format!(
                "the marker of {epoch} was set at level {level} before frame {set}, and frame \
                 {frame} is on the wrong side of it"
            ));
        }
        if before {
            self.passed[level] = epoch;
        }
        Ok(())
    }
}
