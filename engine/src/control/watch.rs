//! Reads what the cores count: for progress, the admin port and the summary.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use potoroo_runtime::{Clock, Ground, Idle, LatencyArray, PollerKind, SharedGaps};
use potoroo_sdk::plan::{End, Plan};

use super::checkpoints::CheckpointProgress;
use super::config::Config;
use super::event_times::TimedExchanges;
use super::profile::Profile;
use super::report::{
    CoreStatus, GapSummary, Held, PathSummary, SinkSummary, Snapshot, SourceSummary, Status,
    TableSummary, host_label, per_second,
};
use crate::cluster::view::{ClusterView, NodeFigures, NodeHeld};
use crate::flow::{BlockedBy, ConnectionId, Counts, SharedCounts, TimeHolder};
use crate::turn::{LinkCounts, LinkTotals};

/// The names of an application and the tallies of its cores. Reading it disturbs no core.
pub(super) struct Monitor {
    application: String,
    host: String,
    started: Instant,
    /// By core.
    pub(super) cpus: Vec<usize>,
    /// On what the cores run; set when they have started, before it is read.
    ground: Mutex<Option<Ground>>,
    idle: Idle,
    pub(super) times: TimedExchanges,
    sources: Vec<String>,
    sinks: Vec<String>,
    tables: Vec<String>,
    /// Source, end and label of each path.
    paths: Vec<(String, String, String)>,
    checkpoints: Option<Arc<CheckpointProgress>>,
    pub(super) tallies: Vec<Arc<SharedCounts>>,
    /// By core.
    gaps: Arc<[SharedGaps]>,
    pub(super) profile: Arc<Profile>,
    /// By source: messages that came again and were passed over.
    pub(super) repeated: Vec<Arc<AtomicU64>>,
    /// Addresses of the connections that held their cores back last, at most [`PEERS_MAX`].
    peers: Mutex<BTreeMap<u64, String>>,
    /// Name and first seat of each node of the generation, in their order; none without a cluster.
    seats: Mutex<Vec<(String, usize)>>,
    /// By name of another node: what went over links with it.
    links: Mutex<BTreeMap<String, Arc<LinkCounts>>>,
    /// What all nodes of the cluster do, and since when this is known.
    cluster: Mutex<Option<(Instant, ClusterView)>>,
    clock: Clock,
}

/// Addresses of connections that are remembered.
const PEERS_MAX: usize = 64;

impl Monitor {
    pub(super) fn new(
        plan: &Plan,
        config: &Config,
        tallies: Vec<Arc<SharedCounts>>,
        gaps: Arc<[SharedGaps]>,
        checkpoints: Option<Arc<CheckpointProgress>>,
    ) -> Self {
        let end = |end: End| match end {
            End::Sink(id) => plan.sinks[id.0 as usize].label().to_string(),
            End::Table(id) => plan.tables[id.0 as usize].name.clone(),
        };
        let source = |id: usize| plan.sources[id].name.clone();
        let path = |path: &potoroo_sdk::plan::Path| {
            (source(path.source.0 as usize), end(path.end), plan.path_label(*path))
        };
        Self {
            repeated: plan.sources.iter().map(|_| Arc::default()).collect(),
            application: plan.name.clone(),
            host: host_label(),
            started: Instant::now(),
            cpus: config.cores.clone(),
            ground: Mutex::default(),
            idle: config.idle,
            times: TimedExchanges::new(plan),
            sources: plan.sources.iter().map(|source| source.name.clone()).collect(),
            sinks: plan.sinks.iter().map(|sink| sink.label().to_string()).collect(),
            tables: plan.tables.iter().map(|table| table.name.clone()).collect(),
            paths: plan.paths.iter().map(path).collect(),
            profile: Arc::new(Profile::new(plan, tallies.len())),
            checkpoints,
            tallies,
            gaps,
            peers: Mutex::default(),
            seats: Mutex::default(),
            links: Mutex::default(),
            cluster: Mutex::default(),
            clock: Clock::new(),
        }
    }

