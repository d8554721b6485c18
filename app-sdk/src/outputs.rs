//! What a handler emits: it returns none, one or many events, or puts them into an [`Out`].

use alloc::vec::Vec;

use crate::event;
use crate::value::Event;

/// The event of handlers that emit nothing.
#[event]
pub struct Nothing {}

/// What a handler may return: `()`, an event, an `Option` of one, an array of them.
///
/// For a varying number of events use `update_with` or `flat_map`, which hand the handler an
/// [`Out`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be returned by a handler",
    note = "return `()`, an event, `Option<event>` or `[event; N]`; \
            use `update_with` or `flat_map` to emit a varying number",
    note = "events are structs and enums marked with `#[event]`"
)]
pub trait Outputs {
    /// The type of the events.
    type Event: Event;
    /// Whether any can come at all.
    const EMITS: bool;
    /// Calls `emit` for each, in order.
    fn each(self, emit: impl FnMut(Self::Event));
}

impl Outputs for () {
    type Event = Nothing;
    const EMITS: bool = false;
    #[inline(always)]
    fn each(self, _: impl FnMut(Nothing)) {}
}

impl<E: Event> Outputs for E {
    type Event = E;
    const EMITS: bool = true;
    #[inline(always)]
    fn each(self, mut emit: impl FnMut(E)) {
        emit(self);
    }
}

impl<E: Event> Outputs for Option<E> {
    type Event = E;
    const EMITS: bool = true;
    #[inline(always)]
    fn each(self, mut emit: impl FnMut(E)) {
        if let Some(event) = self {
            emit(event);
        }
    }
}

impl<E: Event, const N: usize> Outputs for [E; N] {
    type Event = E;
    const EMITS: bool = true;
    #[inline(always)]
    fn each(self, emit: impl FnMut(E)) {
        self.into_iter().for_each(emit);
    }
}

/// Collects the events that one call of a handler emits.
///
/// The space is used again in the next call, so that emitting allocates only until it has grown.
#[derive(Debug)]
pub struct Out<E> {
    events: Vec<E>,
}

impl<E> Out<E> {
    // cold: once per operator; takes memory with the first event
    pub(crate) fn new() -> Self {
        Self { events: Vec::new() }
    }

    /// Emits one event, after all emitted before.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("twice");
    /// app.source("lines", LineText::new())
    ///     .flat_map(|line, out| {
    ///         out.emit(String::from(line));
    ///         out.emit(line.to_uppercase());
    ///     })
    ///     .sink("twice", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"me\n");
    /// assert_eq!(reference.output("twice"), b"me\nME\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    #[inline]
    pub fn emit(&mut self, event: E) {
        self.events.push(event);
    }

    /// Takes what was emitted, in order.
    #[inline]
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = E> {
        self.events.drain(..)
    }
}
