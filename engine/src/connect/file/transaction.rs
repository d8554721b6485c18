//! The transactional sink: readers of the file see committed output only, each event once. Output
//! waits in the store until its checkpoint is committed.

use std::io;
use std::path::PathBuf;

use potoroo_sdk::host::SinkId;

use super::target::{Target, with_remedy};
use crate::checkpoint::Transaction;
use crate::connect::attach::Empty;
use crate::connect::refusal::EdgeRefusal;
use crate::connect::resume::{CommittedOutput, Resume};
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

    fn check(&self, name: &str, committed: CommittedOutput<'_>) -> Result<(), EdgeRefusal> {
        let CommittedOutput { transactions, store, marks } = committed;
        let target = Target::new(name, self.path.clone(), store.clone());
        let checked = target.check(transactions, marks);
        checked.map_err(|error| refused(with_remedy(&error), &target))
    }

    fn complete(&self, name: &str, newest: CommittedOutput<'_>) -> Result<(), EdgeRefusal> {
        let CommittedOutput { transactions, store, marks } = newest;
        let target = Target::new(name, self.path.clone(), store.clone());
        let completed = target.complete(transactions, marks);
        completed.map_err(|error| refused(error.to_string(), &target))
    }

    fn start(&mut self, sink: SinkId, starting: &mut Starting<'_>) -> Result<(), EdgeRefusal> {
        let resume = starting.resume.expect("only with checkpoints a file is transactional");
        let target = Target::new(starting.name, self.path.clone(), resume.store.clone());
        let offset = recover(&target, &resume, self.append);
        let offset = offset.map_err(|error| refused(with_remedy(&error), &target))?;
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
fn recover(target: &Target, resume: &Resume<'_>, append: bool) -> io::Result<u64> {
    let checkpoint = resume.manifest.is_some();
    target.recover(checkpoint, resume.transactions(), resume.marks, append)
}

/// The address is the target's, without the flag.
fn refused(reason: String, target: &Target) -> EdgeRefusal {
    EdgeRefusal::Reason(reason).at(address(target))
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
