//! Skips: positions of sources whose event becomes a dead letter instead of being run, on the
//! operator's word: the application panics on it.
//!
//! Cold but for one compare per batch. Sources that can be read again have such positions, and
//! whatever comes back from a checkpoint: all else is gone with the process that panicked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use potoroo_sdk::codec::Reason;
use potoroo_sdk::host::{Cause, Origin, SourceId};

/// Why the event became a dead letter.
pub(super) const SKIPPED: Reason = Reason::new("skipped, because --skip names its position");

/// The positions that are skipped, shared by all cores.
#[derive(Clone, Debug, Default)]
pub struct Skips(Arc<[Skip]>);

#[derive(Debug)]
struct Skip {
    source: SourceId,
    origin: Origin,
    fate: AtomicU8,
}

/// What became of a position that is to be skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was not reached so far.
    Waiting,
    /// Its event is a dead letter.
    Met,
    /// Its source goes on beyond it, or has no event that begins there.
    Passed,
}

impl Skips {
    /// Source, and connection and position as in the origin of its events, of each.
    // cold: at start
    pub fn new(skips: impl IntoIterator<Item = (SourceId, u64, u64)>) -> Self {
        let skip = |(source, connection, position): (SourceId, u64, u64)| Skip {
            source,
            origin: Origin { connection, position },
            fate: AtomicU8::new(Fate::Waiting.rank()),
        };
        Self(skips.into_iter().map(skip).collect())
    }

    /// What became of each so far.
    // cold: looked at by the control plane
    pub fn fates(&self) -> Vec<Fate> {
        self.0.iter().map(|skip| Fate::of(skip.fate.load(Ordering::Relaxed))).collect()
    }

    /// The first position at or after `from`, of a source that stands there. Those before it are
    /// passed.
    #[cold]
    pub(super) fn next(&self, source: SourceId, from: Origin) -> Option<u64> {
        let same = |skip: &&Skip| skip.is_of(source, from.connection);
        let earlier = |skip: &&Skip| skip.origin.position < from.position;
        self.0.iter().filter(same).filter(earlier).for_each(|skip| skip.decide(Fate::Passed));
        let positions = self.0.iter().filter(same).map(|skip| skip.origin.position);
        positions.filter(|position| *position >= from.position).min()
    }

    /// All positions of a source that has no streams, and this origin.
    // cold: at start
    pub(super) fn positions(&self, source: SourceId, origin: u64) -> Vec<u64> {
        let of = self.0.iter().filter(|skip| skip.is_of(source, origin));
        let mut positions: Vec<u64> = of.map(|skip| skip.origin.position).collect();
        positions.sort_unstable();
        positions.dedup();
        positions
    }

    /// Whether what `cause` caused is skipped, which is met then.
    #[cold]
    pub(super) fn meet(&self, cause: &Cause) -> bool {
        let met = self.0.iter().filter(|skip| {
            skip.is_of(cause.source, cause.origin.connection)
                && skip.origin.position == cause.origin.position
        });
        met.map(|skip| skip.decide(Fate::Met)).count() > 0
    }
}

impl Skip {
    fn is_of(&self, source: SourceId, connection: u64) -> bool {
        (self.source, self.origin.connection) == (source, connection)
    }

    /// One that was met stays met.
    fn decide(&self, fate: Fate) {
        self.fate.fetch_max(fate.rank(), Ordering::Relaxed);
    }
}

impl Fate {
    const fn rank(self) -> u8 {
        match self {
            Self::Waiting => 0,
            Self::Passed => 1,
            Self::Met => 2,
        }
    }

    fn of(rank: u8) -> Self {
        let all = [Self::Waiting, Self::Passed, Self::Met];
        all[usize::from(rank)]
    }
}
