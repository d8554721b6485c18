//! The reference interpreter: what an application means, in obvious code.
//!
//! One event at a time, each followed to its last consequence before the next: no batches, no
//! owners, no limits. It serves unit tests of applications and is the oracle of the engine's.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Debug;

use crate::application::Application;
use crate::codec::Reason;
use crate::host::{Cause, Inputs, NO_SLOT, Origin, SinkId, SourceId, UnderWay};
use crate::plan::{Mistakes, Plan, PlannedSink, REPLY};

mod connections;
mod interpreter;
mod watermarks;

pub use connections::FedConnection;

use connections::Connected;
use interpreter::{InFlight, Interpreter};

/// Runs an application over slices of input; see [`Application`] for an example.
pub struct Reference {
    plan: Plan,
    state: Interpreter,
    /// The first one of each source, in the order of the sources, then all others.
    connections: Vec<Connected>,
    /// Not read: the message of a panic in a test suffices.
    under_way: UnderWay,
}

/// An input that could not be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Name of the source.
    pub source: String,
    /// Why.
    pub reason: Reason,
    /// The frame.
    pub bytes: Vec<u8>,
}

impl Reference {
    /// An interpreter of `application` that has seen no input.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("echo");
    /// app.source("lines", LineText::new()).sink("copies", LineText::new());
    /// let reference = Reference::new(app)?;
    /// assert!(reference.output("copies").is_empty());
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    ///
    /// # Errors
    /// The application cannot run.
    pub fn new(application: Application) -> Result<Self, Mistakes> {
        let plan = application.plan()?;
        Ok(Self {
            state: Interpreter::new(&plan),
            connections: (0..plan.sources.len()).map(|at| Connected::new(&plan, at)).collect(),
            under_way: UnderWay::default(),
            plan,
        })
    }

    /// Runs what `bytes` complete at the source `name`; a partial frame waits for its rest. After a
    /// frame boundary that is broken nothing is read before [`end`](Self::end).
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("echo");
    /// app.source("lines", LineText::new()).sink("copies", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"to be\nor");
    /// assert_eq!(reference.output("copies"), b"to be\n");
    /// reference.feed("lines", b" not\n");
    /// assert_eq!(reference.outputs("copies")[1], b"or not\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    ///
    /// # Panics
    /// The application has no source `name`.
    pub fn feed(&mut self, name: &str, bytes: &[u8]) {
        self.feed_to(&self.first_connection(name), bytes);
    }

    /// Ends the input of the source `name`: no byte follows, and a partial frame is refused, or is
    /// a frame where the framing allows that. What is fed after it is input of its own, as of
    /// another connection.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("echo");
    /// app.source("lines", LineText::new()).sink("copies", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"to be");
    /// reference.end("lines");
    /// assert_eq!(reference.output("copies"), b"to be\n", "the last line needs no end");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    ///
    /// # Panics
    /// The application has no source `name`.
    pub fn end(&mut self, name: &str) {
        self.end_of(&self.first_connection(name));
    }

    /// Runs the first `count` events of the generator `generator` at the source `name`: see
    /// [`Application::generator`].
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("numbers");
    /// app.generator("numbers", |_| |index| Some(index.to_string()));
    /// app.source("lines", LineText::new()).sink("copies", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.generate("lines", "numbers", 0, 2);
    /// assert_eq!(reference.output("copies"), b"0\n1\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    ///
    /// # Panics
    /// There is no such source or generator.
    pub fn generate(&mut self, name: &str, generator: &str, seed: u64, count: u64) {
        let source = self.source(name);
        let stage = &self.plan.sources[source.0 as usize].stage;
        let mut made = stage.generator(generator, seed).unwrap_or_else(|m| panic!("{m}"));
        let schedule = crate::host::Schedule { start: 0, rate: 0, first: 0 };
        let at = usize::from(source.0);
        for index in 0..count {
            let cause = self.connections[at].cause();
            self.begin_input(at);
            let own = &mut self.connections[at].own;
            let indices = index..index + 1;
            made.emit(indices, &schedule, cause, own, &self.under_way, &mut self.state);
            self.process_in_flight();
            self.pass_time();
        }
    }

    /// All bytes that left through the sink `name` so far: [`outputs`](Self::outputs) in one piece.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("echo");
    /// app.source("lines", LineText::new()).sink("copies", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"to\nbe\n");
    /// assert_eq!(reference.output("copies"), b"to\nbe\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    ///
    /// # Panics
    /// The application has no sink `name`.
    pub fn output(&self, name: &str) -> Vec<u8> {
        self.outputs(name).concat()
    }

