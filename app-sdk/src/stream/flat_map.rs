//! Flat map: each event becomes as many as the handler emits.

use core::cell::RefCell;
use core::fmt::Debug;

use alloc::rc::Rc;

use super::{Keyed, Stream};
use crate::batch_output::BatchOutput;
use crate::consumers::Consumers;
use crate::draft::StepKind;
use crate::key::Key;
use crate::outputs::Out;
use crate::value::{Event, View};

impl<E: Event> Stream<E> {
    /// Turns each event into as many as the handler emits.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("words");
    /// app.source("lines", LineText::new())
    ///     .flat_map(|line, out| line.split(' ').for_each(|word| out.emit(String::from(word))))
    ///     .sink("words", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"to be\n");
    /// assert_eq!(reference.output("words"), b"to\nbe\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    pub fn flat_map<O, F>(&self, handler: F) -> Stream<O>
    where
        O: Event,
        F: for<'a> Fn(View<'a, E>, &mut Out<O>) + Send + Sync + 'static,
    {
        let next = self.next(StepKind::FlatMap);
        flat_map(&self.consumers, next.consumers.clone(), handler);
        next
    }
}

impl<E: Event, K: Key> Keyed<E, K> {
    /// Turns each event into as many as the handler emits.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("twice");
    /// let lines = app.source("lines", LineText::new()).key_by(|line| line.len() as u64);
    /// lines
    ///     .flat_map(|line, out| (0..2).for_each(|_| out.emit(String::from(line))))
    ///     .sink("twice", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"me\n");
    /// assert_eq!(reference.output("twice"), b"me\nme\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    pub fn flat_map<O, F>(&self, handler: F) -> Keyed<O, K>
    where
        O: Event,
        F: for<'a> Fn(View<'a, E>, &mut Out<O>) + Send + Sync + 'static,
    {
        let next = self.next(StepKind::FlatMap);
        flat_map(&self.consumers, next.consumers.clone(), handler);
        next
    }
}

/// Turns each event into as many as the handler emits.
fn flat_map<E, K, O, F>(stream: &Consumers<E, K>, next: Rc<Consumers<O, K>>, handler: F)
where
    E: Event,
    K: Debug + 'static,
    O: Event,
    F: for<'a> Fn(View<'a, E>, &mut Out<O>) + 'static,
{
    let (out, made) = (RefCell::new(Out::new()), BatchOutput::new());
    stream.add(move |batch, context| {
        let (mut out, mut made) = (out.borrow_mut(), BatchOutput::begin(&made));
        batch.note(context.under_way);
        for (number, place) in batch.each() {
            let event = batch.begin(number, place, context.under_way);
            handler(event, &mut out);
            out.drain().for_each(|event| made.push(event, place));
            if made.is_full() {
                made.send(batch, &next, context);
            }
        }
        made.send(batch, &next, context);
    });
}
