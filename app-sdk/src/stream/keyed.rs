//! Operators of keyed streams: those that update tables, and those that keep the key.

use super::{Keyed, Stream};
use crate::codec::Encode;
use crate::draft::StepKind;
use crate::key::Key;
use crate::operators;
use crate::outputs::{Out, Outputs};
use crate::table::{Entry, HasState};
use crate::value::{Event, View};

impl<E: Event, K: Key> Keyed<E, K> {
    fn next<O: Event>(&self, kind: StepKind) -> Keyed<O, K> {
        let step = self.draft.borrow_mut().step(kind, &[self.step]);
        Keyed::new(self.draft.clone(), step)
    }

    /// Updates the state that `table` has for the key of each event.
    ///
    /// The handler returns what it emits: see [`Outputs`].
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("longest");
    /// let counts = app.table::<u64, u64>("counts");
    /// let lines = app.source("lines", LineText::new()).key_by(|line| line.len() as u64);
    /// lines
    ///     .update(&counts, |count, line| {
    ///         *count += 1;
    ///         (*count == 2).then(|| format!("{line} is the second one"))
    ///     })
    ///     .sink("seconds", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"to\nor\nnot\n");
    /// assert_eq!(reference.output("seconds"), b"or is the second one\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    pub fn update<T, R, F>(&self, table: &T, handler: F) -> Keyed<R::Event, K>
    where
        T: HasState<K>,
        R: Outputs,
        F: for<'a> Fn(&mut T::State, View<'a, E>) -> R + Send + Sync + 'static,
    {
        let table = table.table();
        self.draft.borrow_mut().check_table(&table, self.step);
        let next = self.next(StepKind::Update { table: table.id, emits: R::EMITS });
        operators::update(&self.consumers, table, next.consumers.clone(), handler);
        next
    }

    /// As [`update`](Self::update), for handlers that need the key, remove the row or emit a
    /// varying number of events.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("pairs");
    /// let waiting = app.table::<u64, String>("waiting");
    /// let lines = app.source("lines", LineText::new()).key_by(|line| line.len() as u64);
    /// lines
    ///     .update_with(&waiting, |waiting, line, out| match waiting.is_empty() {
    ///         true => waiting.push_str(line),
    ///         false => {
    ///             out.emit(format!("{} {line} of {}", **waiting, waiting.key()));
    ///             waiting.remove();
    ///         }
    ///     })
    ///     .sink("pairs", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"to\nnot\nbe\n");
    /// assert_eq!(reference.output("pairs"), b"to be of 2\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    pub fn update_with<T, O, F>(&self, table: &T, handler: F) -> Keyed<O, K>
    where
        T: HasState<K>,
        O: Event,
        F: for<'a, 'b> Fn(&mut Entry<'b, K, T::State>, View<'a, E>, &mut Out<O>)
            + Send
            + Sync
            + 'static,
    {
        let table = table.table();
        self.draft.borrow_mut().check_table(&table, self.step);
        let next = self.next(StepKind::Update { table: table.id, emits: true });
        operators::update_with(&self.consumers, table, next.consumers.clone(), handler);
        next
    }

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
        operators::map(&self.consumers, next.consumers.clone(), handler);
        next
    }

    /// Passes on the events for which `keep` returns `true`.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("questions");
    /// let lines = app.source("lines", LineText::new()).key_by(|line| line.len() as u64);
    /// lines.filter(|line| line.ends_with('?')).sink("questions", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"who?\nme\n");
    /// assert_eq!(reference.output("questions"), b"who?\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    pub fn filter<F>(&self, keep: F) -> Keyed<E, K>
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
        operators::flat_map(&self.consumers, next.consumers.clone(), handler);
        next
    }

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
        operators::route(&self.consumers, nexts.collect(), move |event| usize::from(!first(event)));
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
        operators::route(&self.consumers, nexts.collect(), to);
        streams
    }

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
        operators::split_late(&self.consumers, nexts);
        streams.into()
    }

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
        operators::unkey(&self.consumers, next.consumers.clone());
        next
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