    /// Whether no cores have run yet.
    pub(super) fn is_first_ground(&self) -> bool {
        self.ground.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// The cores run on `ground` from now on. Says at first what is worth knowing about it.
    pub(super) fn set_ground(&self, ground: &Ground) {
        let mut present = self.ground.lock().unwrap_or_else(PoisonError::into_inner);
        if present.replace(ground.clone()).is_none() {
            ground.notices().iter().for_each(|notice| tracing::warn!("host: {notice}"));
        }
    }

    /// Frames sent and received by all cores, if all of them are quiet.
    pub(super) fn frames_when_quiet(&self) -> Option<(u64, u64)> {
        if !self.tallies.iter().all(|tally| tally.quiet()) {
            return None;
        }
        Some(self.frames())
    }

    fn frames(&self) -> (u64, u64) {
        let counts: Vec<Counts> = self.tallies.iter().map(|tally| tally.read()).collect();
        let sent = counts.iter().map(|counts| counts.frames_sent).sum();
        let received = counts.iter().map(|counts| counts.frames_received).sum();
        (sent, received)
    }

    /// The same, if nothing is under way on them for the hold of this number.
    pub(super) fn frames_when_drained(&self, hold: u64) -> Option<(u64, u64)> {
        let drained = self.tallies.iter().all(|tally| tally.drained() == hold);
        drained.then(|| self.frames())
    }

    /// What holds back a core, besides nodes that come or go: a sink or connection rather than the
    /// lanes that lead to it.
    pub(super) fn held_by(&self) -> Option<String> {
        let by = |tally: &Arc<SharedCounts>| Some(tally.gauges.blocked_by()?.0);
        let held = self.tallies.iter().filter_map(by).filter(|by| *by != BlockedBy::Nodes);
        let held = held.min_by_key(|by| matches!(by, BlockedBy::Lane { .. }));
        held.map(|by| self.blocked_by(by))
    }

    pub(super) fn status(&self) -> Status {
        let counts: Vec<Counts> = self.tallies.iter().map(|tally| tally.read()).collect();
        let ground = self.ground.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let core = |(core, counts): (usize, &Counts)| CoreStatus {
            cpu: self.cpus[core],
            poller: ground.as_ref().map_or(PollerKind::Epoll, |ground| ground.pollers[core]),
            plain_thread: ground.as_ref().is_some_and(|ground| ground.plain_because.is_some()),
            turns: counts.turns_worked,
            events: counts.sources.iter().map(|source| source.events).sum(),
            blocked_turns: counts.turns_blocked,
            turn: self.tallies[core].gauges.turns.snapshot(),
            lane_bytes: self.tallies[core].gauges.lanes(),
            held: self.held(core),
            stages: self.profile.of(core),
            gaps: GapSummary::new(self.gaps[core].counts(), self.gaps[core].recent()),
        };
        let cores = counts.iter().enumerate().map(core).collect();
        Status {
            snapshot: self.snapshot(&counts),
            cores,
            cluster: self.cluster(),
            links: self.links(),
        }
    }

    /// The cores sit among those of these nodes from now on: names and first seats, in their order.
    pub(super) fn set_seats(&self, seats: Vec<(String, usize)>) {
        let is_there = |node: &String| seats.iter().any(|(name, _)| name == node);
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        // Nodes with ever new names must not make it longer and longer.
        links.retain(|node, _| is_there(node));
        drop(links);
        *self.seats.lock().unwrap_or_else(PoisonError::into_inner) = seats;
    }

    /// Where links with the core on a seat count.
    pub(super) fn link_counts(&self, seat: usize) -> Arc<LinkCounts> {
        let seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        let node = seats.iter().rfind(|(_, first)| *first <= seat);
        let node = node.map_or_else(String::new, |(node, _)| node.clone());
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.entry(node).or_default().clone()
    }

    /// By name of another node: what went over links with it.
    fn links(&self) -> Vec<(String, LinkTotals)> {
        let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.iter().map(|(node, counts)| (node.clone(), counts.read())).collect()
    }

    /// What all nodes do.
    pub(super) fn set_cluster(&self, view: ClusterView) {
        let view = Some((Instant::now(), view));
        *self.cluster.lock().unwrap_or_else(PoisonError::into_inner) = view;
    }

    /// What all nodes do, as the lead last said.
    fn cluster(&self) -> Option<ClusterView> {
        let known = self.cluster.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, mut view) = known.clone()?;
        view.age_seconds = at.elapsed().as_secs_f64();
        Some(view)
    }

    /// What a node tells of itself, without rates, and the nanoseconds in which these `cores` of it
    /// had something to do.
    pub(super) fn figures(&self, cores: &[usize]) -> (NodeFigures, u64) {
        let counts: Vec<Counts> = self.tallies.iter().map(|tally| tally.read()).collect();
        let sum = |value: &dyn Fn(&Counts) -> u64| counts.iter().map(value).sum::<u64>();
        let decoded = |counts: &Counts| counts.sources.iter().map(|source| source.events).sum();
        let held = (0..self.cpus.len()).filter_map(|core| self.held(core));
        let held = held.max_by(|one, other| one.seconds.total_cmp(&other.seconds));
        let busy_ns = |core: &usize| self.tallies[*core].gauges.turns.read().ns_sum();
        let busy = cores.iter().map(busy_ns).sum();
        let figures = NodeFigures {
            events: sum(&decoded) + sum(&|counts| counts.frames_received),
            rows: sum(&|counts| counts.tables.iter().map(|table| table.0).sum()),
            bytes: sum(&|counts| counts.tables.iter().map(|table| table.1).sum()),
            held: held.map(|Held { by, seconds }| NodeHeld { by, seconds }),
            ..NodeFigures::default()
        };
        (figures, busy)
    }

    /// Remembers the peer of a connection that holds its core back.
    pub(super) fn note_peer(&self, id: ConnectionId, peer: String) {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        peers.insert(id.0, peer);
        if peers.len() > PEERS_MAX {
            peers.pop_first();
        }
    }

