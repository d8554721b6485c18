//! The storage thread of a node that does not lead: stores the parts of its cores, and reports them
//! to the lead. Must never do: decide anything, or touch HEAD.

use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use super::part_storage::{LOOK, PartStorage};
use crate::checkpoint::coordinator::CoordinatorInput;
use crate::checkpoint::store::draw;
use crate::cluster::membership::LeadSender;
use crate::cluster::wire::ToLead;
use crate::connect::mail::{StorageMessage, StorageReceiver};
use crate::flow::PartStep;
use crate::system;
use crate::turn::StorageShared;

/// What the storage thread of a node needs.
pub struct NodeStorage {
    /// Who stores parts.
    pub parts: PartStorage,
    /// By core.
    pub shared: Vec<Arc<StorageShared>>,
    /// The way to the lead.
    pub lead: LeadSender,
}

/// How long the thread looks for messages without waiting: to wake it would cost the core that
/// sends a system call.
const LOOKS_FOR: Duration = Duration::from_millis(20);

impl NodeStorage {
    /// Stores parts until the last message.
    pub fn run(mut self, messages: &StorageReceiver) {
        let mut came = system::now();
        loop {
            let looks = system::since(came) < LOOKS_FOR;
            let wait = if looks { Duration::ZERO } else { Duration::from_secs(1) };
            match messages.receive(wait) {
                Ok(StorageMessage::Part { core, step }) => {
                    came = system::now();
                    self.store(core, step);
                }
                Ok(StorageMessage::End) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(StorageMessage::Now(answer)) => {
                    let text = "this node does not lead: ask the one that does".to_owned();
                    let _ = answer.send(Err(text));
                }
                // It has no sinks, and the lead decides all else.
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) if looks => system::look_again_after(LOOK),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn store(&mut self, core: usize, step: PartStep) {
        let input = self.parts.store(core, &step, draw());
        if let PartStep::Chunk(chunk) = step {
            self.shared[core].return_buffer(chunk.bytes);
        }
        let generation = self.parts.generation();
        match input {
            Some(CoordinatorInput::Part { entry, sources }) => {
                self.lead.send(&ToLead::Part { generation, entry, sources });
            }
            Some(CoordinatorInput::Failed { epoch, reason }) => {
                self.lead.send(&ToLead::PartFailed { generation, epoch, reason });
            }
            _ => {}
        }
    }
}
