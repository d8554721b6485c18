//! A sink that writes a file: as output comes, or when its checkpoint is committed.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use potoroo_sdk::host::SinkId;

use super::regular::is_regular;
use super::transaction::Transactional;
use crate::connect::address::{Error, Parts, SinkAddress};
use crate::connect::attach::Empty;
use crate::connect::connector::Form;
use crate::connect::demand::Demand;
use crate::connect::opening::Opening;
use crate::connect::patience::{Output, PatientWriter, at_once, is_fifo};
use crate::connect::promise::{Promise, Survival};
use crate::connect::refusal::EdgeRefusal;
use crate::connect::remedy;
use crate::connect::sink::{OpenLetters, OpenSink, SinkConnector};
use crate::connect::starting::Starting;

/// Form of the addresses.
pub(super) const FORM: Form<SinkAddress, dyn SinkConnector> = Form {
    summary: "`file:PATH` (writes)",
    help: || HELP.to_owned(),
    parse,
    describe: Some(describe),
};

const HELP: &str =
    "  file:PATH         creates and truncates; ?append=true appends [default: false]; a named
                    pipe is opened when a reader opens it
";

fn parse(parts: &mut Parts<'_>) -> Result<SinkAddress, Error> {
    let path = parts.path()?;
    let append = parts.number("append", "`true` or `false`")?.unwrap_or(false);
    Ok(SinkAddress::File { path, append })
}

fn describe(address: &SinkAddress) -> Option<Arc<dyn SinkConnector>> {
    let SinkAddress::File { path, append } = address else { return None };
    Some(Arc::new(FileSink { path: path.clone(), append: *append }))
}

#[derive(Debug)]
struct FileSink {
    path: PathBuf,
    append: bool,
}

impl fmt::Display for FileSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let append = if self.append { "?append=true" } else { "" };
        write!(f, "file:{}{append}", self.path.display())
    }
}

impl SinkConnector for FileSink {
    fn survival(&self) -> Survival {
        match is_regular(&self.path) {
            true => Survival::new(
                "each output once, in the same file",
                "the same where the file is there too, such as in a shared folder",
            ),
            false => {
                Survival::new("what left after the last checkpoint is repeated", Survival::SAME)
            }
        }
    }

    fn promise(&self, checkpoints: bool) -> Promise {
        match checkpoints {
            true if is_regular(&self.path) => Promise::new(
                "exactly once",
                "visible when the checkpoint that holds it is committed",
            ),
            true => Promise::REPEATED,
            false => Promise::new("once per run", "written and synced before the end"),
        }
    }

    fn demand(&self) -> Demand {
        Demand { pipes: 1, ..Demand::default() }
    }

    fn open(&self, opening: &mut Opening<'_>) -> Result<Box<dyn OpenSink>, EdgeRefusal> {
        if opening.checkpoints && is_regular(&self.path) {
            self.open_file(opening)?;
            return Ok(Box::new(Transactional { path: self.path.clone(), append: self.append }));
        }
        Ok(match self.open_file(opening)? {
            Some(file) => Box::new(self.opened(file)),
            None => Box::new(OpenFifo { path: self.path.clone() }),
        })
    }

    /// What an earlier run could not understand is as dead as before: with checkpoints it stays.
    fn open_letters(&self, opening: &mut Opening<'_>) -> Result<Box<dyn OpenLetters>, EdgeRefusal> {
        let letters = Self { path: self.path.clone(), append: self.append || opening.checkpoints };
        let file = letters.open_file(opening).map_err(|refused| refused.at(&letters))?;
        Ok(match file {
            Some(file) => Box::new(letters.opened(file)),
            None => Box::new(OpenFifo { path: letters.path }),
        })
    }
}

impl FileSink {
    /// Opens the file, unless it is a named pipe; nothing of it is changed. Refuses one that is
    /// used otherwise, too.
    fn open_file(&self, opening: &mut Opening<'_>) -> Result<Option<Arc<File>>, EdgeRefusal> {
        let path = &self.path;
        let failed = |error: io::Error| format!("{error}; {}", remedy::write(&error));
        let file = (!is_fifo(path)).then(|| open(path)).transpose();
        let file = file.map_err(failed)?.map(Arc::new);
        let facts = file.as_ref().map_or_else(|| path.metadata(), |file| file.metadata());
        let facts = facts.map_err(failed)?;
        opening.claims.output(opening.what, path, &facts, file.as_ref())?;
        Ok(file)
    }

