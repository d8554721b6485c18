//! Watches over a running application: reads the notices of its cores, carries out what the state
//! machine of its [`Shutdown`] decides, and sees that nothing is left behind.
//!
//! Quiet is decided by counting: when every core says that nothing can come from it and all
//! frames sent were received, twice with the same numbers, nothing is in flight.

mod change;
mod nodes;
mod notices;
mod standing;

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use super::checkpoints::{Checkpoints, LastStage};
use super::cluster::{ClusterRole, FollowerNews, Lead, NodeEnd, Paused, PinnedCores, command};
use super::config::Config;
use super::console;
use super::error::Error;
use super::event_times::StandStills;
use super::generation::{Generation, Seating};
use super::log_lines::LinesByKind;
use super::process::{Describe, Process, ProcessStart};
use super::profile::Profiler;
use super::recovery::Recovery;
use super::report::{Snapshot, StopReason, Summary, progress_line};
use super::rollback::{Rollback, RolledBackTo};
use super::rollback_requests::ENDED;
use super::shutdown::{Order, Overdue, Seen, Shutdown};
use super::stop_request::StopRequest;
use crate::cluster::wire::CoreOrder;
use crate::connect::attach::{Attach, NotAttached};
use crate::flow::Counts;
use crate::turn::Command;
use change::NodeChange;
use potoroo_runtime::Housekeeping;
use potoroo_sdk::host::SourceId;

/// What comes after a generation.
enum Next {
    /// The checkpoint that an operator chose, which was found whole.
    RollBack(Box<(Rollback, Recovery)>),
    /// The last checkpoint, with those nodes that there are.
    OtherNodes,
    /// The same cores and edges with other nodes: nothing is under way or uncommitted.
    Change(Paused),
    /// This node, which led, ends, and the others go on.
    Leave,
    /// As the lead says.
    OfLead(FollowerNews),
}

/// Watches over one running application.
pub(super) struct Supervisor {
    process: Process,
    role: ClusterRole,
    generation: Generation,
    /// The one that is under way.
    rollback: Option<Rollback>,
    started: Instant,
    lines: LinesByKind,
    shutdown: Shutdown,
    /// Sources that wait for no other connection, as cores know.
    complete: Vec<SourceId>,
    sources_complete: bool,
    quiet_before: Option<(u64, u64)>,
    /// The generation cannot go on: a node is lost, or more have come.
    other_nodes: bool,
    change: NodeChange,
    profiler: Profiler,
    stand_stills: StandStills,
    shown: (Instant, Snapshot),
}

impl Supervisor {
    /// Opens what `describe` describes, by this `fingerprint`, and begins its first generation. To
    /// be called on the thread that watches over it.
    ///
    /// # Errors
    /// It cannot run. Nothing runs then.
    pub(super) fn start(
        describe: Describe,
        fingerprint: u64,
        config: Config,
        request: StopRequest,
    ) -> Result<(Self, ProcessStart), Error> {
        let mut process = Process::open(describe, fingerprint, config, request)?;
        // Before any other node depends on this one.
        let admin = {
            let _housekeeping = Housekeeping::begin(&process.watch.cpus);
            process.serve()?
        };
        let mut role = ClusterRole::open(&process)?;
        let begun = role.begin(&mut process, &PinnedCores, None)?;
        let opened = process.started(admin);
        let generation = attached(begun, &mut role, &process)?;
        let Process { config, watch, .. } = &process;
        let (profile, tallies) = (watch.profile.clone(), watch.tallies.clone());
        let stuck = Duration::from_secs(config.heartbeat_seconds) / 2;
        let supervisor = Self {
            shown: (Instant::now(), watch.status().snapshot),
            profiler: Profiler::new(profile, tallies, stuck),
            shutdown: Shutdown::new(Duration::from_secs(config.drain_seconds)),
            stand_stills: StandStills::new(Instant::now()),
            process,
            role,
            generation,
            rollback: None,
            started: Instant::now(),
            lines: LinesByKind::default(),
            complete: Vec::new(),
            sources_complete: false,
            quiet_before: None,
            other_nodes: false,
            change: NodeChange::default(),
        };
        Ok((supervisor, opened))
    }

