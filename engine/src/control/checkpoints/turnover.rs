//! What becomes of the storage thread when the next generation begins: it ends, or goes on.

use std::sync::mpsc::Sender;

use super::effects::Effects;
use super::{NextGeneration, Running};
use crate::checkpoint::coordinator::CoordinatorInput;
use crate::connect::mail::HandOver;
use crate::system;

impl Running {
    /// Has the next generation take over, which ends this one.
    pub(super) fn hand_over(&mut self, HandOver(to_next): HandOver) {
        if to_next(self.setup.effects.coordinator.head()) {
            self.ended = true;
            self.answers.append(&mut self.wanted);
            self.answer(&Err("the application was rolled back to an older checkpoint".to_owned()));
            return;
        }
        let Effects { store, coordinator, .. } = &self.setup.effects;
        // What took the time was not a sink.
        self.message_at = system::now();
        if !matches!(store.head(), Ok(head) if head.as_ref() == Some(coordinator.head())) {
            self.fail(&"after a rollback that failed it is unclear which checkpoint counts");
        }
    }

    /// Rests until the next generation begins, which goes on with the same cores and edges.
    pub(super) fn rest(&mut self, rested: &Sender<()>) {
        if let Some(epoch) = self.setup.effects.coordinator.running() {
            let reason = "nodes come or go".to_owned();
            self.advance(CoordinatorInput::Failed { epoch, reason });
        }
        let _ = rested.send(());
        let next = system::receive_any(&self.after_rest);
        self.ended = next.is_err();
        let Ok(NextGeneration { head, facts, cores, sources, nodes }) = next else { return };
        self.progress.note(|summary| summary.generation = head.generation);
        self.setup.nodes = nodes;
        self.setup.effects.renew(head, facts, cores, &sources);
        self.due = system::now() + self.setup.interval;
    }
}
