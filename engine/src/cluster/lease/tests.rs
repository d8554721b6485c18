//! What cores see of a lease, with clocks that go on when a test says so.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use super::*;
use crate::cluster::agreement::{Changed, EntryChange};

/// Time of both clocks, in nanoseconds: it goes on when a test says so.
static NOW: AtomicU64 = AtomicU64::new(1_000_000_000);

/// How long a thread stands still after each look at one of them.
static STANDS_STILL: AtomicU64 = AtomicU64::new(0);

/// The clocks are of all tests here.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn look() -> u64 {
    NOW.fetch_add(STANDS_STILL.load(Ordering::Relaxed), Ordering::Relaxed)
}

fn clocks() -> Clocks {
    Clocks { cores: || Nanos(look()), boot: || Duration::from_nanos(look()) }
}

const LEASE: Duration = Duration::from_secs(100);

/// An agreement in which nothing is, and whose session is over when a test says so.
#[derive(Default)]
struct Nothing {
    is_over: AtomicBool,
    renewals: AtomicU64,
}

impl Agreement for Nothing {
    fn session(&self) -> u64 {
        1
    }

    fn list(&self) -> Result<AgreedEntries, Disagreement> {
        Ok(AgreedEntries::new())
    }

    fn change(&self, _: &EntryChange<'_>) -> Result<Changed, Disagreement> {
        Ok(Changed::Done)
    }

    fn renew(&self) -> Result<Duration, Disagreement> {
        self.renewals.fetch_add(1, Ordering::Relaxed);
        match self.is_over.load(Ordering::Relaxed) {
            true => Err(Disagreement::Over),
            false => Ok(LEASE),
        }
    }

    fn begin_session(&self) -> Result<(), Disagreement> {
        Ok(())
    }

    fn version(&self) -> Result<u64, Disagreement> {
        Ok(0)
    }
}

fn kept(agreement: Arc<Nothing>) -> Kept {
    Kept {
        agreement,
        asked: LEASE,
        clocks: clocks(),
        lease: Arc::default(),
        held: Awaited::default(),
        listed: Mutex::default(),
    }
}

/// A thread may stand still at any place: what it publishes then must not be too late.
#[test]
fn no_stop_of_a_thread_moves_the_end_that_cores_see() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let kept = kept(Arc::default());
    let before = Duration::from_nanos(NOW.load(Ordering::Relaxed));
    kept.extend(before, LEASE);
    let end = kept.held.lock().until;
    assert!(!kept.lease.is_over(Nanos((end - Duration::from_nanos(1)).as_nanos() as u64)));
    STANDS_STILL.store(10_000_000_000, Ordering::Relaxed);
    kept.publish(&kept.held.lock());
    STANDS_STILL.store(0, Ordering::Relaxed);
    assert!(kept.lease.is_over(Nanos(end.as_nanos() as u64)), "it is the end");
}

/// Nothing but the answer says so: the clocks stand.
#[test]
fn cores_see_that_the_session_is_over_when_the_agreement_says_so() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let agreement = Arc::new(Nothing::default());
    let kept = Arc::new(kept(agreement.clone()));
    kept.extend(kept.boottime(), LEASE);
    assert!(!kept.lease.is_over(Nanos(NOW.load(Ordering::Relaxed))));
    agreement.is_over.store(true, Ordering::Relaxed);
    let renewing = kept.clone();
    let thread = thread::spawn(move || renewing.renew());
    while !kept.held.lock().is_over {
        thread::yield_now();
    }
    assert!(kept.lease.is_over(Nanos(NOW.load(Ordering::Relaxed))));
    kept.held.lock().ended = true;
    kept.held.wake();
    thread.join().expect("it does not panic");
}

/// The thread that renews may wait for an answer while the clock of cores stands still.
#[test]
fn the_thread_that_reads_publishes_the_end_too() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let kept = Arc::new(kept(Arc::default()));
    kept.extend(kept.boottime(), LEASE);
    // As if the clock of cores had stood still meanwhile.
    kept.lease.set(Nanos(u64::MAX));
    let reading = kept.clone();
    let thread = thread::spawn(move || reading.read());
    while !kept.lease.is_over(Nanos(u64::MAX - 1)) {
        thread::yield_now();
    }
    kept.held.lock().ended = true;
    kept.held.wake();
    thread.join().expect("it does not panic");
}
