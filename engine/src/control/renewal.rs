//! Renewal: the cores of a generation go on in the next one, with their edges, when nodes come or
//! go.
//!
//! ```text
//!   supervisor ── Rest ──► storage thread: what is under way is aborted, nothing begins
//!              ── Renew ─► cores: leave links, free state and lanes, keep edges
//!              (HEAD is taken over, other nodes and links are there)
//!              ── ends ──► cores: other lanes, state from the checkpoint, the same edges
//!              ── next ──► storage thread: commits for the next generation
//! ```
//!
//! Threads, mailboxes and connections stay: acceptors, clients and receivers do not notice. All of
//! it may be done again while sources are held, since nothing is under way then.

use std::mem::take;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use super::checkpoints::{CannotRest, NextGeneration};
use super::error::Error;
use super::generation::{DialledLink, Generation, lanes};
use super::process::Process;
use super::recovery::Recovery;
use super::seat::{Blueprint, JoinedEnds, OfStorage};
use super::seats::Seats;
use crate::checkpoint::load_channel;
use crate::turn::Command;

/// How long a core may take to leave its links and to free its state. One that stands still takes
/// longer.
const REST_MAX: Duration = Duration::from_secs(60);

impl Generation {
    /// Has the storage thread and all cores rest; those that do already go on resting. Nothing may
    /// be under way.
    ///
    /// # Errors
    /// One has ended.
    pub(super) fn rest(&mut self) -> Result<(), CannotRest> {
        if !self.storage_rests {
            self.checkpoints.as_ref().ok_or(CannotRest)?.rest()?;
            self.storage_rests = true;
        }
        if !self.resting.is_empty() {
            return Ok(());
        }
        self.renewals += 1;
        let (rested_in, rested) = channel();
        for (number, core) in self.cores.iter().enumerate() {
            let (ends_in, ends) = channel::<(Arc<Blueprint>, JoinedEnds)>();
            let rested = rested_in.clone();
            core.send(Command::Renew(Box::new(move |edges| {
                let _ = rested.send(());
                drop(rested);
                let (build, ends) = ends.recv().ok()?;
                build.renew(number, edges, ends)
            })));
            self.resting.push(ends_in);
        }
        drop(rested_in);
        let in_time = |_: &usize| rested.recv_timeout(REST_MAX).is_ok();
        let rest = (0..self.cores.len()).take_while(in_time).count();
        if rest == self.cores.len() { Ok(()) } else { Err(CannotRest) }
    }

    /// Has the cores, which rest, go on from `recovery` on these `seats`, with these `links`.
    ///
    /// # Errors
    /// What was stored cannot be used, or a core cannot go on.
    pub(super) fn renew(
        &mut self,
        process: &Process,
        recovery: &Arc<Recovery>,
        (seats, links): (&Seats, Vec<Vec<DialledLink>>),
    ) -> Result<(), Error> {
        let edges = &self.threads.edges;
        let storage = edges.storage().expect("a cluster has state").clone();
        let of_storage = OfStorage { recovery: recovery.clone(), storage };
        let (restored_in, restored) = channel();
        let reports = (restored_in, edges.notices().clone());
        let build = Blueprint::new(process, seats, self.skips.skips(), Some(of_storage), reports);
        let build = Arc::new(build);
        let (to, from) = load_channel(seats.own);
        let wakers: Vec<_> = self.cores.iter().map(|core| core.waker().clone()).collect();
        let linked = lanes(process, seats, links)?.into_iter().zip(from);
        for (((lanes, links), from), core) in linked.zip(take(&mut self.resting)) {
            let ends = JoinedEnds { lanes, links, wakers: wakers.clone(), from };
            // One that has ended has reported why.
            let _ = core.send((build.clone(), ends));
        }
        drop(build);
        // A stop that is requested meanwhile waits: what was read is not lost by it.
        recovery.read(seats, to, &|| true)?;
        let restored: Vec<()> = restored.iter().collect::<Result<_, Error>>()?;
        // One that reports nothing has panicked, which is found when all have ended.
        if restored.len() == seats.own { Ok(()) } else { Err(Error::Ended) }
    }

    /// Has the storage thread commit for the next generation, and the cores take from sources.
    pub(super) fn go_on(&mut self, next: NextGeneration) {
        self.storage_rests = false;
        self.checkpoints.as_ref().expect("a cluster has state").go_on(next);
        self.send(|| Command::HoldForNodes(None));
    }
}
