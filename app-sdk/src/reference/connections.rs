//! The connections of the reference interpreter, and what they say of time.

use alloc::vec::Vec;

use super::Reference;
use crate::host::{Cause, Feed, Inflow, Ingested, Origin, SourceId, Stop, TimeId};
use crate::plan::Plan;
use crate::time::EventTime;

/// A connection to a source of the interpreter: see [`Reference::connect`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FedConnection(pub(super) usize);

/// What is known of a connection.
pub(super) struct Connected {
    source: SourceId,
    /// What of its input is not yet taken: the beginning of a frame.
    partial: Vec<u8>,
    /// Its own watermarks.
    pub(super) own: Vec<EventTime>,
    /// How far its input has been read.
    position: u64,
    /// What comes next belongs to a frame above the limit that was refused.
    skipping: bool,
    /// Nothing more of its input can be understood.
    broken: bool,
    ended: bool,
    /// Its number in the origins of its events.
    number: u64,
}

impl Connected {
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
fn none_yet(plan: &Plan) -> Vec<EventTime> {
    plan.times.iter().map(|_| EventTime::MIN).collect()
}

impl Reference {
    /// Another connection to the source `name`. Like the first one it holds time: what waits for
    /// the time of this source waits for all its connections that have not ended.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("echo");
    /// app.source("lines", LineText::new()).sink("copies", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// let other = reference.connect("lines");
    /// reference.feed("lines", b"to b");
    /// reference.feed_to(&other, b"or not\n");
    /// reference.feed("lines", b"e\n");
    /// reference.end_of(&other);
    /// assert_eq!(reference.output("copies"), b"or not\nto be\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    ///
    /// # Panics
    /// The application has no source `name`.
    pub fn connect(&mut self, name: &str) -> FedConnection {
        let (at, number) = (usize::from(self.source(name).0), 1 + self.connections.len() as u64);
        self.connections.push(Connected { number, ..Connected::new(&self.plan, at) });
        FedConnection(self.connections.len() - 1)
    }

    /// As [`feed`](Self::feed), on a connection.
    pub fn feed_to(&mut self, connection: &FedConnection, bytes: &[u8]) {
        self.connections[connection.0].ended = false;
        self.feed_bytes(connection.0, bytes, false);
    }

    /// As [`end`](Self::end), of a connection.
    pub fn end_of(&mut self, connection: &FedConnection) {
        self.feed_bytes(connection.0, &[], true);
        let own = none_yet(&self.plan);
        let connected = &mut self.connections[connection.0];
        connected.partial.clear();
        (connected.skipping, connected.broken, connected.ended) = (false, false, true);
        connected.own = own;
        self.pass_time();
    }

    /// Nothing on time at or before `time` will come on the first connection of the source `name`,
    /// as if an event with a later time had come and was dropped.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("timeouts");
    /// let open = app.table::<u64, ()>("open").timers();
    /// app.source("orders", LineText::new())
    ///     .map(|line| line.parse::<u64>().ok())
    ///     .event_time(|_| EventTime::from_millis(0), IN_ORDER)
    ///     .key_by(|order| order)
    ///     .update_row(&open, |order, _| order.set_timer_in(millis(50)));
    /// open.on_timer(|order| format!("cancel {}", order.key())).sink("cancels", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("orders", b"7\n");
    /// reference.promise("orders", EventTime::from_millis(49));
    /// assert_eq!(reference.output("cancels"), b"");
    /// reference.promise("orders", EventTime::from_millis(50));
    /// assert_eq!(reference.output("cancels"), b"cancel 7\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    ///
    /// # Panics
    /// The application has no source `name`.
    pub fn promise(&mut self, name: &str, time: EventTime) {
        self.promise_of(&self.first_connection(name), time);
    }

    /// As [`promise`](Self::promise), of a connection.
    pub fn promise_of(&mut self, connection: &FedConnection, time: EventTime) {
        let connected = &mut self.connections[connection.0];
        for id in &self.plan.sources[usize::from(connected.source.0)].times {
            let own = &mut connected.own[usize::from(id.0)];
            *own = time.max(*own);
        }
        self.pass_time();
    }

    fn feed_bytes(&mut self, at: usize, bytes: &[u8], ended: bool) {
        let connected = &mut self.connections[at];
        if connected.broken {
            return;
        }
        let mut input = core::mem::take(&mut connected.partial);
        input.extend_from_slice(bytes);
        loop {
            self.begin_input(at);
            let connected = &mut self.connections[at];
            let (cause, skipping) = (connected.cause(), connected.skipping);
            let feed = Feed { cause, ended, events_max: 1, frame_bytes_max: usize::MAX, skipping };
            let (own, stage) =
                (&mut connected.own, &self.plan.sources[usize::from(connected.source.0)].stage);
            let done = stage.ingest(&input, feed, own, &self.under_way, &mut self.state);
            self.process_in_flight();
            self.pass_time();
            input.drain(..done.bytes);
            let connected = &mut self.connections[at];
            connected.position += done.bytes as u64;
            connected.skipping = done.skipping;
            connected.broken = matches!(done.stop, Stop::Broken(_));
            let Ingested { stop: Stop::Limit, .. } = done else { break };
        }
        self.connections[at].partial = input;
    }
}

/// By `event_time`, up to when nothing on time comes any more from all connections; the end of time
/// when all have ended.
pub(super) fn times(plan: &Plan, connections: &[Connected]) -> Vec<EventTime> {
    let ids = 0..plan.times.len();
    ids.map(|id| least(plan, connections, TimeId(id as u16), None)).collect()
}

/// By exchange, what an event that `at` brings cannot raise its watermark above.
pub(super) fn bounds(plan: &Plan, connections: &[Connected], at: usize) -> Vec<EventTime> {
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

fn least(plan: &Plan, connections: &[Connected], id: TimeId, but: Option<usize>) -> EventTime {
    let others = connections.iter().enumerate().filter(|(at, _)| Some(*at) != but);
    let open = others.filter(|(_, connected)| {
        !connected.ended && plan.sources[usize::from(connected.source.0)].times.contains(&id)
    });
    open.map(|(_, connected)| connected.own[usize::from(id.0)]).min().unwrap_or(EventTime::MAX)
}
