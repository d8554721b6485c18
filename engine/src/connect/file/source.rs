//! A source that reads a file to its end.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use potoroo_sdk::host::SourceId;

use super::regular::is_regular;
use crate::checkpoint::{Imprint, PositionUnit, SourcePosition, Watched};
use crate::connect::address::{Error, Parts, SourceAddress};
use crate::connect::connector::Form;
use crate::connect::demand::Demand;
use crate::connect::opening::Opening;
use crate::connect::patience::{PatientReader, at_once};
use crate::connect::promise::{Promise, Replayable, SkipMistake, Survival};
use crate::connect::pump::Tail;
use crate::connect::refusal::EdgeRefusal;
use crate::connect::remedy;
use crate::connect::source::{OpenSource, SourceConnector};
use crate::connect::starting::Starting;
use crate::connect::upstream::Upstream;
use crate::flow::Start;

/// Form of the addresses.
pub(super) const FORM: Form<SourceAddress, dyn SourceConnector> = Form {
    summary: "`file:PATH` (reads)",
    help: || HELP.to_owned(),
    parse,
    describe: Some(describe),
};

const HELP: &str =
    "  file:PATH         reads a file to its end; of a named pipe, what is written into it
";

fn parse(parts: &mut Parts<'_>) -> Result<SourceAddress, Error> {
    Ok(SourceAddress::File { path: parts.path()? })
}

fn describe(address: &SourceAddress) -> Option<Arc<dyn SourceConnector>> {
    let SourceAddress::File { path } = address else { return None };
    Some(Arc::new(FileSource { path: path.clone() }))
}

#[derive(Debug)]
struct FileSource {
    path: PathBuf,
}

impl fmt::Display for FileSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file:{}", self.path.display())
    }
}

impl SourceConnector for FileSource {
    fn survival(&self) -> Survival {
        match is_regular(&self.path) {
            true => Survival::new(
                "read on by another node, each event once",
                "the same where the file is there too, such as in a shared folder",
            ),
            false => {
                Survival::new("what was read after the last checkpoint is lost", Survival::SAME)
            }
        }
    }

    fn promise(&self, checkpoints: bool) -> Promise {
        match is_regular(&self.path) {
            false => Promise::new("at most once", "a pipe or device cannot be read again"),
            true if checkpoints => Promise::READ_AGAIN,
            true => Promise::new("every event of a run", "a restart reads the file again"),
        }
    }

    fn replay(&self) -> Replayable {
        Replayable::Bytes
    }

    fn check_skip(&self, named: bool, checkpoints: bool) -> Result<(), SkipMistake> {
        match is_regular(&self.path) {
            true => self.replay().check_skip(named, checkpoints),
            false => Err(SkipMistake::Gone),
        }
    }

    fn is_read_by_one(&self) -> bool {
        true
    }

    fn demand(&self, _inlet_bytes: usize) -> Demand {
        Demand { pipes: 1, ..Demand::default() }
    }

    fn open(&self, opening: &mut Opening<'_>) -> Result<Box<dyn OpenSource>, EdgeRefusal> {
        let opened = open(&self.path).and_then(|file| Ok((file.metadata()?, file)));
        let opened = opened.map_err(|error| format!("{error}; {}", remedy::read(&error)));
        let (facts, file) = opened?;
        opening.claims.input(opening.name, &facts)?;
        Ok(Box::new(OpenFileSource { file: Arc::new(file), path: self.path.clone() }))
    }
}

/// Opens a file and refuses what cannot be read to an end. Does not wait for a writer.
fn open(path: &Path) -> io::Result<File> {
    let file = at_once(OpenOptions::new().read(true)).open(path)?;
    match file.metadata()?.is_dir() {
        true => Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder")),
        false => Ok(file),
    }
}

struct OpenFileSource {
    file: Arc<File>,
    path: PathBuf,
}

impl OpenSource for OpenFileSource {
    fn unit(&self) -> Option<PositionUnit> {
        Some(PositionUnit::Bytes)
    }

    fn check(&self, _name: &str, at: &SourcePosition) -> Result<(), EdgeRefusal> {
        match self.is_regular() {
            true => self.go_on(at.position, at.file).map(drop),
            false => Ok(()),
        }
    }

    fn start(
        &mut self,
        source: SourceId,
        starting: &mut Starting<'_>,
    ) -> Result<Option<Box<dyn Upstream>>, EdgeRefusal> {
        if !self.is_regular() {
            let stopping = starting.threads.stopping().clone();
            let reader = PatientReader::new(starting.name, &self.path, self.file.clone(), stopping);
            starting.read(source, reader, None, None)?;
            return Ok(None);
        }
        let resume = starting.resume;
        let start = resume.map_or_else(Start::default, |resume| {
            resume.position(starting.name, PositionUnit::Bytes)
        });
        let before = resume.and_then(|resume| resume.imprint(starting.name));
        let now = self.go_on(start.position, before)?;
        if before.is_some_and(|before| before != now) {
            tracing::info!(
                "source `{}`: file:{} is another file than before and has the same content up to \
                 byte {}: it goes on there",
                starting.name,
                self.path.display(),
                start.position
            );
        }
        let watched = Watched::new(self.file.clone(), (start.position, now));
        let seek = (&mut &*self.file).seek(SeekFrom::Start(start.position));
        seek.map_err(EdgeRefusal::thread("a file's reader"))?;
        // Those that the kernel makes as they are read have no length, and change.
        let made = self.file.metadata().map_or(0, |facts| facts.len()) == 0;
        let tail = (!made).then(|| Tail::new(self.file.clone(), start.position));
        let start = Start { grows: starting.threads.storage().is_some(), ..start };
        starting.read(source, self.file.clone(), Some(start), tail)?;
        Ok(Some(Box::new(watched)))
    }
}

impl OpenFileSource {
    /// Whether it can be read again, and has a position: no pipe and no device does.
    fn is_regular(&self) -> bool {
        self.file.metadata().is_ok_and(|facts| facts.is_file())
    }

    /// Whether the source goes on at `position`: it must be the file that was read before, if only
    /// by what is in it. Returns its imprint there.
    fn go_on(&self, position: u64, imprint: Option<Imprint>) -> Result<Imprint, EdgeRefusal> {
        let remedy = "it was rotated, replaced or changed; put back the file that was read, or \
                      start with an empty --state";
        let now = match Imprint::of(&self.file, position) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                let length = self.file.metadata().map_or(0, |facts| facts.len());
                return Err(EdgeRefusal::Reason(format!(
                    "it has {length} bytes, and the checkpoint has read {position}: {remedy}"
                )));
            }
            Err(error) => return Err(EdgeRefusal::Reason(error.to_string())),
            Ok(now) => now,
        };
        match imprint {
            Some(before) if before.digest != now.digest => Err(EdgeRefusal::Reason(format!(
                "what is before byte {position}, where the checkpoint stands, is not what was \
                 read: {remedy}"
            ))),
            _ => Ok(now),
        }
    }
}

impl Upstream for Watched {
    fn describe(&mut self, at: &mut SourcePosition, _stream: Option<u32>) {
        at.file = Some(self.imprint(&at.name, at.position));
    }

    fn acknowledge(&self, _committed: &[&SourcePosition]) {}
}
