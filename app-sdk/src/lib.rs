//! What a Potoroo application is: events, keys, tables, streams, codecs and the
//! reference interpreter that defines what an application means.
//!
//! Promises: `no_std`, so that no thread, socket, file or clock can get in; no `unsafe`.
//! Must never contain: anything that names where or on how many machines an application runs.
//!
//! ```text
//!   value · text · key      what an event and a key are made of
//!   codec                   bytes to events and back
//!   time                    moments that data speaks of
//!   aggregate               counts, sums, the best: states of many values
//!   application · stream    what is computed
//!   table · outputs         what handlers see and return
//!   windows                 what comes within a stretch of time
//!   plan                    the checked description
//!   host                    the seam to whatever executes it
//!   reference               the slow, obvious executor
//! ```
//!
//! # The model in ten minutes
//!
//! An application is a dataflow with a name. Bytes enter through *sources*, become *events*, pass
//! through operators, and leave through *sinks*. State lies in *tables*, one row for each *key*.
//! The program describes the dataflow once, before any event; the engine executes it. The name of
//! a source or sink gets its address at deployment, so the same program reads a file on a laptop
//! and a socket on a server.
//!
//! ## 1. Events and codecs
//!
//! An event is one typed value: a struct or enum with `#[event]`, or a plain number or text. A
//! codec turns bytes into events and back. Its [`Framing`](codec::Framing) finds where a frame
//! begins and ends; [`Decode`](codec::Decode) makes an event of the frame's payload, and
//! [`Encode`](codec::Encode) writes an event as a frame. What cannot be decoded goes to the *dead
//! letters* with a [`Reason`](codec::Reason), and the next frame is read.
//!
//! ```
//! use potoroo_sdk::prelude::*;
//!
//! #[event]
//! struct Reading { sensor: Symbol, celsius: f64 }
//!
//! /// Lines such as `attic 33.5`.
//! struct ReadingLines;
//!
//! impl Decode for ReadingLines {
//!     type Event = Reading;
//!     type Framing = Lines;
//!     fn framing(&self) -> Lines { Lines::new() }
//!     fn decode(&self, payload: &[u8]) -> Result<Reading, Reason> {
//!         let line = str::from_utf8(payload).map_err(|_| Reason::new("not UTF-8"))?;
//!         let (sensor, celsius) = line.split_once(' ').ok_or(Reason::new("no space"))?;
//!         Ok(Reading {
//!             sensor: sensor.parse().map_err(|_| Reason::new("sensor has more than 8 bytes"))?,
//!             celsius: celsius.parse().map_err(|_| Reason::new("celsius is not a number"))?,
//!         })
//!     }
//! }
//!
//! fn thermometers() -> Application {
//!     let app = Application::new("thermometers");
//!     app.source("readings", ReadingLines)
//!         .filter(|reading| reading.celsius > 30.0)
//!         .map(|reading| format!("{} is hot", reading.sensor))
//!         .sink("alarms", LineText::new());
//!     app
//! }
//!
//! let mut reference = Reference::new(thermometers())?;
//! reference.feed("readings", b"kitchen 21.5\nattic 33.5\ncellar ?\n");
//! assert_eq!(reference.output("alarms"), b"attic is hot\n");
//! assert_eq!(reference.refused()[0].reason.detail(), "celsius is not a number");
//! # Ok::<(), potoroo_sdk::plan::Mistakes>(())
//! ```
//!
//! A handler sees the [`View`](value::View) of an event. For plain data that is the event itself;
//! a `String` is seen as `&str` and a `Vec` as [`Seq`](value::Seq), so that nothing is copied.
//! What a handler emits it returns: nothing, an event, an `Option` of one or an array of them.
//! `flat_map` and `update_with` hand it an [`Out`](outputs::Out) for a number that varies.
//!
//! ## 2. Keys and tables
//!
//! [`key_by`](stream::Stream::key_by) groups events. All events of a key meet its one row of a
//! [`Table`](tables::Table), one after the other, without a lock. A row begins as the default of
//! its state, or is made from its key by [`table_with`](Application::table_with).
//!
//! ```
//! # use potoroo_sdk::prelude::*;
//! # #[event]
//! # struct Reading { sensor: Symbol, celsius: f64 }
//! # struct ReadingLines;
//! # impl Decode for ReadingLines {
//! #     type Event = Reading;
//! #     type Framing = Lines;
//! #     fn framing(&self) -> Lines { Lines::new() }
//! #     fn decode(&self, payload: &[u8]) -> Result<Reading, Reason> {
//! #         let line = str::from_utf8(payload).map_err(|_| Reason::new("not UTF-8"))?;
//! #         let (sensor, celsius) = line.split_once(' ').ok_or(Reason::new("no space"))?;
//! #         Ok(Reading {
//! #             sensor: sensor.parse().map_err(|_| Reason::new("sensor"))?,
//! #             celsius: celsius.parse().map_err(|_| Reason::new("celsius"))?,
//! #         })
//! #     }
//! # }
//! #[state]
//! struct Sensor { readings: u64, warmest: f64 }
//!
//! impl Sensor {
//!     /// The text of a record, if the reading is one.
//!     fn follow(&mut self, reading: Reading) -> Option<String> {
//!         self.readings += 1;
//!         let is_record = self.readings == 1 || reading.celsius > self.warmest;
//!         is_record.then(|| {
//!             self.warmest = reading.celsius;
//!             format!("{} {}", reading.sensor, reading.celsius)
//!         })
//!     }
//! }
//!
//! fn thermometers() -> Application {
//!     let app = Application::new("thermometers");
//!     let sensors = app.table::<Symbol, Sensor>("sensors");
//!     app.source("readings", ReadingLines)
//!         .key_by(|reading| reading.sensor)
//!         .update(&sensors, Sensor::follow)
//!         .sink("records", LineText::new());
//!     app
//! }
//!
//! let mut reference = Reference::new(thermometers())?;
//! reference.feed("readings", b"attic 30\nattic 29\ncellar 12\nattic 31\n");
//! assert_eq!(reference.output("records"), b"attic 30\ncellar 12\nattic 31\n");
//! # Ok::<(), potoroo_sdk::plan::Mistakes>(())
//! ```
//!
//! ## 3. Several streams
//!
//! A stream may have several consumers, [`merge`](stream::Stream::merge) makes one of two,
//! [`split`](stream::Stream::split) and [`route`](stream::Stream::route) part one in several, and
//! several streams with the same key type may update one table. Here a second source takes sensors
//! away: its handler removes the row, and the next reading of that sensor begins a new one.
//!
//! ```
//! # use potoroo_sdk::prelude::*;
//! # #[event]
//! # struct Reading { sensor: Symbol, celsius: f64 }
//! # struct ReadingLines;
//! # impl Decode for ReadingLines {
//! #     type Event = Reading;
//! #     type Framing = Lines;
//! #     fn framing(&self) -> Lines { Lines::new() }
//! #     fn decode(&self, payload: &[u8]) -> Result<Reading, Reason> {
//! #         let line = str::from_utf8(payload).map_err(|_| Reason::new("not UTF-8"))?;
//! #         let (sensor, celsius) = line.split_once(' ').ok_or(Reason::new("no space"))?;
//! #         Ok(Reading {
//! #             sensor: sensor.parse().map_err(|_| Reason::new("sensor"))?,
//! #             celsius: celsius.parse().map_err(|_| Reason::new("celsius"))?,
//! #         })
//! #     }
//! # }
//! # #[state]
//! # struct Sensor { readings: u64, warmest: f64 }
//! # impl Sensor {
//! #     fn follow(&mut self, reading: Reading) -> Option<String> {
//! #         self.readings += 1;
//! #         let is_record = self.readings == 1 || reading.celsius > self.warmest;
//! #         is_record.then(|| {
//! #             self.warmest = reading.celsius;
//! #             format!("{} {}", reading.sensor, reading.celsius)
//! #         })
//! #     }
//! # }
//! fn thermometers() -> Application {
//!     let app = Application::new("thermometers");
//!     let sensors = app.table::<Symbol, Sensor>("sensors");
//!     let readings = app.source("readings", ReadingLines);
//!     readings
//!         .filter(|reading| reading.celsius > 30.0)
//!         .map(|reading| format!("{} is hot", reading.sensor))
//!         .sink("alarms", LineText::new());
//!     let records = readings.key_by(|reading| reading.sensor).update(&sensors, Sensor::follow);
//!     let removals = app
//!         .source("removals", LineText::new())
//!         .map(|sensor| sensor.parse::<Symbol>().ok())
//!         .key_by(|sensor| sensor)
//!         .update_with(&sensors, |sensor, _, out| {
//!             out.emit(format!("{} had {} readings", sensor.key(), sensor.readings));
//!             sensor.remove();
//!         });
//!     records.merge(&removals).sink("records", LineText::new());
//!     app
//! }
//!
//! let mut reference = Reference::new(thermometers())?;
//! reference.feed("readings", b"attic 30\nattic 31\n");
//! reference.feed("removals", b"attic\n");
//! reference.feed("readings", b"attic 20\n");
//! assert_eq!(reference.output("alarms"), b"attic is hot\n");
//! let records = b"attic 30\nattic 31\nattic had 2 readings\nattic 20\n";
//! assert_eq!(reference.output("records"), records);
//! # Ok::<(), potoroo_sdk::plan::Mistakes>(())
//! ```
//!
//! ## 4. Time
//!
//! [`event_time`](stream::Stream::event_time) reads from each event when it happened, an
//! [`EventTime`](time::EventTime): nanoseconds since 1970, whatever clock a machine has. Times of
//! one connection may go backwards by a [`Lateness`](time::Lateness): `IN_ORDER` means not at all,
//! `within(millis(5))` by at most 5 ms. An event that comes even later is *late*, and
//! [`split_late`](stream::Stream::split_late) sends it its own way.
//!
//! ```
//! # use potoroo_sdk::prelude::*;
//! #[event]
//! struct Step { millis: i64, walker: u64 }
//!
//! fn steps() -> Application {
//!     let app = Application::new("steps");
//!     let counts = app.table::<u64, u64>("counts");
//!     let (on_time, late) = app
//!         .source("steps", LineText::new())
//!         .map(|line| {
//!             let (millis, walker) = line.split_once(' ')?;
//!             Some(Step { millis: millis.parse().ok()?, walker: walker.parse().ok()? })
//!         })
//!         .event_time(|step| EventTime::from_millis(step.millis), within(millis(5)))
//!         .split_late();
//!     on_time.key_by(|step| step.walker).update(&counts, |count, step| {
//!         *count += 1;
//!         format!("{} has {count}", step.walker)
//!     }).sink("counts", LineText::new());
//!     late.map(|step| format!("{} at {} ms", step.walker, step.millis))
//!         .sink("late", LineText::new());
//!     app
//! }
//!
//! let mut reference = Reference::new(steps())?;
//! reference.feed("steps", b"100 7\n95 7\n94 7\n101 8\n");
//! assert_eq!(reference.output("counts"), b"7 has 1\n7 has 2\n8 has 1\n");
//! assert_eq!(reference.output("late"), b"7 at 94 ms\n");
//! # Ok::<(), potoroo_sdk::plan::Mistakes>(())
//! ```
//!
//! A table may have [`timers`](tables::Table::timers): each row has one, and
//! [`on_timer`](tables::TimedTable::on_timer) takes the rows whose timers have come. Rows that were
//! not touched for long go by themselves with [`expire_after`](tables::Table::expire_after).
//!
//! [`first`](stream::Keyed::first) drops repeats of a key; [`join`](stream::Keyed::join) pairs
//! events of two streams whose times are near each other; [`as_of`](stream::Keyed::as_of) gives
//! each event what prevailed at its time. Each of them keeps what it needs in a table of its own.
//!
//! The guide, `README.md` of this package, has an example of each, and the rules beside those of
//! others. The exact rules:
//!
//! - Each connection has a clock of its own: the greatest time that it has brought. Its *own
//!   watermark* is that time, less the lateness, less 1 ns. An event is late if its time is at or
//!   before the own watermark of its connection. So what is late depends on the input of one
//!   connection, and is the same in every run and after a crash.
//! - What operators make of an event has its time, also after a `key_by`. A stream has one time at
//!   most, and gets it before the first `key_by`.
//! - A `filter` before `event_time` keeps events from moving the clock; after it they move it.
//! - What is due in a row, by its timer, its windows or what it waits for, fires when no event on
//!   time at or before that moment can come any more, and before any later event of its key.
//! - A file and a generated source hold time from the beginning until they end. A connection holds
//!   time from its first event until it is closed, and begins at what has fired already: with
//!   several connections that come and go, what is late depends on when they do.
//! - A silent connection holds what waits for its time, unless it may be left out
//!   ([`idle_after`](time::Lateness::idle_after)) or its time goes on with the clock of the machine
//!   ([`runs_on_after`](time::Lateness::runs_on_after)).
//! - When the input ends, each timer fires once. A program that is stopped fires none: they are in
//!   the last checkpoint.
//! - Times lie between the years 1823 and 2116. An event with another one goes to the dead letters
//!   and moves no clock; so does one that [jumps](time::Lateness::jump_max) too far ahead.
//!
//! ## 5. Windows
//!
//! [`windows`](Application::windows) are declared as tables are, with a kind: [`tumbling`],
//! [`sliding`], [`sessions`] or [`counted`](windows::counted). Streams add to them by the time of
//! their events, and [`closed`](windows::Windows::closed) takes each window once, when no event on
//! time can come into it any more.
//!
//! [`tumbling`]: windows::tumbling
//! [`sliding`]: windows::sliding
//! [`sessions`]: windows::sessions
//!
//! ```
//! # use potoroo_sdk::prelude::*;
//! # #[event]
//! # struct Step { millis: i64, walker: u64 }
//! fn steps_per_second() -> Application {
//!     let app = Application::new("steps-per-second");
//!     let seconds = app.windows::<u64, u64>("seconds", tumbling(seconds(1)));
//!     app.source("steps", LineText::new())
//!         .map(|line| {
//!             let (millis, walker) = line.split_once(' ')?;
//!             Some(Step { millis: millis.parse().ok()?, walker: walker.parse().ok()? })
//!         })
//!         .event_time(|step| EventTime::from_millis(step.millis), within(millis(5)))
//!         .key_by(|step| step.walker)
//!         .window(&seconds, |count, _| *count += 1)
//!         .late()
//!         .map(|step| format!("{} at {} ms", step.walker, step.millis))
//!         .sink("late", LineText::new());
//!     seconds
//!         .closed(|count, window| format!("{}: {count} to {}", window.key(), window.end()))
//!         .sink("counts", LineText::new());
//!     app
//! }
//!
//! let mut reference = Reference::new(steps_per_second())?;
//! reference.feed("steps", b"100 7\n1004 7\n999 7\n1005 7\n998 7\n");
//! assert_eq!(reference.output("counts"), b"7: 2 to 1.000000000\n");
//! assert_eq!(reference.output("late"), b"7 at 998 ms\n");
//! # Ok::<(), potoroo_sdk::plan::Mistakes>(())
//! ```
//!
//! - An event is late for a window if the own watermark of its connection has reached the last
//!   moment of the window, and the [`wait`](windows::Windows::wait) is over. So what a window has
//!   depends neither on other connections nor on the number of machines. Late events go to
//!   the [dead letters](windows::Late), are shown on their own, or go
//!   [aside](stream::Windowed::late).
//! - What a window emits has the time of its last moment, so windows of windows work.
//! - When the input ends, all windows close. A program that is stopped closes none: they are in the
//!   last checkpoint, and go on from there.
//! - At most 1024 windows of a key are open.
//!
//! ## 6. What an application means
//!
//! [`Reference`](reference::Reference) defines it, in code that is slow and obvious: one event at a
//! time, each followed to its last consequence. The examples above use it as a unit test does.
//! The engine agrees with it in this way:
//!
//! - Events of one connection with the same key are processed in the order in which they arrived.
//! - With one source and one `key_by` the output of each key is exactly that of the reference.
//!   Where several sources or several `key_by`s feed one key, their interleaving is not fixed, and
//!   every run equals *one* run of the reference.
//! - A handler may run again for the same event after a crash, from a state that is as old as the
//!   event; the tables come out as if it had run once.
//!
//! Mistakes that can be found before running are found before running:
//! [`plan`](Application::plan) lists them, each with its remedy. Names of types that changed since
//! a checkpoint are found, too: see [`Table::migrating`](tables::Table::migrating).
//!
//! ## 7. What may not be said
//!
//! An application cannot name a number of threads or machines, an address, a file or the time of
//! the clock. Everything that a handler knows is its event, its row and constants. State that is
//! kept elsewhere would be lost in a crash and wrong on two machines, so handlers are `Fn`, and
//! this does not compile:
//!
//! ```compile_fail,E0277
//! use potoroo_sdk::prelude::*;
//!
//! let app = Application::new("counter");
//! let count = std::cell::Cell::new(0_u64);
//! app.source("lines", LineText::new()).map(move |_| {
//!     count.set(count.get() + 1);
//!     count.get()
//! });
//! ```
//!
//! The count belongs into a table; [`collect`](stream::Stream::collect) gives a stream one key, for
//! state about the stream as a whole. Random numbers come from the event too: seed a
//! [`Random`](random::Random) with one of its fields.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
extern crate self as potoroo_sdk;

