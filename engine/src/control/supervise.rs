//! Watches over a running application: reads the notices of its cores, carries out what the state
//! machine of its [`Shutdown`] decides, and sees that nothing is left behind.
//!
//! Quiet is decided by counting: when every core says that nothing can come from it and all
//! frames sent were received, twice with the same numbers, nothing is in flight.

use std::io::{IsTerminal, stderr};
use std::sync::atomic::Ordering;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use potoroo_runtime::Housekeeping;

use super::config::Config;
use super::console;
use super::error::Error;
use super::generation::Generation;
use super::process::{Describe, Process, ProcessStart};
use super::profile::Profiler;
use super::recovery::Recovery;
use super::report::{Snapshot, StopReason, Summary, progress_line};
use super::rollback::{Rollback, RolledBackTo};
use super::rollback_requests::ENDED;
use super::shutdown::{Late, Order, Seen, Shutdown};
use super::stop_request::StopRequest;
use crate::connect::attach::{Attach, NotAttached};
use crate::connect::lines::LineLimiter;
use crate::flow::{Counts, DeadLetter, Ending};
use crate::turn::{Command, Notice};

/// How often the supervisor looks while the application runs. Where every CPU has a core, each look
/// preempts one for about 12 µs: 500 of them per second made the p99 of a path, 100 stay below the
/// p99.9. Short against what a person notices.
const LOOK: Duration = Duration::from_millis(10);

/// How often it looks while a run ends: each step of that waits for a look.
const LOOK_ENDING: Duration = Duration::from_millis(2);

/// Lines of the log that the other side can cause, by kind.
#[derive(Default)]
struct LinesByKind {
    refused: LineLimiter,
    stalled: LineLimiter,
    closed: LineLimiter,
    letters: LineLimiter,
}

impl LinesByKind {
    /// What was left out since the last line of its kind, if anything was.
    fn left_out(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let Self { refused, stalled, closed, letters } = self;
        let kinds = [
            ("clients that were refused", refused),
            ("connections that were closed because they did not read", stalled),
            ("connections and files that were closed", closed),
            ("events that were refused", letters),
        ];
        kinds.map(|(kind, lines)| (kind, lines.left_out())).into_iter().filter(|one| one.1 > 0)
    }
}

/// Watches over one running application.
pub(super) struct Supervisor {
    process: Process,
    generation: Generation,
    /// The one that is under way.
    rollback: Option<Rollback>,
    started: Instant,
    lines: LinesByKind,
    shutdown: Shutdown,
    sources_complete: bool,
    quiet_before: Option<(u64, u64)>,
    profiler: Profiler,
    shown: (Instant, Snapshot),
}

impl Supervisor {
    /// Opens what `describe` describes, by this `fingerprint`, and begins its first generation. To
    /// be called on the thread that watches over it.
    ///
    /// # Errors
    /// It cannot run. Nothing runs then.
    pub(super) fn start(
        describe: Describe,
        fingerprint: u64,
        config: Config,
        request: StopRequest,
    ) -> Result<(Self, ProcessStart), Error> {
        let (mut process, recovery) = Process::open(describe, fingerprint, config, request)?;
        let (generation, attach) = Generation::begin(&process, recovery)?;
        let opened = {
            let _housekeeping = Housekeeping::begin(&process.watch.cpus);
            process.serve()?
        };
        let generation = attached(generation, attach)?;
        let Process { config, watch, .. } = &process;
        let (profile, tallies) = (watch.profile.clone(), watch.tallies.clone());
        let stuck = Duration::from_secs(config.heartbeat_seconds) / 2;
        let supervisor = Self {
            shown: (Instant::now(), watch.status().snapshot),
            profiler: Profiler::new(profile, tallies, stuck),
            shutdown: Shutdown::new(Duration::from_secs(config.drain_seconds)),
            process,
            generation,
            rollback: None,
            started: Instant::now(),
            lines: LinesByKind::default(),
            sources_complete: false,
            quiet_before: None,
        };
        Ok((supervisor, opened))
    }

    /// Runs to the end.
    pub(super) fn run(mut self) -> Result<Summary, Error> {
        while let Some((rollback, recovery)) = self.watch() {
            self = self.roll_back(rollback, recovery)?;
        }
        self.end()
    }

