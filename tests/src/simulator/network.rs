//! The network: brings the bytes of clients in pieces of any size, and takes outputs in pieces of
//! any size, with pauses, so that whatever can fill up does.

use std::collections::BTreeMap;

use potoroo::flow::{ConnectionId, DeadLetter};
use potoroo::turn::{Fill, NewLink};
use potoroo_runtime::{Nanos, Ready};
use potoroo_sdk::host::{SinkId, SourceId};
use potoroo_sdk::random::Random;

use super::Deployment;
use super::clients::{Client, Stage};
use super::trace::Trace;
use crate::seeds::{Concern, random};
use crate::wires::{WireWatch, WiredCore};
use crate::workload::piece;

/// All connections and sinks.
pub(super) struct Network {
    clients: Vec<Client>,
    sinks: Vec<Receiver>,
    random: Random,
    /// Steps of all cores so far.
    tick: u64,
    pub(super) trace: Trace,
    /// How often a pause begins: differs from run to run.
    stall_chance: f64,
    /// How often the peer of a sink is replaced.
    reconnects: f64,
    /// Waiting bytes that an outlet never passes.
    outlet_bytes_max: usize,
    /// Clients that were closed because they did not take their replies.
    stalled: u64,
    /// By core: connections opened so far.
    opened: Vec<u32>,
    /// What is announced of links, each with its core.
    wires: Vec<(usize, WireWatch)>,
}

/// The receiver of a sink.
#[derive(Clone, Default)]
struct Receiver {
    /// The core that owns the sink.
    core: usize,
    bytes: Vec<u8>,
    /// It refuses everything before this step.
    stalled_until: u64,
    /// The core waits for room under this token.
    room: Option<u64>,
}

/// Steps that a sink, and a client, refuse everything.
const SINK_STALL_TICKS: u64 = 200;
const CLIENT_STALL_TICKS: u64 = 20;

impl Network {
    pub(super) fn new(
        seed: u64,
        clients: Vec<Client>,
        sink_owners: &[usize],
        deployment: &Deployment,
    ) -> Self {
        let mut random = random(seed, Concern::Network);
        let stall_chance = [0.0, 0.01, 0.2][random.below(3) as usize];
        let receiver = |core: &usize| Receiver { core: *core, ..Receiver::default() };
        Self {
            clients,
            sinks: sink_owners.iter().map(receiver).collect(),
            random,
            tick: 0,
            trace: Trace::default(),
            stall_chance,
            reconnects: deployment.reconnects,
            stalled: 0,
            outlet_bytes_max: deployment.outlet_bytes_max(),
            opened: vec![0; deployment.cores],
            wires: Vec::new(),
        }
    }

    /// Announces these links, and returns them with their cores.
    pub(super) fn watch_wires(&mut self, wired: Vec<WiredCore>) -> Vec<(usize, NewLink)> {
        let watch = |WiredCore { core, link, watch }| {
            self.wires.push((core, watch));
            (core, link)
        };
        wired.into_iter().map(watch).collect()
    }

    /// # Errors
    /// Something that was sent over a link has not come.
    pub(super) fn check_wires(&self) -> Result<(), String> {
        self.wires.iter().try_for_each(|(_, watch)| watch.check_empty())
    }

    /// It is this step now.
    pub(super) fn set_tick(&mut self, tick: u64) {
        self.tick = tick;
    }

    /// Whether some client of `core` has not connected yet.
    pub(super) fn expects_clients(&self, core: usize) -> bool {
        let absent = |client: &Client| client.core == core && client.stage == Stage::Absent;
        self.clients.iter().any(absent)
    }

    /// The clients of `core` that connect now.
    pub(super) fn connect(&mut self, core: usize) -> Vec<usize> {
        let mut connecting = Vec::new();
        for at in 0..self.clients.len() {
            let may = self.clients[at].core == core && self.may_connect(&self.clients[at]);
            if may && self.random.chance(0.7) {
                self.clients[at].stage = Stage::Open;
                connecting.push(at);
            }
        }
        connecting
    }

    /// The source to which a client connects.
    pub(super) fn source(&self, client: usize) -> SourceId {
        self.clients[client].source()
    }

    /// A core has opened the connection of a client, under this token. Returns whether its bytes
    /// are announced.
    pub(super) fn open(&mut self, client: usize, token: u64) -> bool {
        let client = &mut self.clients[client];
        let serial = &mut self.opened[client.core];
        *serial += 1;
        client.id = Some(ConnectionId::new(client.core, *serial, token as u16));
        client.announced
    }

