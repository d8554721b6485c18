//! The application: where its description begins.

use core::cell::RefCell;

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::codec::Decode;
use crate::draft::Draft;
use crate::intake::{GeneratorOf, Generators, Intake, maker};
use crate::key::Key;
use crate::plan::{Mistakes, Plan};
use crate::stream::Stream;
use crate::table::{Rows, TableRef};
use crate::tables::Table;
use crate::value::{Event, State};
use crate::windows::{WindowKind, Windows};

/// A named dataflow: sources, streams, tables and sinks.
///
/// It says what to compute. Where the bytes come from and go to, and on what it runs, is said at
/// deployment. A host may describe the application several times, so the function that does it
/// must give the same description each time.
///
/// ```
/// use potoroo_sdk::prelude::*;
///
/// #[event]
/// struct Sentence { text: String }
/// #[event]
/// struct Count { word: Text<16>, times: u64 }
///
/// struct Sentences;
/// impl Decode for Sentences {
///     type Event = Sentence;
///     type Framing = Lines;
///     fn framing(&self) -> Lines { Lines::default() }
///     fn decode(&self, payload: &[u8]) -> Result<Sentence, Reason> {
///         let text = str::from_utf8(payload).map_err(|_| Reason::new("not UTF-8"))?;
///         Ok(Sentence { text: text.into() })
///     }
/// }
/// struct Counts;
/// impl Encode for Counts {
///     type Event = Count;
///     fn encode(&self, count: Count, out: &mut Vec<u8>) {
///         out.extend_from_slice(format!("{}={}\n", count.word, count.times).as_bytes());
///     }
/// }
/// #[event]
/// struct Word { word: Text<16> }
///
/// let app = Application::new("word-count");
/// let totals = app.table::<Text<16>, u64>("totals");
/// app.source("sentences", Sentences)
///     .flat_map(|sentence, out| {
///         for word in sentence.text.split_whitespace().filter_map(|w| Text::new(w.as_bytes())) {
///             out.emit(Word { word });
///         }
///     })
///     .key_by(|word: Word| word.word)
///     .update(&totals, |total, word| {
///         *total += 1;
///         Count { word: word.word, times: *total }
///     })
///     .sink("counts", Counts);
///
/// let mut reference = Reference::new(app)?;
/// reference.feed("sentences", b"to be or not to be\n");
/// assert_eq!(reference.output("counts"), b"to=1\nbe=1\nor=1\nnot=1\nto=2\nbe=2\n");
/// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
/// ```
pub struct Application {
    draft: Rc<RefCell<Draft>>,
    generators: Generators,
}

impl Application {
    /// An application without any stream. Deployments name it, and so do checkpoints.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("empty");
    /// assert!(app.plan().is_err(), "it has no source");
    /// ```
    pub fn new(name: &str) -> Self {
        Self { draft: Rc::new(RefCell::new(Draft::new(name))), generators: Generators::default() }
    }

    /// A source: a named edge whose bytes `codec` turns into events.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("echo");
    /// let lines: Stream<String> = app.source("lines", LineText::new());
    /// lines.sink("copies", LineText::new());
    /// ```
    pub fn source<C: Decode>(&self, name: &str, codec: C) -> Stream<C::Event> {
        let step = self.draft.borrow_mut().source(name, C::Event::NAME);
        let stream = Stream::new(self.draft.clone(), step);
        let generators = self.generators.clone();
        let stage = Intake::new(codec, stream.consumers.clone(), generators);
        self.draft.borrow_mut().source_stage(Box::new(stage));
        stream
    }

