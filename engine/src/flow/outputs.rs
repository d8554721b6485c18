//! Which core owns a sink or a connection, and the outlets of this core.

use potoroo_sdk::host::{Cause, SinkId, SourceId};
use potoroo_sdk::plan::{End, Plan};

use super::connection::ConnectionId;
use super::counts::Counts;
use super::egress::Outlet;
use super::gauges::BlockedBy;
use crate::checkpoint::Epoch;

/// Limit of the outlet for replies to generated events, which are out at once: only their latencies
/// wait, for the end of the turn.
const UNHEARD_BYTES: usize = 4096;

/// The sinks and connections of one core.
pub struct CoreOutputs {
    core: usize,
    cores: usize,
    /// Owner of each sink; `None` for replies.
    sinks: Vec<Option<usize>>,
    /// The outlets of the sinks that this core owns.
    pub(super) outlets: Vec<Option<Outlet>>,
    /// The outlets of the connections of this core, by inlet, with their ids.
    replies: Vec<Option<(ConnectionId, Outlet)>>,
    /// Inlets whose replies may wait: few, however many connections there are.
    replying: Vec<usize>,
    /// Origins of generators: replies to their events have no receiver.
    generators: Vec<u64>,
    /// The replies to generated events, out as soon as they are added.
    unheard: Outlet,
    /// Path number by source and sink.
    paths: Vec<Vec<u16>>,
}

impl CoreOutputs {
    /// `owners` of the sinks; this core's outlets are full above `outlet_bytes`.
    // cold: at start
    pub(super) fn new(
        plan: &Plan,
        (core, cores): (usize, usize),
        owners: &[usize],
        outlet_bytes: usize,
    ) -> Self {
        let owned = |sink: usize| plan.sinks[sink].name.is_some().then_some(owners[sink]);
        let sinks: Vec<_> = (0..plan.sinks.len()).map(owned).collect();
        let outlet = |owner: &Option<usize>| {
            owner.filter(|owner| *owner == core).map(|_| Outlet::new(outlet_bytes))
        };
        Self {
            core,
            cores,
            outlets: sinks.iter().map(outlet).collect(),
            sinks,
            replies: Vec::new(),
            replying: Vec::new(),
            generators: Vec::new(),
            unheard: Outlet::new(UNHEARD_BYTES),
            paths: sink_paths(plan),
        }
    }

    /// The core to which an output goes. A reply without a connection stays here, to be counted.
    #[inline]
    pub(super) fn owner(&self, sink: SinkId, cause: &Cause) -> usize {
        match self.sinks[sink.0 as usize] {
            Some(owner) => owner,
            // A connection of an earlier run may have been a core's that is not there any more.
            None => ConnectionId(cause.origin.connection)
                .core()
                .filter(|core| *core < self.cores)
                .unwrap_or(self.core),
        }
    }

    /// Whether some event of `source` gets to `sink`.
    pub(super) fn is_reached(&self, sink: SinkId, source: SourceId) -> bool {
        let of_source = self.paths.get(usize::from(source.0));
        of_source.is_some_and(|sinks| sinks[usize::from(sink.0)] != u16::MAX)
    }

    fn outlet(&mut self, sink: SinkId, cause: &Cause) -> Option<&mut Outlet> {
        if self.sinks[sink.0 as usize].is_some() {
            return self.outlets[sink.0 as usize].as_mut();
        }
        let id = ConnectionId(cause.origin.connection);
        let (connection, outlet) = self.replies.get_mut(id.inlet())?.as_mut()?;
        if *connection != id {
            return None;
        }
        if outlet.is_idle() {
            self.replying.push(id.inlet());
        }
        Some(outlet)
    }

    fn reply(&self, id: ConnectionId) -> Option<&Outlet> {
        let (connection, outlet) = self.replies.get(id.inlet())?.as_ref()?;
        (*connection == id).then_some(outlet)
    }

    /// Replies to this origin are counted and dropped: it is a generator, which has no connection.
    // cold: at start
    pub(super) fn drop_replies(&mut self, origin: u64) {
        self.generators.push(origin);
    }

    /// Outputs of `sink` have their origin in front, if this core owns it.
    // cold: at start
    pub(super) fn number(&mut self, sink: SinkId) {
        self.outlets[sink.0 as usize].iter_mut().for_each(Outlet::number);
    }

    /// The snapshot of `epoch` lies here: what is added from now on follows it.
    #[cold]
    pub(super) fn mark(&mut self, epoch: Epoch) {
        self.outlets.iter_mut().flatten().for_each(|outlet| outlet.mark(epoch));
    }

    /// A reply that no connection takes: to a generated event, or too late. Returns whether it was
    /// to a generated one.
    #[cold]
    fn add_unheard(&mut self, cause: &Cause, bytes: &[u8], path: u16) -> bool {
        let generated = self.generators.contains(&cause.origin.connection);
        if generated {
            self.unheard.add(bytes, path, cause);
            self.unheard.written(bytes.len());
        }
        generated
    }

    /// Gives the connection `id` an outlet for replies.
    pub(super) fn open_reply(&mut self, id: ConnectionId, outlet: Outlet) {
        if self.replies.len() <= id.inlet() {
            self.replies.resize_with(id.inlet() + 1, || None);
        }
        self.replies[id.inlet()] = Some((id, outlet));
    }

    /// Whether an inlet has an outlet for replies.
    pub(super) fn has_reply(&self, inlet: usize) -> bool {
        self.replies.get(inlet).is_some_and(Option::is_some)
    }

