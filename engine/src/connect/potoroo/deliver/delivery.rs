//! Committed output on its way to the client of one sink: what waits, and what the client has.
//!
//! Must never do: mark what the client does not have.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::checkpoint::store::Store;
use crate::checkpoint::{Transaction, first_id};
use crate::connect::potoroo::hold::Hold;
use crate::connect::resume::Resume;
use crate::connect::waiting::STOP_CHECK;

/// Transactions that may wait for a client before sources are held back, however small: each is an
/// object, and has some lines in each manifest.
const TRANSACTIONS_MAX: u64 = 16_384;

/// Committed output on its way to the client of one sink.
pub struct Delivery {
    /// Name of the sink.
    sink: String,
    /// Where its output is.
    pub(super) store: Arc<dyn Store>,
    /// Random number of the state: the upper half of its ids.
    state: u64,
    /// The greatest id that a client may have from earlier runs: the application has committed it.
    pub(super) known: u128,
    /// Up to this id a client may lack what it had: the operator says that it is lost.
    pub(super) lost: u128,
    pub(super) hold: Arc<Hold>,
    /// Bytes of committed output that may wait before sources are held back.
    backlog_bytes_max: u64,
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
pub(super) struct Queue {
    pub(super) waiting: VecDeque<Waiting>,
    /// Bytes that they count.
    pub(super) bytes: u64,
    /// The greatest id that was committed.
    pub(super) committed: u128,
    /// Highest transaction completed in this run; no client can hold a higher one.
    pub(super) brought: u128,
    /// Everything up to this id is at the client.
    pub(super) delivered: u128,
    /// The transaction that came farthest, and how many of its bytes: one that is brought again
    /// gets nowhere before it is past that.
    pub(super) farthest: (u128, u64),
    /// Committed output that is neither here nor at the client.
    pub(super) lost: Option<String>,
    pub(super) closed: bool,
}

#[derive(Clone)]
pub(super) struct Waiting {
    pub(super) id: u128,
    pub(super) transaction: Transaction,
    /// Bytes that it counts.
    pub(super) counts: u64,
}

impl Queue {
    fn push(&mut self, one: Waiting) {
        self.bytes += one.counts;
        self.waiting.push_back(one);
    }

    /// Takes out what the client has.
    fn take_delivered(&mut self) -> Vec<Waiting> {
        let mut taken = Vec::new();
        while self.waiting.front().is_some_and(|one| one.id <= self.delivered) {
            let one = self.waiting.pop_front().expect("it was just seen");
            self.bytes -= one.counts;
            taken.push(one);
        }
        taken
    }
}

/// Why a client is served no longer.
#[derive(Debug)]
pub enum DeliveryEnd {
    /// The application ends.
    Stopped,
    /// It is to be tried again.
    Lost(String),
}

impl Delivery {
    /// What `resume` has of the sink `name`. More than `backlog_bytes_max` of it hold back sources.
    pub fn open(name: &str, resume: &Resume<'_>, hold: Arc<Hold>, backlog_bytes_max: u64) -> Self {
        let Resume { head, manifest, marks, store, .. } = *resume;
        let mut delivery = Self::new(name, (store.clone(), head.folder), hold, backlog_bytes_max);
        let committed = delivery.own(resume.transactions());
        let id = |one: &Transaction| one.id(head.folder);
        let marked = committed.iter().filter(|one| marks.has(one)).filter_map(id).max();
        let mut delivered = manifest.map_or(0, |manifest| manifest.delivered_to(name));
        // Were it compared, an id of another state would say that the client has everything.
        if delivered >> 64 != u128::from(head.folder) {
            delivered = 0;
        }
        let delivered = delivered.max(marked.unwrap_or(0));
        // A return to an older checkpoint forgets commits of the generations before.
        let rewound = first_id(head.folder, head.rewound.unwrap_or(head.generation));
        let known = committed.iter().filter_map(id).max().unwrap_or(0).max(delivered);
        let forgotten = if head.rewound == Some(0) { 0 } else { rewound - 1 };
        delivery.known = known.max(forgotten);
        delivery.queue.get_mut().unwrap_or_else(PoisonError::into_inner).delivered = delivered;
        delivery
    }

    pub(super) fn new(
        name: &str,
        (store, state): (Arc<dyn Store>, u64),
        hold: Arc<Hold>,
        backlog_bytes_max: u64,
    ) -> Self {
        let (sink, known, lost) = (name.to_owned(), 0, 0);
        let (queue, changed) = (Mutex::default(), Condvar::new());
        Self { sink, store, state, known, lost, hold, backlog_bytes_max, queue, changed }
    }