    fn held(&self, core: usize) -> Option<Held> {
        let (by, since) = self.tallies[core].gauges.blocked_by()?;
        let seconds = self.clock.now().0.saturating_sub(since.0) as f64 / 1e9;
        Some(Held { by: self.blocked_by(by), seconds })
    }

    fn blocked_by(&self, by: BlockedBy) -> String {
        match by {
            BlockedBy::Sink(sink) => format!("sink {}", self.sinks[sink.0 as usize]),
            BlockedBy::Lane { to, level } => format!("lane of level {level} to {}", self.core(to)),
            BlockedBy::Letters => "dead letters".to_string(),
            BlockedBy::Nodes => "nodes that come or go".to_string(),
            BlockedBy::Connection(id) => self.connection(id),
        }
    }

    fn connection(&self, id: ConnectionId) -> String {
        let peer = self.peer(id).filter(|peer| !peer.is_empty());
        let peer = peer.map(|peer| format!(" from {peer}"));
        format!("connection {:x}{}", id.0, peer.unwrap_or_default())
    }

    /// The peer of a connection, if it was noted.
    pub(super) fn peer(&self, id: ConnectionId) -> Option<String> {
        let peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        peers.get(&id.0).cloned()
    }

    /// What holds time, in words.
    pub(super) fn time_holder(&self, holder: &TimeHolder) -> String {
        let source = &self.sources[usize::from(holder.source.0)];
        match holder.connection {
            None => format!("source `{source}`"),
            Some(id) => format!("source `{source}`, {}", self.connection(id)),
        }
    }

    /// The core on a seat, in words.
    fn core(&self, seat: usize) -> String {
        let seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        match seats.iter().rfind(|(_, first)| *first <= seat) {
            Some((node, first)) => format!("core {} of node {node}", seat - first),
            None => format!("core {seat}"),
        }
    }

    pub(super) fn snapshot(&self, counts: &[Counts]) -> Snapshot {
        let seconds = self.started.elapsed().as_secs_f64();
        let sum = |value: &dyn Fn(&Counts) -> u64| counts.iter().map(value).sum::<u64>();
        let source = |(index, name): (usize, &String)| SourceSummary {
            name: name.clone(),
            events: sum(&|counts| counts.sources[index].events),
            events_per_second: per_second(sum(&|counts| counts.sources[index].events), seconds),
            bytes: sum(&|counts| counts.sources[index].bytes),
            refused: sum(&|counts| counts.sources[index].refused),
            overdue: sum(&|counts| counts.sources[index].overdue),
            repeated: self.repeated[index].load(Ordering::Relaxed),
            stalled: self.tallies.iter().map(|tally| tally.stalled(index)).sum(),
        };
        let sink = |(index, name): (usize, &String)| SinkSummary {
            name: name.clone(),
            events: sum(&|counts| counts.sinks[index].events),
            events_per_second: per_second(sum(&|counts| counts.sinks[index].events), seconds),
            bytes: sum(&|counts| counts.sinks[index].bytes),
            waits: sum(&|counts| counts.sinks[index].waits),
        };
        let sources: Vec<_> = self.sources.iter().enumerate().map(source).collect();
        let events = sources.iter().map(|source| source.events).sum();
        let table = |(index, name): (usize, &String)| TableSummary {
            name: name.clone(),
            rows: sum(&|counts| counts.tables[index].0),
            bytes: sum(&|counts| counts.tables[index].1),
        };
        Snapshot {
            application: self.application.clone(),
            host: self.host.clone(),
            seconds,
            cores: self.cpus.len(),
            idle: self.idle,
            events,
            events_per_second: per_second(events, seconds),
            sources,
            sinks: self.sinks.iter().enumerate().map(sink).collect(),
            tables: self.tables.iter().enumerate().map(table).collect(),
            paths: self.paths(seconds),
            replies_without_connection: sum(&|counts| counts.replies_lost),
            time: self.times.summary((&self.tallies, counts), self.clock.now().0, |holder| {
                self.time_holder(holder)
            }),
            checkpoints: self.checkpoints.as_ref().map(|progress| progress.summary()),
            undelivered: 0,
            failures: 0,
        }
    }

    fn paths(&self, seconds: f64) -> Vec<PathSummary> {
        let merged = |read: &dyn Fn(&SharedCounts) -> LatencyArray| {
            let mut merged = LatencyArray::new();
            self.tallies.iter().for_each(|tally| merged.merge(&read(tally)));
            merged
        };
        let paths = self.paths.iter().enumerate();
        paths
            .map(|(index, (source, end, label))| {
                // The part first: what is counted meanwhile is then in the whole at least.
                let inside = merged(&|tally| tally.path_inside(index));
                let latency = merged(&|tally| tally.path(index));
                let outside = latency.without(&inside).snapshot();
                PathSummary::new((label, source, end), latency.snapshot(), outside, seconds)
            })
            .collect()
    }
}
