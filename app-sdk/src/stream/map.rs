//! Map: each event becomes another, or none, one or many.

use core::fmt::Debug;

use alloc::rc::Rc;

use super::{Keyed, Stream};
use crate::batch_output::BatchOutput;
use crate::consumers::Consumers;
use crate::draft::StepKind;
use crate::key::Key;
use crate::outputs::Outputs;
use crate::value::{Event, View};

impl<E: Event> Stream<E> {
    /// Turns each event into another, or into none, one or many: see [`Outputs`].
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("lengths");
    /// app.source("lines", LineText::new())
    ///     .map(|line| (!line.is_empty()).then(|| line.len().to_string()))
    ///     .sink("lengths", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"to be\n\nor\n");
    /// assert_eq!(reference.output("lengths"), b"5\n2\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    pub fn map<R, F>(&self, handler: F) -> Stream<R::Event>
    where
        R: Outputs,
        F: for<'a> Fn(View<'a, E>) -> R + Send + Sync + 'static,
    {
        let next = self.next(StepKind::Map);
        map(&self.consumers, next.consumers.clone(), handler);
        next
    }
}

impl<E: Event, K: Key> Keyed<E, K> {
    /// Turns each event into another, or into none, one or many: see [`Outputs`].
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("upper");
    /// let lines = app.source("lines", LineText::new()).key_by(|line| line.len() as u64);
    /// lines.map(|line| line.to_uppercase()).sink("upper", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"to be\n");
    /// assert_eq!(reference.output("upper"), b"TO BE\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    pub fn map<R, F>(&self, handler: F) -> Keyed<R::Event, K>
    where
        R: Outputs,
        F: for<'a> Fn(View<'a, E>) -> R + Send + Sync + 'static,
    {
        let next = self.next(StepKind::Map);
        map(&self.consumers, next.consumers.clone(), handler);
        next
    }
}

/// Turns each event into others.
// cold: while the application is described
fn map<E, K, R, F>(stream: &Consumers<E, K>, next: Rc<Consumers<R::Event, K>>, handler: F)
where
    E: Event,
    K: Debug + 'static,
    R: Outputs,
    F: for<'a> Fn(View<'a, E>) -> R + 'static,
{
    let made = BatchOutput::new();
    stream.add(move |batch, context| {
        let mut made = BatchOutput::begin(&made);
        batch.note(context.under_way);
        for (number, place) in batch.each() {
            let event = batch.begin(number, place, context.under_way);
            handler(event).each(|event| made.push(event, place));
            if made.is_full() {
                made.send(batch, &next, context);
            }
        }
        made.send(batch, &next, context);
    });
}
