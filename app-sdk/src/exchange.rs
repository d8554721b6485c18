//! Exchanges: where events get a key, and the stage after it.
//!
//! An event reaches the stage in one of two ways. Where it gets its key, the host may have the
//! caller run it at once. Otherwise it is sent as a frame, and the host runs it from there. Both
//! ways look up the rows of a whole batch before the first handler runs.

use core::cell::RefCell;
use core::fmt::Debug;

use alloc::rc::Rc;
use alloc::vec::Vec;

use crate::consumers::Consumers;
use crate::flow::{Archive, Batch, BatchVec, Context, Events, Inherited};
use crate::host::{
    BATCH_EVENTS, ExchangeId, ExchangeShape, ExchangeStage, Host, Inputs, KeysNote, NO_SLOT, Route,
    Timing, UnderWay, bits,
};
use crate::key::Key;
use crate::value::{self, Corrupt, Event, Schema, View};
use rkyv::Archived;

/// One `key_by` and the stage after it.
pub(crate) struct Exchanged<E: Event, K, F> {
    exchange: ExchangeId,
    key: F,
    /// The keys of the batch at hand.
    keys: RefCell<Vec<K>>,
    consumers: Rc<Consumers<E, K>>,
}

impl<E, K, F> Exchanged<E, K, F>
where
    E: Event,
    K: Key,
    F: for<'a> Fn(View<'a, E>) -> K,
{
    // cold: once per `key_by`; takes memory with the first event
    pub(crate) fn new(exchange: ExchangeId, key: F, consumers: Rc<Consumers<E, K>>) -> Self {
        Self { exchange, key, keys: RefCell::new(Vec::new()), consumers }
    }

    /// Gives a batch its keys: runs the events that the host leaves to the caller, and sends the
    /// others.
    #[inline]
    pub(crate) fn enter<G: Debug + 'static>(
        &self,
        batch: &Batch<'_, E, G>,
        context: &mut Context<'_>,
    ) {
        let mut keys = self.keys.borrow_mut();
        keys.clear();
        batch.note(context.under_way);
        keys.extend(
            batch
                .each()
                .map(|(number, place)| (self.key)(batch.begin(number, place, context.under_way))),
        );
        let mut places = Inherited::new();
        let batch = batch.in_order(&mut places);
        let mut hashes = [0; BATCH_EVENTS];
        let hashes = &mut hashes[..keys.len()];
        context.under_way.begin_batch(batch.causes, KeysNote::new(&keys));
        for (place, (hash, key)) in hashes.iter_mut().zip(&*keys).enumerate() {
            context.under_way.begin(place);
            *hash = key.hash();
        }
        let batch = batch.with_keys(&keys, hashes);
        let mut slots = [NO_SLOT; BATCH_EVENTS];
        let slots = &mut slots[..batch.len()];
        let mut timings = BatchVec::<Timing>::new();
        timings.extend(batch.timings.iter().copied());
        // Only events whose size is known: others are archived first, so that whether they are too
        // long depends on no host.
        let own = match E::PLAIN {
            true => {
                let bytes = size_of::<Archived<E>>();
                let (causes, timings) = (batch.causes, &mut timings[..]);
                context.host.in_place(self.exchange, bytes, hashes, causes, timings, slots)
            }
            false => 0,
        };
        self.part(&batch.with_slots(slots).with_timings(&timings), own, context);
        // The keys and causes of this batch end here, and so does a note of them.
        context.under_way.end();
        keys.clear();
    }

    /// Runs the events of a batch whose bits are set in `own`, and sends the others.
    #[inline(always)]
    fn part(&self, batch: &Batch<'_, E, K>, own: u64, context: &mut Context<'_>) {
        if own.count_ones() as usize == batch.len() {
            self.consumers.send(batch, context);
            return;
        }
        batch.note(context.under_way);
        let others = !own & (u64::MAX >> (BATCH_EVENTS - batch.len()));
        if E::PLAIN {
            context.exchange_plain(self.exchange, others, batch);
        } else {
            for place in bits(others) {
                context.under_way.begin(place);
                let route = Route { exchange: self.exchange, hash: batch.hashes[place] };
                let number = batch.chosen()[place];
                let of = (&batch.causes[place], batch.timings.get(place));
                context.exchange(route, of, batch.events, number);
            }
        }
        let mut here = BatchVec::<u8>::new();
        here.extend(bits(own).map(|place| batch.chosen()[place]));
        if !here.is_empty() {
            self.consumers.send(&batch.choose(&here), context);
        }
    }
}

impl<E, K, F> ExchangeStage for Exchanged<E, K, F>
where
    E: Event,
    K: Key,
    F: for<'a> Fn(View<'a, E>) -> K,
{
    fn batch(&self, inputs: Inputs<'_>, under_way: &UnderWay, host: &mut dyn Host) -> usize {
        let mut keys = self.keys.borrow_mut();
        keys.clear();
        let mut events = BatchVec::<Archive<'_, E>>::new();
        under_way.begin_batch(inputs.causes, None);
        for (place, bytes) in inputs.archives.iter().enumerate() {
            under_way.begin(place);
            let archive = value::access::<E>(bytes).expect("the host keeps archives whole");
            keys.push((self.key)(E::view(archive)));
            events.push((bytes, archive));
        }
        let Inputs { causes, timings, hashes, slots, .. } = inputs;
        let batch = Batch::keyed(Events::Archived(&events), causes, timings, &keys, hashes, slots);
        let mut context = Context { host, under_way, own: &mut [] };
        // The next input follows only when the outputs of those before have found room.
        let done =
            self.consumers.send_while(&batch, &mut context, |context| !context.host.blocked());
        under_way.end();
        keys.clear();
        done
    }

    // cold: at start
    fn shape(&self) -> ExchangeShape {
        ExchangeShape {
            event: <E as Schema>::TYPE,
            event_shape: <E as Schema>::SHAPE,
            key: <K as Schema>::TYPE,
            key_shape: <K as Schema>::SHAPE,
        }
    }

    // cold: at start
    fn hash(&self, archive: &[u8]) -> Result<u64, Corrupt> {
        value::access::<E>(archive).map(|archive| (self.key)(E::view(archive)).hash())
    }
}
