//! How wires behave, and what may be wrong with them on purpose.

/// How links are simulated.
#[derive(Clone, Copy, Debug, Default)]
pub struct WireKind {
    /// Ends are announced; otherwise cores look at them in each turn.
    pub announced: bool,
    /// How often a direction begins to stand still, each time that its reader looks.
    pub stalls: f64,
    /// Something is wrong on purpose.
    pub sabotage: Option<WireSabotage>,
}

/// A mistake that a link could make. It is made on the bytes between its two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireSabotage {
    /// Markers come after frames that follow them.
    MarkerLate,
    /// Markers come after frames of one level that follow them.
    MarkerLevel,
    /// Markers wait for what waits for credit, as if they were set where the lanes are.
    MarkerWaits,
    /// More is sent than there is room for.
    CreditIgnored,
    /// The last frame of a record is lost if its bytes did not come at once.
    FrameLost,
    /// Two connections of a core take each other's place.
    SeatsSwapped,
    /// Frames say nothing of the watermark of who has sent them.
    StampsLost,
    /// Words come before frames that they follow.
    WordsEarly,
}

impl WireSabotage {
    /// Whether it is left to be noticed by what the engine makes of it: a checkpoint or a time is
    /// wrong because of it.
    pub(super) fn is_left(self) -> bool {
        let of_checkpoint = matches!(self, Self::MarkerLate | Self::MarkerLevel);
        of_checkpoint || matches!(self, Self::StampsLost | Self::WordsEarly)
    }
}
