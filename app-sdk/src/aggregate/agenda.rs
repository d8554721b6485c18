//! Agenda: things with their moments, for the one timer of a row.

use alloc::string::String;
use alloc::vec::Vec;

use rkyv::{Archive, Deserialize, Serialize};

use crate::time::EventTime;
use crate::value::{Schema, schema_field, schema_start};

/// Things with their moments, the earliest first: the state of a row that waits for several, since
/// a row has one timer.
///
/// ```
/// use potoroo_sdk::prelude::*;
///
/// #[event]
/// struct Reminder { user: u64, made: EventTime, at: EventTime }
///
/// let app = Application::new("reminders");
/// let agendas = app.table::<u64, Agenda<EventTime>>("agendas").timers();
/// app.source("reminders", LineText::new())
///     .map(|line| {
///         let mut numbers = line.split(' ').map(|number| number.parse::<i64>().ok());
///         let mut number = || numbers.next().flatten();
///         let (user, made, at) = (number()?, number()?, number()?);
///         let (made, at) = (EventTime::from_seconds(made), EventTime::from_seconds(at));
///         Some(Reminder { user: user.unsigned_abs(), made, at })
///     })
///     .event_time(|reminder| reminder.made, IN_ORDER)
///     .key_by(|reminder| reminder.user)
///     .update_row(&agendas, |agenda, reminder| {
///         agenda.add(reminder.at, reminder.made);
///         agenda.next_at().into_iter().for_each(|at| agenda.set_timer(at));
///     });
/// agendas
///     .on_timer(|agenda| {
///         let now = agenda.time();
///         let (at, made) = agenda.take_due(now)?;
///         agenda.next_at().into_iter().for_each(|at| agenda.set_timer(at));
///         Some(format!("{at}: remember {made}"))
///     })
///     .sink("reminders", LineText::new());
/// let mut reference = Reference::new(app)?;
/// reference.feed("reminders", b"1 0 30\n1 5 20\n1 31 90\n");
/// let reminded = b"20.000000000: remember 5.000000000\n30.000000000: remember 0.000000000\n";
/// assert_eq!(reference.output("reminders"), reminded);
/// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
/// ```
#[derive(Clone, Debug, PartialEq, Archive, Serialize, Deserialize)]
pub struct Agenda<T>(Vec<(EventTime, T)>);

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Agenda<T> {
    /// Adds a thing, after those of the same moment.
    pub fn add(&mut self, at: EventTime, thing: T) {
        let place = self.0.partition_point(|(before, _)| *before <= at);
        self.0.insert(place, (at, thing));
    }

    /// The earliest moment; `None` of none.
    #[must_use]
    pub fn next_at(&self) -> Option<EventTime> {
        self.0.first().map(|(at, _)| *at)
    }

    /// Takes the first thing whose moment is `until` or before.
    pub fn take_due(&mut self, until: EventTime) -> Option<(EventTime, T)> {
        let is_due = self.next_at().is_some_and(|at| at <= until);
        is_due.then(|| self.0.remove(0))
    }

    /// Keeps the things for which `keep` holds.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let mut agenda = Agenda::default();
    /// agenda.add(EventTime::from_seconds(2), "tea");
    /// agenda.add(EventTime::from_seconds(1), "coffee");
    /// agenda.retain(|_, drink| *drink != "tea");
    /// assert_eq!((agenda.len(), agenda.next_at()), (1, Some(EventTime::from_seconds(1))));
    /// ```
    pub fn retain(&mut self, mut keep: impl FnMut(EventTime, &T) -> bool) {
        self.0.retain(|(at, thing)| keep(*at, thing));
    }

    /// The things with their moments, the earliest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (EventTime, &T)> {
        self.0.iter().map(|(at, thing)| (*at, thing))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Schema> Schema for Agenda<T> {
    const TYPE: &'static str = "Agenda";
    const SHAPE: u64 = schema_field(schema_start("Agenda"), "", T::SHAPE);

    // cold: for people
    fn json(&self, out: &mut String) {
        self.0.json(out);
    }
}
