//! Updating: where an update stands, whatever kind of table it changes.

use alloc::rc::Rc;

use super::Keyed;
use crate::consumers::Consumers;
use crate::draft::StepKind;
use crate::host::Inflow;
use crate::key::Key;
use crate::table::HasState;
use crate::value::Event;

/// An update: the stream that it takes, and what takes what it emits.
pub struct Updating<'a, E: Event, K, O: Event> {
    pub(crate) stream: &'a Consumers<E, K>,
    pub(crate) next: Rc<Consumers<O, K>>,
    /// From where its events come into its stage.
    pub(crate) inflow: Inflow,
}

impl<E: Event, K: Key> Keyed<E, K> {
    /// The stream of what an update of `table` emits, and the update.
    // cold: while the application is described
    pub(super) fn updated<T: HasState<K>, O: Event>(
        &self,
        table: &T,
        emits: bool,
    ) -> (Keyed<O, K>, Updating<'_, E, K, O>) {
        let table = table.check(&mut self.draft.borrow_mut(), self.step);
        let next = self.next(StepKind::Update { table, emits });
        let inflow = self.draft.borrow().inflow(self.step);
        let of = Updating { stream: &self.consumers, next: next.consumers.clone(), inflow };
        (next, of)
    }
}
