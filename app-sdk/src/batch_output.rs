//! Batch output: the events that an operator emits for a batch, on their way to its consumers.

use core::cell::{RefCell, RefMut};

use alloc::vec::Vec;

use crate::consumers::Consumers;
use crate::flow::{Batch, Context, batch_events};
use crate::host::BATCH_EVENTS;
use crate::value::Event;

/// The events that an operator emits for a batch, until its consumers have taken them. Reused for
/// each batch, so that it allocates only until it has grown.
pub(crate) struct BatchOutput<O> {
    events: Vec<O>,
    /// For each event: the place of the one that caused it.
    of: Vec<u8>,
}

impl<O: Event> BatchOutput<O> {
    // cold: once per operator; takes memory with the first event
    pub(crate) fn new() -> RefCell<Self> {
        RefCell::new(Self { events: Vec::new(), of: Vec::new() })
    }

    /// Begins a batch: nothing is left of one in which a handler panicked.
    #[inline(always)]
    pub(crate) fn begin(made: &RefCell<Self>) -> RefMut<'_, Self> {
        let mut made = made.borrow_mut();
        made.events.clear();
        made.of.clear();
        made
    }

    #[inline(always)]
    pub(crate) fn push(&mut self, event: O, place: usize) {
        self.events.push(event);
        self.of.push(place as u8);
    }

    /// Whether it is time to send: after each event, so that there is at most a batch and what one
    /// event was turned into.
    #[inline(always)]
    pub(crate) fn is_full(&self) -> bool {
        self.events.len() >= const { batch_events::<O>() }
    }

    /// Sends what was made of `batch`, which is noted again afterwards.
    #[inline]
    pub(crate) fn send<E: Event, K: 'static>(
        &mut self,
        batch: &Batch<'_, E, K>,
        consumers: &Consumers<O, K>,
        context: &mut Context<'_>,
    ) {
        for (events, of) in self.events.chunks(BATCH_EVENTS).zip(self.of.chunks(BATCH_EVENTS)) {
            consumers.send(&batch.turned_into(events, of), context);
        }
        self.events.clear();
        self.of.clear();
        batch.note(context.under_way);
    }
}
