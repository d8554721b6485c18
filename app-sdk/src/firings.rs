//! Firings: what was due in rows of one table, on its way to its consumers as a batch.

use core::cell::{RefCell, RefMut};

use alloc::vec::Vec;

use crate::consumers::Consumers;
use crate::flow::{Batch, BatchVec, Context};
use crate::host::{BATCH_EVENTS, Cause, Hint, KeysNote, Timing, UnderWay};
use crate::key::Key;
use crate::table::{HintedRow, Rows};
use crate::value::{Event, State};

/// What was due, and the events that it emitted, until the consumers have taken them. Reused, so
/// that it allocates only until it has grown.
pub(crate) struct Firings<K, O> {
    /// By firing, as the next three.
    keys: Vec<K>,
    hashes: BatchVec<u64>,
    causes: BatchVec<Cause>,
    timings: BatchVec<Timing>,
    events: Vec<O>,
    /// For each event the firing that emitted it.
    of: Vec<u8>,
    /// Most firings at once, at most [`BATCH_EVENTS`].
    firings_max: usize,
}

impl<K: Key, O: Event> Firings<K, O> {
    // cold: once per operator; takes memory with the first firing
    pub(crate) fn new() -> RefCell<Self> {
        RefCell::new(Self {
            keys: Vec::new(),
            hashes: BatchVec::new(),
            causes: BatchVec::new(),
            timings: BatchVec::new(),
            events: Vec::new(),
            of: Vec::new(),
            firings_max: 0,
        })
    }

    /// Begins, with at most `firings_max` at once: nothing is left of firings in which a handler
    /// panicked.
    pub(crate) fn begin(firings: &RefCell<Self>, firings_max: usize) -> RefMut<'_, Self> {
        let mut firings = firings.borrow_mut();
        firings.clear();
        firings.firings_max = firings_max.min(BATCH_EVENTS);
        firings
    }

    fn clear(&mut self) {
        self.keys.clear();
        self.hashes.clear();
        self.causes.clear();
        self.timings.clear();
        self.events.clear();
        self.of.clear();
    }

    /// Whether there is no room for another firing.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.causes.len() >= self.firings_max
    }

    /// Begins a firing, which is under way from now on.
    pub(crate) fn add(
        &mut self,
        (key, hash): (&K, u64),
        cause: Cause,
        timing: Timing,
        under_way: &UnderWay,
    ) {
        if self.keys.capacity() == 0 {
            self.keys.reserve_exact(BATCH_EVENTS); // cold: once per operator
        }
        self.keys.push(key.clone());
        self.hashes.push(hash);
        self.causes.push(cause);
        self.timings.push(timing);
        under_way.begin_batch(&self.causes, KeysNote::new(&self.keys));
        under_way.begin(self.causes.len() - 1);
    }

    /// The firing that was begun last emits an event.
    #[inline]
    pub(crate) fn push(&mut self, event: O) {
        self.events.push(event);
        self.of.push((self.causes.len() - 1) as u8);
    }

    /// Sends what was emitted.
    pub(crate) fn send(&mut self, consumers: &Consumers<O, K>, context: &mut Context<'_>) {
        for (events, of) in self.events.chunks(BATCH_EVENTS).zip(self.of.chunks(BATCH_EVENTS)) {
            let (causes, timings, keys) = (&*self.causes, &*self.timings, &*self.keys);
            let batch = Batch::fired((events, of), causes, timings, keys, &self.hashes);
            consumers.send(&batch, context);
        }
        // The causes and keys end here, and so does a note of them.
        context.under_way.end();
        self.clear();
    }
}

/// The walk of [`FireStage::fire`](crate::host::FireStage::fire): `fire_row` fires what is due in
/// the row in a slot, as long as there is room, and hints at it again. Stops between two rows when
/// the host is blocked.
pub(crate) fn fire_rows<K: Key, S: State + HintedRow, O: Event>(
    hints: &[Hint],
    rows: &RefCell<Rows<K, S>>,
    (firings, next): (&RefCell<Firings<K, O>>, &Consumers<O, K>),
    context: &mut Context<'_>,
    mut fire_row: impl FnMut(&mut Rows<K, S>, u32, &mut Firings<K, O>, &mut Context<'_>),
) -> usize {
    let mut rows = rows.borrow_mut();
    let mut firings = Firings::begin(firings, context.host.batch_max());
    let mut done = 0;
    for Hint { due, slot } in hints {
        done += 1;
        if rows.try_state(*slot).is_some_and(|row| row.hinted().take(*due)) {
            fire_row(&mut rows, *slot, &mut firings, context);
        }
        if firings.is_full() {
            firings.send(next, context);
            if context.host.blocked() {
                break;
            }
        }
    }
    firings.send(next, context);
    done
}
