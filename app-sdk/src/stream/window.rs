//! Window: each event gets into the windows of its key that contain its time.

use core::cell::{OnceCell, RefCell};

use alloc::rc::Rc;

use super::Keyed;
use crate::codec::Reason;
use crate::consumers::Consumers;
use crate::draft::{Draft, StepId, StepKind};
use crate::flow::{Batch, BatchVec, Context};
use crate::host::{Inflow, Timing};
use crate::key::Key;
use crate::table::Rows;
use crate::time::EventTime;
use crate::value::{Event, State, View};
use crate::windows::{Firing, HasWindows, Late, OpenWindows, Window, WindowsRef};

/// Why an event is refused that is late, where late events neither go aside nor count.
pub const LATE_FOR_WINDOWS: Reason = Reason::new(
    "the event is late: its windows may have closed; say a longer lateness in `event_time`, or \
     have the windows wait",
);

/// Why an event is refused that would open one window too many.
pub const TOO_MANY_WINDOWS: Reason = Reason::new(
    "the event's key has 1024 open windows: they close when the watermark passes their ends",
);

impl<E: Event, K: Key> Keyed<E, K> {
    /// Adds each event to the windows of its key that contain its time.
    ///
    /// `add` gets the state of the window, which is new with its first event. What is made of it
    /// is said by [`Windows::closed`](crate::windows::Windows::closed). Several streams may add to
    /// the same windows.
    ///
    /// An event is *late* if its window may have closed: if the own watermark of its connection
    /// has reached the last moment of the window, and the wait is over. So what is late depends
    /// neither on other connections nor on when a watermark arrives. Late events go to the
    /// dead letters, unless they go [aside](Windowed::late) or the windows
    /// [say](crate::windows::Windows::late) something else.
    ///
    /// At most 1024 windows of a key are open: an event that would open one more goes to the dead
    /// letters.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("lengths");
    /// let longest = app.windows::<u64, u64>("longest", tumbling(millis(10)));
    /// let numbers = app
    ///     .source("numbers", LineText::new())
    ///     .map(|line| line.parse::<u64>().ok())
    ///     .event_time(|number| EventTime::from_millis(number as i64), IN_ORDER);
    /// numbers
    ///     .key_by(|number| number % 2)
    ///     .window(&longest, |longest, number| *longest = number.max(*longest));
    /// longest
    ///     .closed(|number, window| format!("{} {number}", window.key()))
    ///     .sink("greatest", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("numbers", b"2\n3\n8\n11\n");
    /// assert_eq!(reference.output("greatest"), b"0 8\n1 3\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    ///
    /// Windows with another key type do not compile:
    ///
    /// ```compile_fail,E0277
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("none");
    /// let counts = app.windows::<u64, u64>("counts", tumbling(millis(10)));
    /// let lines = app.source("lines", LineText::new());
    /// lines.key_by(|line| line.len() as u32).window(&counts, |count, _| *count += 1);
    /// ```
    // cold: while the application is described
    pub fn window<W, F>(&self, windows: &W, add: F) -> Windowed<E, K>
    where
        W: HasWindows<K>,
        F: for<'a> Fn(&mut W::State, View<'a, E>) + Send + Sync + 'static,
    {
        let windows = windows.shared().clone();
        let table = windows.of.id;
        self.draft.borrow_mut().check_table(&windows.of, self.step);
        self.draft.borrow_mut().check_timed(table, self.step);
        let kind = StepKind::Update { table, emits: false };
        let step = self.draft.borrow_mut().step(kind, &[self.step]);
        let inflow = self.draft.borrow().inflow(self.step);
        let aside = Rc::new(OnceCell::new());
        let adding = Adding { windows, aside: aside.clone(), inflow, add };
        self.consumers.add(move |batch, context| adding.add_all(batch, context));
        Windowed { draft: self.draft.clone(), step, aside }
    }
}

/// Events of windows: see [`Keyed::window`].
pub struct Windowed<E: Event, K: Key> {
    draft: Rc<RefCell<Draft>>,
    step: StepId,
    aside: Rc<Aside<E, K>>,
}

/// Where late events go, if they do.
type Aside<E, K> = OnceCell<(StepId, Rc<Consumers<E, K>>)>;

impl<E: Event, K: Key> Windowed<E, K> {
    /// The late events, in the place of what the windows say of them.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("counts");
    /// let counts = app.windows::<(), u64>("counts", tumbling(millis(10)));
    /// app.source("lines", LineText::new())
    ///     .map(|line| line.parse::<i64>().ok())
    ///     .event_time(|millis| EventTime::from_millis(millis), IN_ORDER)
    ///     .collect()
    ///     .window(&counts, |count, _| *count += 1)
    ///     .late()
    ///     .map(|millis| millis.to_string())
    ///     .sink("late", LineText::new());
    /// counts.closed(|count, _| count.to_string()).sink("counts", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"5\n11\n6\n10\n20\n");
    /// assert_eq!(reference.output("late"), b"6\n");
    /// assert_eq!(reference.output("counts"), b"1\n2\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    // cold: while the application is described
    pub fn late(&self) -> Keyed<E, K> {
        let (step, consumers) = self.aside.get_or_init(|| {
            let step = self.draft.borrow_mut().step(StepKind::LateFor, &[self.step]);
            let next = Keyed::<E, K>::new(self.draft.clone(), step);
            (step, next.consumers)
        });
        Keyed { draft: self.draft.clone(), step: *step, consumers: consumers.clone() }
    }
}

