//! What cores and threads of edges notify the supervisor of.

use std::sync::atomic::Ordering;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use potoroo_sdk::host::SourceId;

use super::super::cluster::ClusterRole;
use super::Supervisor;
use crate::flow::{DeadLetter, Ending};
use crate::turn::Notice;

/// How often the supervisor looks while the application runs. Where every CPU has a core, each look
/// preempts one for about 12 µs: 500 of them per second made the p99 of a path, 100 stay below the
/// p99.9. Short against what a person notices.
const LOOK: Duration = Duration::from_millis(10);

/// How often it looks while a run ends: each step of that waits for a look.
const LOOK_ENDING: Duration = Duration::from_millis(2);

impl Supervisor {
    /// Handles notices until the next look.
    pub(super) fn receive(&mut self) {
        // Quiet at the last look: it ends if that lasts until the next one.
        let ending =
            self.quiet_before.is_some() || self.change.holds() || !self.shutdown.is_running();
        let until = Instant::now() + if ending { LOOK_ENDING } else { LOOK };
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.generation.notices.recv_timeout(left) {
                Ok(notice) => self.handle(notice),
                Err(RecvTimeoutError::Timeout) => return,
                Err(RecvTimeoutError::Disconnected) => return std::thread::sleep(left),
            }
        }
    }

    pub(super) fn receive_waiting(&mut self) {
        while let Ok(notice) = self.generation.notices.try_recv() {
            self.handle(notice);
        }
    }

    fn handle(&mut self, notice: Notice) {
        match notice {
            Notice::Unread { source, bytes } => tracing::warn!(
                "source `{}`: {bytes} bytes of events from the program were not read before the \
                 drain ended (--drain-seconds): they had no effect",
                self.generation.threads.source_name(source)
            ),
            Notice::Refused { source, peer, reason } => {
                if let Some(left_out) = self.lines.refused.admit() {
                    let name = self.generation.threads.source_name(source);
                    tracing::warn!("source `{name}` refused {peer}: {reason}{left_out}");
                }
            }
            Notice::Holding { id, peer } => self.process.watch.note_peer(id, peer),
            Notice::Stalled { source, peer, replies } => {
                if let Some(left_out) = self.lines.stalled.admit() {
                    tracing::warn!(
                        "source `{}` closed {peer}: it kept its send buffer full for {} ms \
                         (--reply-stall-ms) and held back everything; {replies} replies that \
                         waited for it are lost, with those under way{left_out}",
                        self.generation.threads.source_name(source),
                        self.process.config.reply_stall_ms,
                    );
                }
            }
            Notice::SinkLost { sink, reason } => {
                if !self.generation.threads.sink_lost(sink, reason) && self.shutdown.lose_sink() {
                    self.abandon_all();
                }
            }
            Notice::LinkLost { renewals, .. } if renewals != self.generation.renewals => {}
            Notice::LinkLost { seat, reason, .. } => self.link_lost(seat, reason),
            Notice::Letters(letters) => {
                self.generation.letters_waiting.fetch_sub(1, Ordering::Relaxed);
                // Cores that hold their sources back for them have room again.
                self.generation.cores.iter().for_each(|core| core.waker().wake_if_parked());
                self.generation.threads.letters(&letters);
                self.log_letters(&letters);
            }
            Notice::Closed { source, ending, peer } => self.closed(source, ending, &peer),
        }
    }

    fn link_lost(&mut self, seat: usize, reason: String) {
        if let ClusterRole::Follower(follower) = &self.role {
            return follower.fail(format!("link to core {seat}: {reason}"));
        }
        if self.shutdown.is_running() {
            tracing::warn!("the link to core {seat} broke: {reason}");
        }
        self.other_nodes |= !self.role.lead().is_some_and(|lead| lead.is_finishing());
    }

    fn closed(&mut self, source: SourceId, ending: Ending, peer: &str) {
        if let Some(left) = self.generation.threads.edges.connections_left(source) {
            *left = left.saturating_sub(1);
        }
        let name = self.generation.threads.source_name(source).to_string();
        match ending {
            Ending::Ended => {}
            Ending::Unfinished { position, bytes } => tracing::warn!(
                "source `{name}` ends with {bytes} bytes of an unfinished line or frame: \
                 they wait at position {position} for the rest; complete it (the last \
                 line needs a line feed) and start again"
            ),
            Ending::Broken(reason) => {
                if let Some(left_out) = self.lines.closed.admit() {
                    let what = if peer.is_empty() { "its file" } else { peer };
                    tracing::warn!("source `{name}` closed {what}: {reason}{left_out}");
                }
            }
        }
    }

    fn log_letters(&self, letters: &[DeadLetter]) {
        for letter in letters {
            let Some(left_out) = self.lines.letters.admit() else { continue };
            let source = self.generation.threads.source_name(letter.cause.source);
            let origin = letter.cause.origin;
            let beginning = &letter.bytes[..letter.bytes.len().min(32)];
            if letter.bytes.is_empty() {
                tracing::warn!(
                    "source `{source}` refused an event made from position {} of connection {:x}: \
                     {}{left_out}",
                    origin.position,
                    origin.connection,
                    letter.reason,
                );
                continue;
            }
            tracing::warn!(
                "source `{source}` refused {} bytes at position {} of connection {:x}: {}; they \
                 begin with \"{}\"{left_out}",
                letter.bytes.len(),
                origin.position,
                origin.connection,
                letter.reason,
                beginning.escape_ascii(),
            );
        }
    }
}