// In reading order; the blank lines keep it.
pub mod text;
pub mod value;

pub mod key;
pub mod random;

pub mod aggregate;

pub mod codec;

pub mod time;

pub mod host;
pub mod outputs;
pub mod table;
pub mod windows;

mod mistake;
pub mod plan;

mod consumers;
mod draft;
mod flow;

mod batch_output;
mod firings;
mod kept;

mod updates;

pub mod tables;

pub mod stream;

mod exchange;
mod intake;

mod application;

pub mod reference;

/// The guide's examples, which are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

pub use application::Application;
pub use potoroo_derive::{event, key, state, value};

/// Everything that an application usually needs.
pub mod prelude {
    pub use crate::aggregate::{Agenda, Count, First, Last, Max, Mean, Merge, Min, Sum, Top};
    pub use crate::application::Application;
    pub use crate::codec::{
        Decode, Encode, Fields, FixedSize, Framing, LengthPrefixed, LengthWord, LineText, Lines,
        Put, Reason, Split,
    };
    pub use crate::key::Key;
    pub use crate::outputs::{Out, Outputs};
    pub use crate::random::Random;
    pub use crate::reference::Reference;
    pub use crate::stream::{Interval, Keyed, Stream, Windowed};
    pub use crate::table::{Entry, TimedRow};
    pub use crate::tables::{Table, TimedTable};
    pub use crate::text::{Symbol, Text};
    pub use crate::time::{
        Duration, EventTime, IN_ORDER, Lateness, hours, micros, millis, minutes, seconds, within,
    };
    pub use crate::value::{Event, Seq, State, Value, View};
    pub use crate::windows::{Firing, Late, Window, Windows, counted, sessions, sliding, tumbling};
    pub use crate::{event, key, state, value};
}
