//! The network: brings the bytes of clients in pieces of any size, and takes outputs in pieces of
//! any size, with pauses, so that whatever can fill up does.

use std::collections::BTreeMap;

use potoroo::flow::{Core, Letter, Outlet};
use potoroo_runtime::Nanos;
use potoroo_sdk::host::SinkId;
use potoroo_sdk::random::Random;

use super::Deployment;
use super::clients::{Client, Stage};
use super::trace::Trace;
use crate::seeds::{Concern, random};
use crate::workload::piece;

/// All connections and sinks.
pub(super) struct Network {
    clients: Vec<Client>,
    /// Bytes of each sink.
    sinks: Vec<Vec<u8>>,
    /// Steps that each sink still refuses everything.
    stalls: Vec<u64>,
    random: Random,
    /// How often a pause begins: differs from run to run.
    stall_chance: f64,
    /// How often the peer of a sink is replaced.
    reconnects: f64,
    /// Waiting bytes that an outlet never passes.
    outlet_bytes_max: usize,
    /// How long the replies of a client may hold its core back.
    reply_stall_ns: u64,
    /// Clients that were closed for that.
    stalled: u64,
    /// Cores that have got their last client and were not yet told.
    opened_all: Vec<usize>,
}

/// More than one input can cause in the tests: an outlet is full before and takes it all.
const OUTPUT_BYTES_MAX: usize = 16 << 10;

impl Network {
    pub(super) fn new(
        seed: u64,
        clients: Vec<Client>,
        sinks: usize,
        deployment: &Deployment,
    ) -> Self {
        let mut random = random(seed, Concern::Network);
        let stall_chance = [0.0, 0.01, 0.2][random.below(3) as usize];
        Self {
            clients,
            sinks: vec![Vec::new(); sinks],
            stalls: vec![0; sinks],
            random,
            stall_chance,
            reconnects: deployment.reconnects,
            reply_stall_ns: deployment.reply_stall_ns,
            stalled: 0,
            outlet_bytes_max: deployment.outlet_bytes + OUTPUT_BYTES_MAX,
            opened_all: Vec::new(),
        }
    }

    /// Whether some client of `core` has not connected yet.
    pub(super) fn expects_clients(&self, core: usize) -> bool {
        let absent = |client: &Client| client.core == core && client.stage == Stage::Absent;
        self.clients.iter().any(absent)
    }

    /// Whether the last client of `core` has connected; says so once.
    pub(super) fn take_opened_all(&mut self, core: usize) -> bool {
        let at = self.opened_all.iter().position(|opened| *opened == core);
        at.map(|at| self.opened_all.swap_remove(at)).is_some()
    }

