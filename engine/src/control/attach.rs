//! Attach: the last step of a start. Only when nothing can fail any more are outputs of earlier
//! runs emptied and the edges given to the cores.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::error::Error;
use crate::connect::mail::{Command, Mailbox};
use crate::connect::spool::Target;

/// What is done at last.
#[derive(Default)]
pub(super) struct Attach {
    emptied: Vec<Emptied>,
    commands: Vec<(Mailbox, Command)>,
    waiting: Vec<Sender<()>>,
}

/// An output that begins anew.
pub(super) struct Emptied {
    /// The sink, or the dead letters.
    pub(super) what: String,
    /// Its address.
    pub(super) address: String,
    /// Its file.
    pub(super) file: EmptiedFile,
}

/// The file of an output that begins anew.
pub(super) enum EmptiedFile {
    /// One that is written directly.
    Open(Arc<File>),
    /// One in which committed output becomes visible.
    Target(Target),
}

impl Attach {
    /// Empties this output.
    pub(super) fn empty(&mut self, emptied: Emptied) {
        self.emptied.push(emptied);
    }

    /// Sends this to a core, after all that was said before.
    pub(super) fn send(&mut self, core: &Mailbox, command: Command) {
        self.commands.push((core.clone(), command));
    }

    /// For a thread that must begin afterwards only: it receives one word then, and none if the
    /// start fails.
    pub(super) fn gate(&mut self) -> Receiver<()> {
        let (sender, receiver) = channel();
        self.waiting.push(sender);
        receiver
    }

    /// Does it.
    ///
    /// # Errors
    /// An output cannot be emptied: no core has got anything then.
    pub(super) fn run(self) -> Result<(), Error> {
        for Emptied { what, address, file } in self.emptied {
            let emptied = match file {
                EmptiedFile::Open(file) => empty(&file),
                EmptiedFile::Target(target) => target.clear(),
            };
            emptied.map_err(|error| {
                let reason =
                    format!("{error}; it cannot be emptied, add `?append=true` to keep it");
                Error::Sink { what, address, reason }
            })?;
        }
        self.commands.into_iter().for_each(|(core, command)| core.send(command));
        // Who waited may have ended.
        for waiting in self.waiting {
            let _ = waiting.send(());
        }
        Ok(())
    }
}

/// Pipes and devices have nothing to lose.
fn empty(file: &File) -> io::Result<()> {
    match file.metadata()?.is_file() {
        true => file.set_len(0),
        false => Ok(()),
    }
}
