//! What the log says of what stands still: a stage that does not end, and time.

use std::time::Instant;

use super::Supervisor;
use crate::flow::TimeHolder;
use crate::turn::Command;

impl Supervisor {
    /// Logs a stage that is stuck: the watchdog, which ends the process, does not know stages.
    pub(super) fn report_stuck(&mut self) {
        let Some(stuck) = self.profiler.look() else { return };
        tracing::error!(
            "core {} has been in one batch of the {} for {:.1} s: a handler that loops or waits, a \
             debugger, or other work that takes the CPU; the process ends when no turn ends for \
             --heartbeat-seconds",
            stuck.core,
            stuck.stage,
            stuck.since.as_secs_f64(),
        );
    }

    /// Logs what has held event time for long while other events came in.
    pub(super) fn report_stand_stills(&mut self) {
        let (watch, generation) = (&self.process.watch, &self.generation);
        // Its peer is known at the next look.
        let request_peer = |holder: &TimeHolder| {
            let unknown = holder.connection.filter(|id| watch.peer(*id).is_none());
            unknown.iter().for_each(|id| generation.send(|| Command::NamePeer(*id)));
            unknown.is_some()
        };
        let (times, now) = (&watch.times, Instant::now());
        for still in self.stand_stills.look(times, &watch.tallies, now, request_peer) {
            let name = watch.time_holder(&still.holder);
            tracing::warn!("{}", watch.times.describe(&still, &name));
        }
    }
}
