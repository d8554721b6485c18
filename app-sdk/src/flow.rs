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

use core::fmt::Debug;
use core::ops::Range;

use alloc::vec::Vec;

use arrayvec::ArrayVec;

use crate::codec::Reason;
use crate::host::{
    BATCH_EVENTS, Cause, ExchangeId, Host, KeysNote, Leaving, NO_SLOT, Route, Timing, UnderWay,
    bits,
};
use crate::time::EventTime;
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

/// At most one value for each event of a batch.
pub(crate) type BatchVec<T> = ArrayVec<T, BATCH_EVENTS>;

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
    /// Empty where the stream has no time.
    pub(crate) timings: &'a [Timing],
    /// Empty before an exchange, as the next two.
    pub(crate) keys: &'a [K],
    pub(crate) hashes: &'a [u64],
    /// The host's guesses at the rows in the table that the stage looks up first.
    pub(crate) slots: &'a [u32],
    /// Where the keys lie, also where the stream has none any more.
    noted_keys: Option<KeysNote>,
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
        Batch::keyed(events, &causes[..events.count()], &[], &[], &[], &[])
    }
}

impl<'a, E: Event, K: Debug + 'static> Batch<'a, E, K> {
    /// All of `events`, each with what belongs to it.
    #[inline]
    pub(crate) fn keyed(
        events: Events<'a, E>,
        causes: &'a [Cause],
        timings: &'a [Timing],
        keys: &'a [K],
        hashes: &'a [u64],
        slots: &'a [u32],
    ) -> Self {
        let (of, noted_keys) = (&NUMBERS[..events.count()], KeysNote::new(keys));
        let (chosen, whole) = (of, true);
        Self { events, of, chosen, whole, causes, timings, keys, hashes, slots, noted_keys }
    }
}

impl<'a, E: Event, K: Debug + 'static> Batch<'a, E, K> {
    /// All of `events`, which came out of firings: event `i` of that at the place `of[i]`.
    #[inline]
    pub(crate) fn fired(
        (events, of): (&'a [E], &'a [u8]),
        causes: &'a [Cause],
        timings: &'a [Timing],
        keys: &'a [K],
        hashes: &'a [u64],
    ) -> Self {
        let (chosen, whole, slots) = (&NUMBERS[..events.len()], false, &NO_SLOTS[..]);
        let (events, noted_keys) = (Events::Native(events), KeysNote::new(keys));
        Self { events, of, chosen, whole, causes, timings, keys, hashes, slots, noted_keys }
    }
}

impl<'a, E: Event, K> Batch<'a, E, K> {
    /// The same events without their keys.
    #[inline]
    pub(crate) fn unkeyed(&self) -> Batch<'a, E, NoKey> {
        let Self { events, of, chosen, whole, causes, timings, noted_keys, .. } = *self;
        let (keys, hashes, slots) = (&[], &[], &[]);
        Batch { events, of, chosen, whole, causes, timings, keys, hashes, slots, noted_keys }
    }

    /// The same batch with its causes in the order of its events: event `i` of those that take part
    /// stands at place `i`. Uses `places` where it is not so yet.
    #[inline(always)]
    pub(crate) fn in_order<'b>(&'b self, places: &'b mut Inherited) -> Batch<'b, E, NoKey> {
        let Self { events, of, chosen, whole, causes, timings, .. } = *self;
        let (keys, hashes, slots, noted_keys) = (&[], &[], &[], None);
        if whole {
            return Batch {
                events,
                of,
                chosen,
                whole,
                causes,
                timings,
                keys,
                hashes,
                slots,
                noted_keys,
            };
        }
        for (place, number) in chosen.iter().enumerate() {
            let before = usize::from(of[usize::from(*number)]);
            places.causes.push(causes[before]);
            if !timings.is_empty() {
                places.timings.push(timings[before]);
            }
            places.of[usize::from(*number)] = place as u8;
        }
        let (of, causes, timings) = (&places.of, &*places.causes, &*places.timings);
        Batch { events, of, chosen, whole, causes, timings, keys, hashes, slots, noted_keys }
    }

    /// The same batch with times for the events at its places.
    #[inline(always)]
    pub(crate) fn with_timings(&self, timings: &'a [Timing]) -> Self {
        Self { timings, ..*self }
    }

    /// The same batch after an exchange.
    #[inline(always)]
    pub(crate) fn with_keys<L: Debug + 'static>(
        &self,
        keys: &'a [L],
        hashes: &'a [u64],
    ) -> Batch<'a, E, L> {
        let Self { events, of, chosen, whole, causes, timings, .. } = *self;
        let (noted_keys, slots) = (KeysNote::new(keys), &[]);
        Batch { events, of, chosen, whole, causes, timings, keys, hashes, slots, noted_keys }
    }

    /// The same batch with the host's guesses.
    #[inline(always)]
    pub(crate) fn with_slots(&self, slots: &'a [u32]) -> Self {
        Self { slots, ..*self }
    }

    /// What was made of this batch: event `i` of that at the place `of[i]`.
    #[inline]
    pub(crate) fn turned_into<'b, O: Event>(&self, events: &'b [O], of: &'b [u8]) -> Batch<'b, O, K>
    where
        'a: 'b,
    {
        let Self { causes, timings, keys, hashes, slots, noted_keys, .. } = *self;
        let (events, chosen, whole) = (Events::Native(events), &NUMBERS[..events.len()], false);
        Batch { events, of, chosen, whole, causes, timings, keys, hashes, slots, noted_keys }
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

    /// Number and place of each event that takes part.
    #[inline(always)]
    pub(crate) fn each(&self) -> impl Iterator<Item = (usize, usize)> {
        let Self { of, chosen, whole, .. } = *self;
        (0..chosen.len()).map(move |order| {
            // Nearly all batches are whole: no look at the two lists.
            match whole {
                true => (order, order),
                false => (usize::from(chosen[order]), usize::from(of[usize::from(chosen[order])])),
            }
        })
    }

    /// Notes this batch: its events are under way from now on. Once before the first of them, and
    /// again after anything that other batches passed through.
    #[inline(always)]
    pub(crate) fn note(&self, under_way: &UnderWay) {
        under_way.begin_batch(self.causes, self.noted_keys);
    }

    /// Appends the archive of the event of this number. Returns whether it is short enough.
    pub(crate) fn append(&self, number: usize, out: &mut Vec<u8>) -> bool {
        match self.events {
            Events::Archived(archives) => {
                out.extend_from_slice(archives[number].0);
                true
            }
            Events::Native(events) => value::append(&events[number], out).is_ok(),
        }
    }

    /// The event of this number, which is noted as the one under way. Not a part of the iterator:
    /// its closure would become a call that returns the event in memory.
    #[inline(always)]
    pub(crate) fn begin(&self, number: usize, place: usize, under_way: &UnderWay) -> View<'a, E> {
        under_way.begin(place);
        self.view(number)
    }

    /// The event of this number.
    #[inline(always)]
    pub(crate) fn view(&self, number: usize) -> View<'a, E> {
        match self.events {
            Events::Archived(archives) => E::view(archives[number].1),
            Events::Native(events) => events[number].lend(),
        }
    }
}

