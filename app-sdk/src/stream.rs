//! Streams: what an application does with events, one operator at a time.
//!
//! Every method takes `&self`, so a stream may have several consumers. Closures are `Fn`: state
//! belongs into tables, where the engine can keep, move and recover it. (A closure that captures a
//! `Cell` is refused with a message about threads: the same remedy applies.)

use core::cell::RefCell;

use alloc::rc::Rc;
use alloc::vec::Vec;

use crate::codec::Encode;
use crate::draft::{Draft, StepId, StepKind};
use crate::exchange::Exchanged;
use crate::flow::{Context, KeyedOutlet, Lent, Outlet};
use crate::host::{Route, SinkId};
use crate::key::Key;
use crate::outputs::{Out, Outputs};
use crate::table::{Entry, HasState};
use crate::value::{Event, View};

/// Events of one type, in order for each connection and key, but without an owner yet.
pub struct Stream<E: Event> {
    pub(crate) draft: Rc<RefCell<Draft>>,
    pub(crate) step: StepId,
    pub(crate) outlet: Rc<Outlet<E>>,
}

impl<E: Event> Stream<E> {
    pub(crate) fn new(draft: Rc<RefCell<Draft>>, step: StepId) -> Self {
        let outlet = Outlet::new();
        draft.borrow_mut().outlets.push(outlet.clone());
        Self { draft, step, outlet }
    }

    fn next<O: Event>(&self, kind: StepKind) -> Stream<O> {
        let step = self.draft.borrow_mut().step(kind, &[self.step]);
        Stream::new(self.draft.clone(), step)
    }

    /// Turns each event into another, or into none, one or many: see [`Outputs`].
    pub fn map<R, F>(&self, handler: F) -> Stream<R::Event>
    where
        R: Outputs,
        F: for<'a> Fn(View<'a, E>) -> R + Send + Sync + 'static,
    {
        let next = self.next(StepKind::Map);
        let outlet = next.outlet.clone();
        self.outlet.add(move |event, context| {
            handler(event.view()).each(|made| outlet.send(&Lent::Native(made), context));
        });
        next
    }

    /// Keeps the events for which `keep` says so.
    pub fn filter<F>(&self, keep: F) -> Stream<E>
    where
        F: for<'a> Fn(View<'a, E>) -> bool + Send + Sync + 'static,
    {
        let next = self.next(StepKind::Filter);
        let outlet = next.outlet.clone();
        self.outlet.add(move |event, context| {
            if keep(event.view()) {
                outlet.send(event, context);
            }
        });
        next
    }

    /// Turns each event into as many as the handler emits.
    pub fn flat_map<O, F>(&self, handler: F) -> Stream<O>
    where
        O: Event,
        F: for<'a> Fn(View<'a, E>, &mut Out<O>) + Send + Sync + 'static,
    {
        let next = self.next(StepKind::FlatMap);
        let outlet = next.outlet.clone();
        let out = RefCell::new(Out::new());
        self.outlet.add(move |event, context| {
            let mut out = out.borrow_mut();
            handler(event.view(), &mut out);
            out.events().iter().for_each(|made| outlet.send(&Lent::Native(made), context));
            out.clear();
        });
        next
    }

    /// Both streams in one. Order is kept within each of them, not between them.
    pub fn merge(&self, other: &Stream<E>) -> Stream<E> {
        let step = if Rc::ptr_eq(&self.draft, &other.draft) {
            self.draft.borrow_mut().step(StepKind::Merge, &[self.step, other.step])
        } else {
            self.draft.borrow_mut().merge_foreign(self.step)
        };
        let next = Stream::new(self.draft.clone(), step);
        for parent in [self, other] {
            let outlet = next.outlet.clone();
            parent.outlet.add(move |event, context| outlet.send(event, context));
        }
        next
    }

    /// Groups the events by a key: from here on, all events of one key meet in one place, in the
    /// order in which they came. `key` must depend on the event alone.
    pub fn key_by<K, F>(&self, key: F) -> Keyed<E, K>
    where
        K: Key,
        F: for<'a> Fn(View<'a, E>) -> K + Send + Sync + 'static,
    {
        let (step, exchange) = self.draft.borrow_mut().exchange(self.step);
        let keyed = Keyed::new(self.draft.clone(), step);
        let outlet = keyed.outlet.clone();
        let key = Rc::new(key);
        let stage = Exchanged { key: key.clone(), outlet: outlet.clone() };
        self.draft.borrow_mut().exchange_stage(exchange, stage);
        let behind = outlet.clone();
        self.outlet.add(move |event, context| {
            let key = key(event.view());
            let route = Route { exchange, hash: key.hash() };
            match context.in_place::<E>(route) {
                None => context.exchange(route, event),
                Some(slot) => {
                    let mut inner = Context { hash: route.hash, slot, ..context.reborrow() };
                    inner.under_way.keyed(&key, || behind.send(&key, event, &mut inner));
                    context.emitted |= inner.emitted;
                }
            }
        });
        keyed
    }

    /// Sends every event through one key: for state about the stream as a whole.
    pub fn collect(&self) -> Keyed<E, ()> {
        self.key_by(|_| ())
    }

    /// Sends the events to the sink `name`, encoded by `codec`.
    pub fn sink<C: Encode<Event = E>>(&self, name: &str, codec: C) {
        let sink = self.draft.borrow_mut().sink(Some(name), self.step);
        self.outlet.add(encoder(sink, codec));
    }

    /// Sends the events back on the connection that brought the input which caused them.
    pub fn reply<C: Encode<Event = E>>(&self, codec: C) {
        let sink = self.draft.borrow_mut().sink(None, self.step);
        self.outlet.add(encoder(sink, codec));
    }
}

