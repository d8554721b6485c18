//! Merge: two streams become one.

use alloc::rc::Rc;

use super::{Keyed, Stream};
use crate::consumers::Consumers;
use crate::draft::StepKind;
use crate::key::Key;
use crate::value::Event;

impl<E: Event> Stream<E> {
    /// Both streams in one. Order is kept within each of them, not between them.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("both");
    /// let (left, right) = (app.source("a", LineText::new()), app.source("b", LineText::new()));
    /// left.merge(&right).sink("lines", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("b", b"1\n");
    /// reference.feed("a", b"2\n");
    /// assert_eq!(reference.output("lines"), b"1\n2\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    pub fn merge(&self, other: &Stream<E>) -> Stream<E> {
        let step = if Rc::ptr_eq(&self.draft, &other.draft) {
            self.draft.borrow_mut().step(StepKind::Merge, &[self.step, other.step])
        } else {
            self.draft.borrow_mut().merge_foreign(self.step)
        };
        let next = Stream::new(self.draft.clone(), step);
        for parent in [self, other] {
            pass(&parent.consumers, next.consumers.clone());
        }
        next
    }
}

impl<E: Event, K: Key> Keyed<E, K> {
    /// Both streams in one, without their keys: see [`Stream::merge`].
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("doubled");
    /// let lines = app.source("lines", LineText::new()).key_by(|line| line.len() as u64);
    /// lines.merge(&lines.map(|line| line.len().to_string())).sink("all", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"bee\n");
    /// assert_eq!(reference.output("all"), b"3\nbee\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    pub fn merge<L: Key>(&self, other: &Keyed<E, L>) -> Stream<E> {
        self.unkeyed().merge(&other.unkeyed())
    }
}

/// The same events in another stream.
fn pass<E: Event, K: 'static>(stream: &Consumers<E, K>, next: Rc<Consumers<E, K>>) {
    stream.add(move |batch, context| next.send(batch, context));
}