    /// None connects any more; those that are open are stopped by their cores.
    pub(super) fn stop(&mut self) {
        let absent = self.clients.iter_mut().filter(|client| client.stage == Stage::Absent);
        absent.for_each(|client| client.stage = Stage::Gone);
    }

    /// The core reads no more from a client.
    pub(super) fn stop_client(&mut self, client: usize) {
        let client = &mut self.clients[client];
        if client.stage == Stage::Open {
            (client.stopped, client.stage) = (true, Stage::Ended);
        }
    }

    /// Stage and bytes of each client, for messages.
    pub(super) fn progress(&self) -> Vec<(Stage, usize, usize)> {
        let of = |client: &Client| (client.stage, client.sent, client.replies.len());
        self.clients.iter().map(of).collect()
    }

    /// Which clients the cores stopped reading before their end.
    pub(super) fn stopped(&self) -> Vec<bool> {
        self.clients.iter().map(|client| client.stopped).collect()
    }

    fn gone(&self) -> usize {
        self.clients.iter().filter(|client| client.stage == Stage::Gone).count()
    }

    fn may_connect(&self, client: &Client) -> bool {
        client.stage == Stage::Absent && client.script.after <= self.gone()
    }

    /// Whether something outside has, or gets, the core `core` to turn.
    pub(super) fn pending(&self, core: usize) -> bool {
        let mut clients = self.clients.iter().filter(|client| client.core == core);
        let wakes = |client: &Client| {
            let sends = client.stage == Stage::Open && client.empty;
            sends || self.may_connect(client) || client.room_at.is_some_and(|at| at <= self.tick)
        };
        let mut wires = self.wires.iter();
        clients.any(wakes)
            || self.sinks.iter().any(|sink| sink.core == core && self.has_room(sink))
            || wires.any(|(of, watch)| *of == core && watch.pending())
    }

    /// The core waits for room, and there is some.
    fn has_room(&self, sink: &Receiver) -> bool {
        sink.room.is_some() && sink.stalled_until <= self.tick
    }

    /// The step at which a client for which a core waits has room.
    pub(super) fn next_room(&self) -> Option<u64> {
        let sinks = self.sinks.iter().filter(|sink| sink.room.is_some());
        let sinks = sinks.map(|sink| sink.stalled_until);
        sinks.chain(self.clients.iter().filter_map(|client| client.room_at)).min()
    }

    /// What has become ready at `core` and is announced now.
    pub(super) fn announce(&mut self, core: usize, ready: &mut Vec<Ready>) {
        for client in self.clients.iter_mut().filter(|client| client.core == core) {
            let Some(id) = client.id else { continue };
            let readable = client.announced && client.empty && client.stage == Stage::Open;
            let readable = readable && self.random.chance(0.7);
            let writable = client.room_at.take_if(|at| *at <= self.tick).is_some();
            if readable || writable {
                client.empty &= !readable;
                let token = id.inlet() as u64;
                ready.push(Ready { token, readable, writable, closed: false });
            }
        }
        for (_, watch) in self.wires.iter().filter(|(of, _)| *of == core) {
            if self.random.chance(0.7) {
                watch.announce(ready);
            }
        }
        let tick = self.tick;
        for sink in self.sinks.iter_mut().filter(|sink| sink.core == core) {
            if sink.stalled_until <= tick
                && let Some(token) = sink.room.take()
            {
                ready.push(Ready { token, readable: false, writable: true, closed: false });
            }
        }
    }

    /// Nothing is announced any more under this token.
    pub(super) fn unwatch(&mut self, core: usize, token: u64) {
        for client in self.clients.iter_mut().filter(|client| client.core == core) {
            if client.id.is_some_and(|id| id.inlet() as u64 == token) {
                client.room_at = None;
            }
        }
        let sinks = self.sinks.iter_mut().filter(|sink| sink.room == Some(token));
        sinks.filter(|sink| sink.core == core).for_each(|sink| sink.room = None);
    }

