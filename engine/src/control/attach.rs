//! Attach: the last step of a start. Only when nothing can fail any more are outputs of earlier
//! runs emptied and the edges given to the cores.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::error::Error;
use crate::connect::spool::Target;
use crate::turn::{Command, Mailbox};

/// What is done at last.
#[derive(Default)]
pub(super) struct Attach {
    recovered: Vec<Target>,
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
    /// Drops what no checkpoint has committed for this target.
    pub(super) fn recovered(&mut self, target: &Target) {
        self.recovered.push(target.clone());
    }

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
        // Were one of them refused behind another, that one would be empty for nothing.
        self.emptied.iter().try_for_each(|of| of.each(can_empty, Target::can_clear))?;
        for target in &self.recovered {
            target.drop_spools().map_err(|error| Error::Sink {
                what: format!("sink `{}`", target.sink),
                address: format!("file:{}", target.path.display()),
                reason: format!("{error}; output waits in its folder, which must be writable"),
            })?;
        }
        self.emptied.iter().try_for_each(|of| of.each(empty, Target::clear))?;
        self.commands.into_iter().for_each(|(core, command)| core.send(command));
        // Who waited may have ended.
        for waiting in self.waiting {
            let _ = waiting.send(());
        }
        Ok(())
    }
}

impl Emptied {
    fn each(
        &self,
        open: impl Fn(&File) -> io::Result<()>,
        target: impl Fn(&Target) -> io::Result<()>,
    ) -> Result<(), Error> {
        let done = match &self.file {
            EmptiedFile::Open(file) => open(file),
            EmptiedFile::Target(of) => target(of),
        };
        done.map_err(|error| Error::Sink {
            what: self.what.clone(),
            address: self.address.clone(),
            reason: format!("{error}; it cannot be emptied, add `?append=true` to keep it"),
        })
    }
}

/// Whether [`empty`] may do it: a file to which may only be appended is opened, and not cut.
fn can_empty(file: &File) -> io::Result<()> {
    let facts = file.metadata()?;
    match facts.is_file() {
        true => file.set_len(facts.len()),
        false => Ok(()),
    }
}

/// Pipes and devices have nothing to lose.
fn empty(file: &File) -> io::Result<()> {
    match file.metadata()?.is_file() {
        true => file.set_len(0),
        false => Ok(()),
    }
}
