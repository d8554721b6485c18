//! Streams: what an application does with events, one operator at a time.
//!
//! Every method takes `&self`, so a stream may have several consumers. Closures are `Fn`: state
//! belongs into tables, where the engine can keep, move and recover it. (A closure that captures a
//! `Cell` is refused with a message about threads: the same remedy applies.)

use core::cell::RefCell;

use alloc::rc::Rc;

use crate::codec::Encode;
use crate::consumers::Consumers;
use crate::draft::{Draft, StepId, StepKind};
use crate::exchange::Exchanged;
use crate::flow::NoKey;
use crate::key::Key;
use crate::operators;
use crate::outputs::{Out, Outputs};
use crate::time::{EventTime, Lateness};
use crate::value::{Event, View};

mod keyed;

/// Events of one type, in order for each connection and key, but without an owner yet.
pub struct Stream<E: Event> {
    pub(crate) draft: Rc<RefCell<Draft>>,
    pub(crate) step: StepId,
    pub(crate) consumers: Rc<Consumers<E, NoKey>>,
}

impl<E: Event> Stream<E> {
    pub(crate) fn new(draft: Rc<RefCell<Draft>>, step: StepId) -> Self {
        let consumers = Consumers::new();
        draft.borrow_mut().consumers.push((step, consumers.clone()));
        Self { draft, step, consumers }
    }

    fn next<O: Event>(&self, kind: StepKind) -> Stream<O> {
        let step = self.draft.borrow_mut().step(kind, &[self.step]);
        Stream::new(self.draft.clone(), step)
    }

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
        operators::map(&self.consumers, next.consumers.clone(), handler);
        next
    }

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
        operators::filter(&self.consumers, next.consumers.clone(), keep);
        next
    }

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
        operators::flat_map(&self.consumers, next.consumers.clone(), handler);
        next
    }

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
        operators::route(&self.consumers, nexts.collect(), move |event| usize::from(!first(event)));
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
        operators::route(&self.consumers, nexts.collect(), to);
        streams
    }

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
        operators::event_time(&self.consumers, next.consumers.clone(), (id, lateness), time);
        next
    }

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
        operators::split_late(&self.consumers, nexts);
        streams.into()
    }

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
            operators::pass(&parent.consumers, next.consumers.clone());
        }
        next
    }

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
        self.consumers.add(operators::encode(sink, codec));
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
        self.consumers.add(operators::encode(sink, codec));
    }
}

/// Events of one type, grouped by a key: all events of a key are in one place.
///
/// `map`, `filter`, `flat_map`, `split`, `route` and `update` keep the key.
pub struct Keyed<E: Event, K: Key> {
    draft: Rc<RefCell<Draft>>,
    step: StepId,
    consumers: Rc<Consumers<E, K>>,
}

impl<E: Event, K: Key> Keyed<E, K> {
    fn new(draft: Rc<RefCell<Draft>>, step: StepId) -> Self {
        let consumers = Consumers::new();
        draft.borrow_mut().consumers.push((step, consumers.clone()));
        Self { draft, step, consumers }
    }
}
