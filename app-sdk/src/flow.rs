//! How an event passes from operator to operator inside one stage.
//!
//! Cost: one indirect call for each consumer of a stream; the event itself is passed by reference
//! to its archive or to the native value (by value it would cost 5–7 ns for 64 bytes).

use core::cell::{OnceCell, RefCell};

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;

use crate::codec::Reason;
use crate::host::{Cause, Host, NO_SLOT, Route, SinkId, UnderWay};
use crate::value::{self, Event, View};
use rkyv::Archived;

/// An event on its way: read from an archive, or made by an operator. Passed by reference:
/// copying fields that were just written one by one causes a store-forwarding stall.
pub(crate) enum Lent<'a, E: Event> {
    Archived { bytes: &'a [u8], archive: &'a Archived<E> },
    Native(&'a E),
}

impl<'a, E: Event> Lent<'a, E> {
    #[inline(always)]
    pub(crate) fn view(&self) -> View<'a, E> {
        match *self {
            Self::Archived { archive, .. } => E::view(archive),
            Self::Native(event) => event.lend(),
        }
    }
}

/// The state of one event's way through a stage.
pub(crate) struct Context<'h> {
    pub(crate) host: &'h mut dyn Host,
    pub(crate) cause: &'h Cause,
    pub(crate) under_way: &'h UnderWay,
    /// Hash of the key; meaningful after an exchange only.
    pub(crate) hash: u64,
    /// The host's guess at the row in the table that the stage looks up first.
    pub(crate) slot: u32,
    /// Something left the stage: only then can the host be blocked.
    pub(crate) emitted: bool,
}

impl<'h> Context<'h> {
    /// A context for an event that has no key yet.
    #[inline(always)]
    pub(crate) fn unkeyed(
        host: &'h mut dyn Host,
        cause: &'h Cause,
        under_way: &'h UnderWay,
    ) -> Self {
        Self { host, cause, under_way, hash: 0, slot: NO_SLOT, emitted: false }
    }

    /// The same host and cause, for what runs within.
    #[inline(always)]
    pub(crate) fn reborrow(&mut self) -> Context<'_> {
        Context::unkeyed(&mut *self.host, self.cause, self.under_way)
    }

    /// Whether an event can be run here and now. Only one whose size is known: others are archived
    /// first, so that whether they are too long depends on no host.
    #[inline(always)]
    pub(crate) fn in_place<E: Event>(&mut self, route: Route) -> Option<u32> {
        if !E::PLAIN {
            return None;
        }
        self.host.in_place(route, self.cause, size_of::<Archived<E>>())
    }

    /// Sends `event` through an exchange.
    #[inline(always)]
    pub(crate) fn exchange<E: Event>(&mut self, route: Route, event: &Lent<'_, E>) {
        self.emitted = true;
        match *event {
            Lent::Native(event) if E::PLAIN => {
                let room = self.host.send(route, self.cause, size_of::<Archived<E>>());
                let written = value::write(event, room);
                debug_assert!(written == Ok(size_of::<Archived<E>>()));
            }
            Lent::Native(event) => self.exchange_sized(route, event),
            Lent::Archived { bytes, .. } => {
                self.host.send(route, self.cause, bytes.len()).copy_from_slice(bytes);
            }
        }
    }

    /// An event whose archive has no fixed size is first written elsewhere to learn it.
    fn exchange_sized<E: Event>(&mut self, route: Route, event: &E) {
        let mut small = [0u8; EXCHANGE_SCRATCH_BYTES];
        if let Ok(bytes) = value::write(event, &mut small) {
            self.host.send(route, self.cause, bytes).copy_from_slice(&small[..bytes]);
            return;
        }
        match exchange_large(event) {
            Some(large) => {
                self.host.send(route, self.cause, large.len()).copy_from_slice(&large);
            }
            None => {
                let reason = Reason::new("the event is too large to be archived");
                self.host.refuse(self.cause, reason, &[]);
            }
        }
    }

    #[inline]
    pub(crate) fn output(&mut self, sink: SinkId, bytes: &[u8]) {
        self.emitted = true;
        self.host.output(sink, self.cause, bytes);
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

/// The consumers of one stream, collected while the application is described and joined into one
/// call when it is planned: `F` is the call.
pub(crate) struct Joint<F: ?Sized> {
    collected: RefCell<Vec<Box<F>>>,
    joined: OnceCell<Box<F>>,
}

/// The consumers of a stream.
pub(crate) type Consumers<E> = Joint<dyn Fn(&Lent<'_, E>, &mut Context<'_>)>;

/// The consumers of a keyed stream.
pub(crate) type KeyedConsumers<E, K> = Joint<dyn Fn(&K, &Lent<'_, E>, &mut Context<'_>)>;

/// What has to be done once when an application is planned.
pub(crate) trait Join {
    fn join(&self);
}

impl<F: ?Sized> Joint<F> {
    // cold: once per stream, while the application is described
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self { collected: RefCell::new(Vec::new()), joined: OnceCell::new() })
    }

    fn join_with(&self, all: impl FnOnce(Vec<Box<F>>) -> Box<F>) {
        let mut collected = self.collected.take();
        // One consumer is the rule: it is called without a detour.
        let joined = match collected.len() {
            1 => collected.remove(0),
            _ => all(collected),
        };
        assert!(self.joined.set(joined).is_ok(), "an application is planned once");
    }

    #[inline(always)]
    fn joined(&self) -> &F {
        self.joined.get().expect("streams run in planned applications only")
    }
}

impl<E: Event> Consumers<E> {
    // cold: while the application is described
    pub(crate) fn add(&self, consumer: impl Fn(&Lent<'_, E>, &mut Context<'_>) + 'static) {
        self.collected.borrow_mut().push(Box::new(consumer));
    }

    #[inline(always)]
    pub(crate) fn send(&self, event: &Lent<'_, E>, context: &mut Context<'_>) {
        self.joined()(event, context);
    }
}

impl<E: Event> Join for Consumers<E> {
    // cold: once, when the application is planned
    fn join(&self) {
        self.join_with(|all| {
            Box::new(move |event, context| all.iter().for_each(|one| one(event, context)))
        });
    }
}

impl<E: Event, K> KeyedConsumers<E, K> {
    // cold: while the application is described
    pub(crate) fn add(&self, consumer: impl Fn(&K, &Lent<'_, E>, &mut Context<'_>) + 'static) {
        self.collected.borrow_mut().push(Box::new(consumer));
    }

    #[inline(always)]
    pub(crate) fn send(&self, key: &K, event: &Lent<'_, E>, context: &mut Context<'_>) {
        self.joined()(key, event, context);
    }
}

impl<E: Event, K: 'static> Join for KeyedConsumers<E, K> {
    // cold: once, when the application is planned
    fn join(&self) {
        self.join_with(|all| {
            Box::new(move |key, event, context| all.iter().for_each(|one| one(key, event, context)))
        });
    }
}
