//! Positions of sources: where an inlet begins, how it ended, and where a source continues.

use potoroo_sdk::codec::Reason;
use potoroo_sdk::host::SourceId;
use potoroo_sdk::time::EventTime;

use crate::checkpoint::{self, PositionUnit};

/// Where an inlet begins whose bytes can be read again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// Bytes before the first.
    pub position: u64,
    /// The first bytes belong to a frame above the limit that was refused.
    pub skipping: bool,
    /// More bytes may follow its end in a later run: an unfinished frame waits there for its rest.
    pub grows: bool,
    /// Its own watermarks before the first event, in the order of its `event_time`s; none if it was
    /// never read.
    pub own: Vec<EventTime>,
}

impl From<&checkpoint::SourcePosition> for Start {
    /// Where an inlet begins that continues at a position of a checkpoint.
    // cold: at start
    fn from(at: &checkpoint::SourcePosition) -> Self {
        let own = at.watermarks.iter().map(|nanos| EventTime::from_nanos(*nanos)).collect();
        Self { position: at.position, skipping: at.skipping, grows: false, own }
    }
}

/// How an inlet ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its bytes were all taken.
    Ended,
    /// Its bytes cannot be understood any further.
    Broken(Reason),
    /// What it ends with is the beginning of a frame, which a later run reads with its rest.
    Unfinished {
        /// Where the frame begins.
        position: u64,
        /// Bytes of it that are there.
        bytes: u64,
    },
}

/// Where a source continues after a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadPosition {
    /// The source.
    pub source: SourceId,
    /// Which of its streams, if it has some.
    pub stream: Option<u32>,
    /// What its position counts.
    pub unit: PositionUnit,
    /// Bytes taken, or events generated.
    pub position: u64,
    /// The bytes that follow belong to a frame above the limit that was refused.
    pub skipping: bool,
    /// Its own watermarks, in the order of its `event_time`s.
    pub own: Vec<EventTime>,
}
