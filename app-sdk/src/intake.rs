//! Intakes: the stage of a source, from bytes, archives or a generator to its first operator.
//!
//! Events are decoded or made as a batch, and then run as one. What is refused comes after the
//! events before it.

use core::any::Any;
use core::cell::RefCell;
use core::ops::Range;

use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use crate::codec::{Decode, Framing, Reason, Split};
use crate::consumers::Consumers;
use crate::flow::{Batch, BatchVec, Context, Events, NoKey, batch_events};
use crate::host::{
    Cause, Feed, Generate, Host, Ingested, Origin, Schedule, SourceStage, Stop, UnderWay,
};
use crate::mistake::Mistake;
use crate::time::EventTime;
use crate::value::{self, Event};

/// Generators by name; each is a [`GeneratorOf`] of its event type.
pub(crate) type Generators = Rc<RefCell<Vec<(String, Box<dyn Any>)>>>;

/// Starts a generator of `E` from a seed.
pub(crate) type GeneratorOf<E> = Rc<dyn Fn(u64) -> Maker<E>>;

/// Makes an event for each cause. Returns whether there are more.
pub(crate) type Maker<E> = Box<dyn FnMut(&[Cause], &UnderWay, &mut Vec<E>) -> bool>;

/// A [`Maker`] of what `make` makes for each index.
pub(crate) fn maker<E: Event>(
    mut make: impl FnMut(u64) -> Option<E>,
) -> impl FnMut(&[Cause], &UnderWay, &mut Vec<E>) -> bool {
    move |causes, under_way, made| {
        made.reserve(causes.len());
        under_way.begin_batch(causes, None);
        for (place, cause) in causes.iter().enumerate() {
            under_way.begin(place);
            match make(cause.origin.position) {
                Some(event) => made.push(event),
                None => return false,
            }
        }
        true
    }
}

/// The stage of one source.
pub(crate) struct Intake<C: Decode> {
    codec: C,
    consumers: Rc<Consumers<C::Event, NoKey>>,
    generators: Generators,
    decoded: RefCell<Decoded<C::Event>>,
}

/// Events that were decoded and have not run.
struct Decoded<E> {
    events: Vec<E>,
    causes: BatchVec<Cause>,
}

impl<E> Decoded<E> {
    fn clear(&mut self) {
        self.events.clear();
        self.causes.clear();
    }
}

/// Why a batch of events that are decoded ends.
enum DecodeEnd {
    /// There are as many as were wanted.
    Enough,
    /// A frame that is refused, up to the byte `next`.
    Refused { next: usize, reason: Reason },
    /// The same of one that is longer than the limit: its end is not known.
    Overlong { next: usize, reason: Reason },
    /// The beginning of a frame of at least this many bytes.
    More(usize),
    /// No frame.
    Broken(Reason),
}

impl<C: Decode> Intake<C> {
    // cold: once per source; takes memory with the first event
    pub(crate) fn new(
        codec: C,
        consumers: Rc<Consumers<C::Event, NoKey>>,
        generators: Generators,
    ) -> Self {
        let decoded = Decoded { events: Vec::new(), causes: BatchVec::new() };
        Self { codec, consumers, generators, decoded: RefCell::new(decoded) }
    }

    /// Decodes up to `events_max` events from the front of `bytes`, the first of which has `cause`.
    /// Returns how many bytes they take, and why there are no more.
    #[inline]
    fn decode(
        &self,
        bytes: &[u8],
        cause: Cause,
        feed: &Feed,
        events_max: usize,
        decoded: &mut Decoded<C::Event>,
        under_way: &UnderWay,
    ) -> (usize, DecodeEnd) {
        let framing = self.codec.framing().within(feed.frame_bytes_max);
        let mut taken = 0;
        for index in 0..events_max {
            let position = cause.origin.position + taken as u64;
            decoded.causes.push(Cause { origin: Origin { position, ..cause.origin }, ..cause });
            under_way.begin_alone(&decoded.causes[index]);
            let rest = &bytes[taken..];
            let end = match under_way.splitting(|| framing.split(rest, feed.ended)) {
                Split::Frame { start, end, next } => match self.codec.decode(&rest[start..end]) {
                    Ok(event) => {
                        decoded.events.push(event);
                        taken += next;
                        continue;
                    }
                    Err(reason) => DecodeEnd::Refused { next, reason },
                },
                Split::Skip { next, reason } => DecodeEnd::Refused { next, reason },
                Split::Overlong { next, reason } => DecodeEnd::Overlong { next, reason },
                Split::More(needed) => DecodeEnd::More(needed),
                Split::Broken(reason) => DecodeEnd::Broken(reason),
            };
            return (taken, end);
        }
        (taken, DecodeEnd::Enough)
    }

    /// Runs what was decoded.
    #[inline(always)]
    fn run(&self, decoded: &Decoded<C::Event>, context: &mut Context<'_>) {
        let batch = Batch::entering(Events::Native(&decoded.events), &decoded.causes);
        self.consumers.send(&batch, context);
    }
}

