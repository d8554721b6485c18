//! Lease: the session of a node, which two threads keep: one renews it and does nothing else, one
//! reads what is agreed.
//!
//! ```text
//!             renewed in time                  others took it for over
//!   Stands ◄───────────────────► Suspended ───────────────────────────► Over
//!      ▲    its own clock passes the end                                 │
//!      └──────────── begun anew, and its keys were free ─────────────────┘
//! ```
//!
//! Promises: a lease ends here before it ends for others: it is counted from before the call that
//! renews it, in a clock that also counts while the machine sleeps, and shortened by
//! [`MARGIN_PERCENT`] for clocks that run apart; nothing of another node is believed to be missing
//! before this one has stood for a whole lease. Must never do: make a core wait.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use potoroo_runtime::Nanos;

use super::agreement::{AgreedEntries, Agreement, Disagreement};
use super::record::{Leading, leading};
use crate::system::{self, Awaited, SideThread};
use crate::turn::NodeLease;

pub use crate::system::boottime;

/// The session of this node.
pub struct NodeSession {
    kept: Arc<Kept>,
    threads: Vec<SideThread>,
}

/// Whether a node may act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may.
    Stands,
    /// Its lease has ended by its own clock, and may be renewed.
    Suspended,
    /// Others took it for over: it has to begin anew.
    Over,
}

/// What was agreed at one time.
#[derive(Clone, Debug, Default)]
pub struct ListedEntries {
    /// It.
    pub entries: Arc<AgreedEntries>,
    /// Counts what was read.
    pub number: u64,
    /// The own session at that time.
    pub session: u64,
    /// When it was asked for, in [`boottime`].
    pub at: Duration,
}

impl ListedEntries {
    /// Which node leads.
    pub fn leading(&self) -> Leading {
        leading(&self.entries, self.session)
    }
}

struct Kept {
    agreement: Arc<dyn Agreement>,
    asked: Duration,
    clocks: Clocks,
    /// For cores.
    lease: Arc<NodeLease>,
    /// Something is to be done, or the end: then it is woken.
    held: Awaited<Held>,
    listed: Mutex<ListedEntries>,
}

/// The clocks that a lease is kept by.
struct Clocks {
    /// That of cores, which may stand still while the machine sleeps.
    cores: fn() -> Nanos,
    /// Time since the start of the machine, in which it also slept.
    boot: fn() -> Duration,
}

#[derive(Default)]
struct Held {
    /// In boot time.
    until: Duration,
    /// It was renewed in time since then.
    since: Duration,
    /// When the last renewal was asked for.
    renewed: Duration,
    is_over: bool,
    ended: bool,
}

/// Of a lease that is not used, for clocks that run apart.
const MARGIN_PERCENT: u32 = 1;

/// A thread that has nothing to do looks this often whether it has.
const A_YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Renewals within a lease.
const RENEWALS: u32 = 4;

/// Pause of a read, as part of a lease and within these limits: no look at a folder costs more than
/// some microseconds, and at etcd some hundred.
const LOOKS: u32 = 25;
const LOOK_MIN: Duration = Duration::from_millis(20);
const LOOK_MAX: Duration = Duration::from_millis(200);

impl NodeSession {
    /// Keeps the session of `agreement`, for which leases of `asked` were asked, until it is
    /// dropped.
    ///
    /// # Errors
    /// The session is over already, or nothing answers.
    pub fn start(agreement: Arc<dyn Agreement>, asked: Duration) -> Result<Self, Disagreement> {
        let clocks = Clocks { cores: system::machine_time, boot: boottime };
        let kept = Arc::new(Kept {
            agreement,
            asked,
            clocks,
            lease: Arc::default(),
            held: Awaited::default(),
            listed: Mutex::default(),
        });
        let before = kept.boottime();
        kept.extend(before, kept.agreement.renew()?.min(asked));
        kept.list()?;
        let mut session = Self { kept, threads: Vec::new() };
        let (renewing, reading) = (session.kept.clone(), session.kept.clone());
        session.threads.push(spawn("potoroo-lease", move || renewing.renew())?);
        session.threads.push(spawn("potoroo-agree", move || reading.read())?);
        Ok(session)
    }

    /// What cores compare their time with.
    pub fn lease(&self) -> Arc<NodeLease> {
        self.kept.lease.clone()
    }

    /// How long a lease lasts.
    pub fn asked(&self) -> Duration {
        self.kept.asked
    }

    /// Pause between two reads.
    pub fn pause(&self) -> Duration {
        self.kept.pause()
    }

    /// Whether this node may act. Also has cores know of time in which their clock stood still.
    pub fn standing(&self) -> Standing {
        let held = self.kept.held.lock();
        self.kept.publish(&held);
        match (held.is_over, self.kept.boottime() < held.until) {
            (true, _) => Standing::Over,
            (false, true) => Standing::Stands,
            (false, false) => Standing::Suspended,
        }
    }

    /// What was last read.
    pub fn listed(&self) -> ListedEntries {
        self.kept.listed()
    }

    /// What was last read, if this node had stood for a whole lease then, stands, and is in it:
    /// other nodes that are missing in it, and had claimed their names before, are over.
    pub fn judged(&self) -> Option<ListedEntries> {
        self.kept.judged()
    }