/// Adds each event to windows of its key.
struct Adding<E: Event, K, S, F> {
    windows: WindowsRef<K, S>,
    aside: Rc<Aside<E, K>>,
    inflow: Inflow,
    add: F,
}

impl<E, K, S, F> Adding<E, K, S, F>
where
    E: Event,
    K: Key,
    S: State,
    F: for<'a> Fn(&mut S, View<'a, E>),
{
    #[inline(always)]
    fn add_all(&self, batch: &Batch<'_, E, K>, context: &mut Context<'_>) {
        let of = &self.windows.of;
        let others = context.host.watermark(of.id, self.inflow);
        let (mut rows, mut late) = (of.rows.borrow_mut(), BatchVec::<u8>::new());
        batch.note(context.under_way);
        for (number, place) in batch.each() {
            let Timing { time, own, watermark } = batch.timings[place];
            let watermark = watermark.min(others);
            let row = rows.current(batch.slots[place], &batch.keys[place]);
            match row.and_then(|row| row.quick(time, own.max(watermark))) {
                Some(state) => {
                    (self.add)(state, batch.begin(number, place, context.under_way));
                }
                None => {
                    if !self.add_one(&mut rows, batch, (number, place), watermark, context) {
                        late.push(number as u8);
                    }
                }
            }
        }
        drop(rows);
        if let Some((_, aside)) = self.aside.get().filter(|_| !late.is_empty()) {
            aside.send(&batch.choose(&late), context);
        }
    }

    /// Adds an event, after everything that is due in its row by its time. Returns `false` if it is
    /// late and goes aside.
    #[inline(never)]
    fn add_one(
        &self,
        rows: &mut Rows<K, OpenWindows<S>>,
        batch: &Batch<'_, E, K>,
        (number, place): (usize, usize),
        watermark: EventTime,
        context: &mut Context<'_>,
    ) -> bool {
        let (of, rule, timing) = (&self.windows.of, &self.windows.rule, &batch.timings[place]);
        let slot = of.find(rows, batch, place, context.host);
        if let Some(slot) = slot
            && rows.state(slot).due <= watermark
        {
            let stage = self.windows.stage();
            stage.catch_up(rows, slot, watermark, &batch.causes[place], context);
            batch.note(context.under_way);
        }
        let (mut time, line) = (timing.time, timing.own.max(watermark));
        if let Some(by) = rule.lateness(time, line) {
            context.host.late(of.id, by);
            match (self.aside.get(), rule.late()) {
                (Some(_), _) => return false,
                (None, Late::Drop) => {
                    context.host.refuse(&batch.causes[place], LATE_FOR_WINDOWS, &[]);
                    return true;
                }
                (None, Late::Fire) => {
                    self.show_late(batch, (number, place), watermark, context);
                    return true;
                }
                (None, Late::Oldest) => time = rule.oldest_time(line),
            }
        }
        let slot = slot.unwrap_or_else(|| of.create_at(rows, batch, place, context.host));
        let row = rows.changing(of.id, slot, context.host);
        let Some(index) = rule.open(&row.key, &mut row.state, time, watermark) else {
            context.host.refuse(&batch.causes[place], TOO_MANY_WINDOWS, &[]);
            return true;
        };
        // Before the handler, which may panic.
        self.windows.hint(&mut row.state, slot, context.host);
        let event = batch.begin(number, place, context.under_way);
        (self.add)(&mut row.state.pane_mut(index).state, event);
        if rule.is_full(&row.state) {
            self.close_full(&row.key, &mut row.state, (batch, place), watermark, context);
            self.windows.hint(&mut row.state, slot, context.host);
        }
        true
    }

    /// Closes a counted window with the event at `place`.
    fn close_full(
        &self,
        key: &K,
        row: &mut OpenWindows<S>,
        (batch, place): (&Batch<'_, E, K>, usize),
        watermark: EventTime,
        context: &mut Context<'_>,
    ) {
        let rule = &self.windows.rule;
        let (bounds, limit) = rule.oldest(row);
        let timing = Timing { watermark: rule.watermark_after(watermark), ..batch.timings[place] };
        let (of, window) =
            ((&batch.causes[place], timing), Window::new(key, bounds, Firing::Closed));
        let stage = self.windows.stage();
        rule.with_oldest(row, |state| stage.show(state, window, batch.hashes[place], of, context));
        rule.close(row, limit);
        batch.note(context.under_way);
    }

    /// Shows a late event in a window of its own.
    fn show_late(
        &self,
        batch: &Batch<'_, E, K>,
        (number, place): (usize, usize),
        watermark: EventTime,
        context: &mut Context<'_>,
    ) {
        let (rule, key, timing) = (&self.windows.rule, &batch.keys[place], batch.timings[place]);
        let mut state = rule.fresh(key);
        (self.add)(&mut state, batch.begin(number, place, context.under_way));
        let window = Window::new(key, rule.late_window(timing.time), Firing::Late);
        let of =
            (&batch.causes[place], Timing { watermark: rule.watermark_after(watermark), ..timing });
        self.windows.stage().show(&state, window, batch.hashes[place], of, context);
        batch.note(context.under_way);
    }
}
