//! Effects: carries out what the coordinator wants, in the store and at cores, sinks and sources.
//!
//! Promises: sources get acknowledgements, and readers see output, after the commit and not before.
//! Waits for the storage: for a thread beside the cores. Must never do: decide anything, or look
//! at a clock.

use std::io;
use std::sync::Arc;

use super::output_storage::OutputStorage;
use super::part_storage::PartStorage;
use crate::checkpoint::coordinator::{Action, Coordinator, CoordinatorInput};
use crate::checkpoint::store::{Error, Head, Store};
use crate::checkpoint::{Identity, SourcePosition, propose};
use crate::connect::visible::Visible;
use crate::turn::{CheckpointCommand, Command, Mailbox};

/// A coordinator with everything that it acts upon.
pub struct Effects {
    /// The storage of checkpoints.
    pub store: Arc<dyn Store>,
    /// Who stores parts there.
    pub parts: PartStorage,
    /// Who stores output there.
    pub outputs: OutputStorage,
    /// Who decides.
    pub coordinator: Coordinator,
    /// The cores.
    pub cores: Vec<Mailbox>,
    /// Where committed output becomes visible.
    pub visible: Vec<Box<dyn Visible>>,
}

impl Effects {
    /// Carries out an action of the coordinator; returns the input that follows. `random` is for
    /// the name of a manifest.
    ///
    /// # Errors
    /// It is unclear whether HEAD was swapped, and the call may be repeated; or another
    /// coordinator has taken over.
    pub fn act(&mut self, action: &Action, random: u64) -> Result<Option<CoordinatorInput>, Error> {
        match action {
            Action::Begin { epoch } => self.send(CheckpointCommand::Begin(*epoch)),
            Action::Store(manifest) => {
                let stored = propose(&*self.store, self.coordinator.head(), manifest, random);
                return Ok(Some(CoordinatorInput::Stored(
                    stored.map_err(|error| error.to_string()),
                )));
            }
            Action::Swap { expected, new } => {
                return match self.store.swap_head(Some(expected), new) {
                    Err(error @ (Error::Unclear { .. } | Error::Overtaken { .. })) => Err(error),
                    swapped => Ok(Some(CoordinatorInput::Swapped(
                        swapped.map_err(|error| error.to_string()),
                    ))),
                };
            }
            Action::Commit { epoch, sources } => {
                self.outputs.commit(*epoch);
                self.send(CheckpointCommand::Commit(*epoch));
                self.parts.acknowledge(sources);
            }
            Action::Abort { epoch, .. } => self.send(CheckpointCommand::Abort(*epoch)),
        }
        Ok(None)
    }

    /// Goes on after `head`, which was taken over by the application `facts`, with `cores` cores of
    /// all nodes and the same sinks and sources, which would go on at `sources`.
    pub fn renew(&mut self, head: Head, facts: Identity, cores: usize, sources: &[SourcePosition]) {
        self.parts.renew(head.generation, facts.clone(), cores);
        self.outputs.renew(head.generation);
        self.coordinator.renew(head, facts, cores, sources);
    }

    /// Sends `command` to all cores.
    pub fn send(&self, command: CheckpointCommand) {
        self.cores.iter().for_each(|core| core.send(Command::Checkpoint(command)));
    }

    /// Makes committed output visible, and calls `done` after each try. A transaction that fails,
    /// and all later ones of its sink, are tried again the next time.
    pub fn show(&mut self, mut done: impl FnMut(&str, io::Result<bool>)) {
        let Self { coordinator, visible, .. } = self;
        let mut failed: Vec<String> = Vec::new();
        coordinator.show(|transaction| {
            let sink = &transaction.sink;
            if failed.contains(sink) {
                return false;
            }
            let visible = visible.iter().find(|one| one.sink() == sink);
            let shown = visible.map_or(Ok(true), |visible| visible.show(transaction));
            failed.extend(shown.is_err().then(|| sink.clone()));
            let is_visible = matches!(shown, Ok(true));
            done(sink, shown);
            is_visible
        });
        // What is not in manifests any more is at the client, which may not have less from now on.
        for visible in visible.iter() {
            coordinator.deliver(visible.sink(), visible.delivered());
        }
    }
}
