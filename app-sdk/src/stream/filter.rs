//! Filter: some events go on.

use core::fmt::Debug;

use alloc::rc::Rc;

use super::{Keyed, Stream};
use crate::consumers::Consumers;
use crate::draft::StepKind;
use crate::flow::BatchVec;
use crate::key::Key;
use crate::value::{Event, View};

impl<E: Event> Stream<E> {
    /// Passes on the events for which `keep` returns `true`.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("questions");
    /// app.source("lines", LineText::new())
    ///     .filter(|line| line.ends_with('?'))
    ///     .sink("questions", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"who?\nme\n");
    /// assert_eq!(reference.output("questions"), b"who?\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    pub fn filter<F>(&self, keep: F) -> Stream<E>
    where
        F: for<'a> Fn(View<'a, E>) -> bool + Send + Sync + 'static,
    {
        let next = self.next(StepKind::Filter);
        filter(&self.consumers, next.consumers.clone(), keep);
        next
    }
}

impl<E: Event, K: Key> Keyed<E, K> {
    /// Passes on the events for which `keep` returns `true`.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("questions");
    /// let lines = app.source("lines", LineText::new()).key_by(|line| line.len() as u64);
    /// lines.filter(|line| line.ends_with('?')).sink("questions", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"who?\nme\n");
    /// assert_eq!(reference.output("questions"), b"who?\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    pub fn filter<F>(&self, keep: F) -> Keyed<E, K>
    where
        F: for<'a> Fn(View<'a, E>) -> bool + Send + Sync + 'static,
    {
        let next = self.next(StepKind::Filter);
        filter(&self.consumers, next.consumers.clone(), keep);
        next
    }
}

/// Passes some events on.
fn filter<E, K, F>(stream: &Consumers<E, K>, next: Rc<Consumers<E, K>>, keep: F)
where
    E: Event,
    K: Debug + 'static,
    F: for<'a> Fn(View<'a, E>) -> bool + 'static,
{
    stream.add(move |batch, context| {
        let mut kept = BatchVec::<u8>::new();
        batch.note(context.under_way);
        for (number, place) in batch.each() {
            if keep(batch.begin(number, place, context.under_way)) {
                kept.push(number as u8);
            }
        }
        if !kept.is_empty() {
            next.send(&batch.choose(&kept), context);
        }
    });
}
