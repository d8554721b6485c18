//! The driver of a core that owns everything: turn by turn, as the host of an engine does.

use std::sync::Arc;

use anyhow::{Result, ensure};
use potoroo::flow::Core;
use potoroo::sdk::host::SinkId;
use potoroo_runtime::Nanos;

use super::applications::Describe;
use super::input::{Input, InputControl};
use crate::engine::growth;
use crate::engine::load::Load;
use crate::stamp;

/// A core and what takes its outputs.
pub struct Driver {
    core: Core,
    input: Input,
    control: Arc<InputControl>,
    has_sink: bool,
    /// Of all outputs.
    sum: u64,
}

impl Driver {
    /// A core that has seen nothing of its input.
    ///
    /// # Errors
    /// The application is not sound.
    pub fn new(input: Input, describe: Describe) -> Result<Self> {
        let control = Arc::new(InputControl::default());
        let core = growth::core_of(describe(input, &control), "load", u64::MAX)?;
        let has_sink = !core.plan().sinks.is_empty();
        Ok(Self { core, input, control, has_sink, sum: 0 })
    }

    /// One turn, after which its outputs are out. Returns how much was done.
    #[inline]
    pub fn turn(&mut self, now_ns: u64) -> usize {
        let work = self.core.turn(Nanos(now_ns), |_| {});
        if self.has_sink {
            self.take_outputs();
        }
        work
    }

    /// Turns until a second of the load is over. Returns when that is.
    pub fn pass_second(&mut self) -> u64 {
        let (second, mut now) = (self.seconds(), stamp::now());
        while self.seconds() == second {
            self.turn(now);
            now = stamp::now();
        }
        now
    }

    /// Whole seconds of the load that have passed.
    pub fn seconds(&self) -> u64 {
        self.control.seconds()
    }

    /// Ends the load, and everything that is open.
    ///
    /// # Errors
    /// The states do not add up to what was sent, `times` times each.
    pub fn finish(mut self, times: u64) -> Result<()> {
        self.control.end();
        let mut idle = 0;
        while idle < IDLE_TURNS {
            idle = if self.turn(stamp::now()) > 0 { 0 } else { idle + 1 };
        }
        ensure!(!self.core.has_letters(), "the core refused events");
        let sum = self.sum.wrapping_add(self.control.sum());
        let expected = Load::checksum(self.input.keys, self.control.sent()).wrapping_mul(times);
        ensure!(sum == expected, "the states do not add up to the events sent");
        Ok(())
    }

    #[inline]
    fn take_outputs(&mut self) {
        let outlet = self.core.outlet(SinkId(0)).expect("the core owns the sink");
        let waiting = outlet.waiting();
        let (outputs, _) = waiting.as_chunks::<8>();
        let sum = outputs.iter().map(|output| u64::from_le_bytes(*output));
        self.sum = sum.fold(self.sum, u64::wrapping_add);
        let bytes = waiting.len();
        outlet.written(bytes);
    }
}

/// Turns without work after which nothing follows: what one turn learns of time, the next one uses.
const IDLE_TURNS: usize = 3;
