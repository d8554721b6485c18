//! As of: each event with what held at its time.

use core::fmt::{self, Debug};

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use rkyv::{Archive, Deserialize, Serialize, with::Skip};

use super::Keyed;
use super::meeting::{Arrival, Described, Emitter, Meeting, MeetingRow, SideMarks};
use crate::firings::Firings;
use crate::flow::{Batch, Context};
use crate::host::{Cause, FireStage, Hint, Host, Timing, UnderWay};
use crate::kept::{Kept, KeptCause, ROW_BYTES_MAX, ROW_FULL};
use crate::key::Key;
use crate::outputs::Outputs;
use crate::table::{Hinted, HintedRow};
use crate::time::{Duration, EventTime};
use crate::value::support::JsonFields;
use crate::value::{Event, Schema, View, schema_field, schema_start};

impl<E: Event, K: Key> Keyed<E, K> {
    /// Calls `handler` with each event and the version that prevailed at its time: the last event
    /// of `versions` with the same key and a time at or before its own, or `None`.
    ///
    /// - An event waits until no version on time at or before its time can come any more. Those of
    ///   a key that wait are handled in the order of their times. What the handler returns has the
    ///   time of the event, and may be a [`reply`](Self::reply) to it.
    /// - Of versions with equal times the last to arrive counts.
    /// - A late version counts from the first moment that is not decided yet by the watermark of
    ///   its connection, unless a newer one is there.
    /// - A late event goes to the dead letters. So does one whose key has 64 KiB of versions and
    ///   events that wait.
    ///
    /// The last version of each key is kept for ever, and older ones as long as an event on time
    /// may need them, in a table with this `name`.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// #[event]
    /// struct Priced { symbol: Symbol, millis: i64, cents: u64 }
    ///
    /// fn read(app: &Application, source: &str) -> Keyed<Priced, Symbol> {
    ///     let lines = app.source(source, LineText::new());
    ///     let priced = lines.map(|line| {
    ///         let mut words = line.split(' ');
    ///         let symbol = words.next()?.parse().ok()?;
    ///         let millis = words.next()?.parse().ok()?;
    ///         Some(Priced { symbol, millis, cents: words.next()?.parse().ok()? })
    ///     });
    ///     priced
    ///         .event_time(|priced| EventTime::from_millis(priced.millis), IN_ORDER)
    ///         .key_by(|priced| priced.symbol)
    /// }
    ///
    /// let app = Application::new("prevailing");
    /// let (orders, quotes) = (read(&app, "orders"), read(&app, "quotes"));
    /// orders
    ///     .as_of("prevailing", &quotes, |order, quote| {
    ///         let quoted = quote.map_or(0, |quote| quote.cents);
    ///         format!("{} {} at {quoted}", order.symbol, order.cents)
    ///     })
    ///     .sink("orders", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("quotes", b"IBM 1 100\nIBM 5 101\n");
    /// reference.feed("orders", b"IBM 4 99\nIBM 5 98\n");
    /// assert_eq!(reference.output("orders"), b"IBM 99 at 100\n", "another may come at 5 ms");
    /// reference.feed("quotes", b"IBM 6 102\n");
    /// assert_eq!(reference.output("orders"), b"IBM 99 at 100\nIBM 98 at 101\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    // cold: while the application is described
    pub fn as_of<O, R, F>(
        &self,
        name: &str,
        versions: &Keyed<O, K>,
        handler: F,
    ) -> Keyed<R::Event, K>
    where
        O: Event,
        R: Outputs,
        F: for<'a, 'b> Fn(View<'a, E>, Option<View<'b, O>>) -> R + Send + Sync + 'static,
    {
        let described = self.meet(versions, ("as_of", name, String::new()));
        let Described { meeting, next, table, right, is_ours } = described;
        let operator = Rc::new(AsOf {
            meeting,
            handler: move |event: View<'_, E>,
                           version: Option<View<'_, O>>,
                           firings: &mut Firings<K, R::Event>| {
                handler(event, version).each(|event| firings.push(event));
            },
        });
        let of = operator.clone();
        self.consumers.add(move |batch, context| of.events(batch, context));
        if is_ours {
            let of = operator.clone();
            versions.consumers.add(move |batch, context| of.versions(batch, context));
        }
        Described::<K, AsOfRow<E, O>, R::Event>::finish(next, table, operator, Some(right))
    }
}