    /// Runs to the end.
    pub(super) fn run(mut self) -> Result<Summary, Error> {
        loop {
            let next = match self.watch() {
                Ok(None) => self.wait_for_lead()?,
                Ok(next) => next,
                Err(error) => {
                    self.generation.abandon();
                    self.generation.join(true)?;
                    return Err(error);
                }
            };
            match next {
                None => return self.end(),
                Some(Next::Leave | Next::OfLead(FollowerNews::Ended)) => return self.leave(),
                Some(next) => self = self.go_on(next)?,
            }
        }
    }

    /// Watches over a generation until its cores end; or until the next one is to begin, as is
    /// returned then.
    ///
    /// # Errors
    /// The lead of the cluster refuses this node.
    fn watch(&mut self) -> Result<Option<Next>, Error> {
        let _housekeeping = Housekeeping::begin(&self.process.watch.cpus);
        while self.generation.host.running() > 0 {
            self.receive();
            let rollback = self.look_for_rollback();
            let next = rollback.map(|next| Next::RollBack(Box::new(next)));
            if let Some(next) = next.map_or_else(|| self.look_at_cluster(), |it| Ok(Some(it)))? {
                return Ok(Some(next));
            }
            // HEAD may be the next generation's already: no checkpoint would come.
            let follows = matches!(self.role, ClusterRole::Follower(_));
            if self.rollback.is_none() && !follows && !self.role.is_suspended() {
                self.decide();
            }
            self.report_stuck();
            self.report_stand_stills();
            self.generation.skips.print();
            self.show_progress();
        }
        Ok(None)
    }

    /// Ends this node while the others go on. What it led and has not committed they do again.
    fn leave(self) -> Result<Summary, Error> {
        match &self.role {
            ClusterRole::Follower(follower) => follower.release(),
            ClusterRole::Lead(lead) => lead.record_leave(),
            ClusterRole::Alone => {}
        }
        self.generation.abandon();
        let watch = self.process.watch.clone();
        self.process.rollbacks.close();
        let (counts, failures) = self.generation.join(true)?;
        log_failures(&failures);
        Ok(Summary { snapshot: watch.snapshot(&counts), stop: StopReason::Left })
    }

    /// Ends the generation, and begins the next one from the last checkpoint.
    ///
    /// # Errors
    /// The next one cannot begin: the application has ended.
    fn begin_anew(self) -> Result<Self, Error> {
        self.renew(|process, role| {
            role.lead().expect("it has nodes").begin(process, &PinnedCores, None)
        })
    }

    /// Ends the generation and begins the next one.
    ///
    /// # Errors
    /// The next one cannot begin: the application has ended.
    fn go_on(self, next: Next) -> Result<Self, Error> {
        match next {
            Next::RollBack(next) => {
                let (rollback, recovery) = *next;
                self.roll_back(rollback, recovery)
            }
            Next::OtherNodes => self.begin_anew(),
            Next::Change(paused) => self.change_nodes(paused),
            Next::Leave => unreachable!("nothing comes after it here"),
            Next::OfLead(news) => {
                self.renew(|process, role| role.begin(process, &PinnedCores, Some(news)))
            }
        }
    }

    /// Begins a rollback that is requested. Returns one whose checkpoint was found whole.
    fn look_for_rollback(&mut self) -> Option<(Rollback, Recovery)> {
        if let Some(rollback) = self.rollback.take() {
            return match rollback.poll() {
                Ok(next) => Some(next),
                Err(waiting) => {
                    self.rollback = waiting;
                    None
                }
            };
        }
        if let ClusterRole::Follower(_) = &self.role {
            Rollback::refuse_next(&self.process, "this node does not lead: ask the one that does");
            return None;
        }
        let running = self.shutdown.is_running();
        let (rollback, hand_over) = Rollback::next(&self.process, running, self.role.gate())?;
        let checkpoints = self.generation.checkpoints.as_ref();
        checkpoints.expect("operators reach those with checkpoints only").hand_over(hand_over);
        self.rollback = Some(rollback);
        None
    }

    /// Ends the generation, and begins the next one with `recovery`.
    ///
    /// # Errors
    /// The next one cannot begin: the application has ended.
    fn roll_back(self, rollback: Rollback, recovery: Recovery) -> Result<Self, Error> {
        let (stopped, done) = (Instant::now(), RolledBackTo::from(&recovery));
        let next = self.renew(|process, role| {
            let begun = match role.lead() {
                Some(lead) => lead.begin(process, &PinnedCores, Some(recovery))?,
                None => {
                    Generation::begin(process, Some(recovery), Seating::alone(&process.config))?
                }
            };
            rollback.count(process);
            Ok(begun)
        })?;
        rollback.finish(done, stopped.elapsed());
        Ok(next)
    }