    /// Watches over a generation until its cores end; or until it is to be rolled back, to what is
    /// returned then.
    fn watch(&mut self) -> Option<(Rollback, Recovery)> {
        let _housekeeping = Housekeeping::begin(&self.process.watch.cpus);
        while self.generation.host.running() > 0 {
            self.receive();
            if let Some(next) = self.look_for_rollback() {
                return Some(next);
            }
            // HEAD may be the next generation's already: no checkpoint would come.
            if self.rollback.is_none() {
                self.decide();
            }
            self.report_stuck();
            self.generation.skips.print();
            self.show_progress();
        }
        None
    }

    /// Begins a rollback that is requested. Returns one whose checkpoint was found whole.
    fn look_for_rollback(&mut self) -> Option<(Rollback, Recovery)> {
        if let Some(rollback) = self.rollback.take() {
            return match rollback.poll() {
                Ok(next) => Some(next),
                Err(waiting) => {
                    self.rollback = waiting;
                    None
                }
            };
        }
        let running = self.shutdown.is_running();
        let (rollback, hand_over) = Rollback::next(&self.process, running)?;
        let checkpoints = self.generation.checkpoints.as_ref();
        checkpoints.expect("operators reach those with checkpoints only").hand_over(hand_over);
        self.rollback = Some(rollback);
        None
    }

    /// Ends the generation, and begins the next one with `recovery`.
    ///
    /// # Errors
    /// The next one cannot begin: the application has ended.
    fn roll_back(mut self, rollback: Rollback, recovery: Recovery) -> Result<Self, Error> {
        let stopped = Instant::now();
        self.generation.abandon();
        while self.generation.host.running() > 0 {
            self.receive();
        }
        self.receive_waiting();
        self.generation.skips.print_rest();
        let Self { generation, process, .. } = self;
        let (_, failures) = generation.join(true)?;
        log_failures(&failures);
        let done = RolledBackTo::from(&recovery);
        let (generation, attach) = Generation::begin(&process, Some(recovery))?;
        rollback.count(&process);
        let generation = attached(generation, attach)?;
        rollback.finish(done, stopped.elapsed());
        // A sink that was lost belongs to the generation before.
        let shutdown = Shutdown::new(Duration::from_secs(process.config.drain_seconds));
        let (sources_complete, quiet_before) = (false, None);
        Ok(Self { generation, process, shutdown, sources_complete, quiet_before, ..self })
    }

    /// Sees that nothing is left of an application whose cores have ended.
    fn end(mut self) -> Result<Summary, Error> {
        self.receive_waiting();
        if let Some(rollback) = self.rollback {
            rollback.refuse(ENDED.to_owned());
        }
        self.process.rollbacks.close();
        self.generation.skips.print_rest();
        for (kind, count) in self.lines.left_out() {
            tracing::warn!("{kind}: {count} such lines left out");
        }
        let abandoned = self.shutdown.is_abandoned();
        let (counts, failures) = self.generation.join(abandoned)?;
        let stop = self.shutdown.end();
        log_failures(&failures);
        let mut snapshot = self.process.watch.snapshot(&counts);
        snapshot.failures = u64::from(abandoned) + failures.len() as u64;
        snapshot.undelivered = undelivered(&counts);
        Ok(Summary { snapshot, stop })
    }

    /// Logs a stage that is stuck: the watchdog, which ends the process, does not know stages.
    fn report_stuck(&mut self) {
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

    /// Handles notices until the next look.
    fn receive(&mut self) {
        // Quiet at the last look: it ends if that lasts until the next one.
        let ending = self.quiet_before.is_some() || !self.shutdown.is_running();
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

    fn receive_waiting(&mut self) {
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
                    self.generation.abandon();
                }
            }
            Notice::LinkLost { seat, reason } => tracing::error!("link to seat {seat}: {reason}"),
            Notice::Letters(letters) => {
                self.generation.letters_waiting.fetch_sub(1, Ordering::Relaxed);
                // Cores that hold their sources back for them have room again.
                self.generation.cores.iter().for_each(|core| core.waker().wake_if_parked());
                self.generation.threads.letters(&letters);
                self.log_letters(&letters);
            }
            Notice::Closed { source, ending, peer } => {
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
                            let what = if peer.is_empty() { "its file" } else { &peer };
                            tracing::warn!("source `{name}` closed {what}: {reason}{left_out}");
                        }
                    }
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