/// Events that wait, and the versions of their key.
#[derive(Archive, Serialize, Deserialize)]
pub(crate) struct AsOfRow<E, O> {
    #[rkyv(with = Skip)]
    hinted: Hinted,
    waiting: Kept<E, KeptCause>,
    /// By the moment from which they count, each with its own time, which ascends, too: one that is
    /// older than another which counts already is not kept.
    versions: Kept<O, EventTime>,
}

impl<E: Event, O: Event> AsOfRow<E, O> {
    /// The version that prevails at `time`.
    fn prevailing(&self, time: EventTime) -> Option<View<'_, O>> {
        self.versions.until(time).checked_sub(1).map(|last| self.versions.view(last))
    }

    /// Forgets versions that no event needs any more, by the watermark of the events.
    fn forget(&mut self, events: EventTime) {
        let earliest = self.waiting.first_time().min(events + Duration::from_nanos(1));
        let older = self.versions.until(earliest).saturating_sub(1);
        self.versions.remove(0..older);
    }

    /// Takes in a version. Returns whether there is room for it.
    fn learn(
        &mut self,
        timing: &Timing,
        watermark: EventTime,
        append: impl FnOnce(&mut Vec<u8>) -> bool,
    ) -> bool {
        let (time, decided) = (timing.time, timing.own.max(watermark));
        let from = match decided {
            // Nothing waits for versions any more.
            EventTime::MAX => time,
            _ => time.max(decided + Duration::from_nanos(1)),
        };
        let place = self.versions.until(from);
        let newest = place.checked_sub(1).map(|last| *self.versions.beside(last));
        if newest.is_some_and(|newest| newest > time) {
            return true;
        }
        let bytes_max = ROW_BYTES_MAX.saturating_sub(self.waiting.memory_bytes());
        if !self.versions.insert((from, time), bytes_max, append) {
            return false;
        }
        // What counts from later on and is older, or arrived earlier, never counts again.
        let later = place + 1..self.versions.len();
        let older = later.take_while(|at| *self.versions.beside(*at) <= time).count();
        self.versions.remove(place + 1..place + 1 + older);
        let same = self.versions.within(from, from).start;
        self.versions.remove(same..place);
        true
    }
}

/// See [`Keyed::as_of`].
struct AsOf<E: Event, O: Event, K, P: Event, F> {
    meeting: Meeting<K, AsOfRow<E, O>, P>,
    handler: F,
}

