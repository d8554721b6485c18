//! What operators do with a batch: each is a loop around the application's handler.

use core::cell::RefCell;
use core::fmt::Debug;

use alloc::rc::Rc;
use alloc::vec::Vec;

use crate::batch_output::BatchOutput;
use crate::codec::Encode;
use crate::consumers::Consumers;
use crate::flow::{Batch, BatchVec, Context, Inherited, NoKey};
use crate::host::{BATCH_EVENTS, SinkId, TimeId, Timing};
use crate::key::Key;
use crate::outputs::{Out, Outputs};
use crate::table::{Entry, Table};
use crate::time::{EventTime, Lateness};
use crate::value::{Event, State, View};

/// Turns each event into others.
// cold: while the application is described, as all below
pub(crate) fn map<E, K, R, F>(
    stream: &Consumers<E, K>,
    next: Rc<Consumers<R::Event, K>>,
    handler: F,
) where
    E: Event,
    K: Debug + 'static,
    R: Outputs,
    F: for<'a> Fn(View<'a, E>) -> R + 'static,
{
    let made = BatchOutput::new();
    stream.add(move |batch, context| {
        let mut made = BatchOutput::begin(&made);
        batch.note(context.under_way);
        for (number, place) in batch.each() {
            let event = batch.begin(number, place, context.under_way);
            handler(event).each(|event| made.push(event, place));
            if made.is_full() {
                made.send(batch, &next, context);
            }
        }
        made.send(batch, &next, context);
    });
}

/// Passes some events on.
pub(crate) fn filter<E, K, F>(stream: &Consumers<E, K>, next: Rc<Consumers<E, K>>, keep: F)
where
    E: Event,
    K: Debug + 'static,
    F: for<'a> Fn(View<'a, E>) -> bool + 'static,
{
    stream.add(move |batch, context| {
        let mut kept = BatchVec::<u8>::new();
        batch.note(context.under_way);
        for (number, place) in batch.each() {
            if keep(batch.begin(number, place, context.under_way)) {
                kept.push(number as u8);
            }
        }
        if !kept.is_empty() {
            next.send(&batch.choose(&kept), context);
        }
    });
}

/// Passes each event on to one of several streams: to the last one for numbers above the others.
pub(crate) fn route<E, K, F>(stream: &Consumers<E, K>, nexts: Vec<Rc<Consumers<E, K>>>, choose: F)
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

/// Passes events that are on time on to the first stream, and late ones to the second.
pub(crate) fn split_late<E, K>(stream: &Consumers<E, K>, nexts: [Rc<Consumers<E, K>>; 2])
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

/// Sends each event of a batch to the stream whose index stands at its number in `to`.
#[inline(always)]
fn part<E: Event, K: Debug + 'static>(
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

/// Turns each event into as many as the handler emits.
pub(crate) fn flat_map<E, K, O, F>(stream: &Consumers<E, K>, next: Rc<Consumers<O, K>>, handler: F)
where
    E: Event,
    K: Debug + 'static,
    O: Event,
    F: for<'a> Fn(View<'a, E>, &mut Out<O>) + 'static,
{
    let (out, made) = (RefCell::new(Out::new()), BatchOutput::new());
    stream.add(move |batch, context| {
        let (mut out, mut made) = (out.borrow_mut(), BatchOutput::begin(&made));
        batch.note(context.under_way);
        for (number, place) in batch.each() {
            let event = batch.begin(number, place, context.under_way);
            handler(event, &mut out);
            out.drain().for_each(|event| made.push(event, place));
            if made.is_full() {
                made.send(batch, &next, context);
            }
        }
        made.send(batch, &next, context);
    });
}

/// Changes the state of each event's key.
pub(crate) fn update<E, K, S, R, F>(
    stream: &Consumers<E, K>,
    table: Table<K, S>,
    next: Rc<Consumers<R::Event, K>>,
    handler: F,
) where
    E: Event,
    K: Key,
    S: State,
    R: Outputs,
    F: for<'a> Fn(&mut S, View<'a, E>) -> R + 'static,
{
    let made = BatchOutput::new();
    stream.add(move |batch, context| {
        let (mut rows, mut made) = (table.rows.borrow_mut(), BatchOutput::begin(&made));
        batch.note(context.under_way);
        for (number, place) in batch.each() {
            let event = batch.begin(number, place, context.under_way);
            let mut handle =
                |state: &mut S| handler(state, event).each(|event| made.push(event, place));
            match rows.current(batch.slots[place], &batch.keys[place]) {
                Some(state) => handle(state),
                None => {
                    let slot = table.locate(&mut rows, batch, place, context.host);
                    handle(table.change(&mut rows, slot, context.host));
                }
            }
            if R::EMITS && made.is_full() {
                // What follows may update the same table.
                drop(rows);
                made.send(batch, &next, context);
                rows = table.rows.borrow_mut();
            }
        }
        drop(rows);
        made.send(batch, &next, context);
    });
}

/// Changes the row of each event's key.
pub(crate) fn update_with<E, K, S, O, F>(
    stream: &Consumers<E, K>,
    table: Table<K, S>,
    next: Rc<Consumers<O, K>>,
    handler: F,
) where
    E: Event,
    K: Key,
    S: State,
    O: Event,
    F: for<'a, 'b> Fn(&mut Entry<'b, K, S>, View<'a, E>, &mut Out<O>) + 'static,
{
    let (out, made) = (RefCell::new(Out::new()), BatchOutput::new());
    stream.add(move |batch, context| {
        let (mut rows, mut made) = (table.rows.borrow_mut(), BatchOutput::begin(&made));
        let mut out = out.borrow_mut();
        batch.note(context.under_way);
        for (number, place) in batch.each() {
            let event = batch.begin(number, place, context.under_way);
            let slot = table.locate(&mut rows, batch, place, context.host);
            let removed = rows.change_entry((table.id, slot), context.host, |entry| {
                handler(entry, event, &mut out);
            });
            if removed {
                table.remove(&mut rows, batch.hashes[place], slot, context.host);
            }
            out.drain().for_each(|event| made.push(event, place));
            if made.is_full() {
                // What follows may update the same table.
                drop(rows);
                made.send(batch, &next, context);
                rows = table.rows.borrow_mut();
            }
        }
        drop(rows);
        made.send(batch, &next, context);
    });
}

/// Gives each event its time, and the connection that brings it its own watermark.
pub(crate) fn event_time<E, K, F>(
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
            timings.push(Timing { time, own });
        }
        context.own[usize::from(id.0)] = own;
        if !kept.is_empty() {
            next.send(&batch.with_timings(&timings).choose(&kept), context);
        }
        // The causes of this batch may end here, and so does a note of them.
        context.under_way.end();
    });
}

/// The same events in another stream.
pub(crate) fn pass<E: Event, K: 'static>(stream: &Consumers<E, K>, next: Rc<Consumers<E, K>>) {
    stream.add(move |batch, context| next.send(batch, context));
}

/// The same events without their keys.
pub(crate) fn unkey<E: Event, K: Debug + 'static>(
    stream: &Consumers<E, K>,
    next: Rc<Consumers<E, NoKey>>,
) {
    stream.add(move |batch, context| next.send(&batch.unkeyed(), context));
}

/// The consumer that encodes events for a sink, in a buffer that it uses again.
pub(crate) fn encode<C, K>(
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