    fn opened(&self, file: Arc<File>) -> OpenFile {
        let anew = (!self.append).then(|| format!("file:{}", self.path.display()));
        OpenFile { file, anew }
    }
}

/// Creates or opens a file, and changes nothing of what is in it. Each write goes to the end that
/// the file has then, so that it may be rotated by copying and truncating it.
fn open(path: &Path) -> io::Result<File> {
    at_once(OpenOptions::new().create(true).append(true)).open(path)
}

/// A file or device that is written as output comes.
pub(in crate::connect) struct OpenFile {
    pub(in crate::connect) file: Arc<File>,
    /// Its address, if what is in it goes away.
    pub(in crate::connect) anew: Option<String>,
}

impl OpenFile {
    /// What writes it for `what`, and its file if that is to be made durable.
    fn output(
        &self,
        what: &str,
        starting: &mut Starting<'_>,
    ) -> Result<(Output, Option<Arc<File>>), EdgeRefusal> {
        let facts = self.file.metadata().map_err(EdgeRefusal::thread("a file's writer"))?;
        if !facts.is_file() {
            let stopping = starting.threads.stopping().clone();
            let writer = PatientWriter::to_open(self.file.clone(), stopping);
            return Ok((Output::Waiting(writer), None));
        }
        if let Some(address) = &self.anew {
            let of = Emptied(self.file.clone());
            starting.threads.attach.empty(what.to_owned(), address.clone(), of);
        }
        Ok((Output::File(self.file.clone()), Some(self.file.clone())))
    }
}

impl OpenSink for OpenFile {
    fn start(&mut self, sink: SinkId, starting: &mut Starting<'_>) -> Result<(), EdgeRefusal> {
        let what = format!("sink `{}`", starting.name);
        let (to, file) = self.output(&what, starting)?;
        starting.write(sink, to, move || file.map_or(Ok(()), sync))
    }
}

impl OpenLetters for OpenFile {
    fn start(
        &mut self,
        starting: &mut Starting<'_>,
        limit: Duration,
    ) -> Result<Option<Box<dyn Write + Send>>, EdgeRefusal> {
        let name = starting.name.to_owned();
        let (to, _) = self.output(&name, starting)?;
        Ok(Some(Box::new(to.within(limit))))
    }
}

/// A named pipe, which is opened when a reader opens it.
struct OpenFifo {
    path: PathBuf,
}

impl OpenFifo {
    fn output(&self, what: &str, starting: &Starting<'_>) -> Output {
        let stopping = starting.threads.stopping().clone();
        Output::Waiting(PatientWriter::to_fifo(what, &self.path, stopping))
    }
}

impl OpenSink for OpenFifo {
    fn start(&mut self, sink: SinkId, starting: &mut Starting<'_>) -> Result<(), EdgeRefusal> {
        let to = self.output(&format!("sink `{}`", starting.name), starting);
        starting.write(sink, to, || Ok(()))
    }
}

impl OpenLetters for OpenFifo {
    fn start(
        &mut self,
        starting: &mut Starting<'_>,
        limit: Duration,
    ) -> Result<Option<Box<dyn Write + Send>>, EdgeRefusal> {
        Ok(Some(Box::new(self.output(starting.name, starting).within(limit))))
    }
}

/// An open file that begins anew.
struct Emptied(Arc<File>);

impl Empty for Emptied {
    /// A file to which may only be appended is opened, and cannot be truncated.
    fn can_empty(&self) -> io::Result<()> {
        self.0.set_len(self.0.metadata()?.len())
    }

    fn empty(&self) -> io::Result<()> {
        self.0.set_len(0)
    }
}

/// Some targets, such as `/dev/null` and pipes, cannot be made durable and need not be.
fn sync(file: Arc<File>) -> io::Result<()> {
    match file.sync_all() {
        Err(error) if error.kind() != io::ErrorKind::InvalidInput => Err(error),
        _ => Ok(()),
    }
}
