//! Declared windows: their names, and what is said of them.

use core::cell::RefCell;

use alloc::rc::Rc;

use super::kind::{AnyKind, nanos};
use super::late::Late;
use super::pane::OpenWindows;
use super::rule::WindowRule;
use super::seen::Window;
use super::shared::{HasWindows, WindowsRef};
use crate::draft::{Draft, DraftTimed};
use crate::key::Key;
use crate::outputs::Outputs;
use crate::stream::{CloseStage, Keyed};
use crate::table::{Rows, TableRef};
use crate::time::{DURATION_MAX, Duration};
use crate::value::State;

/// Named windows of an `S` for each `K`: see [`Application::windows`](crate::Application::windows).
pub struct Windows<K, S> {
    of: WindowsRef<K, S>,
    draft: Rc<RefCell<Draft>>,
}

impl<K, S> Clone for Windows<K, S> {
    fn clone(&self) -> Self {
        Self { of: self.of.clone(), draft: self.draft.clone() }
    }
}

impl<K: Key, S: State> HasWindows<K> for Windows<K, S> {
    type State = S;

    fn shared(&self) -> &WindowsRef<K, S> {
        &self.of
    }
}

impl<K: Key, S: State> Windows<K, S> {
    // cold: while the application is described
    pub(crate) fn new(
        draft: Rc<RefCell<Draft>>,
        name: &str,
        kind: AnyKind<S>,
        create: Rc<dyn Fn(&K) -> S>,
    ) -> Self {
        let (identity, mistake) = (alloc::format!("{kind}"), kind.mistake(name));
        let rows = Rows::new(Rc::new(|_: &K| OpenWindows::none())).varying(&identity);
        let rows = Rc::new(RefCell::new(rows));
        let id = draft.borrow_mut().table(name, rows.clone());
        let rule = Rc::new(WindowRule::new(kind, create));
        let of = WindowsRef::new(TableRef { id, rows: rows.clone() }, rule);
        let windows = Self { of, draft };
        let stage = Rc::new(CloseStage::without_handler(windows.of.clone()));
        let timed = DraftTimed::of_windows(stage.clone(), identity);
        windows.draft.borrow_mut().time_table(id, rows, timed);
        windows.of.take_by(stage);
        mistake.into_iter().for_each(|text| windows.draft.borrow_mut().wrong_windows(text));
        windows
    }

    /// Says what becomes of late events that are not taken [aside](crate::stream::Windowed::late).
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// # fn sums(late: Late) -> Result<Vec<u8>, potoroo_sdk::plan::Mistakes> {
    /// let app = Application::new("sums");
    /// let sums = app.windows::<(), i64>("sums", tumbling(millis(10))).late(late);
    /// app.source("lines", LineText::new())
    ///     .map(|line| line.parse::<i64>().ok())
    ///     .event_time(|millis| EventTime::from_millis(millis), IN_ORDER)
    ///     .collect()
    ///     .window(&sums, |sum, millis| *sum += millis);
    /// sums.closed(|sum, window| format!("{sum} {:?}", window.firing()))
    ///     .sink("sums", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"2\n10\n3\n20\n");
    /// # Ok(reference.output("sums"))
    /// # }
    /// assert_eq!(sums(Late::Drop)?, b"2 Closed\n10 Closed\n");
    /// assert_eq!(sums(Late::Fire)?, b"2 Closed\n3 Late\n10 Closed\n");
    /// assert_eq!(sums(Late::Oldest)?, b"2 Closed\n13 Closed\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    #[must_use]
    pub fn late(self, late: Late) -> Self {
        if late == Late::Oldest && matches!(self.of.rule.kind, AnyKind::Sessions(..)) {
            let text = "sessions have no oldest window: choose `Late::Drop`, `Late::Fire` or \
                        `.late()` of the stream";
            self.wrong(text);
        }
        self.of.rule.late.set(late);
        self
    }

    /// Keeps windows open for `longest` after their ends, for events that come later than the
    /// lateness of their stream says. What a window emits has its time all the same, so whatever
    /// goes by time after it waits as long.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("counts");
    /// let counts = app.windows::<(), u64>("counts", tumbling(millis(10))).wait(millis(5));
    /// app.source("lines", LineText::new())
    ///     .map(|line| line.parse::<i64>().ok())
    ///     .event_time(|millis| EventTime::from_millis(millis), IN_ORDER)
    ///     .collect()
    ///     .window(&counts, |count, _| *count += 1);
    /// counts.closed(|count, _| count.to_string()).sink("counts", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"2\n14\n3\n");
    /// assert_eq!(reference.output("counts"), b"");
    /// reference.feed("lines", b"15\n4\n");
    /// assert_eq!(reference.output("counts"), b"2\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    #[must_use]
    pub fn wait(self, longest: Duration) -> Self {
        if longest > DURATION_MAX {
            self.draft.borrow_mut().wrong_duration(self.of.of.id, "wait");
        }
        self.draft.borrow_mut().timed(self.of.of.id).wait = longest;
        self.of.rule.wait.set(nanos(longest));
        self
    }