    /// No client sends anything more, and none connects; the cores were told the same.
    pub(super) fn stop(&mut self) {
        for client in &mut self.clients {
            client.stopped = client.stage == Stage::Open;
            client.stage = match client.stage {
                Stage::Absent => Stage::Gone,
                Stage::Open => Stage::Ended,
                stage => stage,
            };
        }
        self.opened_all.clear();
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

    /// Whether the ports of `core` have anything for it.
    pub(super) fn pending(&self, core: usize, of: &mut Core) -> bool {
        let clients = self.clients.iter().filter(|client| client.core == core);
        let mut sinks = (0..self.sinks.len()).map(|sink| SinkId(sink as u16));
        clients.into_iter().any(|client| client.stage == Stage::Open || self.may_connect(client))
            || of.has_letters()
            || sinks.any(|sink| of.outlet(sink).is_some_and(|outlet| !outlet.waiting().is_empty()))
            || of.replying().to_vec().iter().any(|slot| waits(of.reply(*slot)))
    }

    /// Before a turn: connections and their bytes. Returns how much came.
    pub(super) fn bring(
        &mut self,
        index: usize,
        core: &mut Core,
        now: Nanos,
        trace: &mut Trace,
    ) -> usize {
        let mut moved = 0;
        for at in 0..self.clients.len() {
            if self.clients[at].core != index || !self.random.chance(0.7) {
                continue;
            }
            if self.may_connect(&self.clients[at]) {
                let client = &mut self.clients[at];
                client.id = Some(core.open_inlet(client.source(), false));
                client.stage = Stage::Open;
                moved += 1;
                if !self.expects_clients(index) {
                    self.opened_all.push(index);
                }
            } else if self.clients[at].stage == Stage::Open {
                moved += self.send(at, core, now, trace);
            }
        }
        moved
    }

    /// One client sends a piece, or what ends it.
    fn send(&mut self, at: usize, core: &mut Core, now: Nanos, trace: &mut Trace) -> usize {
        let piece = piece(&mut self.random);
        let client = &mut self.clients[at];
        let id = client.id.expect("it is connected");
        if client.rest().is_empty() {
            client.stage = Stage::Ended;
            core.inlet_end(id);
            if client.script.cut.is_some() {
                client.deaf = true;
                core.close_reply(id.inlet());
            }
            return 1;
        }
        let room = core.inlet_room(id);
        let bytes = client.rest().len().min(room.len()).min(piece);
        if bytes == 0 {
            return 0;
        }
        room[..bytes].copy_from_slice(&client.rest()[..bytes]);
        trace.note_bytes(&room[..bytes]);
        core.inlet_filled(id, bytes, now);
        client.sent += bytes;
        bytes
    }

    /// After a turn: outputs, ended connections, dead letters. Returns how much went.
    pub(super) fn carry(
        &mut self,
        index: usize,
        core: &mut Core,
        now: Nanos,
        letters: &mut Vec<Letter>,
        trace: &mut Trace,
    ) -> usize {
        let mut moved = 0;
        for sink in 0..self.sinks.len() {
            if let Some(outlet) = core.outlet(SinkId(sink as u16)) {
                moved += self.carry_sink(sink, outlet, trace);
            }
        }
        for slot in core.replying().to_vec() {
            let Some(outlet) = core.reply(slot) else { continue };
            moved += self.carry_reply(index, slot, outlet, trace);
            let last = self
                .clients
                .iter()
                .any(|client| client.listens(index, slot) && client.stage == Stage::Gone);
            if outlet.held_ns(now, last) > self.reply_stall_ns {
                moved += self.lose_replies(index, slot, core);
            }
        }
        while let Some((id, _)) = core.take_ended() {
            let owns = |client: &&mut Client| client.id == Some(id);
            let client = self.clients.iter_mut().find(owns).expect("only clients end");
            client.stage = Stage::Gone;
            core.retire_inlet(id);
            moved += 1;
        }
        if core.has_letters() && self.random.chance(0.3) {
            let taken = core.take_letters();
            taken.iter().for_each(|letter| self.check_letter(letter));
            letters.extend(taken);
            moved += 1;
        }
        moved
    }

    /// A client that does not take its replies is closed, as the engine does it.
    fn lose_replies(&mut self, core_index: usize, slot: usize, core: &mut Core) -> usize {
        let listens = |client: &&mut Client| client.listens(core_index, slot);
        let client = self.clients.iter_mut().find(listens).expect("somebody is waited for");
        assert!(client.script.deaf_after.is_some(), "it would have taken its replies");
        self.stalled += 1;
        client.deaf = true;
        core.close_reply(slot);
        if client.stage == Stage::Open {
            client.stage = Stage::Ended;
            core.inlet_end(client.id.expect("it is connected"));
        }
        1
    }

    /// Clients that were closed because they did not take their replies.
    pub(super) fn stalled(&self) -> u64 {
        self.stalled
    }

    fn carry_sink(&mut self, sink: usize, outlet: &mut Outlet, trace: &mut Trace) -> usize {
        self.check(outlet);
        if self.stalls[sink] > 0 {
            self.stalls[sink] -= 1;
            return 0;
        }
        if self.random.chance(self.stall_chance) {
            self.stalls[sink] = self.random.below(200);
        }
        if self.random.chance(self.reconnects) {
            // Its successor gets the line of which the peer had a part from the beginning.
            let into = &mut self.sinks[sink];
            into.truncate(into.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1));
            outlet.restart();
        }
        let bytes = piece(&mut self.random).min(outlet.waiting().len());
        take(outlet, bytes, &mut self.sinks[sink], trace)
    }

    fn carry_reply(
        &mut self,
        core: usize,
        slot: usize,
        outlet: &mut Outlet,
        trace: &mut Trace,
    ) -> usize {
        self.check(outlet);
        let listens = |client: &&mut Client| client.listens(core, slot);
        let Some(client) = self.clients.iter_mut().find(listens) else {
            assert!(outlet.waiting().is_empty(), "replies wait for nobody");
            return 0;
        };
        if client.is_sated() || self.random.chance(self.stall_chance) {
            return 0;
        }
        let bytes = piece(&mut self.random).min(outlet.waiting().len());
        take(outlet, bytes, &mut client.replies, trace)
    }

    /// A letter names the connection and the place from which its bytes come.
    fn check_letter(&self, letter: &Letter) {
        let origin = letter.cause.origin;
        let owns = |client: &&Client| client.id.is_some_and(|id| id.0 == origin.connection);
        if let Some(client) = self.clients.iter().find(owns) {
            let from = &client.script.bytes[origin.position as usize..];
            assert!(from.starts_with(&letter.bytes), "the letter is from somewhere else");
        }
    }

    /// Memory is bounded: at each moment, not only on average.
    fn check(&self, outlet: &Outlet) {
        let waiting = outlet.waiting().len();
        assert!(waiting <= self.outlet_bytes_max, "{waiting} bytes wait in an outlet");
    }

    /// Bytes of the `named` sinks, and of the replies of each client.
    pub(super) fn take_outputs(
        self,
        named: &[(SinkId, String)],
    ) -> (BTreeMap<String, Vec<u8>>, Vec<Vec<u8>>) {
        let of = |(id, name): &(SinkId, String)| (name.clone(), self.sinks[id.0 as usize].clone());
        let sinks = named.iter().map(of).collect();
        (sinks, self.clients.into_iter().map(|client| client.replies).collect())
    }
}

fn waits(outlet: Option<&mut Outlet>) -> bool {
    outlet.is_some_and(|outlet| !outlet.waiting().is_empty())
}

fn take(outlet: &mut Outlet, bytes: usize, into: &mut Vec<u8>, trace: &mut Trace) -> usize {
    let taken = &outlet.waiting()[..bytes];
    into.extend_from_slice(taken);
    if bytes > 0 {
        trace.note_bytes(taken);
    }
    outlet.written(bytes);
    bytes
}
