//! The ports of simulated cores: the ends of memory sockets, and what announces them.
//!
//! A port locks the network for the time of a call only.

use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use potoroo::turn::{Fill, InletPort, OutletPort, PortLost, Readiness, Watching};
use potoroo_runtime::poller::Error;
use potoroo_runtime::{Nanos, Ready};
use potoroo_sdk::host::SourceId;

use super::network::Network;

/// A network that ports and the simulation share.
#[derive(Clone)]
pub(super) struct SharedNetwork(Arc<Mutex<Network>>);

impl SharedNetwork {
    pub(super) fn new(network: Network) -> Self {
        Self(Arc::new(Mutex::new(network)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Network> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The core's end of the connection of a client.
pub(super) struct ClientPort {
    network: SharedNetwork,
    client: usize,
    /// The index of the client, by which notices name it.
    name: String,
    replies: ReplyPort,
}

/// The way back to a client.
struct ReplyPort {
    network: SharedNetwork,
    client: usize,
}

impl ClientPort {
    pub(super) fn new(network: &SharedNetwork, client: usize) -> Self {
        let replies = ReplyPort { network: network.clone(), client };
        Self { network: network.clone(), client, name: client.to_string(), replies }
    }

    pub(super) fn source(&self) -> SourceId {
        self.network.lock().source(self.client)
    }
}

impl InletPort for ClientPort {
    fn fill(&mut self, room: &mut [u8], now: Nanos) -> Fill {
        self.network.lock().send(self.client, room, now)
    }

    fn watch(&mut self, _: &mut dyn Readiness, token: u64) -> Watching {
        match self.network.lock().open(self.client, token) {
            true => Watching::Announced,
            false => Watching::EachTurn,
        }
    }

    fn stop(&mut self) -> bool {
        self.network.lock().stop_client(self.client);
        false
    }

    fn replies(&mut self) -> Option<&mut dyn OutletPort> {
        Some(&mut self.replies)
    }

    fn peer(&self) -> &str {
        &self.name
    }
}

impl OutletPort for ReplyPort {
    fn put(&mut self, bytes: &[u8]) -> Result<usize, PortLost> {
        let taken = self.network.lock().take_replies(self.client, bytes);
        taken.ok_or_else(|| PortLost { reason: "the client is gone".to_owned(), for_good: false })
    }

    fn watch_room(&mut self, _: &mut dyn Readiness, _: u64) {
        self.network.lock().watch_client_room(self.client);
    }
}

/// A receiver of a sink.
pub(super) struct ReceiverPort {
    pub(super) network: SharedNetwork,
    pub(super) sink: usize,
}

impl OutletPort for ReceiverPort {
    fn put(&mut self, bytes: &[u8]) -> Result<usize, PortLost> {
        let taken = self.network.lock().take_output(self.sink, bytes);
        taken.ok_or_else(|| PortLost { reason: "it was replaced".to_owned(), for_good: false })
    }

    fn watch_room(&mut self, _: &mut dyn Readiness, token: u64) {
        self.network.lock().watch_sink_room(self.sink, token);
    }
}

/// What announces the ports of a core. They have no descriptors: they notify the network.
pub(super) struct Announcer {
    pub(super) network: SharedNetwork,
    pub(super) core: usize,
}

impl Readiness for Announcer {
    fn poll(&mut self, ready: &mut Vec<Ready>) {
        self.network.lock().announce(self.core, ready);
    }

    fn watch(&mut self, _: BorrowedFd<'_>, _: u64) -> Result<(), Error> {
        unreachable!("memory has no descriptor")
    }

    fn watch_writable(&mut self, _: BorrowedFd<'_>, _: u64) -> Result<(), Error> {
        unreachable!("memory has no descriptor")
    }

    fn unwatch(&mut self, token: u64) {
        self.network.lock().unwatch(self.core, token);
    }
}
