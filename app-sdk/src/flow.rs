//! How events pass from operator to operator inside one stage: batch by batch.
//!
//! Each operator takes a batch, then its consumers take what it made of the batch. So one indirect
//! call serves up to [`BATCH_EVENTS`] events, operators are loops, and what a table needs from
//! memory is on its way for the whole batch before the first handler runs. Events are passed by
//! reference to their archive or to the native value (by value it would cost 5–7 ns for 64 bytes).
//!
//! Promises: the events of a stream keep their order. Where two ways from a stream meet again, its
//! events go one by one, so that none overtakes another: see
//! [`Draft::batches`](crate::draft::Draft::batches).

use core::cell::{Cell, OnceCell, RefCell, RefMut};
use core::fmt::Debug;
use core::ops::Range;

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;

use arrayvec::ArrayVec;

use crate::codec::Reason;
use crate::host::{BATCH_EVENTS, Cause, Host, Route, UnderWay};
use crate::value::{self, Event, View};
use rkyv::Archived;

/// Events of type `E` in one batch: fewer if they are large, so that a batch stays in the nearest
/// cache.
pub(crate) const fn batch_events<E>() -> usize {
    let fit = BATCH_BYTES / if size_of::<E>() == 0 { 1 } else { size_of::<E>() };
    if fit == 0 {
        1
    } else if fit > BATCH_EVENTS {
        BATCH_EVENTS
    } else {
        fit
    }
}

/// Bytes of the native events of a batch: half of a first cache.
const BATCH_BYTES: usize = 16 * 1024;

/// As many values as a batch has events at most.
pub(crate) type Few<T> = ArrayVec<T, BATCH_EVENTS>;

/// The events that one operator takes at once.
///
/// An event has a number by which it is chosen, and a place at which everything stands that it
/// inherits. What an operator makes of an event keeps the place, and what a filter passes on is a
/// shorter list of numbers: neither moves an event.
///
/// ```text
///    chosen ──► events ──► of ──► causes, and after an exchange keys, hashes, slots
///    0 1 3      0 1 2 3    places
/// ```
pub(crate) struct Batch<'a, E: Event, K> {
    pub(crate) events: Events<'a, E>,
    /// For each event its place.
    of: &'a [u8],
    /// Numbers of the events that take part, ascending.
    chosen: &'a [u8],
    /// Each event takes part and stands at the place of its number.
    whole: bool,
    /// What the events inherit.
    pub(crate) causes: &'a [Cause],
    /// Empty before an exchange, as the next two.
    pub(crate) keys: &'a [K],
    pub(crate) hashes: &'a [u64],
    /// The host's guesses at the rows in the table that the stage looks up first.
    pub(crate) slots: &'a [u32],
    /// The batch that had the keys, where the stream has none any more.
    keyed: Option<&'a dyn NoteKey>,
}

/// A batch whose keys can be noted by one that has none.
trait NoteKey {
    /// Notes the key at `place`.
    fn note_key(&self, place: usize, under_way: &UnderWay);
}

impl<E: Event, K: Debug + 'static> NoteKey for Batch<'_, E, K> {
    #[inline]
    fn note_key(&self, place: usize, under_way: &UnderWay) {
        match (self.keys.get(place), self.keyed) {
            (Some(key), _) => under_way.begin_key(key),
            (None, Some(keyed)) => keyed.note_key(place, under_way),
            (None, None) => {}
        }
    }
}

/// Where the events of a batch lie. They stay there: copying fields that were just written one by
/// one causes a store-forwarding stall.
pub(crate) enum Events<'a, E: Event> {
    /// In frames.
    Archived(&'a [Archive<'a, E>]),
    /// Where an operator, a codec or a generator made them.
    Native(&'a [E]),
}

/// A checked archive and its bytes.
pub(crate) type Archive<'a, E> = (&'a [u8], &'a Archived<E>);

/// The key of events before an exchange.
#[derive(Debug)]
pub(crate) struct NoKey;

impl<E: Event> Clone for Events<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E: Event> Copy for Events<'_, E> {}

impl<E: Event, K> Clone for Batch<'_, E, K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E: Event, K> Copy for Batch<'_, E, K> {}