    /// What left through the sink `name` so far, event by event. All replies are named `reply`.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("echo");
    /// app.source("lines", LineText::new()).sink("copies", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"to\nbe\n");
    /// assert_eq!(reference.outputs("copies"), [b"to\n", b"be\n"]);
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    ///
    /// # Panics
    /// The application has no sink `name`.
    pub fn outputs(&self, name: &str) -> Vec<Vec<u8>> {
        let is = |sink: &PlannedSink| sink.name.as_deref().unwrap_or(REPLY) == name;
        assert!(self.plan.sinks.iter().any(is), "no sink `{name}`");
        let named = |sink: &SinkId| is(&self.plan.sinks[sink.0 as usize]);
        let outputs = self.state.outputs.iter().filter(|(sink, _)| named(sink));
        outputs.map(|(_, bytes)| bytes.clone()).collect()
    }

    /// What was refused so far.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("echo");
    /// app.source("lines", LineText::new()).sink("copies", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"\xff\n");
    /// let refused = &reference.refused()[0];
    /// assert_eq!((&*refused.source, &*refused.bytes), ("lines", &b"\xff\n"[..]));
    /// assert_eq!(refused.reason.detail(), "line is not UTF-8");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    pub fn refused(&self) -> Vec<Refused> {
        let name = |source: SourceId| self.plan.sources[source.0 as usize].name.clone();
        let refused = self.state.refused.iter();
        refused
            .map(|(source, reason, bytes)| Refused {
                source: name(*source),
                reason: *reason,
                bytes: bytes.clone(),
            })
            .collect()
    }

    /// Calls `show` with each key and state of the table `name`, in no particular order.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("counter");
    /// let totals = app.table::<(), u64>("totals");
    /// app.source("lines", LineText::new()).collect().update(&totals, |total, _| *total += 1);
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"to\nbe\n");
    /// reference.table("totals", |_, total| assert_eq!(format!("{total:?}"), "2"));
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    ///
    /// # Panics
    /// The application has no table `name`.
    pub fn table(&self, name: &str, mut show: impl FnMut(&dyn Debug, &dyn Debug)) {
        let table = self.plan.tables.iter().find(|table| table.name == name);
        table.unwrap_or_else(|| panic!("no table `{name}`")).rows.each(&mut show);
    }

    fn first_connection(&self, name: &str) -> FedConnection {
        FedConnection(usize::from(self.source(name).0))
    }

    fn source(&self, name: &str) -> SourceId {
        let index = self.plan.sources.iter().position(|source| source.name == name);
        SourceId(index.unwrap_or_else(|| panic!("no source `{name}`")) as u8)
    }

    /// What comes next is input of the connection `at`.
    fn begin_input(&mut self, at: usize) {
        let Self { connections, state, plan, .. } = self;
        let bounds = connections::bounds(plan, connections, at);
        state.watermarks.begin_input(&bounds);
    }

    /// Processes the frames in flight, and those that they cause, until none is left. The time of
    /// an event comes first, then the event.
    fn process_in_flight(&mut self) {
        for frame in core::mem::take(&mut self.state.in_flight) {
            if let Some(timing) = frame.timing {
                self.state.watermarks.hear(frame.route.exchange, timing.own);
                self.fire_due();
            }
            self.process(frame);
        }
        self.state.watermarks.end_input();
    }

    /// Processes a frame and all that it causes.
    fn process(&mut self, frame: InFlight) {
        let mut frames = VecDeque::from([frame]);
        while let Some(frame) = frames.pop_front() {
            let exchange = &self.plan.exchanges[usize::from(frame.route.exchange.0)];
            let mut timing = frame.timing;
            if let Some(timing) = &mut timing {
                timing.watermark = self.state.watermarks.of(frame.route.exchange);
            }
            let inputs = Inputs {
                archives: &[&frame.archive],
                hashes: &[frame.route.hash],
                slots: &[NO_SLOT],
                causes: &[frame.cause],
                timings: timing.as_slice(),
            };
            let done = exchange.stage.batch(inputs, &self.under_way, &mut self.state);
            assert_eq!(done, 1, "the interpreter never blocks");
            frames.extend(core::mem::take(&mut self.state.in_flight));
        }
    }

    /// What connections have brought moves time as far as it does.
    fn pass_time(&mut self) {
        let Self { connections, state, plan, .. } = self;
        state.watermarks.pass(&connections::times(plan, connections));
        self.fire_due();
    }

    /// Fires what is due, one after the other, each followed to its last consequence.
    fn fire_due(&mut self) {
        while let Some((due, hint, until)) = self.state.watermarks.take_due() {
            let (due, origin) = (&self.plan.dues[due], Origin::default());
            let cause = Cause { ingress: 0, origin, source: due.source };
            let done = due.stage.fire(&[hint], until, &cause, &self.under_way, &mut self.state);
            assert_eq!(done, 1, "the interpreter never blocks");
            let frames = core::mem::take(&mut self.state.in_flight);
            frames.into_iter().for_each(|frame| self.process(frame));
        }
    }
}
