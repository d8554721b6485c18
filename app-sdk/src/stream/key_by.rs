//! Key: the events of one key meet in one place.

use alloc::rc::Rc;

use super::{Keyed, Stream};
use crate::exchange::Exchanged;
use crate::key::Key;
use crate::value::{Event, View};

impl<E: Event> Stream<E> {
    /// Groups the events by a key: from here on, all events of one key meet in one place, in the
    /// order in which they came. `key` must depend on the event alone.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("word-count");
    /// let counts = app.table::<Text<16>, u64>("counts");
    /// app.source("words", LineText::new())
    ///     .key_by(|word| Text::new(word.as_bytes()).unwrap_or_default())
    ///     .update(&counts, |count, word| {
    ///         *count += 1;
    ///         format!("{word} {count}")
    ///     })
    ///     .sink("counts", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("words", b"to\nbe\nto\n");
    /// assert_eq!(reference.output("counts"), b"to 1\nbe 1\nto 2\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    pub fn key_by<K, F>(&self, key: F) -> Keyed<E, K>
    where
        K: Key,
        F: for<'a> Fn(View<'a, E>) -> K + Send + Sync + 'static,
    {
        let (step, exchange) = self.draft.borrow_mut().exchange(self.step);
        let keyed = Keyed::new(self.draft.clone(), step);
        let stage = Rc::new(Exchanged::new(exchange, key, keyed.consumers.clone())); // cold: once
        self.draft.borrow_mut().exchange_stage(exchange, stage.clone());
        self.consumers.add(move |batch, context| stage.enter(batch, context));
        keyed
    }

    /// Sends every event through one key: for state about the stream as a whole.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("line-numbers");
    /// let total = app.table::<(), u64>("total");
    /// app.source("lines", LineText::new())
    ///     .collect()
    ///     .update(&total, |total, line| {
    ///         *total += 1;
    ///         format!("{total} {line}")
    ///     })
    ///     .sink("numbered", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"to\nbe\n");
    /// assert_eq!(reference.output("numbered"), b"1 to\n2 be\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    // cold: while the application is described
    pub fn collect(&self) -> Keyed<E, ()> {
        self.key_by(|_| ())
    }
}

impl<E: Event, K: Key> Keyed<E, K> {
    /// Names the `key_by` after which these events are. Of several that look alike, with the same
    /// types, sources, tables and sinks, each then keeps the events under way to it when the
    /// program changes; without names, only their order distinguishes them.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("volumes");
    /// let volumes = app.table::<u64, u64>("volumes");
    /// let orders = app.source("orders", LineText::new());
    /// let by_length = orders.key_by(|order| order.len() as u64).named("by-length");
    /// by_length.update(&volumes, |volume, _| *volume += 1);
    /// assert_eq!(app.plan()?.exchanges[0].label, "orders → key_by `by-length`");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        self.draft.borrow_mut().name_exchange(self.step, name);
        self
    }

    /// Groups the events by another key: see [`Stream::key_by`].
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("initials");
    /// let counts = app.table::<char, u64>("counts");
    /// let lines = app.source("lines", LineText::new()).key_by(|line| line.len() as u64);
    /// lines
    ///     .key_by(|line| line.chars().next().unwrap_or(' '))
    ///     .update(&counts, |count, line| {
    ///         *count += 1;
    ///         format!("{line} {count}")
    ///     })
    ///     .sink("counts", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"be\nbee\n");
    /// assert_eq!(reference.output("counts"), b"be 1\nbee 2\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    pub fn key_by<L, F>(&self, key: F) -> Keyed<E, L>
    where
        L: Key,
        F: for<'a> Fn(View<'a, E>) -> L + Send + Sync + 'static,
    {
        self.unkeyed().key_by(key)
    }

    /// Sends every event through one key: see [`Stream::collect`].
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("line-numbers");
    /// let total = app.table::<(), u64>("total");
    /// let lines = app.source("lines", LineText::new()).key_by(|line| line.len() as u64);
    /// lines
    ///     .collect()
    ///     .update(&total, |total, line| {
    ///         *total += 1;
    ///         format!("{total} {line}")
    ///     })
    ///     .sink("numbered", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"to\nbee\n");
    /// assert_eq!(reference.output("numbered"), b"1 to\n2 bee\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    // cold: while the application is described
    pub fn collect(&self) -> Keyed<E, ()> {
        self.unkeyed().collect()
    }
}
