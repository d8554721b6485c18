//! Ways: one direction of a wire.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use potoroo_sdk::random::Random;

use super::account::WayAccount;

/// Bytes that a wire holds in each direction at most, and at least one.
const WIRE_BYTES_MAX: u64 = 3_000;

/// One direction.
#[derive(Clone)]
pub(super) struct Way {
    state: Arc<Mutex<WayState>>,
    /// Bytes that it holds at most.
    pub(super) bytes_max: usize,
}

/// What is under way.
pub(super) struct WayState {
    pub(super) bytes: VecDeque<u8>,
    /// Under which its reader watches it.
    pub(super) reader: Option<u64>,
    /// There is something that its reader does not know of.
    pub(super) came: bool,
    /// Under which its writer waits for room.
    pub(super) writer: Option<u64>,
    /// Looks of its reader that find nothing before it goes on.
    pub(super) stalled: u64,
    pub(super) condition: Condition,
    pub(super) account: WayAccount,
}

/// Whether bytes pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// They do.
    Whole,
    /// The writer is gone: what is under way comes, and then the end.
    Ended,
    /// Neither end can do anything with it, and what was under way is gone.
    Broken,
}

impl Way {
    /// One of a link whose lanes have `capacity_bytes`.
    pub(super) fn new(
        levels: usize,
        words: &[usize],
        capacity_bytes: usize,
        random: &mut Random,
    ) -> Self {
        let state = WayState {
            bytes: VecDeque::new(),
            reader: None,
            came: false,
            writer: None,
            stalled: 0,
            condition: Condition::Whole,
            account: WayAccount::new(levels, words, capacity_bytes),
        };
        let bytes_max = 1 + random.below(WIRE_BYTES_MAX) as usize;
        Self { state: Arc::new(Mutex::new(state)), bytes_max }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, WayState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WayState {
    /// Bytes for which there is room.
    pub(super) fn room(&self, bytes_max: usize) -> usize {
        bytes_max.saturating_sub(self.bytes.len())
    }

    /// The writer is gone.
    pub(super) fn end(&mut self) {
        if self.condition == Condition::Whole {
            (self.condition, self.came) = (Condition::Ended, true);
        }
    }

    /// Nothing passes any more.
    pub(super) fn cut(&mut self) {
        self.bytes.clear();
        self.account.close();
        (self.condition, self.came) = (Condition::Broken, true);
    }
}
