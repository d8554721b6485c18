//! Hands the opened edges of an application to its cores, and starts the threads that serve them.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use potoroo_sdk::host::{SinkId, SourceId};
use potoroo_sdk::plan::Plan;

use super::config::Config;
use super::edge_checks::check_output;
use super::edges::{Edges, LETTERS, sink_refused, source_refused};
use super::error::Error;
use super::threads::Threads;
use crate::connect::resume::Resume;
use crate::connect::starting::{SinkStates, Starting};
use crate::connect::upstream::Upstream;
use crate::turn::Mailbox;

/// Hands the opened edges to the cores and starts the threads that serve them.
pub(super) struct Connecting<'a> {
    pub(super) plan: &'a Plan,
    pub(super) config: &'a Config,
    pub(super) mailboxes: &'a [Mailbox],
    pub(super) sink_owners: &'a [usize],
    /// By source: where messages are counted that come again.
    pub(super) repeated: &'a [Arc<AtomicU64>],
    /// What an earlier run has left; `None` if no checkpoints are taken.
    pub(super) resume: Option<Resume<'a>>,
}

/// What takes part in checkpoints besides the cores.
#[derive(Default)]
pub(super) struct Connected {
    pub(super) sinks: SinkStates,
    /// By source, if it can be read again.
    pub(super) sources: Vec<Option<Box<dyn Upstream>>>,
}

impl Connecting<'_> {
    /// Returns the threads, and what takes part in checkpoints.
    ///
    /// # Errors
    /// An edge cannot be started. All threads have ended.
    pub(super) fn connect(
        &self,
        edges: &mut Edges,
        mut threads: Threads,
    ) -> Result<(Threads, Connected), Error> {
        match self.start(edges, &mut threads) {
            Ok(connected) => Ok((threads, connected)),
            Err(error) => {
                threads.end();
                Err(error)
            }
        }
    }

    fn start(&self, edges: &mut Edges, threads: &mut Threads) -> Result<Connected, Error> {
        let mut connected = Connected::default();
        if let Some(resume) = self.resume {
            // Spools of an earlier version are adopted now.
            let committed = resume.transactions().iter();
            check_output(self.plan, &edges.sinks, resume.marks, committed)?;
        }
        for (index, edge) in edges.sinks.iter_mut().enumerate() {
            let Some(edge) = edge else { continue };
            let (sink, core) = (SinkId(index as u16), &self.mailboxes[self.sink_owners[index]]);
            let name = threads.sink_name(sink).to_owned();
            let mut starting = self.starting(&name, core, threads, &mut connected.sinks);
            let started = edge.start(sink, &mut starting);
            let address = &self.config.sinks[&name];
            started.map_err(|it| sink_refused(&format!("sink `{name}`"), address, it))?;
        }
        for (index, edge) in edges.sources.iter_mut().enumerate() {
            let (source, name) = (SourceId(index as u8), &self.plan.sources[index].name);
            // As `Seats::reader` says.
            let core = &self.mailboxes[index % self.mailboxes.len()];
            let mut starting = self.starting(name, core, threads, &mut connected.sinks);
            starting.repeated = Some(&self.repeated[index]);
            let started = edge.start(source, &mut starting);
            let address = &self.config.sources[name];
            connected.sources.push(started.map_err(|it| source_refused(name, address, it))?);
        }
        if let Some((edge, address)) = edges.letters.as_mut().zip(self.config.dead_letters.as_ref())
        {
            let core = &self.mailboxes[0];
            let mut starting = self.starting(LETTERS, core, threads, &mut connected.sinks);
            let to = edge.start(&mut starting, LETTERS_WAIT);
            threads.write_letters(to.map_err(|it| sink_refused(LETTERS, address, it))?);
        }
        Ok(connected)
    }

    fn starting<'a>(
        &'a self,
        name: &'a str,
        core: &'a Mailbox,
        threads: &'a mut Threads,
        sinks: &'a mut SinkStates,
    ) -> Starting<'a> {
        Starting {
            application: &self.plan.name,
            name,
            cores: self.mailboxes,
            core,
            resume: self.resume,
            backlog_bytes_max: self.config.sink_backlog_bytes,
            timed: self.plan.sources.iter().any(|it| it.name == name && !it.times.is_empty()),
            repeated: None,
            threads: &mut threads.edges,
            sinks,
        }
    }
}

/// How long the supervisor, which has more to do, waits for the reader of dead letters.
const LETTERS_WAIT: Duration = Duration::from_secs(1);
