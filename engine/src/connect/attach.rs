//! Attach: the last step of a start. Only when nothing can fail any more are outputs of earlier
//! runs emptied and the edges given to the cores.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::file::Target;
use crate::turn::{Command, Mailbox};

/// The work of the last step.
#[derive(Default)]
pub struct Attach {
    recovered: Vec<Target>,
    emptied: Vec<Emptied>,
    commands: Vec<(Mailbox, Command)>,
    waiting: Vec<Sender<()>>,
}

/// Something that begins anew: a file into which an earlier run has written.
pub trait Empty: Send {
    /// Whether [`empty`](Self::empty) can be done, as far as that is known before.
    ///
    /// # Errors
    /// It cannot.
    fn can_empty(&self) -> io::Result<()>;

    /// Drops what is in it.
    ///
    /// # Errors
    /// It cannot be written.
    fn empty(&self) -> io::Result<()>;
}

/// An output that begins anew.
struct Emptied {
    /// The sink, or the dead letters.
    what: String,
    address: String,
    of: Box<dyn Empty>,
}

/// Why a start failed at its last step: no core has received anything then.
#[derive(Debug)]
pub struct NotAttached {
    /// The sink, or the dead letters.
    pub what: String,
    /// Its address.
    pub address: String,
    /// Cause and remedy.
    pub reason: String,
}

impl Attach {
    /// Drops what an earlier version has left beside this target.
    pub fn recovered(&mut self, target: &Target) {
        self.recovered.push(target.clone());
    }

    /// Empties `of`, the output of `what` at `address`.
    pub fn empty(&mut self, what: String, address: String, of: impl Empty + 'static) {
        self.emptied.push(Emptied { what, address, of: Box::new(of) });
    }

    /// Sends this to a core, after all that was sent before.
    pub fn send(&mut self, core: &Mailbox, command: Command) {
        self.commands.push((core.clone(), command));
    }

    /// For a thread that must begin afterwards only: it receives a message then, and none if
    /// the start fails.
    pub fn gate(&mut self) -> Receiver<()> {
        let (sender, receiver) = channel();
        self.waiting.push(sender);
        receiver
    }

    /// Takes the step.
    ///
    /// # Errors
    /// An output cannot be emptied: no core has received anything then.
    pub fn run(self) -> Result<(), NotAttached> {
        // If one were refused after another was emptied, that one would be empty for nothing.
        self.emptied.iter().try_for_each(|one| one.done(one.of.can_empty()))?;
        for target in &self.recovered {
            target.drop_spools().map_err(|error| NotAttached {
                what: format!("sink `{}`", target.sink),
                address: format!("file:{}", target.path.display()),
                reason: format!(
                    "{error}; what an earlier version left in its folder cannot be removed"
                ),
            })?;
        }
        self.emptied.iter().try_for_each(|one| one.done(one.of.empty()))?;
        self.commands.into_iter().for_each(|(core, command)| core.send(command));
        // A thread that waited may have ended.
        for waiting in self.waiting {
            let _ = waiting.send(());
        }
        Ok(())
    }
}

impl Emptied {
    fn done(&self, done: io::Result<()>) -> Result<(), NotAttached> {
        done.map_err(|error| NotAttached {
            what: self.what.clone(),
            address: self.address.clone(),
            reason: format!("{error}; it cannot be emptied, add `?append=true` to keep it"),
        })
    }
}
