//! The transactional sink: readers of the file see committed output only, each event once. Output
//! waits in the store until its checkpoint is committed.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use potoroo_sdk::host::SinkId;

use super::target::Target;
use crate::checkpoint::Transaction;
use crate::connect::attach::Empty;
use crate::connect::refusal::EdgeRefusal;
use crate::connect::remedy;
use crate::connect::resume::Resume;
use crate::connect::sink::OpenSink;
use crate::connect::starting::Starting;
use crate::connect::visible::Visible;

/// An opened file that shows committed output only.
pub(super) struct Transactional {
    pub(super) path: PathBuf,
    pub(super) append: bool,
}

impl OpenSink for Transactional {
    fn takes(&self, transaction: &Transaction) -> bool {
        transaction.file.is_some()
    }

    fn starts_again(&self) -> bool {
        true
    }

    fn start(&mut self, sink: SinkId, starting: &mut Starting<'_>) -> Result<(), EdgeRefusal> {
        let resume = starting.resume.expect("only with checkpoints a file is transactional");
        let target = Target::new(starting.name, self.path.clone(), resume.store.clone());
        let offset = recover(&target, &resume, self.append);
        let offset = offset.map_err(|refused| refused.at(address(&target)))?;
        starting.gather(sink, Some(target.file_name()), offset, None)?;
        let attach = &mut starting.threads.attach;
        attach.recovered(&target);
        if resume.manifest.is_none() && !self.append {
            let (what, address) = (format!("sink `{}`", target.sink), address(&target));
            attach.empty(what, address, target.clone());
        }
        starting.sinks.visible.push(Box::new(target));
        Ok(())
    }
}

/// Brings the file into the state of the checkpoint; new output goes after that.
fn recover(target: &Target, resume: &Resume<'_>, append: bool) -> Result<u64, EdgeRefusal> {
    let checkpoint = resume.manifest.is_some();
    let recovered = target.recover(checkpoint, resume.transactions(), resume.marks, append);
    recovered.map_err(|error| {
        EdgeRefusal::Reason(match error.kind() {
            // It says what to do.
            ErrorKind::InvalidData => error.to_string(),
            _ => format!("{error}; {}", remedy::write(&error)),
        })
    })
}

fn address(target: &Target) -> String {
    format!("file:{}", target.path.display())
}

impl Empty for Target {
    fn can_empty(&self) -> io::Result<()> {
        self.can_clear()
    }

    fn empty(&self) -> io::Result<()> {
        self.clear()
    }
}

impl Visible for Target {
    fn sink(&self) -> &str {
        &self.sink
    }

    fn show(&self, transaction: &Transaction) -> io::Result<bool> {
        Self::show(self, transaction).map(|()| true)
    }
}
