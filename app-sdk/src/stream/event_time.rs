//! Event time: events get the time that they speak of.

use core::fmt::Debug;

use alloc::rc::Rc;

use super::Stream;
use crate::consumers::Consumers;
use crate::flow::{BatchVec, Inherited, NoKey};
use crate::host::{TimeId, Timing};
use crate::time::{EventTime, Lateness};
use crate::value::{Event, View};

impl<E: Event> Stream<E> {
    /// Gives each event its time, which `time` reads from it. Times of one connection go backwards
    /// by at most `lateness`.
    ///
    /// What operators make of an event keeps its time. A stream has one time at most, and gets it
    /// before its first `key_by`. An event whose time is before 1823 or after 2116 goes to the dead
    /// letters.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// #[event]
    /// struct Reading { time: EventTime, celsius: i64 }
    ///
    /// let app = Application::new("readings");
    /// app.source("readings", LineText::new())
    ///     .map(|line| {
    ///         let (seconds, celsius) = line.split_once(' ')?;
    ///         let time = EventTime::from_seconds(seconds.parse().ok()?);
    ///         Some(Reading { time, celsius: celsius.parse().ok()? })
    ///     })
    ///     .event_time(|reading| reading.time, within(millis(5)))
    ///     .map(|reading| format!("{} degrees at {}", reading.celsius, reading.time))
    ///     .sink("texts", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("readings", b"60 21\n5000000000 22\n");
    /// assert_eq!(reference.output("texts"), b"21 degrees at 60.000000000\n");
    /// assert_eq!(reference.refused()[0].reason, potoroo_sdk::time::OUT_OF_RANGE);
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    pub fn event_time<F>(&self, time: F, lateness: Lateness) -> Stream<E>
    where
        F: for<'a> Fn(View<'a, E>) -> EventTime + Send + Sync + 'static,
    {
        let (step, id) = self.draft.borrow_mut().event_time(self.step, lateness);
        let next = Stream::new(self.draft.clone(), step);
        event_time(&self.consumers, next.consumers.clone(), (id, lateness), time);
        next
    }
}

/// Gives each event its time, and the connection that brings it its own watermark.
fn event_time<E, K, F>(
    stream: &Consumers<E, K>,
    next: Rc<Consumers<E, NoKey>>,
    (id, lateness): (TimeId, Lateness),
    time: F,
) where
    E: Event,
    K: Debug + 'static,
    F: for<'a> Fn(View<'a, E>) -> EventTime + 'static,
{
    stream.add(move |batch, context| {
        let mut places = Inherited::new();
        let batch = batch.in_order(&mut places);
        let (mut timings, mut kept) = (BatchVec::<Timing>::new(), BatchVec::<u8>::new());
        let mut own = context.own[usize::from(id.0)];
        batch.note(context.under_way);
        for (number, place) in batch.each() {
            let time = time(batch.begin(number, place, context.under_way));
            match lateness.refuses(time, own) {
                None => {
                    own = own.max(lateness.watermark_after(time));
                    kept.push(number as u8);
                }
                Some(reason) => context.host.refuse(&batch.causes[place], reason, &[]),
            }
            timings.push(Timing { time, own, watermark: EventTime::MIN });
        }
        context.own[usize::from(id.0)] = own;
        if !kept.is_empty() {
            next.send(&batch.with_timings(&timings).choose(&kept), context);
        }
        // The causes of this batch may end here, and so does a note of them.
        context.under_way.end();
    });
}