impl<E: Event> Events<'_, E> {
    #[inline(always)]
    fn count(&self) -> usize {
        match self {
            Self::Archived(archives) => archives.len(),
            Self::Native(events) => events.len(),
        }
    }
}

impl<'a, E: Event> Batch<'a, E, NoKey> {
    /// All of `events`, each with its cause.
    #[inline]
    pub(crate) fn entering(events: Events<'a, E>, causes: &'a [Cause]) -> Self {
        Batch::keyed(events, &causes[..events.count()], &[], &[], &[])
    }
}

impl<'a, E: Event, K> Batch<'a, E, K> {
    /// All of `events`, each with what belongs to it.
    #[inline]
    pub(crate) fn keyed(
        events: Events<'a, E>,
        causes: &'a [Cause],
        keys: &'a [K],
        hashes: &'a [u64],
        slots: &'a [u32],
    ) -> Self {
        let all = &NUMBERS[..events.count()];
        Self { events, of: all, chosen: all, whole: true, causes, keys, hashes, slots, keyed: None }
    }

    /// The same events without their keys.
    #[inline]
    pub(crate) fn unkeyed(&self) -> Batch<'_, E, NoKey>
    where
        K: Debug + 'static,
    {
        let Self { events, of, chosen, whole, causes, .. } = *self;
        let (keys, hashes, slots, keyed) = (&[], &[], &[], Some(self as &dyn NoteKey));
        Batch { events, of, chosen, whole, causes, keys, hashes, slots, keyed }
    }

    /// The same batch with its causes in the order of its events: event `i` of those that take part
    /// stands at place `i`. Uses `causes` and `of` where it is not so yet.
    #[inline(always)]
    pub(crate) fn settle<'b>(
        &'b self,
        causes: &'b mut Few<Cause>,
        of: &'b mut [u8; BATCH_EVENTS],
    ) -> Batch<'b, E, NoKey> {
        let Self { events, of: before, chosen, whole, .. } = *self;
        let (keys, hashes, slots, keyed) = (&[], &[], &[], None);
        if whole {
            let causes = self.causes;
            return Batch { events, of: before, chosen, whole, causes, keys, hashes, slots, keyed };
        }
        for (place, number) in self.chosen.iter().enumerate() {
            causes.push(self.causes[usize::from(self.of[usize::from(*number)])]);
            of[usize::from(*number)] = place as u8;
        }
        Batch { events, of, chosen, whole, causes, keys, hashes, slots, keyed }
    }

    /// The same batch after an exchange.
    #[inline(always)]
    pub(crate) fn with_keys<L>(&self, keys: &'a [L], hashes: &'a [u64]) -> Batch<'a, E, L> {
        let Self { events, of, chosen, whole, causes, .. } = *self;
        Batch { events, of, chosen, whole, causes, keys, hashes, slots: &[], keyed: None }
    }

    /// The same batch with the host's guesses.
    #[inline(always)]
    pub(crate) fn with_slots(&self, slots: &'a [u32]) -> Self {
        Self { slots, ..*self }
    }

    /// Numbers of the events that take part, in order.
    #[inline(always)]
    pub(crate) fn chosen(&self) -> &'a [u8] {
        self.chosen
    }

    /// How many events take part.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.chosen.len()
    }

    /// Some events of this batch.
    #[inline(always)]
    pub(crate) fn choose(&self, chosen: &'a [u8]) -> Self {
        Self { chosen, whole: false, ..*self }
    }

    /// Some events of this batch, by their order in it.
    #[inline(always)]
    pub(crate) fn part(&self, order: Range<usize>) -> Self {
        self.choose(&self.chosen[order])
    }

    /// Each event that takes part: its number, its place, and the event, which is noted as under
    /// way until the next.
    #[inline(always)]
    pub(crate) fn each(
        &self,
        under_way: &UnderWay,
    ) -> impl Iterator<Item = (u8, usize, View<'a, E>)>
    where
        K: Debug + 'static,
    {
        let Self { events, of, chosen, whole, causes, keys, keyed, .. } = *self;
        (0..chosen.len()).map(move |order| {
            // Nearly all batches are whole: no look at the two lists.
            let (number, place) = match whole {
                true => (order, order),
                false => (usize::from(chosen[order]), usize::from(of[usize::from(chosen[order])])),
            };
            under_way.begin(&causes[place]);
            if let Some(key) = keys.get(place) {
                under_way.begin_key(key);
            } else if let Some(keyed) = keyed {
                keyed.note_key(place, under_way);
            }
            let event = match events {
                Events::Archived(archives) => E::view(archives[number].1),
                Events::Native(events) => events[number].lend(),
            };
            (number as u8, place, event)
        })
    }
}

