//! The transactional sink: readers of the file see committed output only, each event once. Output
//! waits in [`spool`](crate::connect::spool)s beside the file.

use std::io::{self, ErrorKind};

use potoroo_sdk::host::SinkId;

use crate::checkpoint::Transaction;
use crate::connect::attach::Empty;
use crate::connect::refusal::EdgeRefusal;
use crate::connect::remedy;
use crate::connect::resume::Resume;
use crate::connect::sink::OpenSink;
use crate::connect::spool::Target;
use crate::connect::starting::Starting;
use crate::connect::visible::Visible;

/// An opened file that shows committed output only.
pub(super) struct Transactional {
    pub(super) target: Target,
    pub(super) append: bool,
}

impl OpenSink for Transactional {
    fn target(&self) -> Option<&Target> {
        Some(&self.target)
    }

    fn starts_again(&self) -> bool {
        true
    }

    fn start(&mut self, sink: SinkId, starting: &mut Starting<'_>) -> Result<(), EdgeRefusal> {
        let resume = starting.resume.expect("only with checkpoints a file is transactional");
        let offset = self.recover(&resume).map_err(|refused| refused.at(self.address()))?;
        let Self { target, append } = &*self;
        starting.spool(sink, target, offset, None)?;
        let attach = &mut starting.threads.attach;
        attach.recovered(target);
        if resume.manifest.is_none() && !append {
            let (what, address) = (format!("sink `{}`", target.sink), address(target));
            attach.empty(what, address, target.clone());
        }
        starting.sinks.visible.push(Box::new(target.clone()));
        Ok(())
    }
}

impl Transactional {
    fn address(&self) -> String {
        address(&self.target)
    }

    /// Brings the file into the state of the checkpoint; new output goes after that.
    fn recover(&self, resume: &Resume<'_>) -> Result<u64, EdgeRefusal> {
        let checkpoint = resume.manifest.is_some();
        let recovered = self.target.recover(checkpoint, resume.transactions(), self.append);
        recovered.map_err(|error| {
            EdgeRefusal::Reason(match error.kind() {
                // It says what to do.
                ErrorKind::InvalidData => error.to_string(),
                _ => format!(
                    "{error}; {} (output waits in its folder, which must be writable)",
                    remedy::write(&error)
                ),
            })
        })
    }
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
