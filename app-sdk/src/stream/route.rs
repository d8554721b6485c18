//! Split and route: each event goes on in one of several streams.

use core::fmt::Debug;

use alloc::rc::Rc;
use alloc::vec::Vec;

use super::{Keyed, Stream};
use crate::consumers::Consumers;
use crate::draft::StepKind;
use crate::flow::{Batch, BatchVec, Context};
use crate::host::BATCH_EVENTS;
use crate::key::Key;
use crate::value::{Event, View};

impl<E: Event> Stream<E> {
    /// Parts the stream in two: each event goes on in the first one if `first` returns `true`, in
    /// the second one if not. To drop the others, use [`filter`](Self::filter).
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("questions");
    /// let lines = app.source("lines", LineText::new());
    /// let (questions, statements) = lines.split(|line| line.ends_with('?'));
    /// questions.sink("questions", LineText::new());
    /// statements.sink("statements", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"who?\nme\n");
    /// assert_eq!(reference.output("questions"), b"who?\n");
    /// assert_eq!(reference.output("statements"), b"me\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    // cold: while the application is described
    pub fn split<F>(&self, first: F) -> (Stream<E>, Stream<E>)
    where
        F: for<'a> Fn(View<'a, E>) -> bool + Send + Sync + 'static,
    {
        let streams = [0, 1].map(|branch| self.next(StepKind::Split(branch)));
        let nexts = streams.iter().map(|stream| stream.consumers.clone());
        route(&self.consumers, nexts.collect(), move |event| usize::from(!first(event)));
        streams.into()
    }

    /// Parts the stream in `N`, from 1 to 256: each event goes on in the one whose index `to`
    /// returns, and in the last one for `N - 1` and above.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("lengths");
    /// let lines = app.source("lines", LineText::new());
    /// let [empty, short, long] = lines.route(|line| line.len().div_ceil(4));
    /// empty.map(|_| String::from("-")).sink("empty", LineText::new());
    /// short.sink("short", LineText::new());
    /// long.sink("long", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"me\n\neverybody else\n");
    /// assert_eq!(reference.output("empty"), b"-\n");
    /// assert_eq!(reference.output("short"), b"me\n");
    /// assert_eq!(reference.output("long"), b"everybody else\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    ///
    /// No stream, or more than 256, does not compile:
    ///
    /// ```compile_fail,E0080
    /// # use potoroo_sdk::prelude::*;
    /// let lines = Application::new("none").source("lines", LineText::new());
    /// let [] = lines.route(|line| line.len());
    /// ```
    // cold: while the application is described
    pub fn route<const N: usize, F>(&self, to: F) -> [Stream<E>; N]
    where
        F: for<'a> Fn(View<'a, E>) -> usize + Send + Sync + 'static,
    {
        const { assert!(0 < N && N <= 256, "`route` makes 1 to 256 streams") };
        let streams = core::array::from_fn(|branch| self.next(StepKind::Route(branch as u8)));
        let nexts = streams.iter().map(|stream: &Stream<E>| stream.consumers.clone());
        route(&self.consumers, nexts.collect(), to);
        streams
    }
}

impl<E: Event, K: Key> Keyed<E, K> {
    /// Parts the stream in two: each event goes on in the first one if `first` returns `true`, in
    /// the second one if not. Both keep the key. To drop the others, use [`filter`](Self::filter).
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("questions");
    /// let lines = app.source("lines", LineText::new());
    /// let lines = lines.key_by(|line| line.len() as u64);
    /// let (questions, statements) = lines.split(|line| line.ends_with('?'));
    /// questions.sink("questions", LineText::new());
    /// statements.sink("statements", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"who?\nme\n");
    /// assert_eq!(reference.output("questions"), b"who?\n");
    /// assert_eq!(reference.output("statements"), b"me\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    // cold: while the application is described
    pub fn split<F>(&self, first: F) -> (Keyed<E, K>, Keyed<E, K>)
    where
        F: for<'a> Fn(View<'a, E>) -> bool + Send + Sync + 'static,
    {
        let streams = [0, 1].map(|branch| self.next(StepKind::Split(branch)));
        let nexts = streams.iter().map(|stream| stream.consumers.clone());
        route(&self.consumers, nexts.collect(), move |event| usize::from(!first(event)));
        streams.into()
    }

    /// Parts the stream in `N`, from 1 to 256: each event goes on in the one whose index `to`
    /// returns, and in the last one for `N - 1` and above. All keep the key.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("lengths");
    /// let lines = app.source("lines", LineText::new());
    /// let lines = lines.key_by(|line| line.len() as u64);
    /// let [empty, short, long] = lines.route(|line| line.len().div_ceil(4));
    /// empty.map(|_| String::from("-")).sink("empty", LineText::new());
    /// short.sink("short", LineText::new());
    /// long.sink("long", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"me\n\neverybody else\n");
    /// assert_eq!(reference.output("empty"), b"-\n");
    /// assert_eq!(reference.output("short"), b"me\n");
    /// assert_eq!(reference.output("long"), b"everybody else\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    ///
    /// No stream, or more than 256, does not compile:
    ///
    /// ```compile_fail,E0080
    /// # use potoroo_sdk::prelude::*;
    /// let lines = Application::new("none").source("lines", LineText::new());
    /// let lines = lines.key_by(|line| line.len() as u64);
    /// let [] = lines.route(|line| line.len());
    /// ```
    // cold: while the application is described
    pub fn route<const N: usize, F>(&self, to: F) -> [Keyed<E, K>; N]
    where
        F: for<'a> Fn(View<'a, E>) -> usize + Send + Sync + 'static,
    {
        const { assert!(0 < N && N <= 256, "`route` makes 1 to 256 streams") };
        let streams = core::array::from_fn(|branch| self.next(StepKind::Route(branch as u8)));
        let nexts = streams.iter().map(|stream: &Keyed<E, K>| stream.consumers.clone());
        route(&self.consumers, nexts.collect(), to);
        streams
    }
}

/// Passes each event on to one of several streams: to the last one for numbers above the others.
fn route<E, K, F>(stream: &Consumers<E, K>, nexts: Vec<Rc<Consumers<E, K>>>, choose: F)
where
    E: Event,
    K: Debug + 'static,
    F: for<'a> Fn(View<'a, E>) -> usize + 'static,
{
    assert!(!nexts.is_empty(), "`route` makes at least one stream");
    let last = nexts.len() - 1;
    stream.add(move |batch, context| {
        let mut to = [0; BATCH_EVENTS];
        batch.note(context.under_way);
        for (number, place) in batch.each() {
            to[number] = choose(batch.begin(number, place, context.under_way)).min(last);
        }
        part(batch, &nexts, &to, context);
    });
}

/// Sends each event of a batch to the stream whose index stands at its number in `to`.
#[inline(always)]
pub(super) fn part<E: Event, K: Debug + 'static>(
    batch: &Batch<'_, E, K>,
    nexts: &[Rc<Consumers<E, K>>],
    to: &[usize; BATCH_EVENTS],
    context: &mut Context<'_>,
) {
    let mut left = BatchVec::<u8>::new();
    left.extend(batch.chosen().iter().copied());
    // Stream by stream. Their order is free: where their ways meet, events come one by one.
    while let Some(first) = left.first() {
        let (next, mut chosen) = (to[usize::from(*first)], BatchVec::<u8>::new());
        left.retain(|number| {
            let stays = to[usize::from(*number)] != next;
            if !stays {
                chosen.push(*number);
            }
            stays
        });
        nexts[next].send(&batch.choose(&chosen), context);
    }
}