impl<C: Decode> SourceStage for Intake<C> {
    fn ingest(
        &self,
        bytes: &[u8],
        feed: Feed,
        own: &mut [EventTime],
        under_way: &UnderWay,
        host: &mut dyn Host,
    ) -> Ingested {
        let batch_max = self.consumers.batch_max(batch_events::<C::Event>().min(host.batch_max()));
        let mut decoded = self.decoded.borrow_mut();
        decoded.clear();
        let (stop, skipping) = (Stop::Limit, feed.skipping);
        let mut done = Ingested { bytes: 0, events: 0, refused: 0, stop, skipping };
        while let left @ 1.. = feed.events_max - (done.events + done.refused) {
            let cause = feed.cause_at(done.bytes);
            if done.skipping {
                under_way.begin_alone(&cause);
                let framing = self.codec.framing().within(feed.frame_bytes_max);
                if !under_way.splitting(|| skip(&framing, bytes, &mut done)) {
                    return Ingested { stop: Stop::More(0), ..done };
                }
            }
            let (cause, rest) = (feed.cause_at(done.bytes), &bytes[done.bytes..]);
            let events_max = batch_max.min(usize::try_from(left).unwrap_or(usize::MAX));
            let (taken, end) = self.decode(rest, cause, &feed, events_max, &mut decoded, under_way);
            done.bytes += taken;
            done.events += decoded.events.len() as u64;
            let ran = !decoded.events.is_empty();
            if ran {
                let mut context = Context { host: &mut *host, under_way, own: &mut *own };
                self.run(&decoded, &mut context);
            }
            decoded.clear();
            if ran && host.blocked() {
                return Ingested { stop: Stop::Blocked, ..done };
            }
            let (next, reason) = match end {
                DecodeEnd::Enough => continue,
                DecodeEnd::Refused { next, reason } => (next, reason),
                DecodeEnd::Overlong { next, reason } => {
                    done.skipping = true;
                    (next, reason)
                }
                DecodeEnd::More(needed) => return Ingested { stop: Stop::More(needed), ..done },
                DecodeEnd::Broken(reason) => {
                    host.refuse(&feed.cause_at(done.bytes), reason, &bytes[done.bytes..]);
                    done.refused += 1;
                    return Ingested { stop: Stop::Broken(reason), ..done };
                }
            };
            let refused = &bytes[done.bytes..done.bytes + next];
            host.refuse(&feed.cause_at(done.bytes), reason, refused);
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
        under_way.begin_alone(&feed.cause);
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
        own: &mut [EventTime],
        under_way: &UnderWay,
        host: &mut dyn Host,
    ) -> Result<(), Reason> {
        under_way.begin_alone(&cause);
        let archive = value::access::<C::Event>(bytes)
            .map_err(|_| Reason::new("not an archive of the source's event"))?;
        let (events, causes) = ([(bytes, archive)], [cause]);
        let batch = Batch::entering(Events::Archived(&events), &causes);
        self.consumers.send(&batch, &mut Context { host, under_way, own });
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
        Ok(Box::new(Generator::new(start(seed), self.consumers.clone())))
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

struct Generator<E: Event> {
    make: Maker<E>,
    consumers: Rc<Consumers<E, NoKey>>,
    made: Vec<E>,
    causes: BatchVec<Cause>,
}

impl<E: Event> Generator<E> {
    // cold: once, when the generator starts
    fn new(make: Maker<E>, consumers: Rc<Consumers<E, NoKey>>) -> Self {
        Self { make, consumers, made: Vec::new(), causes: BatchVec::new() }
    }

    /// Makes the events of the first `events_max` of `indices`. Returns whether there are more.
    fn make(
        &mut self,
        indices: Range<u64>,
        events_max: usize,
        cause: impl Fn(u64) -> Cause,
        under_way: &UnderWay,
    ) -> bool {
        self.made.clear();
        self.causes.clear();
        self.causes.extend(indices.take(events_max).map(cause));
        (self.make)(&self.causes, under_way, &mut self.made)
    }
}

impl<E: Event> Generate for Generator<E> {
    fn skip(&mut self, mut indices: Range<u64>, cause: Cause, under_way: &UnderWay) {
        let at = |position| Cause { origin: Origin { position, ..cause.origin }, ..cause };
        while !indices.is_empty() && self.make(indices.clone(), batch_events::<E>(), at, under_way)
        {
            indices.start += self.made.len() as u64;
        }
        self.made.clear();
    }

    fn emit(
        &mut self,
        mut indices: Range<u64>,
        schedule: &Schedule,
        cause: Cause,
        own: &mut [EventTime],
        under_way: &UnderWay,
        host: &mut dyn Host,
    ) -> (u64, bool) {
        let batch_max = self.consumers.batch_max(batch_events::<E>().min(host.batch_max()));
        let at = |index| Cause {
            ingress: schedule.due(index),
            origin: Origin { position: index, ..cause.origin },
            ..cause
        };
        while !indices.is_empty() {
            let more = self.make(indices.clone(), batch_max, at, under_way);
            let mut context = Context { host: &mut *host, under_way, own: &mut *own };
            if !self.made.is_empty() {
                let batch = Batch::entering(Events::Native(&self.made), &self.causes);
                self.consumers.send(&batch, &mut context);
            }
            indices.start += self.made.len() as u64;
            if !more || host.blocked() {
                return (indices.start, more);
            }
        }
        (indices.end, true)
    }

    fn take_over(&mut self, before: Box<dyn Generate>) {
        let maker = before.into_maker().downcast::<Maker<E>>();
        self.make = *maker.expect("one source has events of one type");
    }

    // cold: when another one takes over
    fn into_maker(self: Box<Self>) -> Box<dyn Any> {
        Box::new(self.make)
    }
}