    /// Ends the generation, and begins the next one as `begin` does.
    fn renew(
        mut self,
        begin: impl FnOnce(&mut Process, &mut ClusterRole) -> Result<(Generation, Attach), Error>,
    ) -> Result<Self, Error> {
        match &mut self.role {
            ClusterRole::Alone => {}
            ClusterRole::Lead(lead) => lead.pause(),
            ClusterRole::Follower(follower) => follower.release(),
        }
        self.generation.abandon();
        while self.generation.host.running() > 0 {
            self.receive();
        }
        self.receive_waiting();
        self.generation.skips.print_rest();
        let Self { generation, mut process, mut role, .. } = self;
        let (_, failures) = generation.join(true)?;
        log_failures(&failures);
        let begun = begin(&mut process, &mut role)?;
        let generation = attached(begun, &mut role, &process)?;
        // A sink that was lost belongs to the generation before, as does a link.
        let shutdown = Shutdown::new(Duration::from_secs(process.config.drain_seconds));
        let (sources_complete, quiet_before, other_nodes) = (false, None, false);
        Ok(Self {
            generation,
            process,
            role,
            shutdown,
            complete: Vec::new(),
            sources_complete,
            quiet_before,
            other_nodes,
            change: NodeChange::default(),
            ..self
        })
    }

    /// Sees that nothing is left of an application whose cores have ended.
    fn end(mut self) -> Result<Summary, Error> {
        self.receive_waiting();
        if let Some(rollback) = self.rollback {
            rollback.refuse(ENDED.to_owned());
        }
        self.process.rollbacks.close();
        self.generation.skips.print_rest();
        for (kind, count) in self.lines.left_out() {
            tracing::warn!("{kind}: {count} such lines left out");
        }
        let abandoned = self.shutdown.is_abandoned();
        let last = self.generation.checkpoints.as_ref().map(Checkpoints::last);
        let failed = matches!(last, Some(LastStage::Failed));
        let (counts, failures) = self.generation.join(abandoned)?;
        let stop = match &self.role {
            ClusterRole::Follower(_) => StopReason::Cluster,
            _ => self.shutdown.end(),
        };
        log_failures(&failures);
        let mut snapshot = self.process.watch.snapshot(&counts);
        snapshot.failures = u64::from(abandoned) + failures.len() as u64;
        snapshot.undelivered = match &mut self.role {
            ClusterRole::Alone => undelivered(&counts, (0, 0)),
            ClusterRole::Lead(lead) => {
                let others = lead.end(&self.process, failed);
                snapshot.add_tables(others.iter().map(|node| node.tables.as_slice()));
                let sum = |sum: (u64, u64), node: &NodeEnd| {
                    (sum.0 + node.frames.0, sum.1 + node.frames.1)
                };
                undelivered(&counts, others.iter().fold((0, 0), sum))
            }
            // The lead sums up.
            ClusterRole::Follower(_) => 0,
        };
        Ok(Summary { snapshot, stop })
    }

    fn decide(&mut self) {
        for source in self.generation.threads.edges.complete_sources() {
            if !self.complete.contains(&source) {
                self.complete.push(source);
                self.generation.send(|| Command::SourceComplete(source));
            }
        }
        if !self.sources_complete && self.generation.threads.edges.has_no_connections_left() {
            self.sources_complete = true;
            self.order(CoreOrder::SourcesComplete);
        }
        let seen = Seen {
            now: Instant::now(),
            stop: self.stop_requested(),
            sources_complete: self.sources_complete,
            // Counting serves one purpose at a time.
            quiet: !self.change.holds() && self.is_quiet(),
            last: self.generation.checkpoints.as_ref().map(|it| (it.last(), it.steps())),
        };
        match self.shutdown.look(&seen) {
            None => {}
            Some(Order::StopSources) => {
                self.generation.threads.edges.stop_accepting();
                self.order(CoreOrder::StopSources);
            }
            Some(Order::Commit) => {
                self.generation.checkpoints.as_ref().expect("it was seen").request_last();
            }
            Some(Order::Finish) => self.order(CoreOrder::Finish),
            Some(Order::Abandon(late)) => {
                self.complain(late);
                self.abandon_all();
            }
        }
    }

