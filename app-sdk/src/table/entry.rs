//! Entries: a row as a handler sees it.

use core::ops::{Deref, DerefMut};

/// A row as a handler of `update_with` sees it: the state, its key, and the choice to remove it.
///
/// Dereferences to the state.
///
/// ```
/// # use potoroo_sdk::prelude::*;
/// let app = Application::new("switch");
/// let on = app.table::<u64, bool>("on");
/// app.source("lines", LineText::new())
///     .key_by(|line| line.len() as u64)
///     .update_with(&on, |on, _, out| match **on {
///         false => **on = true,
///         true => {
///             out.emit(format!("{} was on", on.key()));
///             on.remove();
///         }
///     })
///     .sink("switched", LineText::new());
/// let mut reference = Reference::new(app)?;
/// reference.feed("lines", b"to\nbe\n");
/// assert_eq!(reference.output("switched"), b"2 was on\n");
/// reference.table("on", |_, _| panic!("the row was removed"));
/// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
/// ```
pub struct Entry<'a, K, S> {
    key: &'a K,
    state: &'a mut S,
    removed: bool,
}

impl<'a, K, S> Entry<'a, K, S> {
    #[inline(always)]
    pub(super) fn new(key: &'a K, state: &'a mut S) -> Self {
        Self { key, state, removed: false }
    }

    #[inline(always)]
    pub(super) fn is_removed(&self) -> bool {
        self.removed
    }

    /// The key of this row.
    pub fn key(&self) -> &K {
        self.key
    }

    /// Removes the row when the handler returns. The next event of the key finds a new state.
    pub fn remove(&mut self) {
        self.removed = true;
    }
}

impl<K, S> Deref for Entry<'_, K, S> {
    type Target = S;
    fn deref(&self) -> &S {
        self.state
    }
}

impl<K, S> DerefMut for Entry<'_, K, S> {
    fn deref_mut(&mut self) -> &mut S {
        self.state
    }
}