impl<E, O, K, P, F> AsOf<E, O, K, P, F>
where
    E: Event,
    O: Event,
    K: Key,
    P: Event,
    F: for<'a, 'b, 'c> Fn(View<'a, E>, Option<View<'b, O>>, &'c mut Firings<K, P>),
{
    fn events(&self, batch: &Batch<'_, E, K>, context: &mut Context<'_>) {
        self.meeting.arrive_left(batch, context, |row, arrival, emitter| {
            let Arrival { batch, number, key, cause, timing, marks } = arrival;
            self.answer(row, key, marks, emitter);
            if timing.time <= marks.right {
                let version = row.prevailing(timing.time);
                let event = batch.view(number);
                emitter.emit(key, *cause, (timing.time, marks.least()), |firings| {
                    (self.handler)(event, version, firings);
                });
            } else {
                let bytes_max = ROW_BYTES_MAX.saturating_sub(row.versions.memory_bytes());
                let kept = (timing.time, KeptCause::from(cause));
                if !row.waiting.insert(kept, bytes_max, |out| batch.append(number, out)) {
                    emitter.context.host.refuse(cause, ROW_FULL, &[]);
                }
            }
            row.forget(marks.left);
            row.waiting.first_time()
        });
    }

    fn versions(&self, batch: &Batch<'_, O, K>, context: &mut Context<'_>) {
        self.meeting.arrive_right(batch, context, false, |row, arrival, emitter| {
            let Arrival { batch, number, key, cause, timing, marks } = arrival;
            self.answer(row, key, marks, emitter);
            row.forget(marks.left);
            if !row.learn(timing, marks.right, |out| batch.append(number, out)) {
                emitter.context.host.refuse(cause, ROW_FULL, &[]);
            }
            row.waiting.first_time()
        });
    }

    /// Answers what waits in a row and is decided.
    fn answer(
        &self,
        row: &mut AsOfRow<E, O>,
        key: (&K, u64),
        marks: SideMarks,
        emitter: &mut Emitter<'_, '_, K, P>,
    ) {
        let (mut answered, decided) = (0, row.waiting.until(marks.right));
        while answered < decided && !emitter.is_full() {
            let (at, time) = (answered, row.waiting.time(answered));
            let (event, version) = (row.waiting.view(at), row.prevailing(time));
            let cause = self.meeting.cause(*row.waiting.beside(at));
            let watermark = marks.least().min(time - Duration::from_nanos(1));
            emitter.emit(key, cause, (time, watermark), |firings| {
                (self.handler)(event, version, firings);
            });
            answered += 1;
        }
        row.waiting.remove(0..answered);
    }
}

impl<E, O, K, P, F> FireStage for AsOf<E, O, K, P, F>
where
    E: Event,
    O: Event,
    K: Key,
    P: Event,
    F: for<'a, 'b, 'c> Fn(View<'a, E>, Option<View<'b, O>>, &'c mut Firings<K, P>),
{
    fn fire(
        &self,
        hints: &[Hint],
        until: EventTime,
        _: &Cause,
        under_way: &UnderWay,
        host: &mut dyn Host,
    ) -> usize {
        self.meeting.fire((hints, until), (under_way, host), |row, key, marks, emitter| {
            self.answer(row, key, marks, emitter);
            row.forget(marks.left);
            row.waiting.first_time()
        })
    }

    // cold: after a recovery
    fn hint_all(&self, host: &mut dyn Host) {
        self.meeting.hint_all(host, |row| row.waiting.first_time());
    }
}

impl<E: Event, O: Event> MeetingRow for AsOfRow<E, O> {
    fn new() -> Self {
        Self { hinted: Hinted::default(), waiting: Kept::new(), versions: Kept::new() }
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.versions.is_empty()
    }

    fn clear(&mut self) {
        let Self { hinted, waiting, versions } = self;
        *hinted = Hinted::default();
        waiting.clear();
        versions.clear();
    }
}

impl<E, O> HintedRow for AsOfRow<E, O> {
    fn hinted(&mut self) -> &mut Hinted {
        &mut self.hinted
    }
}

impl<E, O> Clone for AsOfRow<E, O> {
    fn clone(&self) -> Self {
        let Self { hinted, waiting, versions } = self;
        Self { hinted: *hinted, waiting: waiting.clone(), versions: versions.clone() }
    }
}

impl<E: Event, O: Event> Debug for AsOfRow<E, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { waiting, versions, .. } = self;
        f.debug_struct("AsOf").field("waiting", waiting).field("versions", versions).finish()
    }
}

impl<E: Event, O: Event> Schema for AsOfRow<E, O> {
    const TYPE: &'static str = "AsOf";
    const SHAPE: u64 = schema_field(
        schema_field(schema_start("AsOf"), "waiting", <Kept<E, KeptCause>>::SHAPE),
        "versions",
        <Kept<O, EventTime>>::SHAPE,
    );

    // cold: for people
    fn json(&self, out: &mut String) {
        let mut object = JsonFields::object(out);
        object.field("waiting", &self.waiting);
        object.field("versions", &self.versions);
        object.end();
    }
}
