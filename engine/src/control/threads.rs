//! The threads of the edges, and their reports to the supervisor: names, lost sinks, dead letters.

use std::io::Write;
use std::mem::take;
use std::sync::mpsc::Sender;
use std::time::Duration;

use potoroo_sdk::host::{SinkId, SourceId};
use potoroo_sdk::plan::Plan;

use super::config::Config;
use super::letters::LetterBox;
use crate::connect::mail::StorageSender;
use crate::connect::permits::Places;
use crate::connect::threads::EdgeThreads;
use crate::flow::DeadLetter;
use crate::turn::Notice;

/// All threads of a generation besides its cores.
pub(super) struct Threads {
    pub(super) edges: EdgeThreads,
    source_names: Vec<String>,
    sink_names: Vec<String>,
    letters: Option<LetterBox<Box<dyn Write + Send>>>,
    /// How long writers with a slow reader may go on at the end.
    grace: Duration,
}

impl Threads {
    pub(super) fn new(
        plan: &Plan,
        config: &Config,
        places: Places,
        storage: Option<StorageSender>,
        notices: Sender<Notice>,
    ) -> Self {
        Self {
            edges: EdgeThreads::new(plan, places, storage, notices),
            source_names: plan.sources.iter().map(|source| source.name.clone()).collect(),
            sink_names: plan.sinks.iter().map(|sink| sink.label().to_string()).collect(),
            letters: None,
            grace: Duration::from_secs(config.drain_seconds),
        }
    }

    pub(super) fn source_name(&self, source: SourceId) -> &str {
        &self.source_names[source.0 as usize]
    }

    pub(super) fn sink_name(&self, sink: SinkId) -> &str {
        &self.sink_names[sink.0 as usize]
    }

    /// Dead letters go to `to` from now on.
    pub(super) fn write_letters(&mut self, to: Option<Box<dyn Write + Send>>) {
        self.letters = to.map(LetterBox::new);
    }

    /// Writes dead letters.
    pub(super) fn letters(&mut self, letters: &[DeadLetter]) {
        if let Some(to) = &mut self.letters {
            to.write(letters, &self.source_names);
        }
    }

    /// A sink takes nothing any more. Returns whether it will again: a connection is made anew, a
    /// file or channel has gone for good.
    pub(super) fn sink_lost(&self, sink: SinkId, reason: String) -> bool {
        let lost = self.edges.sink_lost(sink, reason);
        if let Err(reason) = &lost {
            tracing::error!(
                "sink `{}` cannot be written: {reason}; the application ends, and what waits for \
                 it is lost",
                self.sink_name(sink)
            );
        }
        lost.is_ok()
    }

    /// The start has failed: ends all threads. The cores have got nothing of them.
    pub(super) fn end(mut self) {
        // Writers wait for the ends that the cores were to get.
        drop(take(&mut self.edges.attach));
        self.join(true);
    }

    /// Waits for all threads after the cores have ended; returns what went wrong in writers.
    ///
    /// Writers with a slow reader go on for the grace period, unless everything was `abandoned`.
    pub(super) fn join(self, abandoned: bool) -> Vec<String> {
        self.edges.end_within(if abandoned { Duration::ZERO } else { self.grace });
        let letters = self.letters.and_then(LetterBox::close);
        let letters = letters.map(|error| format!("dead letters: {error}"));
        self.edges.join().into_iter().chain(letters).collect()
    }
}
