//! Late events: those that are on time go on in one stream, late ones in another.

use core::fmt::Debug;

use alloc::rc::Rc;

use super::route::part;
use super::{Keyed, Stream};
use crate::consumers::Consumers;
use crate::draft::StepKind;
use crate::host::BATCH_EVENTS;
use crate::key::Key;
use crate::value::Event;

impl<E: Event> Stream<E> {
    /// Parts the stream in events that are on time and late ones.
    ///
    /// An event is late when one came before it on its connection whose time is greater by more
    /// than the lateness that [`event_time`](Self::event_time) was given. That depends on the input
    /// of the connection alone, so it is the same in every run.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("numbers");
    /// let (on_time, late) = app
    ///     .source("lines", LineText::new())
    ///     .map(|line| line.parse::<i64>().ok())
    ///     .event_time(|number| EventTime::from_millis(number), within(millis(5)))
    ///     .split_late();
    /// on_time.map(|number| number.to_string()).sink("on-time", LineText::new());
    /// late.map(|number| number.to_string()).sink("late", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"100\n95\n94\n101\n95\n");
    /// assert_eq!(reference.output("on-time"), b"100\n95\n101\n");
    /// assert_eq!(reference.output("late"), b"94\n95\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    pub fn split_late(&self) -> (Stream<E>, Stream<E>) {
        self.draft.borrow_mut().check_time(self.step, "split_late");
        let streams = [0, 1].map(|branch| self.next(StepKind::SplitLate(branch)));
        let nexts = streams.each_ref().map(|stream: &Stream<E>| stream.consumers.clone());
        split_late(&self.consumers, nexts);
        streams.into()
    }
}

impl<E: Event, K: Key> Keyed<E, K> {
    /// Parts the stream in events that are on time and late ones: see [`Stream::split_late`]. Both
    /// keep the key.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("numbers");
    /// let late = app.table::<i64, u64>("late");
    /// let numbers = app
    ///     .source("lines", LineText::new())
    ///     .map(|line| line.parse::<i64>().ok())
    ///     .event_time(|number| EventTime::from_millis(number), within(millis(5)))
    ///     .key_by(|number| number % 10);
    /// let (on_time, too_late) = numbers.split_late();
    /// on_time.map(|number| number.to_string()).sink("on-time", LineText::new());
    /// too_late.update(&late, |late, _| *late += 1);
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"100\n95\n94\n");
    /// assert_eq!(reference.output("on-time"), b"100\n95\n");
    /// reference.table("late", |key, late| assert_eq!(format!("{key:?} {late:?}"), "4 1"));
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    pub fn split_late(&self) -> (Keyed<E, K>, Keyed<E, K>) {
        self.draft.borrow_mut().check_time(self.step, "split_late");
        let streams = [0, 1].map(|branch| self.next(StepKind::SplitLate(branch)));
        let nexts = streams.each_ref().map(|stream: &Keyed<E, K>| stream.consumers.clone());
        split_late(&self.consumers, nexts);
        streams.into()
    }
}

/// Passes events that are on time on to the first stream, and late ones to the second.
fn split_late<E, K>(stream: &Consumers<E, K>, nexts: [Rc<Consumers<E, K>>; 2])
where
    E: Event,
    K: Debug + 'static,
{
    stream.add(move |batch, context| {
        let mut to = [0; BATCH_EVENTS];
        for (number, place) in batch.each() {
            to[number] = usize::from(batch.timings[place].is_late());
        }
        part(batch, &nexts, &to, context);
    });
}
