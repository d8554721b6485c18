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
use crate::host::{
    Cause, Feed, Ingested, Inputs, NO_SLOT, Origin, SinkId, SourceId, Stop, UnderWay,
};
use crate::plan::{Mistakes, Plan, PlannedSink, REPLY};
use crate::time::EventTime;

mod connections;
mod interpreter;
mod watermarks;

pub use connections::FedConnection;

use connections::FedInput;
use interpreter::{InFlight, Interpreter};

/// Runs an application over slices of input; see [`Application`] for an example.
pub struct Reference {
    plan: Plan,
    state: Interpreter,
    /// The first one of each source, in the order of the sources, then all others.
    connections: Vec<FedInput>,
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
            connections: (0..plan.sources.len()).map(|at| FedInput::new(&plan, at)).collect(),
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
        self.feed_to(&self.connection(name), bytes);
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
        self.end_of(&self.connection(name));
    }

    /// Another connection to the source `name`. Like the first one it holds time: what waits for
    /// the time of this source waits for all its connections that have not ended.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("echo");
    /// app.source("lines", LineText::new()).sink("copies", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// let other = reference.connect("lines");
    /// reference.feed("lines", b"to b");
    /// reference.feed_to(&other, b"or not\n");
    /// reference.feed("lines", b"e\n");
    /// reference.end_of(&other);
    /// assert_eq!(reference.output("copies"), b"or not\nto be\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    ///
    /// # Panics
    /// The application has no source `name`.
    pub fn connect(&mut self, name: &str) -> FedConnection {
        let (at, number) = (usize::from(self.source(name).0), 1 + self.connections.len() as u64);
        self.connections.push(FedInput { number, ..FedInput::new(&self.plan, at) });
        FedConnection(self.connections.len() - 1)
    }

    /// The first connection of the source `name`, which is there from the start.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("echo");
    /// app.source("lines", LineText::new()).sink("copies", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// let first = reference.connection("lines");
    /// reference.feed_to(&first, b"to be\n");
    /// assert_eq!(reference.output("copies"), b"to be\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    ///
    /// # Panics
    /// The application has no source `name`.
    pub fn connection(&self, name: &str) -> FedConnection {
        FedConnection(usize::from(self.source(name).0))
    }

    /// As [`feed`](Self::feed), on a connection.
    pub fn feed_to(&mut self, connection: &FedConnection, bytes: &[u8]) {
        self.connections[connection.0].ended = false;
        self.feed_bytes(connection.0, bytes, false);
    }

    /// As [`end`](Self::end), of a connection.
    pub fn end_of(&mut self, connection: &FedConnection) {
        self.feed_bytes(connection.0, &[], true);
        let own = connections::none_yet(&self.plan);
        let connected = &mut self.connections[connection.0];
        connected.partial.clear();
        (connected.skipping, connected.broken, connected.ended) = (false, false, true);
        connected.own = own;
        self.pass_time();
    }

    /// Nothing on time at or before `time` will come on the first connection of the source `name`,
    /// as if an event with a later time had come and was dropped.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("timeouts");
    /// let open = app.table::<u64, ()>("open").timers();
    /// app.source("orders", LineText::new())
    ///     .map(|line| line.parse::<u64>().ok())
    ///     .event_time(|_| EventTime::from_millis(0), IN_ORDER)
    ///     .key_by(|order| order)
    ///     .update_row(&open, |order, _| order.set_timer_in(millis(50)));
    /// open.on_timer(|order| format!("cancel {}", order.key())).sink("cancels", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("orders", b"7\n");
    /// reference.promise("orders", EventTime::from_millis(49));
    /// assert_eq!(reference.output("cancels"), b"");
    /// reference.promise("orders", EventTime::from_millis(50));
    /// assert_eq!(reference.output("cancels"), b"cancel 7\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    ///
    /// # Panics
    /// The application has no source `name`.
    pub fn promise(&mut self, name: &str, time: EventTime) {
        self.promise_of(&self.connection(name), time);
    }

    /// As [`promise`](Self::promise), of a connection.
    pub fn promise_of(&mut self, connection: &FedConnection, time: EventTime) {
        let connected = &mut self.connections[connection.0];
        for id in &self.plan.sources[usize::from(connected.source.0)].times {
            let own = &mut connected.own[usize::from(id.0)];
            *own = time.max(*own);
        }
        self.pass_time();
    }

    fn feed_bytes(&mut self, at: usize, bytes: &[u8], ended: bool) {
        let connected = &mut self.connections[at];
        if connected.broken {
            return;
        }
        let mut input = core::mem::take(&mut connected.partial);
        input.extend_from_slice(bytes);
        loop {
            self.begin_input(at);
            let connected = &mut self.connections[at];
            let (cause, skipping) = (connected.cause(), connected.skipping);
            let feed = Feed { cause, ended, events_max: 1, frame_bytes_max: usize::MAX, skipping };
            let (own, stage) =
                (&mut connected.own, &self.plan.sources[usize::from(connected.source.0)].stage);
            let done = stage.ingest(&input, feed, own, &self.under_way, &mut self.state);
            self.process_in_flight();
            self.pass_time();
            input.drain(..done.bytes);
            let connected = &mut self.connections[at];
            connected.position += done.bytes as u64;
            connected.skipping = done.skipping;
            connected.broken = matches!(done.stop, Stop::Broken(_));
            let Ingested { stop: Stop::Limit, .. } = done else { break };
        }
        self.connections[at].partial = input;
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
        self.plan.tables[self.table_at(name)].rows.each(&mut show);
    }

    /// How many events were late for the windows `name`, whatever became of them.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("counts");
    /// let counts = app.windows::<(), u64>("counts", tumbling(millis(10)));
    /// app.source("lines", LineText::new())
    ///     .map(|line| line.parse::<i64>().ok())
    ///     .event_time(|millis| EventTime::from_millis(millis), IN_ORDER)
    ///     .collect()
    ///     .window(&counts, |count, _| *count += 1);
    /// counts.closed(|count, _| count.to_string()).sink("counts", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"5\n11\n6\n10\n");
    /// assert_eq!(reference.late("counts"), 1);
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    ///
    /// # Panics
    /// The application has neither windows nor a table `name`.
    pub fn late(&self, name: &str) -> u64 {
        self.state.late[self.table_at(name)]
    }

    fn table_at(&self, name: &str) -> usize {
        let at = self.plan.tables.iter().position(|table| table.name == name);
        at.unwrap_or_else(|| panic!("no table `{name}`"))
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
