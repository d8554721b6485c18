//! Unkeyed: events leave their keys, and stay where they are.

use core::fmt::Debug;

use alloc::rc::Rc;

use super::{Keyed, Stream};
use crate::consumers::Consumers;
use crate::draft::StepKind;
use crate::flow::NoKey;
use crate::key::Key;
use crate::value::Event;

impl<E: Event, K: Key> Keyed<E, K> {
    /// The same events without their key.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("unkeyed");
    /// let lines = app.source("lines", LineText::new()).key_by(|line| line.len() as u64);
    /// let unkeyed: Stream<String> = lines.unkeyed();
    /// unkeyed.sink("lines", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"me\n");
    /// assert_eq!(reference.output("lines"), b"me\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    pub fn unkeyed(&self) -> Stream<E> {
        let step = self.draft.borrow_mut().step(StepKind::Unkeyed, &[self.step]);
        let next = Stream::new(self.draft.clone(), step);
        unkey(&self.consumers, next.consumers.clone());
        next
    }
}

/// The same events without their keys.
fn unkey<E: Event, K: Debug + 'static>(stream: &Consumers<E, K>, next: Rc<Consumers<E, NoKey>>) {
    stream.add(move |batch, context| next.send(&batch.unkeyed(), context));
}
