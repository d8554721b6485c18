//! Updating: where an update stands, whatever kind of table it changes.

use alloc::rc::Rc;

use crate::consumers::Consumers;
use crate::host::Inflow;
use crate::value::Event;

/// An update: the stream that it takes, and what takes what it emits.
pub struct Updating<'a, E: Event, K, O: Event> {
    pub(crate) stream: &'a Consumers<E, K>,
    pub(crate) next: Rc<Consumers<O, K>>,
    /// From where its events come into its stage.
    pub(crate) inflow: Inflow,
}