/// The numbers of the events of a batch.
const NUMBERS: [u8; BATCH_EVENTS] = {
    let mut numbers = [0; BATCH_EVENTS];
    let mut number = 0;
    while number < BATCH_EVENTS {
        numbers[number] = number as u8;
        number += 1;
    }
    numbers
};

/// What a stage runs with.
pub(crate) struct Context<'h> {
    pub(crate) host: &'h mut dyn Host,
    pub(crate) under_way: &'h UnderWay,
}

impl Context<'_> {
    /// Sends the event of this number through an exchange.
    #[inline(always)]
    pub(crate) fn exchange<E: Event>(
        &mut self,
        route: Route,
        cause: &Cause,
        events: Events<'_, E>,
        number: u8,
    ) {
        match events {
            Events::Native(events) if E::PLAIN => {
                let room = self.host.send(route, cause, size_of::<Archived<E>>());
                let written = value::write(&events[usize::from(number)], room);
                debug_assert!(written == Ok(size_of::<Archived<E>>()));
            }
            Events::Native(events) => {
                self.exchange_sized(route, cause, &events[usize::from(number)]);
            }
            Events::Archived(archives) => {
                let (bytes, _) = archives[usize::from(number)];
                self.host.send(route, cause, bytes.len()).copy_from_slice(bytes);
            }
        }
    }

    /// An event whose archive has no fixed size is first written elsewhere to learn it.
    fn exchange_sized<E: Event>(&mut self, route: Route, cause: &Cause, event: &E) {
        let mut small = [0u8; EXCHANGE_SCRATCH_BYTES];
        if let Ok(bytes) = value::write(event, &mut small) {
            self.host.send(route, cause, bytes).copy_from_slice(&small[..bytes]);
            return;
        }
        match exchange_large(event) {
            Some(large) => {
                self.host.send(route, cause, large.len()).copy_from_slice(&large);
            }
            None => {
                let reason = Reason::new("the event is too large to be archived");
                self.host.refuse(cause, reason, &[]);
            }
        }
    }
}

/// Archives an event that is larger than the scratch space: rare, so it may allocate.
#[cold]
#[inline(never)]
fn exchange_large<E: Event>(event: &E) -> Option<Vec<u8>> {
    let mut room = alloc::vec![0u8; EXCHANGE_SCRATCH_BYTES * 4];
    loop {
        if let Ok(bytes) = value::write(event, &mut room) {
            room.truncate(bytes);
            return Some(room);
        }
        let doubled = room.len() * 2;
        if doubled > EXCHANGE_BYTES_MAX {
            return None;
        }
        room.resize(doubled, 0);
    }
}

/// No archive is larger than this: far above any frame, and a bound for what a mistake can take.
const EXCHANGE_BYTES_MAX: usize = 16 << 20;

/// Archives of up to this many bytes are made on the stack: most events are far smaller, and a
/// larger array would cost its zeroing.
const EXCHANGE_SCRATCH_BYTES: usize = 512;

/// What an operator makes of a batch, until its consumers have taken it. Used again for each batch,
/// so that it allocates only until it has grown.
pub(crate) struct Made<O> {
    events: Vec<O>,
    /// For each event: the place of the one that it was made of.
    of: Vec<u8>,
}

impl<O: Event> Made<O> {
    // cold: once per operator; takes memory with the first event
    pub(crate) fn new() -> RefCell<Self> {
        RefCell::new(Self { events: Vec::new(), of: Vec::new() })
    }

