//! The connections of the reference interpreter, and what they say of time.

use alloc::vec::Vec;

use crate::host::{Cause, Inflow, Origin, SourceId, TimeId};
use crate::plan::Plan;
use crate::time::EventTime;

/// A connection to a source of the interpreter: see [`Reference::connect`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FedConnection(pub(super) usize);

/// What is known of a connection.
pub(super) struct FedInput {
    pub(super) source: SourceId,
    /// What of its input is not yet taken: the beginning of a frame.
    pub(super) partial: Vec<u8>,
    /// Its own watermarks.
    pub(super) own: Vec<EventTime>,
    /// How far its input has been read.
    pub(super) position: u64,
    /// What comes next belongs to a frame above the limit that was refused.
    pub(super) skipping: bool,
    /// Nothing more of its input can be understood.
    pub(super) broken: bool,
    pub(super) ended: bool,
    /// Its number in the origins of its events.
    pub(super) number: u64,
}

impl FedInput {
    /// The first connection of the source `at`.
    pub(super) fn new(plan: &Plan, at: usize) -> Self {
        Self {
            source: SourceId(at as u8),
            partial: Vec::new(),
            own: none_yet(plan),
            position: 0,
            skipping: false,
            broken: false,
            ended: false,
            number: 1 + at as u64,
        }
    }

    pub(super) fn cause(&self) -> Cause {
        let origin = Origin { connection: self.number, position: self.position };
        Cause { ingress: 0, origin, source: self.source }
    }
}

/// The own watermarks of a connection that has brought no event.
pub(super) fn none_yet(plan: &Plan) -> Vec<EventTime> {
    plan.times.iter().map(|_| EventTime::MIN).collect()
}

/// By `event_time`, up to when nothing on time comes any more from all connections; the end of time
/// when all have ended.
pub(super) fn times(plan: &Plan, connections: &[FedInput]) -> Vec<EventTime> {
    let ids = 0..plan.times.len();
    ids.map(|id| least(plan, connections, TimeId(id as u16), None)).collect()
}

/// By exchange, what an event that `at` brings cannot raise its watermark above.
pub(super) fn bounds(plan: &Plan, connections: &[FedInput], at: usize) -> Vec<EventTime> {
    let own = &connections[at].own;
    let times = &plan.sources[usize::from(connections[at].source.0)].times;
    let bound = |inflows: &[Inflow]| {
        let ids = inflows.iter().filter_map(|inflow| match inflow {
            Inflow::Time(id) => Some(*id),
            _ => None,
        });
        // Where its events come through several, which of them has brought one is not known.
        let several = ids.clone().filter(|id| times.contains(id)).count() > 1;
        let others = ids.clone().map(|id| least(plan, connections, id, Some(at)));
        let same = ids.map(|id| if several { own[usize::from(id.0)] } else { EventTime::MAX });
        others.chain(same).min().unwrap_or(EventTime::MAX)
    };
    plan.exchanges.iter().map(|exchange| bound(&exchange.inflows)).collect()
}

fn least(plan: &Plan, connections: &[FedInput], id: TimeId, but: Option<usize>) -> EventTime {
    let others = connections.iter().enumerate().filter(|(at, _)| Some(*at) != but);
    let open = others.filter(|(_, connected)| {
        !connected.ended && plan.sources[usize::from(connected.source.0)].times.contains(&id)
    });
    open.map(|(_, connected)| connected.own[usize::from(id.0)]).min().unwrap_or(EventTime::MAX)
}
