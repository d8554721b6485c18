//! What passes from a core to the one that takes its place when nodes come or go.
//!
//! ```text
//!   generation g       sources are held, nothing is under way, a checkpoint is committed
//!                      core ──► its edges: inlets with what they have read, generators, outlets
//!   generation g + 1   state from the checkpoint, other lanes, the same edges ──► core
//! ```
//!
//! Cold. Promises: no byte that was read, and none that waits to be written, is lost or doubled;
//! connections keep their ids, since nothing that could be mistaken is under way. Must never do:
//! take anything along that a checkpoint covers.

use potoroo_sdk::host::{Generate, SourceId};

use super::generators::CoreGenerators;
use super::holder::Holder;
use super::inlets::Inlets;
use super::letters::Letters;
use super::outputs::CoreOutputs;
use super::positions::ReadPosition;
use super::turn::Core;

/// The sources and sinks of a core, without its state and lanes.
pub struct CoreEdges {
    core: usize,
    inlets: Inlets,
    generators: CoreGenerators,
    outputs: CoreOutputs,
    letters: Letters,
    holding: Vec<Holder>,
    ended: Vec<ReadPosition>,
    open_sources: bool,
}

impl Core {
    /// All that is left of a core whose sources are held, when everything that they gave is
    /// committed. Its state and lanes are freed.
    ///
    /// # Panics
    /// Something is under way.
    pub fn into_edges(mut self) -> CoreEdges {
        assert!(self.lanes_are_empty(), "nothing waits in the lanes of a core that is renewed");
        assert!(self.router.is_settled(), "nothing waits on a core that is renewed");
        // The next one goes on counting.
        self.counts();
        let router = self.router;
        CoreEdges {
            core: self.core,
            inlets: self.inlets,
            generators: self.generators,
            outputs: router.outputs,
            letters: router.letters,
            holding: router.holding,
            ended: self.checkpoints.ended,
            open_sources: self.open_sources,
        }
    }

    /// Goes on with `edges`, which have to be those of the core that had this seat. After
    /// everything is restored; generators have to be [renewed](Self::renew_generator) then.
    ///
    /// # Panics
    /// It has another seat, or has edges already.
    pub fn take_edges(&mut self, edges: CoreEdges) {
        assert_eq!(self.core, edges.core, "connections name the seat of their core");
        assert!(self.inlets.is_empty(), "edges are taken before an inlet is opened");
        let serial = self.inlets.serial();
        self.inlets = edges.inlets;
        self.inlets.raise_serial(serial);
        self.generators = edges.generators;
        self.router.outputs.take_over(edges.outputs);
        (self.router.letters, self.router.holding) = (edges.letters, edges.holding);
        self.checkpoints.ended = edges.ended;
        self.set_open_sources(edges.open_sources);
        if !self.router.watermarks.is_unused() {
            self.inlets.set_times(&mut self.router);
            self.generators.set_times(&mut self.router);
            self.end_what_was_read();
        }
    }

    /// What the core before has read to its end holds no time any more.
    fn end_what_was_read(&mut self) {
        let Self { inlets, generators, router, plan, core, .. } = self;
        for at in 0..plan.sources.len() {
            let source = SourceId(at as u8);
            let is_open = inlets.has(source) || generators.of(source).is_some();
            if !is_open && router.watermarks.times().is_read_by(source, *core) {
                router.watermarks.times().end(plan, source, None);
            }
        }
    }

    /// The generator of `source`, if that has not ended, goes on as `generate`, made by the plan of
    /// this core: one of another plan leads to the tables of that.
    pub fn renew_generator(&mut self, source: SourceId, generate: Box<dyn Generate>) {
        if let Some(generated) = self.generators.of(source) {
            generated.renew(generate);
        }
    }
}