    /// A table whose states begin with their default.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("counter");
    /// let totals = app.table::<u64, u64>("totals");
    /// app.source("lines", LineText::new())
    ///     .key_by(|line| line.len() as u64)
    ///     .update(&totals, |total, _| *total += 1);
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"to\nbe\n");
    /// reference.table("totals", |key, total| assert_eq!(format!("{key:?} {total:?}"), "2 2"));
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    pub fn table<K: Key, S: State + Default>(&self, name: &str) -> Table<K, S> {
        self.table_with(name, |_| S::default())
    }

    /// A table whose states are made from their key on first use.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("countdown");
    /// let left = app.table_with::<u64, u64>("left", |length| *length);
    /// app.source("lines", LineText::new())
    ///     .key_by(|line| line.len() as u64)
    ///     .update(&left, |left, _| {
    ///         *left -= 1;
    ///         left.to_string()
    ///     })
    ///     .sink("left", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"to\nbe\n");
    /// assert_eq!(reference.output("left"), b"1\n0\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    pub fn table_with<K: Key, S: State>(
        &self,
        name: &str,
        create: impl Fn(&K) -> S + Send + Sync + 'static,
    ) -> Table<K, S> {
        let rows = Rc::new(RefCell::new(Rows::new(Rc::new(create))));
        let id = self.draft.borrow_mut().table(name, rows.clone());
        Table::new(self.draft.clone(), TableRef { id, rows })
    }

    /// Windows of the events of each key, whose states begin with their default.
    ///
    /// `kind` says which stretches of time they are. Streams [add](crate::stream::Keyed::window) to
    /// them, and [`closed`](Windows::closed) takes them.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("per-minute");
    /// let counts = app.windows::<u64, u64>("counts", tumbling(minutes(1)));
    /// app.source("seconds", LineText::new())
    ///     .map(|line| line.parse::<i64>().ok())
    ///     .event_time(|second| EventTime::from_seconds(second), IN_ORDER)
    ///     .key_by(|second| second.unsigned_abs() % 2)
    ///     .window(&counts, |count, _| *count += 1);
    /// counts
    ///     .closed(|count, window| format!("{} of {}", count, window.key()))
    ///     .sink("counts", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("seconds", b"0\n1\n59\n60\n");
    /// assert_eq!(reference.output("counts"), b"1 of 0\n2 of 1\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    pub fn windows<K: Key, S: State + Default>(
        &self,
        name: &str,
        kind: impl WindowKind<S>,
    ) -> Windows<K, S> {
        self.windows_with(name, kind, |_| S::default())
    }

    /// Windows whose states are made from their key.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("longest");
    /// let lines = app.windows_with("lines", counted(2), |length: &u64| format!("{length}:"));
    /// app.source("lines", LineText::new())
    ///     .event_time(|_| EventTime::from_seconds(0), IN_ORDER)
    ///     .key_by(|line| line.len() as u64)
    ///     .window(&lines, |text: &mut String, line| text.push_str(line));
    /// lines.closed(|text, _| text.clone()).sink("pairs", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"to\nnot\nbe\n");
    /// assert_eq!(reference.output("pairs"), b"2:tobe\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    pub fn windows_with<K: Key, S: State>(
        &self,
        name: &str,
        kind: impl WindowKind<S>,
        create: impl Fn(&K) -> S + Send + Sync + 'static,
    ) -> Windows<K, S> {
        Windows::new(self.draft.clone(), name, kind.any(), Rc::new(create))
    }

    /// Registers a generator of events, to be used as the address `gen:NAME` of a source.
    ///
    /// `start` takes a seed and gives the function from an event's index (0, 1, …) to the event,
    /// or to `None` where the input ends. It must depend on seed and indices alone.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("numbers");
    /// app.generator("squares", |seed| move |index| Some((seed + index * index).to_string()));
    /// app.source("numbers", LineText::new()).sink("copies", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.generate("numbers", "squares", 100, 3);
    /// assert_eq!(reference.output("copies"), b"100\n101\n104\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    pub fn generator<E, G>(&self, name: &str, start: impl Fn(u64) -> G + Send + Sync + 'static)
    where
        E: Event,
        G: FnMut(u64) -> Option<E> + 'static,
    {
        let start: GeneratorOf<E> = Rc::new(move |seed| Box::new(maker(start(seed))));
        self.generators.borrow_mut().push((name.to_string(), Box::new(start)));
    }

    /// Checks the description and numbers its parts. Hosts call it; a test may, to see mistakes.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("forgetful");
    /// app.source("lines", LineText::new());
    /// let mistakes = app.plan().err().expect("the lines go nowhere");
    /// assert!(mistakes.to_string().contains("go nowhere"));
    /// ```
    ///
    /// # Errors
    /// It cannot work: all mistakes, each with its remedy.
    pub fn plan(self) -> Result<Plan, Mistakes> {
        let names: Vec<String> =
            self.generators.borrow().iter().map(|(name, _)| name.clone()).collect();
        let draft = self.draft.replace(Draft::new("planned"));
        Plan::new(draft, names)
    }
}
