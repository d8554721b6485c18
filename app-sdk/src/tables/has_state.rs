//! Has state: whatever kind of table an update changes.

use crate::draft::{Draft, StepId};
use crate::host::TableId;
use crate::key::Key;
use crate::outputs::{Out, Outputs};
use crate::updates::Updating;
use crate::value::{Event, State, View};

/// Ties a table to the key type of a stream; implemented by [`Table`](super::Table) and
/// [`TimedTable`](super::TimedTable) only.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a table with the key type `{K}` of this stream",
    note = "give the table the stream's key type, or `key_by` the table's"
)]
pub trait HasState<K: Key> {
    /// What the table has for each key.
    type State: State;

    /// A row as handlers of `update_row` and `update_with` see it.
    type Row<'b>;

    /// Notes what speaks against an update by the stream of `parent`.
    #[doc(hidden)]
    fn check(&self, draft: &mut Draft, parent: StepId) -> TableId;

    #[doc(hidden)]
    fn update<E, R, F>(&self, of: Updating<'_, E, K, R::Event>, handler: F)
    where
        E: Event,
        R: Outputs,
        F: for<'a> Fn(&mut Self::State, View<'a, E>) -> R + 'static;

    #[doc(hidden)]
    fn update_row<E, R, F>(&self, of: Updating<'_, E, K, R::Event>, handler: F)
    where
        E: Event,
        R: Outputs,
        F: for<'a, 'b> Fn(&mut Self::Row<'b>, View<'a, E>) -> R + 'static;

    #[doc(hidden)]
    fn update_with<E, O, F>(&self, of: Updating<'_, E, K, O>, handler: F)
    where
        E: Event,
        O: Event,
        F: for<'a, 'b> Fn(&mut Self::Row<'b>, View<'a, E>, &mut Out<O>) + 'static;
}