    fn decide(&mut self) {
        if !self.sources_complete && self.generation.threads.edges.has_no_connections_left() {
            self.sources_complete = true;
            self.generation.send(|| Command::SourcesComplete);
        }
        let seen = Seen {
            now: Instant::now(),
            stop: self.stop_requested(),
            sources_complete: self.sources_complete,
            quiet: self.is_quiet(),
            last: self.generation.checkpoints.as_ref().map(|it| (it.last(), it.steps())),
        };
        match self.shutdown.look(&seen) {
            None => {}
            Some(Order::StopSources) => {
                self.generation.threads.edges.stop_accepting();
                self.generation.send(|| Command::StopSources);
            }
            Some(Order::Commit) => {
                self.generation.checkpoints.as_ref().expect("it was seen").request_last();
            }
            Some(Order::Finish) => self.generation.send(|| Command::Finish),
            Some(Order::Abandon(late)) => {
                self.complain(late);
                self.generation.abandon();
            }
        }
    }

    /// Logs what was not done within the time to drain.
    fn complain(&self, late: Late) {
        let seconds = self.process.config.drain_seconds;
        match late {
            Late::Nothing => {}
            Late::Output => tracing::error!(
                "the last checkpoint is committed, and for {seconds} s (--drain-seconds) a sink \
                 took nothing of its output: what waits for it stays, and is sent at the next \
                 start"
            ),
            Late::Commit => tracing::error!(
                "the last checkpoint could not be committed within {seconds} s (--drain-seconds): \
                 the storage or a sink takes nothing; events after the checkpoint before it are \
                 processed again if their source can be read again"
            ),
            Late::Delivery => tracing::error!(
                "not everything could be delivered within {seconds} s (--drain-seconds): a sink \
                 takes nothing; what waits for it is lost"
            ),
        }
    }

    fn stop_requested(&self) -> Option<StopReason> {
        if let Some(stop) = self.process.request.reason() {
            return Some(stop);
        }
        let seconds = Duration::from_secs(self.process.config.seconds?);
        (self.started.elapsed() >= seconds).then_some(StopReason::Seconds)
    }

    /// Whether nothing is in flight any more: see the module.
    fn is_quiet(&mut self) -> bool {
        let now =
            self.process.watch.frames_when_quiet().filter(|(sent, received)| sent == received);
        let before = std::mem::replace(&mut self.quiet_before, now);
        now.is_some() && now == before
    }

    fn show_progress(&mut self) {
        if !self.process.config.progress {
            return;
        }
        let terminal = stderr().is_terminal();
        let every = Duration::from_secs(if terminal { 1 } else { 10 });
        if self.shown.0.elapsed() < every {
            return;
        }
        let now = self.process.watch.status().snapshot;
        let line = progress_line(&self.shown.1, &now);
        match terminal {
            true => console::renew(line),
            false => console::note(line),
        }
        self.shown = (Instant::now(), now);
    }
}

fn log_failures(failures: &[String]) {
    for failure in failures {
        tracing::error!("a file was not written or read to its end: {failure}");
    }
}

/// Takes the last step of the start of a generation, or ends it.
///
/// # Errors
/// An output cannot be emptied.
fn attached(generation: Generation, attach: Attach) -> Result<Generation, Error> {
    let Err(NotAttached { what, address, reason }) = attach.run() else { return Ok(generation) };
    generation.abandon();
    generation.join(true)?;
    Err(Error::Sink { what, address, reason })
}

/// Events that no sink and no connection got: in lanes, where more was sent than received, and on
/// the cores.
fn undelivered(counts: &[Counts]) -> u64 {
    let sum = |count: fn(&Counts) -> u64| counts.iter().map(count).sum::<u64>();
    let in_lanes = sum(|core| core.frames_sent).saturating_sub(sum(|core| core.frames_received));
    in_lanes + sum(|core| core.left)
}