    /// Looks whether another node leads than the one at `address`, or none does any more.
    pub fn other_lead(&self, address: String) -> impl Fn() -> bool + 'static {
        let kept = self.kept.clone();
        move || match kept.listed().leading() {
            Leading::Own => true,
            Leading::Other(other) => other != address,
            Leading::None => kept.judged().is_some_and(|all| all.leading() == Leading::None),
        }
    }

    /// Whether the own session stood when `listed` was read: it was renewed since.
    pub fn stood_at(&self, listed: &ListedEntries) -> bool {
        let held = self.kept.held.lock();
        !held.is_over && held.renewed > listed.at && listed.session == self.kept.agreement.session()
    }

    /// Reads now.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn refresh(&self) -> Result<ListedEntries, Disagreement> {
        self.kept.list()?;
        Ok(self.listed())
    }

    /// Begins another session in place of one that is over, with these keys and values. Returns
    /// whether all of them were free. Nothing is renewed before [`resume`](Self::resume).
    ///
    /// # Errors
    /// It cannot be known: try again.
    pub fn begin_anew(&self, keys: &[(&str, &str)]) -> Result<bool, Disagreement> {
        let agreement = &self.kept.agreement;
        if matches!(agreement.renew(), Err(Disagreement::Over)) {
            agreement.begin_session()?;
        }
        for (key, value) in keys {
            if agreement.claim(key, value)?.is_some() {
                return Ok(false);
            }
        }
        // What was read before has no key of it.
        self.kept.list()?;
        Ok(true)
    }

    /// Renews the session that was begun anew.
    pub fn resume(&self) {
        let mut held = self.kept.held.lock();
        (held.is_over, held.until) = (false, Duration::ZERO);
        drop(held);
        self.kept.held.wake();
    }
}

impl Drop for NodeSession {
    fn drop(&mut self) {
        self.kept.held.lock().ended = true;
        self.kept.held.wake();
        self.threads.drain(..).for_each(SideThread::join);
    }
}

impl Kept {
    fn listed(&self) -> ListedEntries {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn judged(&self) -> Option<ListedEntries> {
        let listed = self.listed();
        let held = self.held.lock();
        let stands = !held.is_over && self.boottime() < held.until;
        let fair = listed.at >= held.since + self.asked;
        let own = Some(self.agreement.session());
        let is_in_it = listed.entries.values().any(|entry| entry.session == own);
        (stands && fair && is_in_it).then_some(listed)
    }

    fn boottime(&self) -> Duration {
        (self.clocks.boot)()
    }

    fn pause(&self) -> Duration {
        (self.asked / LOOKS).clamp(LOOK_MIN, LOOK_MAX)
    }

    /// Renews until the end.
    fn renew(&self) {
        let mut complained = false;
        loop {
            let before = self.boottime();
            let pause = match self.agreement.renew() {
                Ok(stands) => {
                    if std::mem::take(&mut complained) {
                        tracing::info!("the lease of this node is renewed again");
                    }
                    self.extend(before, stands.min(self.asked));
                    self.asked / RENEWALS
                }
                Err(Disagreement::Over) => {
                    let mut held = self.held.lock();
                    held.is_over = true;
                    self.publish(&held);
                    drop(held);
                    self.wait_while_over();
                    Duration::ZERO
                }
                Err(error) => {
                    if !std::mem::replace(&mut complained, true) {
                        tracing::warn!("the lease of this node cannot be renewed: {error}");
                    }
                    self.pause()
                }
            };
            if self.has_ended_after(pause) {
                return;
            }
        }
    }

    fn extend(&self, before: Duration, stands: Duration) {
        let mut held = self.held.lock();
        if self.boottime() >= held.until {
            held.since = before;
        }
        held.renewed = before;
        held.until = before + stands * (100 - MARGIN_PERCENT) / 100;
        self.publish(&held);
    }

    /// The time of cores may have stood still while the machine slept, so it is set anew.
    fn publish(&self, held: &Held) {
        // In this order: a thread that stands still between them sets too early an end.
        let now = (self.clocks.cores)();
        let left = held.until.saturating_sub(self.boottime());
        let until = match held.is_over || left.is_zero() {
            true => Nanos::ZERO,
            false => now + left,
        };
        self.lease.set(until);
    }

    fn wait_while_over(&self) {
        drop(self.held.wait_while(A_YEAR, |held| held.is_over && !held.ended));
    }

    /// Waits; returns whether it was for the end.
    fn has_ended_after(&self, pause: Duration) -> bool {
        self.held.wait_while(pause, |held| !held.ended).ended
    }

    /// Reads until the end: when something was changed, and often enough to see what ends by
    /// itself.
    fn read(&self) {
        let (mut seen, mut at) = (None, Duration::ZERO);
        loop {
            // The thread that renews may wait for an answer, and so may the supervisor.
            self.publish(&self.held.lock());
            let version = self.agreement.version().ok();
            let due = self.boottime() > at + self.asked / RENEWALS;
            if version.is_some() && (due || version != seen) && self.list().is_ok() {
                (seen, at) = (version, self.boottime());
            }
            if self.has_ended_after(self.pause()) {
                return;
            }
        }
    }

    fn list(&self) -> Result<(), Disagreement> {
        let (at, session) = (self.boottime(), self.agreement.session());
        let entries = Arc::new(self.agreement.list()?);
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        if at >= listed.at {
            let number = listed.number + 1;
            *listed = ListedEntries { entries, number, session, at };
        }
        Ok(())
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<SideThread, Disagreement> {
    SideThread::start(name, run).map_err(|cause| Disagreement::Io {
        action: "start the thread",
        path: name.into(),
        cause,
    })
}

/// How long a key may be there after the end of its process, which renewed a `lease` just before.
pub fn outlived(lease: Duration) -> Duration {
    lease + lease / 4 + ENDED_LATE
}

/// Etcd adds the time for an election (a second) to leases that it has restored, and looks for
/// their ends twice a second.
const ENDED_LATE: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests;
