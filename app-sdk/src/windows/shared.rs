//! Shared: what the operators of the same windows have in common.

use core::cell::RefCell;

use alloc::rc::Rc;

use super::pane::OpenWindows;
use super::rule::WindowRule;
use super::seen::Window;
use crate::flow::Context;
use crate::host::{Cause, FireStage, Host, Timing};
use crate::key::Key;
use crate::table::{Rows, TableRef};
use crate::time::EventTime;
use crate::value::State;

/// Ties windows to the key type of a stream; implemented by [`Windows`](super::Windows) only.
#[diagnostic::on_unimplemented(
    message = "`{Self}` are not windows with the key type `{K}` of this stream",
    note = "give the windows the stream's key type, or `key_by` the windows'"
)]
pub trait HasWindows<K: Key> {
    /// What a window has.
    type State: State;

    #[doc(hidden)]
    fn shared(&self) -> &WindowsRef<K, Self::State>;
}

/// Windows as operators have them: their rows, what is said of them, and what takes them.
pub struct WindowsRef<K, S> {
    pub(crate) of: TableRef<K, OpenWindows<S>>,
    pub(crate) rule: Rc<WindowRule<K, S>>,
    stage: Rc<TakenBy<K, S>>,
}

/// What takes windows; it may be replaced while the application is described.
type TakenBy<K, S> = RefCell<Option<Rc<dyn WindowStage<K, S>>>>;

impl<K, S> Clone for WindowsRef<K, S> {
    fn clone(&self) -> Self {
        Self { of: self.of.clone(), rule: self.rule.clone(), stage: self.stage.clone() }
    }
}

/// What takes windows, beside its firing at a watermark: for events that come before it.
pub(crate) trait WindowStage<K, S>: FireStage {
    /// Fires what is due at `until` in the row in `slot`, before an event with this cause. The row
    /// stays, also if it is empty.
    fn catch_up(
        &self,
        rows: &mut Rows<K, OpenWindows<S>>,
        slot: u32,
        until: EventTime,
        cause: &Cause,
        context: &mut Context<'_>,
    );

    /// Shows one window because of an event with this cause.
    fn show(
        &self,
        state: &S,
        window: Window<'_, K>,
        hash: u64,
        of: (&Cause, Timing),
        context: &mut Context<'_>,
    );
}

impl<K: Key, S: State> WindowsRef<K, S> {
    // cold: while the application is described
    pub(super) fn new(of: TableRef<K, OpenWindows<S>>, rule: Rc<WindowRule<K, S>>) -> Self {
        Self { of, rule, stage: Rc::new(RefCell::new(None)) }
    }

    /// Has the windows taken by `stage`.
    // cold: while the application is described
    pub(super) fn take_by(&self, stage: Rc<dyn WindowStage<K, S>>) {
        *self.stage.borrow_mut() = Some(stage);
    }

    /// What takes the windows.
    pub(crate) fn stage(&self) -> Rc<dyn WindowStage<K, S>> {
        self.stage.borrow().clone().expect("windows have a stage")
    }

    /// Hints at the row in `slot` when it is due earlier than it was hinted at.
    #[inline]
    pub(crate) fn hint(&self, row: &mut OpenWindows<S>, slot: u32, host: &mut dyn Host) {
        let due = row.due;
        self.of.hint(row, (slot, due), host);
    }
}
