//! The driver of a core that owns everything: turn by turn, as the host of an engine does.

use anyhow::Result;
use potoroo::flow::Core;
use potoroo::prelude::*;
use potoroo::sdk::host::SinkId;
use potoroo_runtime::Nanos;

use crate::engine::growth;

/// A core and what takes its outputs, 8 bytes each.
pub struct CoreDriver {
    core: Core,
    has_sink: bool,
    outputs: u64,
    sum: u64,
}

impl CoreDriver {
    /// A core that has seen nothing of its generator `load`: `rate` events per second, 0 for as
    /// fast as possible.
    ///
    /// # Errors
    /// The application is not sound.
    pub fn new(application: Application, rate: u64) -> Result<Self> {
        let core = growth::core_of(application, "load", (rate, u64::MAX))?;
        let has_sink = !core.plan().sinks.is_empty();
        Ok(Self { core, has_sink, outputs: 0, sum: 0 })
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

    /// Outputs so far.
    pub fn outputs(&self) -> u64 {
        self.outputs
    }

    /// What they add up to.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// Whether events were refused.
    pub fn has_letters(&self) -> bool {
        self.core.has_letters()
    }

    #[inline]
    fn take_outputs(&mut self) {
        let outlet = self.core.outlet(SinkId(0)).expect("the core owns the sink");
        let waiting = outlet.waiting();
        let (outputs, _) = waiting.as_chunks::<8>();
        let sum = outputs.iter().map(|output| u64::from_le_bytes(*output));
        self.sum = sum.fold(self.sum, u64::wrapping_add);
        self.outputs += outputs.len() as u64;
        let bytes = waiting.len();
        outlet.written(bytes);
    }
}
