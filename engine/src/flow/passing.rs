//! Time passes: a core reads what others have promised, and writes what it promises.
//!
//! Words lie beside the lanes: they take no room in them, wait for nothing, and of several the
//! newest counts. A turn that found nothing to do reads and writes at once; a busy core does every
//! [`TIME_LOOK_NS`]. When a word is read changes no result of the rows that events touch: their
//! frames are stamped; it changes only when rows fire that no event touches.

use potoroo_runtime::Nanos;
use potoroo_sdk::host::TimeId;

use super::own_times::SourceOrInlet;
use super::promise::TimePromise;
use super::route::Router;
use super::time_gauges::TimeHolder;
use super::turn::Core;

/// How often a busy core reads words and writes its own: seldom enough that 16 cores spend little
/// on it.
const TIME_LOOK_NS: u64 = 50_000;

impl Core {
    /// Reads and writes words, if it is time for that after a turn in which `work` was done and
    /// everything sent was published. Returns how many, or whether something is due now.
    #[inline]
    pub(super) fn pass_time(
        &mut self,
        now: Nanos,
        work: usize,
        wake: &mut impl FnMut(usize),
    ) -> usize {
        let busy = work > 0 && now.0 < self.time_passed_at.0 + TIME_LOOK_NS;
        // What comes back from a checkpoint comes before anything that is promised now.
        if self.router.watermarks.is_unused() || busy || self.replay.level().is_some() {
            return 0;
        }
        self.time_passed_at = now;
        self.router.watermarks.times().look(now);
        let read = self.read_words(now);
        let waiting = self.router.levels_waiting();
        let nearer = self.router.watermarks.pass(waiting);
        let written = self.write_words(waiting, wake);
        let passed = read + written + usize::from(nearer) + usize::from(self.has_dues());
        if passed > 0 {
            self.wake_up();
        }
        passed
    }

    /// Takes back that nothing can come from this core, before others can see what does.
    #[inline]
    pub(super) fn wake_up(&self) {
        if self.tally.quiet() {
            self.tally.set_quiet(false);
        }
        if self.tally.drained() != 0 {
            self.tally.set_drained(0);
        }
    }

    fn read_words(&mut self, now: Nanos) -> usize {
        let (count, epoch) = (self.router.watermarks.count(), self.checkpoints.epoch());
        let mut read = 0;
        for (from, lanes) in self.inbound.iter().enumerate().filter(|(_, it)| it.words() > 0) {
            for number in 0..count {
                let before = self.words_read[from * count + number];
                if lanes.word_version(number) == before {
                    continue;
                }
                let word = lanes.word(number, epoch.0);
                if !word.holds || word.version == before {
                    continue;
                }
                let promise = TimePromise::of_word(word.number, word.beside, now);
                self.router.watermarks.hear_word(number, from, promise);
                self.words_read[from * count + number] = word.version;
                // Counted as frames are: as many are received as were sent.
                self.router.counts.frames_received += word.version - before;
                read += 1;
            }
        }
        read
    }

    fn write_words(&mut self, waiting: u64, wake: &mut impl FnMut(usize)) -> usize {
        let mut written = 0;
        while let Some((number, promise)) = self.router.watermarks.take_news(waiting) {
            self.wake_up();
            written += 1 + self.router.tell(number, promise, &mut *wake);
        }
        written
    }
}

impl Core {
    /// Publishes how far time has come here, and what holds it.
    #[cold]
    pub(super) fn gauge_times(&self) {
        let (watermarks, gauges) = (&self.router.watermarks, &self.tally.times);
        for number in 0..watermarks.count() {
            gauges.set_watermark(number, watermarks.now(number));
        }
        for id in (0..self.plan.times.len()).map(|id| TimeId(id as u16)) {
            let holder = watermarks.holder(id).and_then(|(own, of)| {
                let (source, connection) = match of {
                    SourceOrInlet::Source(source) => (source, None),
                    SourceOrInlet::Inlet(slot) => {
                        let (source, id) = self.inlets.connection(slot)?;
                        (source, Some(id))
                    }
                };
                Some(TimeHolder { own, source, connection })
            });
            gauges.set_holder(id, holder);
        }
    }
}

impl Router {
    /// Writes a promise for all other cores, after everything was published. Returns how many.
    fn tell(&mut self, number: usize, promise: TimePromise, mut wake: impl FnMut(usize)) -> usize {
        let (said, beside) = promise.to_word();
        let mut written = 0;
        let others = self.outbound.iter_mut().enumerate().filter(|(_, lanes)| lanes.words() > 0);
        for (to, lanes) in others {
            // Clocks of other nodes are others.
            let is_far = lanes.link().is_some() && matches!(promise, TimePromise::Until(..));
            lanes.tell(number, said, if is_far { 0 } else { beside });
            written += 1;
            wake(to);
        }
        self.counts.frames_sent += written as u64;
        written
    }
}