/// Events of one type, grouped by a key: all events of a key are in one place.
///
/// `map`, `filter`, `flat_map` and `update` keep the key.
pub struct Keyed<E: Event, K: Key> {
    draft: Rc<RefCell<Draft>>,
    step: StepId,
    outlet: Rc<KeyedOutlet<E, K>>,
}

impl<E: Event, K: Key> Keyed<E, K> {
    fn new(draft: Rc<RefCell<Draft>>, step: StepId) -> Self {
        let outlet = KeyedOutlet::new();
        draft.borrow_mut().outlets.push(outlet.clone());
        Self { draft, step, outlet }
    }

    fn next<O: Event>(&self, kind: StepKind) -> Keyed<O, K> {
        let step = self.draft.borrow_mut().step(kind, &[self.step]);
        Keyed::new(self.draft.clone(), step)
    }

    /// Updates the state that `table` keeps for the key of each event.
    ///
    /// The handler returns what it emits: see [`Outputs`].
    pub fn update<T, R, F>(&self, table: &T, handler: F) -> Keyed<R::Event, K>
    where
        T: HasState<K>,
        R: Outputs,
        F: for<'a> Fn(&mut T::State, View<'a, E>) -> R + Send + Sync + 'static,
    {
        let table = table.table();
        self.draft.borrow_mut().check_table(&table, self.step);
        let next = self.next(StepKind::Update { table: table.id, emits: R::EMITS });
        let outlet = next.outlet.clone();
        self.outlet.add(move |key, event, context| {
            let outputs = table.change(key, context, |state| handler(state, event.view()));
            outputs.each(|made| outlet.send(key, &Lent::Native(made), context));
        });
        next
    }

    /// As [`update`](Self::update), for handlers that need the key, remove the row or emit a
    /// varying number of events.
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
        let outlet = next.outlet.clone();
        let out = RefCell::new(Out::new());
        self.outlet.add(move |key, event, context| {
            let slot = table.locate(key, context);
            let mut out = out.borrow_mut();
            let ((), removed) = table
                .rows
                .borrow_mut()
                .change_entry(slot, |entry| handler(entry, event.view(), &mut out));
            if removed {
                table.remove(slot, context);
            }
            out.events().iter().for_each(|made| outlet.send(key, &Lent::Native(made), context));
            out.clear();
        });
        next
    }

    /// Turns each event into another, or into none, one or many: see [`Outputs`].
    pub fn map<R, F>(&self, handler: F) -> Keyed<R::Event, K>
    where
        R: Outputs,
        F: for<'a> Fn(View<'a, E>) -> R + Send + Sync + 'static,
    {
        let next = self.next(StepKind::Map);
        let outlet = next.outlet.clone();
        self.outlet.add(move |key, event, context| {
            handler(event.view()).each(|made| outlet.send(key, &Lent::Native(made), context));
        });
        next
    }

    /// Keeps the events for which `keep` says so.
    pub fn filter<F>(&self, keep: F) -> Keyed<E, K>
    where
        F: for<'a> Fn(View<'a, E>) -> bool + Send + Sync + 'static,
    {
        let next = self.next(StepKind::Filter);
        let outlet = next.outlet.clone();
        self.outlet.add(move |key, event, context| {
            if keep(event.view()) {
                outlet.send(key, event, context);
            }
        });
        next
    }

    /// Turns each event into as many as the handler emits.
    pub fn flat_map<O, F>(&self, handler: F) -> Keyed<O, K>
    where
        O: Event,
        F: for<'a> Fn(View<'a, E>, &mut Out<O>) + Send + Sync + 'static,
    {
        let next = self.next(StepKind::FlatMap);
        let outlet = next.outlet.clone();
        let out = RefCell::new(Out::new());
        self.outlet.add(move |key, event, context| {
            let mut out = out.borrow_mut();
            handler(event.view(), &mut out);
            out.events().iter().for_each(|made| outlet.send(key, &Lent::Native(made), context));
            out.clear();
        });
        next
    }

    /// The same events without their key.
    pub fn unkeyed(&self) -> Stream<E> {
        let step = self.draft.borrow_mut().step(StepKind::Unkeyed, &[self.step]);
        let next = Stream::new(self.draft.clone(), step);
        let outlet = next.outlet.clone();
        self.outlet.add(move |_, event, context| outlet.send(event, context));
        next
    }

    /// Groups the events by another key: see [`Stream::key_by`].
    pub fn key_by<L, F>(&self, key: F) -> Keyed<E, L>
    where
        L: Key,
        F: for<'a> Fn(View<'a, E>) -> L + Send + Sync + 'static,
    {
        self.unkeyed().key_by(key)
    }

    /// Sends every event through one key: see [`Stream::collect`].
    pub fn collect(&self) -> Keyed<E, ()> {
        self.unkeyed().collect()
    }

    /// Both streams in one, without their keys: see [`Stream::merge`].
    pub fn merge<L: Key>(&self, other: &Keyed<E, L>) -> Stream<E> {
        self.unkeyed().merge(&other.unkeyed())
    }

    /// Sends the events to the sink `name`, encoded by `codec`.
    pub fn sink<C: Encode<Event = E>>(&self, name: &str, codec: C) {
        self.unkeyed().sink(name, codec);
    }

    /// Sends the events back on the connection that brought the input which caused them.
    pub fn reply<C: Encode<Event = E>>(&self, codec: C) {
        self.unkeyed().reply(codec);
    }
}

/// The consumer that encodes events for a sink, in space that it keeps.
fn encoder<C: Encode>(
    sink: SinkId,
    codec: C,
) -> impl Fn(&Lent<'_, C::Event>, &mut Context<'_>) + 'static {
    let space = RefCell::new(Vec::new());
    move |event, context| {
        let mut bytes = space.borrow_mut();
        bytes.clear();
        codec.encode(event.view(), &mut bytes);
        context.output(sink, &bytes);
    }
}