    /// Takes away the outlet of an inlet, with the replies that wait in it; returns how many there
    /// were, if there was an outlet.
    pub(super) fn close_reply(&mut self, inlet: usize, counts: &mut Counts) -> Option<u64> {
        self.replying.retain(|replying| *replying != inlet);
        let (_, outlet) = self.replies.get_mut(inlet).and_then(Option::take)?;
        let lost = outlet.events_waiting() as u64;
        counts.replies_lost += lost;
        Some(lost)
    }

    /// The outlet of an inlet.
    pub(super) fn reply_mut(&mut self, inlet: usize) -> Option<&mut Outlet> {
        self.replies.get_mut(inlet)?.as_mut().map(|(_, outlet)| outlet)
    }

    /// Whether an output for `sink` has to wait.
    #[inline]
    pub(super) fn full(&self, sink: SinkId, cause: &Cause) -> bool {
        let outlet = match self.sinks[sink.0 as usize] {
            Some(_) => self.outlets[sink.0 as usize].as_ref(),
            None => self.reply(ConnectionId(cause.origin.connection)),
        };
        outlet.is_some_and(Outlet::full)
    }

    /// Adds an output of this core. Returns whether its outlet is full now.
    pub(super) fn add(
        &mut self,
        sink: SinkId,
        cause: &Cause,
        bytes: &[u8],
        counts: &mut Counts,
    ) -> bool {
        let path = self.paths[cause.source.0 as usize][sink.0 as usize];
        let added = self.outlet(sink, cause).map(|outlet| {
            outlet.add(bytes, path, cause);
            outlet.full()
        });
        let full = match added {
            Some(full) => full,
            None if self.add_unheard(cause, bytes, path) => false,
            None => {
                counts.replies_lost += 1;
                return false;
            }
        };
        let counts = &mut counts.sinks[sink.0 as usize];
        counts.events += 1;
        counts.bytes += bytes.len() as u64;
        full
    }

    fn each_outlet(&self) -> impl Iterator<Item = &Outlet> {
        let replies = self.replying.iter().filter_map(|inlet| self.replies[*inlet].as_ref());
        self.outlets.iter().flatten().chain(replies.map(|(_, outlet)| outlet))
    }

    /// Whether some outlet is full.
    pub(super) fn any_full(&self) -> bool {
        self.each_outlet().any(Outlet::full)
    }

    /// A sink or connection whose outlet is full.
    #[cold]
    pub(super) fn full_one(&self) -> Option<BlockedBy> {
        let full = |outlet: &Option<Outlet>| outlet.as_ref().is_some_and(Outlet::full);
        if let Some(sink) = self.outlets.iter().position(full) {
            return Some(BlockedBy::Sink(SinkId(sink as u16)));
        }
        let mut replies = self.replying.iter().filter_map(|inlet| self.replies[*inlet].as_ref());
        replies.find(|(_, outlet)| outlet.full()).map(|(id, _)| BlockedBy::Connection(*id))
    }

    /// Events that wait in outlets.
    #[cold]
    pub(super) fn events_waiting(&self) -> usize {
        self.each_outlet().map(Outlet::events_waiting).sum()
    }

    /// Whether no outlet holds anything.
    pub(super) fn is_empty(&self) -> bool {
        self.each_outlet().all(Outlet::is_empty)
    }

    /// Whether no outlet of a sink holds anything.
    #[cold]
    pub(super) fn sinks_are_empty(&self) -> bool {
        self.waiting_sink().is_none()
    }

    /// A sink whose outlet holds something.
    #[cold]
    pub(super) fn waiting_sink(&self) -> Option<SinkId> {
        let waits = |outlet: &Option<Outlet>| outlet.as_ref().is_some_and(|it| !it.is_empty());
        self.outlets.iter().position(waits).map(|sink| SinkId(sink as u16))
    }

    /// Goes on with the outlets of the core that was here before.
    // cold: when nodes come or go
    pub(super) fn take_over(&mut self, before: Self) {
        let Self { outlets, replies, replying, generators, unheard, .. } = before;
        (self.outlets, self.unheard, self.generators) = (outlets, unheard, generators);
        (self.replies, self.replying) = (replies, replying);
    }

    /// Takes the path and ingress of each event that is out.
    pub(super) fn take_out(&mut self, mut take: impl FnMut(u16, u64)) {
        for outlet in self.outlets.iter_mut().flatten() {
            outlet.take_out(&mut take);
        }
        self.unheard.take_out(&mut take);
        let Self { replying, replies, .. } = self;
        replying.retain(|inlet| {
            replies[*inlet].as_mut().is_some_and(|(_, reply)| {
                reply.take_out(&mut take);
                !reply.is_idle()
            })
        });
    }

    /// The inlets whose replies may wait.
    pub(super) fn replying(&self) -> &[usize] {
        &self.replying
    }

    /// Counts a turn in which sinks of this core were full.
    pub(super) fn count_waits(&self, counts: &mut Counts) {
        for (outlet, counts) in self.outlets.iter().zip(&mut counts.sinks) {
            if outlet.as_ref().is_some_and(Outlet::full) {
                counts.waits += 1;
            }
        }
    }
}

/// Paths that cannot occur are numbered `u16::MAX`.
// cold: at start
fn sink_paths(plan: &Plan) -> Vec<Vec<u16>> {
    let mut paths = vec![vec![u16::MAX; plan.sinks.len()]; plan.sources.len()];
    for (number, path) in plan.paths.iter().enumerate() {
        if let End::Sink(sink) = path.end {
            paths[path.source.0 as usize][sink.0 as usize] = number as u16;
        }
    }
    paths
}
