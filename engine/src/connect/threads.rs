//! The threads of all edges: what they share, and how they end.
//!
//! Threads beside the cores may wait. Each kind ends in its own way: those that wait for the other
//! side look whether they are to stop; writers end when their core has dropped its end of the pipe.

use std::io;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Duration;

use potoroo_sdk::host::{SinkId, SourceId};
use potoroo_sdk::plan::Plan;

use super::attach::Attach;
use super::edge_lease::EdgeLease;
use super::mail::StorageSender;
use super::permits::{Permits, Places};
use super::stopping::Stopping;
use crate::turn::Notice;

/// All threads of the edges of one generation of an application.
pub struct EdgeThreads {
    /// To all that wait for the other side: everything was delivered, or the drain has ended.
    stopping: Stopping,
    /// To all that accept: no new client is served.
    stop_accepting: Stopping,
    waiting: Vec<JoinHandle<()>>,
    /// Writers end when the cores have: what they write is made durable then.
    writers: Vec<(String, JoinHandle<io::Result<()>>)>,
    readers: Vec<(String, JoinHandle<io::Result<()>>)>,
    /// By sink: to whom it is reported that its connection is lost.
    lost: Vec<Option<Sender<String>>>,
    /// By source: connections after which it ends; `None` for those that never end.
    connections_left: Vec<Option<u64>>,
    permits: Permits,
    places: Places,
    /// The way to the storage thread, if checkpoints are taken.
    storage: Option<StorageSender>,
    notices: Sender<Notice>,
    /// After its end nothing goes out.
    lease: EdgeLease,
    /// What is left to do when all of them have started.
    pub attach: Attach,
}

impl EdgeThreads {
    /// None yet, for the edges of `plan`.
    pub fn new(
        plan: &Plan,
        places: Places,
        storage: Option<StorageSender>,
        notices: Sender<Notice>,
    ) -> Self {
        Self {
            stopping: Stopping::default(),
            stop_accepting: Stopping::default(),
            waiting: Vec::new(),
            writers: Vec::new(),
            readers: Vec::new(),
            lost: plan.sinks.iter().map(|_| None).collect(),
            connections_left: plan.sources.iter().map(|_| Some(0)).collect(),
            permits: Permits::new(places.connections),
            places,
            storage,
            notices,
            lease: EdgeLease::default(),
            attach: Attach::default(),
        }
    }

    /// All threads that are added from now on let nothing out after the end of `lease`.
    pub fn set_lease(&mut self, lease: EdgeLease) {
        self.lease = lease;
    }

    /// The lease of the node.
    pub fn lease(&self) -> &EdgeLease {
        &self.lease
    }

    /// Adds a thread that waits for the other side and ends after [`stopping`](Self::stopping) has
    /// begun.
    pub fn add_waiting(&mut self, thread: JoinHandle<()>) {
        self.waiting.push(thread);
    }

    /// Adds the thread that writes the output of the sink `name`, until its core has ended.
    pub fn add_writer(&mut self, name: &str, thread: JoinHandle<io::Result<()>>) {
        self.writers.push((name.to_owned(), thread));
    }

    /// Adds the thread that reads the source `name`, to its end or until its core has ended.
    pub fn add_reader(&mut self, name: &str, thread: JoinHandle<io::Result<()>>) {
        self.readers.push((name.to_owned(), thread));
    }

    /// The sink is connected anew whenever `lost` receives a reason.
    pub fn reconnects(&mut self, sink: SinkId, lost: Sender<String>) {
        self.lost[usize::from(sink.0)] = Some(lost);
    }

    /// The source ends after `count` connections were closed; `None`: it never ends.
    pub fn ends_after(&mut self, source: SourceId, count: Option<u64>) {
        self.connections_left[usize::from(source.0)] = count;
    }

    /// Connections after which the source ends; `None` for those that never end.
    pub fn connections_left(&mut self, source: SourceId) -> &mut Option<u64> {
        &mut self.connections_left[usize::from(source.0)]
    }

    /// The sources that wait for no other connection.
    pub fn complete_sources(&self) -> impl Iterator<Item = SourceId> {
        let complete = self.connections_left.iter().zip(0..).filter(|(left, _)| **left == Some(0));
        complete.map(|(_, source)| SourceId(source))
    }

    /// Whether no source waits for another connection.
    pub fn has_no_connections_left(&self) -> bool {
        self.connections_left.iter().all(|left| *left == Some(0))
    }

    /// To all that wait for the other side: everything was delivered, or the drain has ended.
    pub fn stopping(&self) -> &Stopping {
        &self.stopping
    }

    /// To all that accept: no new client is served.
    pub fn accepting_stop(&self) -> &Stopping {
        &self.stop_accepting
    }

    /// Places for connections of all sources together.
    pub fn permits(&self) -> &Permits {
        &self.permits
    }

    /// How many places each source with clients has.
    pub fn places(&self) -> Places {
        self.places
    }

    /// The way to the storage thread, if checkpoints are taken.
    pub fn storage(&self) -> Option<&StorageSender> {
        self.storage.as_ref()
    }

    /// Where it is reported what happens to clients and files.
    pub fn notices(&self) -> &Sender<Notice> {
        &self.notices
    }

    /// A sink takes nothing any more. One with a connection is connected anew.
    ///
    /// # Errors
    /// The reason, of a sink that never takes anything again: a file or channel is gone for good.
    pub fn sink_lost(&self, sink: SinkId, reason: String) -> Result<(), String> {
        match &self.lost[usize::from(sink.0)] {
            Some(connector) => {
                // One that has ended connects nothing any more.
                let _ = connector.send(reason);
                Ok(())
            }
            None => Err(reason),
        }
    }

    /// No connection is accepted any more; sinks are still connected.
    pub fn stop_accepting(&self) {
        self.stop_accepting.begin(Duration::ZERO);
    }

    /// Writers with a slow reader go on for this long.
    pub fn end_within(&self, grace: Duration) {
        self.stop_accepting();
        self.stopping.begin(grace);
    }

    /// Waits for all threads after the cores have ended; returns what went wrong in each.
    pub fn join(self) -> Vec<String> {
        drop(self.lost);
        drop(self.storage);
        let failed = |(name, thread): (String, JoinHandle<io::Result<()>>)| match thread.join() {
            Ok(written) => Some(format!("`{name}`: {}", written.err()?)),
            Err(_) => Some(format!("`{name}`: its thread panicked")),
        };
        let panicked = self.waiting.into_iter().filter_map(|waiting| waiting.join().err());
        let panicked = panicked.map(|_| "a connection: its thread panicked".to_owned());
        let panicked: Vec<String> = panicked.collect();
        self.writers.into_iter().chain(self.readers).filter_map(failed).chain(panicked).collect()
    }
}