    /// Has the cores of all nodes end at once.
    fn abandon_all(&mut self) {
        self.generation.threads.edges.stop_accepting();
        self.order(CoreOrder::Abandon);
    }

    /// Gives an order to the cores of all nodes.
    fn order(&mut self, order: CoreOrder) {
        if let Some(lead) = self.role.lead() {
            lead.order(order);
        }
        self.generation.send(|| command(order));
    }

    /// Logs what was not done within the time to drain.
    fn complain(&self, late: Overdue) {
        let seconds = self.process.config.drain_seconds;
        let silent = match &self.role {
            ClusterRole::Lead(lead) => lead.silent(&self.process),
            _ => Vec::new(),
        };
        if !silent.is_empty() && matches!(late, Overdue::Commit | Overdue::Delivery) {
            return tracing::error!(
                "not everything could be processed and committed within {seconds} s \
                 (--drain-seconds): node {} tells nothing, it stands still or cannot be reached; \
                 events after the last checkpoint are processed again if their source can be read \
                 again",
                silent.join(", "),
            );
        }
        match late {
            Overdue::Nothing => {}
            Overdue::Output => tracing::error!(
                "the last checkpoint is committed, and for {seconds} s (--drain-seconds) a sink \
                 took nothing of its output: what waits for it stays, and is sent at the next \
                 start"
            ),
            Overdue::Commit => tracing::error!(
                "the last checkpoint could not be committed within {seconds} s (--drain-seconds): \
                 the storage or a sink takes nothing; events after the checkpoint before it are \
                 processed again if their source can be read again"
            ),
            Overdue::Delivery => tracing::error!(
                "not everything could be delivered within {seconds} s (--drain-seconds): a sink \
                 takes nothing; what waits for it is lost"
            ),
        }
    }

    fn stop_requested(&mut self) -> Option<StopReason> {
        if let Some(stop) = self.process.request.reason() {
            let leaves = self.shutdown.is_running() && self.role.lead().is_some_and(Lead::leave);
            return (!leaves).then_some(stop);
        }
        let seconds = Duration::from_secs(self.process.config.seconds?);
        (self.started.elapsed() >= seconds).then_some(StopReason::Seconds)
    }

    /// Whether nothing is in flight any more: see the module.
    fn is_quiet(&mut self) -> bool {
        let now = self.process.watch.frames_when_quiet();
        if let Some(lead) = self.role.lead() {
            return lead.is_quiet(now);
        }
        let now = now.filter(|(sent, received)| sent == received);
        let before = std::mem::replace(&mut self.quiet_before, now);
        now.is_some() && now == before
    }

    fn show_progress(&mut self) {
        if !self.process.config.progress {
            return;
        }
        let terminal = stderr().is_terminal();
        let every = Duration::from_secs(if terminal { 1 } else { 10 });
        if self.shown.0.elapsed() < every {
            return;
        }
        let now = self.process.watch.status().snapshot;
        let line = progress_line(&self.shown.1, &now);
        match terminal {
            true => console::renew(line),
            false => console::note(line),
        }
        self.shown = (Instant::now(), now);
    }
}

fn log_failures(failures: &[String]) {
    for failure in failures {
        tracing::error!("a file was not written or read to its end: {failure}");
    }
}

/// Takes the last step of the start of a generation, or ends it.
///
/// # Errors
/// An output cannot be emptied, or belongs to another node that leads.
fn attached(
    (generation, attach): (Generation, Attach),
    role: &mut ClusterRole,
    process: &Process,
) -> Result<Generation, Error> {
    let refused = |NotAttached { what, address, reason }| Error::Sink { what, address, reason };
    let passed = role.pass_gate(process);
    let Err(error) = passed.and_then(|()| attach.run().map_err(refused)) else {
        return Ok(generation);
    };
    generation.abandon();
    generation.join(true)?;
    Err(error)
}

/// Events that no sink and no connection got: in lanes, where more was sent than received, here or
/// on the other nodes, and on the cores.
fn undelivered(counts: &[Counts], (sent, received): (u64, u64)) -> u64 {
    let sum = |count: fn(&Counts) -> u64| counts.iter().map(count).sum::<u64>();
    let (sent, received) =
        (sent + sum(|core| core.frames_sent), received + sum(|core| core.frames_received));
    let in_lanes = sent.saturating_sub(received);
    in_lanes + sum(|core| core.left)
}