    /// Begins a batch: nothing is left of one in which a handler panicked.
    #[inline(always)]
    pub(crate) fn begin(made: &RefCell<Self>) -> RefMut<'_, Self> {
        let mut made = made.borrow_mut();
        made.events.clear();
        made.of.clear();
        made
    }

    #[inline(always)]
    pub(crate) fn push(&mut self, event: O, place: usize) {
        self.events.push(event);
        self.of.push(place as u8);
    }

    /// Whether it is time to send: after each event, so that there is at most a batch and what one
    /// event was turned into.
    #[inline(always)]
    pub(crate) fn is_full(&self) -> bool {
        self.events.len() >= const { batch_events::<O>() }
    }

    /// Sends what was made of `batch`.
    #[inline]
    pub(crate) fn send<E: Event, K>(
        &mut self,
        batch: &Batch<'_, E, K>,
        consumers: &Consumers<O, K>,
        context: &mut Context<'_>,
    ) {
        context.under_way.end_key();
        let Batch { causes, keys, hashes, slots, keyed, .. } = *batch;
        for (events, of) in self.events.chunks(BATCH_EVENTS).zip(self.of.chunks(BATCH_EVENTS)) {
            let events = Events::Native(events);
            let batch = Batch::keyed(events, causes, keys, hashes, slots);
            let made = Batch { of, whole: false, keyed, ..batch };
            consumers.send(&made, context);
        }
        self.events.clear();
        self.of.clear();
    }
}

/// The consumers of one stream, collected while the application is described and joined into one
/// call when it is planned: `F` is the call.
pub(crate) struct Joint<F: ?Sized> {
    collected: RefCell<Vec<Box<F>>>,
    joined: OnceCell<Box<F>>,
    one_by_one: Cell<bool>,
}

/// The consumers of a stream.
pub(crate) type Consumers<E, K> = Joint<dyn Fn(&Batch<'_, E, K>, &mut Context<'_>)>;

/// What has to be done once when an application is planned.
pub(crate) trait Join {
    /// Joins the consumers. They take events `one_by_one`, or in batches.
    fn join(&self, one_by_one: bool);
}

impl<F: ?Sized> Joint<F> {
    // cold: once per stream, while the application is described
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self {
            collected: RefCell::new(Vec::new()),
            joined: OnceCell::new(),
            one_by_one: Cell::new(false),
        })
    }

    fn join_with(&self, one_by_one: bool, all: impl FnOnce(Vec<Box<F>>) -> Box<F>) {
        let mut collected = self.collected.take();
        // One consumer is the rule: it is called without a detour.
        let joined = match collected.len() {
            1 => collected.remove(0),
            _ => all(collected),
        };
        assert!(self.joined.set(joined).is_ok(), "an application is planned once");
        self.one_by_one.set(one_by_one);
    }

    /// Most events that may enter a stage here at once; `fit` where nothing speaks against it.
    #[inline(always)]
    pub(crate) fn batch_max(&self, fit: usize) -> usize {
        if self.one_by_one.get() { 1 } else { fit }
    }

    #[inline(always)]
    fn joined(&self) -> &F {
        self.joined.get().expect("streams run in planned applications only")
    }
}

impl<E: Event, K> Consumers<E, K> {
    // cold: while the application is described
    pub(crate) fn add(&self, consumer: impl Fn(&Batch<'_, E, K>, &mut Context<'_>) + 'static) {
        self.collected.borrow_mut().push(Box::new(consumer));
    }

    /// Hands a batch to the consumers.
    #[inline(always)]
    pub(crate) fn send(&self, batch: &Batch<'_, E, K>, context: &mut Context<'_>) {
        self.send_while(batch, context, |_| true);
    }

    /// Hands a batch to the consumers, all at once or event by event: `more` says after each event
    /// whether the next one follows. Returns how many events went.
    #[inline(always)]
    pub(crate) fn send_while(
        &self,
        batch: &Batch<'_, E, K>,
        context: &mut Context<'_>,
        mut more: impl FnMut(&mut Context<'_>) -> bool,
    ) -> usize {
        if !self.one_by_one.get() || batch.len() < 2 {
            self.joined()(batch, context);
            return batch.len();
        }
        for order in 0..batch.len() {
            self.joined()(&batch.part(order..order + 1), context);
            if !more(context) {
                return order + 1;
            }
        }
        batch.len()
    }
}

impl<E: Event, K: 'static> Join for Consumers<E, K> {
    // cold: once, when the application is planned
    fn join(&self, one_by_one: bool) {
        self.join_with(one_by_one, |all| {
            Box::new(move |batch, context| all.iter().for_each(|one| one(batch, context)))
        });
    }
}