    /// One client sends a piece, or what ends it.
    pub(super) fn send(&mut self, at: usize, room: &mut [u8], now: Nanos) -> Fill {
        let pauses = !self.random.chance(0.7);
        let piece = piece(&mut self.random);
        let client = &mut self.clients[at];
        client.empty = pauses;
        if client.stage != Stage::Open || pauses {
            return Fill::Nothing;
        }
        if client.rest().is_empty() {
            client.stage = Stage::Ended;
            client.deaf |= client.script.cut.is_some();
            return Fill::Ended;
        }
        let bytes = client.rest().len().min(room.len()).min(piece);
        room[..bytes].copy_from_slice(&client.rest()[..bytes]);
        self.trace.note_bytes(&room[..bytes]);
        client.sent += bytes;
        Fill::Bytes(bytes, now)
    }

    /// A client takes what it wants of its replies; `None` when it is gone.
    pub(super) fn take_replies(&mut self, at: usize, bytes: &[u8]) -> Option<usize> {
        self.check(bytes);
        let client = &mut self.clients[at];
        if client.deaf {
            return None;
        }
        if client.is_sated() || self.random.chance(self.stall_chance) {
            return Some(0);
        }
        let bytes = &bytes[..piece(&mut self.random).min(bytes.len())];
        client.replies.extend_from_slice(bytes);
        self.trace.note_bytes(bytes);
        Some(bytes.len())
    }

    /// A core waits until a client takes replies again.
    pub(super) fn watch_client_room(&mut self, at: usize) {
        let room_at = self.tick + self.random.below(CLIENT_STALL_TICKS);
        let client = &mut self.clients[at];
        if !client.is_sated() {
            client.room_at.get_or_insert(room_at);
        }
    }

    /// A sink takes some of its output; `None` when its receiver is replaced: the successor gets
    /// the line of which the receiver had a part from the beginning.
    pub(super) fn take_output(&mut self, sink: usize, bytes: &[u8]) -> Option<usize> {
        self.check(bytes);
        let receiver = &mut self.sinks[sink];
        if self.tick < receiver.stalled_until {
            return Some(0);
        }
        if self.random.chance(self.stall_chance) {
            receiver.stalled_until = self.tick + self.random.below(SINK_STALL_TICKS);
        }
        if self.random.chance(self.reconnects) {
            let into = &mut receiver.bytes;
            into.truncate(into.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1));
            return None;
        }
        let bytes = &bytes[..piece(&mut self.random).min(bytes.len())];
        receiver.bytes.extend_from_slice(bytes);
        self.trace.note_bytes(bytes);
        Some(bytes.len())
    }

    /// The owner of a sink waits for room under `token`.
    pub(super) fn watch_sink_room(&mut self, sink: usize, token: u64) {
        self.sinks[sink].room = Some(token);
    }

    /// The core has taken all of a client, or turned it away.
    pub(super) fn close(&mut self, client: usize) {
        self.clients[client].stage = Stage::Gone;
    }

    /// A client that does not take its replies was closed.
    pub(super) fn lose_replies(&mut self, client: usize) {
        let client = &mut self.clients[client];
        assert!(client.script.deaf_after.is_some(), "it would have taken its replies");
        self.stalled += 1;
        client.deaf = true;
        if client.stage == Stage::Open {
            client.stage = Stage::Ended;
        }
    }

    /// Clients that were closed because they did not take their replies.
    pub(super) fn stalled(&self) -> u64 {
        self.stalled
    }

    /// A letter names the connection and the place from which its bytes come.
    pub(super) fn check_letter(&self, letter: &DeadLetter) {
        let origin = letter.cause.origin;
        let owns = |client: &&Client| client.id.is_some_and(|id| id.0 == origin.connection);
        if let Some(client) = self.clients.iter().find(owns) {
            let from = &client.script.bytes[origin.position as usize..];
            assert!(from.starts_with(&letter.bytes), "the letter is from somewhere else");
        }
    }

    /// Memory is bounded: at each moment, not only on average.
    fn check(&self, waiting: &[u8]) {
        let waiting = waiting.len();
        assert!(waiting <= self.outlet_bytes_max, "{waiting} bytes wait in an outlet");
    }

    /// Bytes of the `named` sinks, and of the replies of each client.
    pub(super) fn take_outputs(
        &mut self,
        named: &[(SinkId, String)],
    ) -> (BTreeMap<String, Vec<u8>>, Vec<Vec<u8>>) {
        let of = |(id, name): &(SinkId, String)| {
            (name.clone(), std::mem::take(&mut self.sinks[id.0 as usize].bytes))
        };
        let sinks = named.iter().map(of).collect();
        let replies = |client: &mut Client| std::mem::take(&mut client.replies);
        (sinks, self.clients.iter_mut().map(replies).collect())
    }
}