/// Room for what stands at the places of a batch, in the order of its events.
pub(crate) struct Inherited {
    of: [u8; BATCH_EVENTS],
    causes: BatchVec<Cause>,
    timings: BatchVec<Timing>,
}

impl Inherited {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self { of: [0; BATCH_EVENTS], causes: BatchVec::new(), timings: BatchVec::new() }
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

/// The host has not looked for rows.
const NO_SLOTS: [u32; BATCH_EVENTS] = [NO_SLOT; BATCH_EVENTS];

/// What a stage runs with.
pub(crate) struct Context<'h> {
    pub(crate) host: &'h mut dyn Host,
    pub(crate) under_way: &'h UnderWay,
    /// Of the connection, by [`TimeId`](crate::host::TimeId); none after an exchange.
    pub(crate) own: &'h mut [EventTime],
}

impl Context<'_> {
    /// Sends the events at these places of a batch through an exchange; their archives have one
    /// size.
    #[inline]
    pub(crate) fn exchange_plain<E: Event, K>(
        &mut self,
        exchange: ExchangeId,
        which: u64,
        batch: &Batch<'_, E, K>,
    ) {
        let (bytes, chosen) = (size_of::<Archived<E>>(), batch.chosen);
        let under_way = self.under_way;
        let mut write = |which, room: &mut [u8], stride: usize| {
            // An event without fields has an archive without bytes.
            for (place, room) in bits(which).zip(room.chunks_mut(stride.max(1))) {
                under_way.begin(place);
                let (number, room) = (usize::from(chosen[place]), &mut room[..bytes]);
                match batch.events {
                    Events::Native(events) => {
                        let written = value::write(&events[number], room);
                        debug_assert!(written == Ok(bytes));
                    }
                    Events::Archived(archives) => room.copy_from_slice(archives[number].0),
                }
            }
        };
        let Batch { hashes, causes, timings, .. } = *batch;
        let events = Leaving { hashes, causes, timings };
        self.host.send_all(exchange, bytes, which, events, &mut write);
    }

    /// Sends the event of this number through an exchange.
    #[inline(always)]
    pub(crate) fn exchange<E: Event>(
        &mut self,
        route: Route,
        (cause, timing): (&Cause, Option<&Timing>),
        events: Events<'_, E>,
        number: u8,
    ) {
        match events {
            Events::Native(events) => {
                self.exchange_sized(route, (cause, timing), &events[usize::from(number)]);
            }
            Events::Archived(archives) => {
                let (bytes, _) = archives[usize::from(number)];
                self.host.send(route, cause, timing, bytes.len()).copy_from_slice(bytes);
            }
        }
    }

    /// An event whose archive has no fixed size is first written elsewhere to learn it.
    fn exchange_sized<E: Event>(
        &mut self,
        route: Route,
        (cause, timing): (&Cause, Option<&Timing>),
        event: &E,
    ) {
        let mut small = [0u8; EXCHANGE_SCRATCH_BYTES];
        if let Ok(bytes) = value::write(event, &mut small) {
            self.host.send(route, cause, timing, bytes).copy_from_slice(&small[..bytes]);
            return;
        }
        match exchange_large(event) {
            Some(large) => {
                self.host.send(route, cause, timing, large.len()).copy_from_slice(&large);
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
