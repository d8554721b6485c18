//! Files, named pipes and devices: a source that reads one to its end, and a sink that writes one.
//!
//! ```text
//!   source   file:PATH   reads                 no options
//!   sink     file:PATH   creates, truncates    ?append=true
//! ```
//!
//! `file://PATH` means `file:PATH`. A path cannot contain a `?`.
//!
//! **Source.** A thread reads the file into a pipe to its core. A regular file is read to its end;
//! a named pipe or device until its writers have closed it, or the application has to stop.
//!
//! **Sink.** With checkpoints a regular file is transactional: output waits in the store, and
//! readers see committed output only. Otherwise a thread writes output as it comes. A named
//! pipe is opened when a reader opens it.
//!
//! **Promise.** Regular files with checkpoints: exactly once at both ends. A source without them:
//! every event of a run. A sink without them: once per run. Named pipes and devices: at most once
//! in, and out as without checkpoints, or repeated after a crash with them.
//!
//! **Memory.** One pipe each, and a receive buffer (`--inlet-bytes`) of a source.
//!
//! **On trouble.** A file that cannot be opened, or is used otherwise, is refused before anything
//! is changed. A source whose file is not the one that was read before is refused. A sink that
//! cannot be written ends the application.

mod regular;
mod sink;
mod source;
mod target;
mod transaction;

pub(super) use self::sink::OpenFile;
pub use self::target::Target;
use super::connector::Connector;

/// `file:`
pub static CONNECTOR: Connector = Connector {
    scheme: "file",
    open_options: &["append"],
    source: Some(source::FORM),
    sink: Some(sink::FORM),
};
