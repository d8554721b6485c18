//! Sinks and replies: events leave the application.

use core::cell::RefCell;
use core::fmt::Debug;

use alloc::vec::Vec;

use super::{Keyed, Stream};
use crate::codec::Encode;
use crate::flow::{Batch, Context};
use crate::host::SinkId;
use crate::key::Key;
use crate::value::Event;

impl<E: Event> Stream<E> {
    /// Sends the events to the sink `name`, encoded by `codec`.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("echo");
    /// app.source("lines", LineText::new()).sink("copies", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"to be\n");
    /// assert_eq!(reference.output("copies"), b"to be\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    pub fn sink<C: Encode<Event = E>>(&self, name: &str, codec: C) {
        let sink = self.draft.borrow_mut().sink(Some(name), self.step);
        self.consumers.add(encode(sink, codec));
    }

    /// Sends the events back on the connection that brought the input which caused them.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("echo");
    /// app.source("lines", LineText::new()).reply(LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"to be\n");
    /// assert_eq!(reference.output("reply"), b"to be\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    pub fn reply<C: Encode<Event = E>>(&self, codec: C) {
        let sink = self.draft.borrow_mut().sink(None, self.step);
        self.consumers.add(encode(sink, codec));
    }
}

impl<E: Event, K: Key> Keyed<E, K> {
    /// Sends the events to the sink `name`, encoded by `codec`.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("echo");
    /// let lines = app.source("lines", LineText::new()).key_by(|line| line.len() as u64);
    /// lines.sink("copies", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"to be\n");
    /// assert_eq!(reference.output("copies"), b"to be\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    pub fn sink<C: Encode<Event = E>>(&self, name: &str, codec: C) {
        self.unkeyed().sink(name, codec);
    }

    /// Sends the events back on the connection that brought the input which caused them.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("echo");
    /// let lines = app.source("lines", LineText::new()).key_by(|line| line.len() as u64);
    /// lines.reply(LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"to be\n");
    /// assert_eq!(reference.output("reply"), b"to be\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    pub fn reply<C: Encode<Event = E>>(&self, codec: C) {
        self.unkeyed().reply(codec);
    }
}

/// The consumer that encodes events for a sink, in a buffer that it uses again.
fn encode<C, K>(
    sink: SinkId,
    codec: C,
) -> impl Fn(&Batch<'_, C::Event, K>, &mut Context<'_>) + 'static
where
    C: Encode,
    K: Debug + 'static,
{
    let space = RefCell::new(Vec::new()); // cold: once per sink
    move |batch, context| {
        let mut bytes = space.borrow_mut();
        batch.note(context.under_way);
        for (number, place) in batch.each() {
            let event = batch.begin(number, place, context.under_way);
            bytes.clear();
            codec.encode(event, &mut bytes);
            context.host.output(sink, &batch.causes[place], &bytes);
        }
    }
}
