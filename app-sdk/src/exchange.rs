//! The stages of an application: entries of sources and of exchanges.

use core::any::Any;
use core::cell::RefCell;
use core::ops::Range;

use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use crate::codec::{Decode, Framing, Reason, Split};
use crate::flow::{Consumers, Context, KeyedConsumers, Lent};
use crate::host::{
    Cause, ExchangeStage, Feed, Generate, Host, Ingested, Input, Schedule, SourceStage, Stop,
    UnderWay,
};
use crate::key::Key;
use crate::mistake::Mistake;
use crate::value::{self, Event, View};

/// The stage after one `key_by`.
pub(crate) struct Exchanged<E: Event, K, F> {
    pub(crate) key: Rc<F>,
    pub(crate) consumers: Rc<KeyedConsumers<E, K>>,
}

impl<E, K, F> ExchangeStage for Exchanged<E, K, F>
where
    E: Event,
    K: Key,
    F: for<'a> Fn(View<'a, E>) -> K,
{
    fn batch(&self, inputs: &[Input<'_>], under_way: &UnderWay, host: &mut dyn Host) -> usize {
        for (index, input) in inputs.iter().enumerate() {
            under_way.begin(&input.cause);
            let archive = value::access::<E>(input.archive).expect("the host keeps archives whole");
            let event = Lent::Archived { bytes: input.archive, archive };
            let key = (self.key)(event.view());
            let mut context = Context {
                host: &mut *host,
                cause: &input.cause,
                under_way,
                hash: input.hash,
                slot: input.slot,
                emitted: false,
            };
            under_way.keyed(&key, || self.consumers.send(&key, &event, &mut context));
            // The next input follows only when the outputs of this one have found room.
            if context.emitted && host.blocked() {
                return index + 1;
            }
        }
        inputs.len()
    }
}

/// Passes over what belongs to a frame that was refused. Returns whether its end was found.
#[cold]
fn skip(framing: &impl Framing, bytes: &[u8], done: &mut Ingested) -> bool {
    let rest = &bytes[done.bytes..];
    let end = framing.frame_end(rest);
    done.bytes += end.unwrap_or(rest.len());
    done.skipping = end.is_none();
    !done.skipping
}

/// Generators by name; each is a [`GeneratorOf`] of its event type.
pub(crate) type Generators = Rc<RefCell<Vec<(String, Box<dyn Any>)>>>;

/// Starts a generator of `E` from a seed.
pub(crate) type GeneratorOf<E> = Rc<dyn Fn(u64) -> Box<dyn FnMut(u64) -> Option<E>>>;

/// The stage of one source.
pub(crate) struct Intake<C: Decode> {
    pub(crate) codec: C,
    pub(crate) consumers: Rc<Consumers<C::Event>>,
    pub(crate) generators: Generators,
}

impl<C: Decode> SourceStage for Intake<C> {
    fn ingest(
        &self,
        bytes: &[u8],
        feed: Feed,
        under_way: &UnderWay,
        host: &mut dyn Host,
    ) -> Ingested {
        let framing = self.codec.framing().within(feed.frame_bytes_max);
        let skipping = feed.skipping;
        let mut done = Ingested { bytes: 0, events: 0, refused: 0, stop: Stop::Limit, skipping };
        let mut cause = feed.cause;
        while done.events + done.refused < feed.events_max {
            if done.skipping {
                under_way.begin(&cause);
                if !under_way.splitting(|| skip(&framing, bytes, &mut done)) {
                    return Ingested { stop: Stop::More(0), ..done };
                }
            }
            let rest = &bytes[done.bytes..];
            cause.origin.position = feed.cause.origin.position + done.bytes as u64;
            under_way.begin(&cause);
            let split = under_way.splitting(|| framing.split(rest, feed.ended));
            let (next, reason) = match split {
                Split::Frame { start, end, next } => match &self.codec.decode(&rest[start..end]) {
                    Ok(event) => {
                        let mut context = Context::unkeyed(&mut *host, &cause, under_way);
                        self.consumers.send(&Lent::Native(event), &mut context);
                        let emitted = context.emitted;
                        done.events += 1;
                        done.bytes += next;
                        if emitted && host.blocked() {
                            return Ingested { stop: Stop::Blocked, ..done };
                        }
                        continue;
                    }
                    Err(reason) => (next, *reason),
                },
                Split::Skip { next, reason } => (next, reason),
                Split::Overlong { next, reason } => {
                    done.skipping = true;
                    (next, reason)
                }
                Split::More(needed) => return Ingested { stop: Stop::More(needed), ..done },
                Split::Broken(reason) => {
                    host.refuse(&cause, reason, rest);
                    done.refused += 1;
                    return Ingested { stop: Stop::Broken(reason), ..done };
                }
            };
            host.refuse(&cause, reason, &rest[..next]);
            done.refused += 1;
            done.bytes += next;
            if host.blocked() {
                return Ingested { stop: Stop::Blocked, ..done };
            }
        }
        done
    }

    fn refuse(
        &self,
        bytes: &[u8],
        feed: Feed,
        reason: Reason,
        under_way: &UnderWay,
        host: &mut dyn Host,
    ) -> Ingested {
        let (stop, skipping) = (Stop::Limit, false);
        let mut done = Ingested { bytes: 0, events: 0, refused: 0, stop, skipping };
        let framing = self.codec.framing().within(feed.frame_bytes_max);
        under_way.begin(&feed.cause);
        match under_way.splitting(|| framing.split(bytes, feed.ended)) {
            Split::Frame { next, .. } | Split::Skip { next, .. } => done.bytes = next,
            Split::Overlong { next, .. } => (done.bytes, done.skipping) = (next, true),
            Split::More(needed) => return Ingested { stop: Stop::More(needed), ..done },
            Split::Broken(reason) => done.stop = Stop::Broken(reason),
        }
        let refused = if done.bytes > 0 { &bytes[..done.bytes] } else { bytes };
        host.refuse(&feed.cause, reason, refused);
        Ingested { refused: 1, ..done }
    }

    fn ingest_archive(
        &self,
        bytes: &[u8],
        cause: Cause,
        under_way: &UnderWay,
        host: &mut dyn Host,
    ) -> Result<(), Reason> {
        under_way.begin(&cause);
        let archive = value::access::<C::Event>(bytes)
            .map_err(|_| Reason::new("not an archive of the source's event"))?;
        let mut context = Context::unkeyed(host, &cause, under_way);
        self.consumers.send(&Lent::Archived { bytes, archive }, &mut context);
        Ok(())
    }

    fn schema(&self) -> u64 {
        C::Event::SCHEMA
    }

    // cold: once, when the generator starts
    fn generator(&self, name: &str, seed: u64) -> Result<Box<dyn Generate>, Mistake> {
        let generators = self.generators.borrow();
        let Some((_, made)) = generators.iter().find(|(known, _)| known == name) else {
            let known: Vec<&str> = generators.iter().map(|(name, _)| name.as_str()).collect();
            return Err(Mistake::new(format!(
                "the application has no generator `{name}`; it registers {known:?}: \
                 use one of these, or add `app.generator(\"{name}\", …)`"
            )));
        };
        let Some(start) = made.downcast_ref::<GeneratorOf<C::Event>>() else {
            return Err(Mistake::new(format!(
                "generator `{name}` does not make `{}`, which this source takes: \
                 name a generator of that event",
                C::Event::NAME
            )));
        };
        Ok(Box::new(Generator { make: start(seed), consumers: self.consumers.clone() }))
    }
}

struct Generator<E: Event> {
    make: Box<dyn FnMut(u64) -> Option<E>>,
    consumers: Rc<Consumers<E>>,
}

impl<E: Event> Generate for Generator<E> {
    fn skip(&mut self, indices: Range<u64>, mut cause: Cause, under_way: &UnderWay) {
        for index in indices {
            cause.origin.position = index;
            under_way.begin(&cause);
            drop((self.make)(index));
        }
    }

    fn emit(
        &mut self,
        indices: Range<u64>,
        schedule: &Schedule,
        mut cause: Cause,
        under_way: &UnderWay,
        host: &mut dyn Host,
    ) -> (u64, bool) {
        for index in indices.clone() {
            cause.ingress = schedule.due(index);
            cause.origin.position = index;
            under_way.begin(&cause);
            // By reference from where it was made: copying fields that were just written one by one
            // causes a store-forwarding stall.
            let made = (self.make)(index);
            let Some(event) = &made else {
                return (index, false);
            };
            let mut context = Context::unkeyed(&mut *host, &cause, under_way);
            self.consumers.send(&Lent::Native(event), &mut context);
            if context.emitted && host.blocked() {
                return (index + 1, true);
            }
        }
        (indices.end, true)
    }
}
