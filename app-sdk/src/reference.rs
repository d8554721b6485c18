//! The reference interpreter: what an application means, in obvious code.
//!
//! One event at a time, each followed to its last consequence before the next: no batches, no
//! owners, no limits. It serves unit tests of applications and is the oracle of the engine's.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Debug;

use crate::application::Application;
use crate::codec::Reason;
use crate::host::{
    Cause, ExchangeId, Feed, Host, Ingested, Inputs, NO_SLOT, Origin, Route, SinkId, SourceId,
    Stop, TableId, Timing, UnderWay,
};
use crate::plan::{Mistakes, Plan, PlannedSink, REPLY};
use crate::table::AnyRow;
use crate::time::EventTime;

/// Runs an application over slices of input; see [`Application`] for an example.
pub struct Reference {
    plan: Plan,
    state: Interpreter,
    /// What a source has not yet taken: the beginning of a frame.
    partial: Vec<Vec<u8>>,
    /// By source, the own watermarks of its connection.
    own: Vec<Vec<EventTime>>,
    /// How far each source's input has been read.
    position: Vec<u64>,
    /// By source: what comes next belongs to a frame above the limit that was refused.
    skipping: Vec<bool>,
    /// By source: nothing more of its input can be understood.
    broken: Vec<bool>,
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
            partial: plan.sources.iter().map(|_| Vec::new()).collect(),
            own: plan.sources.iter().map(|_| none_yet(&plan)).collect(),
            position: plan.sources.iter().map(|_| 0).collect(),
            skipping: plan.sources.iter().map(|_| false).collect(),
            broken: plan.sources.iter().map(|_| false).collect(),
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
        self.feed_bytes(name, bytes, false);
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
        self.feed_bytes(name, &[], true);
        let index = self.source(name).0 as usize;
        self.partial[index].clear();
        (self.skipping[index], self.broken[index]) = (false, false);
        self.own[index] = none_yet(&self.plan);
    }

    fn feed_bytes(&mut self, name: &str, bytes: &[u8], ended: bool) {
        let source = self.source(name);
        let index = source.0 as usize;
        if self.broken[index] {
            return;
        }
        let mut input = core::mem::take(&mut self.partial[index]);
        input.extend_from_slice(bytes);
        loop {
            let cause = self.cause(source);
            let skipping = self.skipping[index];
            let feed = Feed { cause, ended, events_max: 1, frame_bytes_max: usize::MAX, skipping };
            let stage = &self.plan.sources[index].stage;
            let done =
                stage.ingest(&input, feed, &mut self.own[index], &self.under_way, &mut self.state);
            self.process_in_flight();
            input.drain(..done.bytes);
            self.position[index] += done.bytes as u64;
            self.skipping[index] = done.skipping;
            self.broken[index] = matches!(done.stop, Stop::Broken(_));
            let Ingested { stop: Stop::Limit, .. } = done else { break };
        }
        self.partial[index] = input;
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
        for index in 0..count {
            let cause = self.cause(source);
            let own = &mut self.own[source.0 as usize];
            let at = index..index + 1;
            made.emit(at, &schedule, cause, own, &self.under_way, &mut self.state);
            self.process_in_flight();
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

    fn source(&self, name: &str) -> SourceId {
        let index = self.plan.sources.iter().position(|source| source.name == name);
        SourceId(index.unwrap_or_else(|| panic!("no source `{name}`")) as u8)
    }

    fn cause(&self, source: SourceId) -> Cause {
        let connection = 1 + u64::from(source.0);
        let position = self.position[source.0 as usize];
        Cause { ingress: 0, origin: Origin { connection, position }, source }
    }

    /// Processes the frames in flight, and those that they cause, until none is left.
    fn process_in_flight(&mut self) {
        while let Some(frame) = self.state.in_flight.pop_front() {
            let exchange = &self.plan.exchanges[frame.route.exchange.0 as usize];
            let inputs = Inputs {
                archives: &[&frame.archive],
                hashes: &[frame.route.hash],
                slots: &[NO_SLOT],
                causes: &[frame.cause],
                timings: frame.timing.as_slice(),
            };
            let done = exchange.stage.batch(inputs, &self.under_way, &mut self.state);
            assert_eq!(done, 1, "the interpreter never blocks");
        }
    }
}

/// The own watermarks of a connection that has brought no event.
fn none_yet(plan: &Plan) -> Vec<EventTime> {
    plan.times.iter().map(|_| EventTime::MIN).collect()
}

struct InFlight {
    route: Route,
    cause: Cause,
    timing: Option<Timing>,
    archive: Vec<u8>,
}

/// The interpreter as a host: a queue, and maps without any cleverness.
struct Interpreter {
    in_flight: VecDeque<InFlight>,
    outputs: Vec<(SinkId, Vec<u8>)>,
    refused: Vec<(SourceId, Reason, Vec<u8>)>,
    rows: Vec<BTreeMap<u64, Vec<u32>>>,
}

impl Interpreter {
    fn new(plan: &Plan) -> Self {
        Self {
            in_flight: VecDeque::new(),
            outputs: Vec::new(),
            refused: Vec::new(),
            rows: plan.tables.iter().map(|_| BTreeMap::new()).collect(),
        }
    }
}

impl Host for Interpreter {
    fn send(
        &mut self,
        route: Route,
        cause: &Cause,
        timing: Option<&Timing>,
        bytes: usize,
    ) -> &mut [u8] {
        let (cause, timing) = (*cause, timing.copied());
        let frame = InFlight { route, cause, timing, archive: alloc::vec![0; bytes] };
        self.in_flight.push_back(frame);
        &mut self.in_flight.back_mut().expect("it was just put there").archive
    }

    fn in_place(&mut self, _: ExchangeId, _: usize, _: &[u64], _: &[Cause], _: &mut [u32]) -> u64 {
        0
    }

    fn output(&mut self, sink: SinkId, _: &Cause, bytes: &[u8]) {
        self.outputs.push((sink, bytes.to_vec()));
    }

    fn batch_max(&mut self) -> usize {
        1
    }

    fn blocked(&self) -> bool {
        false
    }

    fn find(&mut self, table: TableId, hash: u64, previous: Option<u32>) -> Option<u32> {
        let slots = self.rows[table.0 as usize].get(&hash)?;
        let from = match previous {
            None => 0,
            Some(previous) => 1 + slots.iter().position(|slot| *slot == previous)?,
        };
        slots.get(from).copied()
    }

    fn bind(&mut self, table: TableId, hash: u64, slot: u32) {
        self.rows[table.0 as usize].entry(hash).or_default().push(slot);
    }

    fn unbind(&mut self, table: TableId, hash: u64, slot: u32, _: &dyn AnyRow) {
        let slots = self.rows[table.0 as usize].get_mut(&hash).expect("unbind follows bind");
        slots.retain(|known| *known != slot);
    }

    fn refuse(&mut self, cause: &Cause, reason: Reason, bytes: &[u8]) {
        self.refused.push((cause.source, reason, bytes.to_vec()));
    }
}