    /// A client that had everything up to the transaction `lost` need not have it any more.
    #[must_use]
    pub fn forgive(self, lost: u128) -> Self {
        Self { lost, ..self }
    }

    /// Those of `transactions` that were prepared for this sink: its client may have some of them.
    pub fn own(&self, transactions: &[Transaction]) -> Vec<Transaction> {
        let is_of = |one: &&Transaction| one.sink == self.sink && one.file.is_none();
        transactions.iter().filter(is_of).cloned().collect()
    }

    /// The last transaction that the client has.
    pub fn delivered(&self) -> u128 {
        self.lock().delivered
    }

    /// Name of the sink.
    pub fn sink(&self) -> &str {
        &self.sink
    }

    /// A transaction is committed. Returns whether the client has it; until then it is brought.
    ///
    /// # Errors
    /// Committed output is gone (`InvalidData`): nothing can bring it.
    pub fn show(&self, transaction: &Transaction) -> io::Result<bool> {
        let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
        let id = transaction.id(self.state);
        let id = id.ok_or_else(|| invalid(format!("{} has no id", transaction.object)))?;
        let mut queue = self.lock();
        if let Some(lost) = &queue.lost {
            return Err(invalid(lost.clone()));
        }
        if id > queue.committed {
            queue.committed = id;
            let counts = transaction.bytes.max(self.backlog_bytes_max / TRANSACTIONS_MAX);
            queue.push(Waiting { id, transaction: transaction.clone(), counts });
            self.hold.committed();
            drop(queue);
            self.settle_all();
            queue = self.lock();
        }
        Ok(id <= queue.delivered && queue.waiting.front().is_none_or(|next| id < next.id))
    }

    /// Whether a client can have `last` as its last transaction.
    pub(super) fn check_last(&self, last: u128) -> Result<(), String> {
        let Queue { delivered, brought, .. } = *self.lock();
        // One of an earlier run may be there though that run did not get the answer.
        let known = self.known.max(brought);
        if last != 0 && (last >> 64 != u128::from(self.state) || last > known) {
            return Err(format!(
                "it has transaction {last:x}, which is not of this state folder (the last one of \
                 that is {known:x}): start with the folder that it belongs to, or empty what the \
                 client has"
            ));
        }
        if last < delivered && delivered > self.lost {
            return Err(format!(
                "it has transaction {last:x} only, and has committed {delivered:x}: give it back \
                 what it had, or start with `lost={delivered:x}` in the address of the sink if \
                 that is lost for good"
            ));
        }
        Ok(())
    }

    /// How far output has come: grows as long as the client takes something that is new to it.
    pub fn farthest(&self) -> (u128, u64) {
        self.lock().farthest
    }

    pub(super) fn come(&self, transaction: u128, bytes: u64) {
        let mut queue = self.lock();
        queue.farthest = queue.farthest.max((transaction, bytes));
    }

    /// The client has everything up to `last`.
    pub(super) fn settle(&self, last: u128) {
        let mut queue = self.lock();
        queue.delivered = last.max(queue.delivered);
        queue.farthest = queue.farthest.max((last, u64::MAX));
        drop(queue);
        self.settle_all();
    }

    /// Takes out and marks what the client has.
    fn settle_all(&self) {
        let mut queue = self.lock();
        let taken = queue.take_delivered();
        self.hold.backlog(queue.bytes, self.backlog_bytes_max);
        self.changed.notify_all();
        // No other thread waits for the store.
        drop(queue);
        for mark in taken.iter().filter_map(|one| one.transaction.name()?.mark()) {
            // Without it, manifests have what is delivered, if some commits later.
            let _ = self.store.mark(&mark);
        }
    }

    /// Whether something waits for the client.
    pub(super) fn waits(&self) -> bool {
        !self.lock().waiting.is_empty()
    }

    /// What holds sources back while too much waits.
    pub fn hold(&self) -> &Arc<Hold> {
        &self.hold
    }

    /// Waits until output is to be sent, or for [`STOP_CHECK`].
    pub(super) fn wait(&self) {
        let empty = |queue: &mut Queue| queue.waiting.is_empty();
        // The caller looks again.
        let _ = self.changed.wait_timeout_while(self.lock(), STOP_CHECK, empty);
    }

    pub(super) fn close(&self, lost: Option<String>) {
        let mut queue = self.lock();
        queue.closed = true;
        queue.lost = queue.lost.take().or(lost);
        self.changed.notify_all();
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Queue> {
        // Each change is whole before the next may panic.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
