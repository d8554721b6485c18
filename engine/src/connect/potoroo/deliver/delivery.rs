//! Committed output on its way to the client of one sink: what waits, and what the client has.
//!
//! Must never do: remove a spool that the client does not have.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::checkpoint::store::Head;
use crate::checkpoint::{Manifest, Transaction};
use crate::connect::potoroo::hold::Hold;
use crate::connect::spool::{SpoolName, Target, first_id, transaction_id};
use crate::connect::waiting::STOP_CHECK;

/// Transactions that may wait for a client before sources are held back, however small: each is a
/// file, and has some lines in each manifest.
const TRANSACTIONS_MAX: u64 = 16_384;

/// Committed output on its way to the client of one sink.
pub struct Delivery {
    /// The sink, and where its spools lie.
    pub(super) target: Target,
    /// Random number of the state folder: the upper half of its ids.
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
    /// What is left of the last spool that it has.
    pub(super) taken: Option<PathBuf>,
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
    pub(super) spool: PathBuf,
    pub(super) transaction: Transaction,
    /// Bytes that it counts.
    pub(super) counts: u64,
}

impl Queue {
    fn push(&mut self, one: Waiting) {
        self.bytes += one.counts;
        self.waiting.push_back(one);
    }

    /// Removes the spools of what the client has, but for the name of the last one.
    fn drop_delivered(&mut self, target: &Target) -> io::Result<()> {
        while let Some(one) = self.waiting.front().filter(|one| one.id <= self.delivered) {
            self.taken = target.take(&one.spool, self.taken.as_deref())?;
            self.bytes -= one.counts;
            self.waiting.pop_front();
        }
        Ok(())
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
    /// What was spooled for `target` and committed by `manifest`, in the state folder that `head`
    /// belongs to. All other spools of it are dropped. More than `backlog_bytes_max` of it hold
    /// back sources.
    ///
    /// # Errors
    /// The folder of the spools cannot be written, or the manifest names no spool.
    pub fn open(
        target: &Target,
        head: &Head,
        manifest: Option<&Manifest>,
        hold: Arc<Hold>,
        backlog_bytes_max: u64,
    ) -> io::Result<Self> {
        let transactions = manifest.map_or(&[][..], |manifest| &manifest.transactions);
        target.keep_spools(transactions)?;
        let mut delivery = Self::new(target, head.folder, hold, backlog_bytes_max);
        let mut committed = Vec::new();
        for one in transactions {
            if target.is_of(one)? {
                committed.extend(transaction_id(head.folder, &one.spool));
            }
        }
        let mut delivered = manifest.map_or(0, |manifest| manifest.delivered_to(&target.sink));
        // Were it compared, an id of another folder would say that the client has everything.
        if delivered >> 64 != u128::from(head.folder) {
            delivered = 0;
        }
        let mut left = target.taken()?;
        let last = left.last().and_then(|path| SpoolName::parse_taken(path.file_name()?.to_str()?));
        // Of an epoch that was gone back from it says nothing.
        let last = last.and_then(|last| last.id(head.folder)).filter(|id| committed.contains(id));
        let taken = if last.is_some() { left.pop() } else { None };
        left.iter().try_for_each(|path| target.disk().remove(path))?;
        delivered = delivered.max(last.unwrap_or(0));
        // A return to an older checkpoint forgets commits of the generations before.
        let rewound = first_id(head.folder, head.rewound.unwrap_or(head.generation));
        let known = committed.into_iter().max().unwrap_or(0).max(delivered);
        let forgotten = if head.rewound == Some(0) { 0 } else { rewound - 1 };
        delivery.known = known.max(forgotten);
        let queue = delivery.queue.get_mut().unwrap_or_else(PoisonError::into_inner);
        (queue.delivered, queue.taken) = (delivered, taken);
        Ok(delivery)
    }

    pub(super) fn new(
        target: &Target,
        state: u64,
        hold: Arc<Hold>,
        backlog_bytes_max: u64,
    ) -> Self {
        let (target, known, lost) = (target.clone(), 0, 0);
        let (queue, changed) = (Mutex::default(), Condvar::new());
        Self { target, state, known, lost, hold, backlog_bytes_max, queue, changed }
    }

    /// A client that had everything up to the transaction `lost` need not have it any more.
    #[must_use]
    pub fn forgive(self, lost: u128) -> Self {
        Self { lost, ..self }
    }

    /// Those of `transactions` that were spooled for this sink, and may not be with its client.
    pub fn waiting(&self, transactions: &[Transaction]) -> Vec<Transaction> {
        let is_of = |one: &&Transaction| self.target.is_of(one).unwrap_or(false);
        transactions.iter().filter(is_of).cloned().collect()
    }

    /// The last transaction that the client has.
    pub fn delivered(&self) -> u128 {
        self.lock().delivered
    }

    /// Name of the sink.
    pub fn sink(&self) -> &str {
        &self.target.sink
    }

    /// A transaction is committed. Returns whether the client has it; until then it is brought.
    ///
    /// # Errors
    /// Committed output is gone (`InvalidData`): nothing can bring it.
    pub fn show(&self, transaction: &Transaction) -> io::Result<bool> {
        let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
        let spool = self.target.beside(transaction)?;
        let id = transaction_id(self.state, &transaction.spool);
        let id = id.ok_or_else(|| invalid(format!("{} has no id", spool.display())))?;
        let mut queue = self.lock();
        if let Some(lost) = &queue.lost {
            return Err(invalid(lost.clone()));
        }
        if id > queue.committed {
            queue.committed = id;
            let counts = transaction.bytes.max(self.backlog_bytes_max / TRANSACTIONS_MAX);
            queue.push(Waiting { id, spool, transaction: transaction.clone(), counts });
            self.hold.committed();
            self.changed(&mut queue)?;
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
    pub(super) fn settle(&self, last: u128) -> io::Result<()> {
        let mut queue = self.lock();
        queue.delivered = last.max(queue.delivered);
        queue.farthest = queue.farthest.max((last, u64::MAX));
        self.changed(&mut queue)
    }

    /// More waits for the client, or less.
    pub(super) fn changed(&self, queue: &mut Queue) -> io::Result<()> {
        let dropped = queue.drop_delivered(&self.target);
        self.hold.backlog(queue.bytes, self.backlog_bytes_max);
        self.changed.notify_all();
        dropped
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