    /// Shows a window that has changed also before it closes, with
    /// [`Firing::Early`](super::Firing::Early): `every` so
    /// long after its start, at the first such moment after the change. What it emits then has that
    /// time, or the last one of the window if that is over.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("counts");
    /// let counts = app.windows::<(), u64>("counts", tumbling(millis(10))).early(millis(4));
    /// app.source("lines", LineText::new())
    ///     .map(|line| line.parse::<i64>().ok())
    ///     .event_time(|millis| EventTime::from_millis(millis), IN_ORDER)
    ///     .collect()
    ///     .window(&counts, |count, _| *count += 1);
    /// counts
    ///     .closed(|count, window| format!("{count} {:?}", window.firing()))
    ///     .sink("counts", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"2\n3\n9\n10\n");
    /// assert_eq!(reference.output("counts"), b"2 Early\n3 Closed\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    #[must_use]
    pub fn early(self, every: Duration) -> Self {
        if !(Duration::from_nanos(1)..=DURATION_MAX).contains(&every) {
            self.draft.borrow_mut().wrong_duration(self.of.of.id, "early");
        }
        if self.of.rule.kind.slides() {
            self.wrong("sliding windows have no early results: let them slide by less");
        }
        self.of.rule.early.set(nanos(every));
        self
    }

    /// Goes on from checkpoints in which the states of these windows were still an `Old`: see
    /// [`Table::migrating`](crate::table::Table::migrating).
    #[must_use]
    pub fn migrating<Old: State>(self, convert: impl Fn(Old) -> S + Send + Sync + 'static) -> Self {
        let convert = move |old: OpenWindows<Old>| old.with_states(&convert);
        self.of.of.rows.borrow_mut().migrate(convert);
        self
    }

    /// Calls `handler` with the state of each window when it closes. The handler returns what it
    /// emits: see [`Outputs`].
    ///
    /// - A window closes when the watermark has reached its last moment and the
    ///   [`wait`](Self::wait) is over: when no event on time can come into it any more. What it
    ///   emits has the time of that last moment, 1 ns before its end.
    /// - The windows of a key close in the order of their ends.
    /// - A counted window closes with its last event and emits at the time of that, or when its
    ///   longest time has come.
    /// - When the input ends, all windows close.
    ///
    /// Describe everything that adds to the windows before.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// #[event]
    /// struct Trade { millis: i64, symbol: Symbol, price: f64 }
    /// #[state]
    /// struct Bar { open: Option<f64>, close: f64 }
    ///
    /// let app = Application::new("bars");
    /// let bars = app.windows::<Symbol, Bar>("bars", tumbling(seconds(1)));
    /// app.source("trades", LineText::new())
    ///     .map(|line| {
    ///         let mut words = line.split(' ');
    ///         let millis = words.next()?.parse().ok()?;
    ///         let symbol = words.next()?.parse().ok()?;
    ///         Some(Trade { millis, symbol, price: words.next()?.parse().ok()? })
    ///     })
    ///     .event_time(|trade| EventTime::from_millis(trade.millis), within(millis(5)))
    ///     .key_by(|trade| trade.symbol)
    ///     .window(&bars, |bar, trade| {
    ///         bar.open.get_or_insert(trade.price);
    ///         bar.close = trade.price;
    ///     });
    /// bars.closed(|bar, window| {
    ///     let open = bar.open?;
    ///     Some(format!("{} at {}: {open} to {}", window.key(), window.start(), bar.close))
    /// })
    /// .sink("bars", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("trades", b"1 IBM 5\n999 IBM 6\n1004 IBM 8\n998 IBM 7\n1005 GE 1\n");
    /// assert_eq!(reference.output("bars"), b"IBM at 0.000000000: 5 to 7\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    // cold: while the application is described
    pub fn closed<R, F>(&self, handler: F) -> Keyed<R::Event, K>
    where
        R: Outputs + 'static,
        F: for<'w> Fn(&S, &Window<'w, K>) -> R + Send + Sync + 'static,
    {
        let step = self.draft.borrow_mut().closed(self.of.of.id);
        let next = Keyed::new(self.draft.clone(), step);
        let stage = CloseStage::new(self.of.clone(), handler, next.consumers.clone());
        let stage = Rc::new(stage);
        self.draft.borrow_mut().timed(self.of.of.id).stage = stage.clone();
        self.of.take_by(stage);
        next
    }

    // cold: while the application is described
    fn wrong(&self, text: &str) {
        let mut draft = self.draft.borrow_mut();
        let name = &draft.tables[usize::from(self.of.of.id.0)].name;
        let text = alloc::format!("the windows `{name}`: {text}");
        draft.wrong_windows(text);
    }
}
