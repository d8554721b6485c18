//! Credit: no level has more under way than its receiver has given it room for.

/// What may be sent, and what was.
pub(super) struct CreditAccount {
    /// By level: bytes of frames since the link was made.
    sent: Vec<u64>,
    allowed: Vec<u64>,
    /// The longest frame.
    frame_bytes_max: u64,
}

impl CreditAccount {
    /// The first credit is half a lane.
    pub(super) fn new(levels: usize, capacity_bytes: usize) -> Self {
        let (capacity, frame_bytes_max) = (capacity_bytes as u64, capacity_bytes as u64 / 4);
        Self { sent: vec![0; levels], allowed: vec![capacity / 2; levels], frame_bytes_max }
    }

    /// A frame was sent.
    ///
    /// # Errors
    /// There was no credit for it.
    pub(super) fn send(&mut self, level: usize, frame_bytes: usize) -> Result<(), String> {
        let sent = self.sent.get_mut(level).ok_or_else(|| format!("a frame of level {level}"))?;
        *sent += frame_bytes.next_multiple_of(8) as u64;
        match (*sent, self.allowed[level]) {
            (sent, allowed) if sent > allowed => {
                Err(format!("level {level} has sent {sent} bytes with a credit of {allowed}"))
            }
            _ => Ok(()),
        }
    }

    /// Whether some level has no credit for the longest frame.
    pub(super) fn is_short(&self) -> bool {
        let left = self
            .allowed
            .iter()
            .zip(&self.sent)
            .map(|(allowed, sent)| allowed.saturating_sub(*sent));
        left.min().is_some_and(|left| left < self.frame_bytes_max)
    }

    /// This may be sent in all.
    ///
    /// # Errors
    /// It is for another number of levels, or less than before.
    pub(super) fn allow(&mut self, words: &[u64]) -> Result<(), String> {
        let less = self.allowed.iter().zip(words).any(|(before, now)| now < before);
        if words.len() != self.allowed.len() || less {
            return Err(format!("credit of {words:?} bytes cannot follow {:?}", self.allowed));
        }
        self.allowed.copy_from_slice(words);
        Ok(())
    }
}
