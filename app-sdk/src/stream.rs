//! Streams: what an application does with events, one operator at a time.
//!
//! Owns the two types of streams. Each operator has a file: the methods by which a stream gets it,
//! with and without keys, and the loop around the application's handler that runs for each batch.
//! A new one needs its file, a line here, its [`StepKind`], and a word in the guide.
//!
//! Every method takes `&self`, so a stream may have several consumers. Closures are `Fn`: state
//! belongs into tables, where the engine can keep, move and recover it. (A closure that captures a
//! `Cell` is refused with a message about threads: the same remedy applies.)

use core::cell::RefCell;

use alloc::rc::Rc;

use crate::consumers::Consumers;
use crate::draft::{Draft, StepId, StepKind};
use crate::flow::NoKey;
use crate::key::Key;
use crate::value::Event;

// One file for each operator, in reading order; the blank lines keep it.
mod event_time;

mod filter;
mod flat_map;
mod map;

mod merge;
mod route;
mod split_late;

mod key_by;
mod unkeyed;

mod updating;

mod update;
mod update_row;
mod update_with;

mod on_timer;

mod first;

mod interval;
mod meeting;

mod as_of;
mod join;
mod join_row;

mod closed;
mod window;

mod sink;

pub(crate) use closed::CloseStage;
pub use interval::Interval;
pub use window::{LATE_FOR_WINDOWS, TOO_MANY_WINDOWS, Windowed};

/// Events of one type, in order for each connection and key, but without an owner yet.
pub struct Stream<E: Event> {
    pub(crate) draft: Rc<RefCell<Draft>>,
    pub(crate) step: StepId,
    pub(crate) consumers: Rc<Consumers<E, NoKey>>,
}

impl<E: Event> Stream<E> {
    pub(crate) fn new(draft: Rc<RefCell<Draft>>, step: StepId) -> Self {
        let consumers = Consumers::new();
        draft.borrow_mut().consumers.push((step, consumers.clone()));
        Self { draft, step, consumers }
    }

    fn next<O: Event>(&self, kind: StepKind) -> Stream<O> {
        let step = self.draft.borrow_mut().step(kind, &[self.step]);
        Stream::new(self.draft.clone(), step)
    }
}

/// Events of one type, grouped by a key: all events of a key are in one place.
///
/// `map`, `filter`, `flat_map`, `split`, `route`, `update`, `first`, `join` and `as_of` keep the
/// key.
pub struct Keyed<E: Event, K: Key> {
    draft: Rc<RefCell<Draft>>,
    step: StepId,
    pub(crate) consumers: Rc<Consumers<E, K>>,
}

impl<E: Event, K: Key> Keyed<E, K> {
    pub(crate) fn new(draft: Rc<RefCell<Draft>>, step: StepId) -> Self {
        let consumers = Consumers::new();
        draft.borrow_mut().consumers.push((step, consumers.clone()));
        Self { draft, step, consumers }
    }

    fn next<O: Event>(&self, kind: StepKind) -> Keyed<O, K> {
        let step = self.draft.borrow_mut().step(kind, &[self.step]);
        Keyed::new(self.draft.clone(), step)
    }
}
