//! What all updates have in common, whatever kind of table they change.

use super::Keyed;
use crate::draft::StepKind;
use crate::key::Key;
use crate::tables::HasState;
use crate::updates::Updating;
use crate::value::Event;

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
