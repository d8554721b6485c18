//! Consumers: what takes the batches of a stream.

use core::cell::{Cell, OnceCell, RefCell};

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;

use crate::flow::{Batch, Context};
use crate::value::Event;

/// What a consumer does with a batch.
type Consume<E, K> = dyn Fn(&Batch<'_, E, K>, &mut Context<'_>);

/// The consumers of one stream, collected while the application is described and joined into one
/// call when it is planned.
pub struct Consumers<E: Event, K> {
    collected: RefCell<Vec<Box<Consume<E, K>>>>,
    joined: OnceCell<Box<Consume<E, K>>>,
    one_by_one: Cell<bool>,
}

/// What has to be done once when an application is planned.
pub(crate) trait Join {
    /// Joins the consumers. They take events `one_by_one`, or in batches.
    fn join(&self, one_by_one: bool);
}

impl<E: Event, K: 'static> Consumers<E, K> {
    // cold: once per stream, while the application is described
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self {
            collected: RefCell::new(Vec::new()),
            joined: OnceCell::new(),
            one_by_one: Cell::new(false),
        })
    }

    // cold: while the application is described
    pub(crate) fn add(&self, consumer: impl Fn(&Batch<'_, E, K>, &mut Context<'_>) + 'static) {
        self.collected.borrow_mut().push(Box::new(consumer));
    }

    /// Most events that may enter a stage here at once; `fit` where nothing speaks against it.
    #[inline(always)]
    pub(crate) fn batch_max(&self, fit: usize) -> usize {
        if self.one_by_one.get() { 1 } else { fit }
    }

    #[inline(always)]
    fn joined(&self) -> &Consume<E, K> {
        self.joined.get().expect("streams run in planned applications only")
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
        let mut collected = self.collected.take();
        // One consumer is the rule: it is called without a detour.
        let joined: Box<Consume<E, K>> = match collected.len() {
            1 => collected.remove(0),
            _ => Box::new(move |batch, context| {
                collected.iter().for_each(|consumer| consumer(batch, context));
            }),
        };
        assert!(self.joined.set(joined).is_ok(), "an application is planned once");
        self.one_by_one.set(one_by_one);
    }
}
