//! Commands: what a driver does when the control plane commands it.
//!
//! Cold: at most one command per turn, and almost all turns have none.

use super::driver::Driver;
use super::inlets::OpenInlet;
use super::mail::{CheckpointCommand, Command, InletKind, NewInlet, Notice};
use super::ports::{Readiness, Watching};
use super::sinks::SinkPort;
use crate::flow::{Core, Ending};

impl Driver {
    #[cold]
    pub(super) fn obey(
        &mut self,
        command: Command,
        core: &mut Core,
        readiness: &mut dyn Readiness,
    ) {
        match command {
            Command::Inlet(_) | Command::HoldSources { .. } | Command::HoldForNodes(_)
                if self.stopped => {}
            Command::Inlet(new) => self.open_inlet(new, core, readiness),
            Command::HoldSources { sink, hold } => core.hold_sources(sink, hold),
            Command::HoldForNodes(hold) => core.hold_for_nodes(hold),
            Command::Renew(renew) => {
                self.links.leave(readiness);
                (self.renewal, self.abandoned) = (Some(renew), true);
            }
            Command::Sink { sink, port } => {
                let sink = usize::from(sink.0);
                self.sinks[sink] = SinkPort::open(port, sink, readiness);
            }
            Command::Checkpoint(CheckpointCommand::Begin(epoch)) => core.begin_checkpoint(epoch),
            Command::Checkpoint(CheckpointCommand::Commit(epoch)) => core.commit_checkpoint(epoch),
            Command::Checkpoint(CheckpointCommand::Abort(epoch)) => core.abort_checkpoint(epoch),
            Command::NamePeer(id) => self.name_peer(id),
            Command::SourceComplete(source) => core.complete_source(source),
            Command::SourcesComplete => core.set_open_sources(false),
            Command::StopSources => self.stop_sources(core),
            Command::Finish => self.finishing = true,
            Command::Abandon => {
                core.count_overdue(self.now);
                self.report_unread();
                self.abandoned = true;
            }
        }
    }

    #[cold]
    fn open_inlet(&mut self, mut new: NewInlet, core: &mut Core, readiness: &mut dyn Readiness) {
        let id = match new.kind.clone() {
            InletKind::Bytes => core.open_inlet(new.source, false),
            InletKind::Archives => core.open_inlet(new.source, true),
            InletKind::Replayed(start) => core.open_replayed(new.source, start),
            InletKind::Stream { number, name_hash, start } => {
                core.open_stream(new.source, number, name_hash, start)
            }
        };
        let slot = id.inlet();
        let watching = new.port.watch(readiness, slot as u64);
        if watching == Watching::Refused {
            core.retire_inlet(id);
            core.close_reply(slot);
            self.report_closed(new.source, Ending::Ended, new.port.peer());
            return;
        }
        if slot >= self.inlets.len() {
            self.inlets.resize_with(slot + 1, || None);
        }
        self.inlets[slot] = Some(OpenInlet::new(id, watching == Watching::Announced, new));
        self.active.push(slot);
    }

    #[cold]
    fn stop_sources(&mut self, core: &mut Core) {
        self.stopped = true;
        core.count_overdue(self.now);
        core.stop_sources();
        self.inlets.iter_mut().flatten().for_each(OpenInlet::stop);
    }

    /// Reports what was handed over in vain.
    #[cold]
    fn report_unread(&mut self) {
        for inlet in self.inlets.iter_mut().flatten() {
            let bytes = inlet.port.take_unread_bytes();
            if bytes > 0 {
                let _ = self.notices.send(Notice::Unread { source: inlet.source, bytes });
            }
        }
    }
}
