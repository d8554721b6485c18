//! Panes: the row that a key has of its open windows.
//!
//! The newest pane lies in the row, older ones in a queue, sorted and apart: input in order touches
//! only the row. A pane is a window, or a part of sliding ones.

use core::fmt::{self, Debug};

use alloc::collections::VecDeque;
use alloc::string::String;

use rkyv::{Archive, Deserialize, Serialize, with::Skip};

use crate::table::{Hinted, HintedRow};
use crate::time::EventTime;
use crate::value::support::JsonFields;
use crate::value::{Schema, schema_field, schema_start};

/// The events of a stretch of time.
#[derive(Clone, Archive, Serialize, Deserialize)]
pub(crate) struct Pane<S> {
    pub(super) start: EventTime,
    /// The first moment after it.
    pub(super) end: EventTime,
    /// When it is shown before it closes, since it has changed; at the end of time: not.
    pub(super) early: EventTime,
    pub(crate) state: S,
}

impl<S> Pane<S> {
    pub(super) fn new(start: EventTime, end: EventTime, state: S) -> Self {
        Self { start, end, early: EventTime::MAX, state }
    }

    /// Makes it contain what is from `start` up to `end`.
    pub(super) fn extend(&mut self, start: EventTime, end: EventTime) {
        if start < self.start {
            // Early results are counted from the start.
            (self.start, self.early) = (start, EventTime::MAX);
        }
        self.end = self.end.max(end);
    }
}

/// The open windows of a key; none between two of them, for a while.
#[derive(Clone, Archive, Serialize, Deserialize)]
pub(crate) struct OpenWindows<S> {
    /// When something is due in it, or when it goes if it is empty; never after that.
    pub(crate) due: EventTime,
    /// Aligned windows: the start of the first one that has not closed. Counted ones: when it
    /// closes at the latest, without the wait.
    pub(super) next: EventTime,
    /// Counted windows: how many events have come.
    pub(super) count: u64,
    /// The hint that counts.
    #[rkyv(with = Skip)]
    hinted: Hinted,
    /// Events of the newest pane need no further look while both watermarks are before this.
    #[rkyv(with = Skip)]
    pub(super) quick: Quick,
    newest: Option<Pane<S>>,
    /// Oldest first.
    older: VecDeque<Pane<S>>,
}

/// A moment that is not stored: at first before all.
#[derive(Clone, Copy)]
pub(super) struct Quick(pub(super) EventTime);

impl Default for Quick {
    fn default() -> Self {
        Self(EventTime::MIN)
    }
}

impl<S> HintedRow for OpenWindows<S> {
    #[inline]
    fn hinted(&mut self) -> &mut Hinted {
        &mut self.hinted
    }
}

impl<S> OpenWindows<S> {
    /// Of a key without windows.
    pub(super) fn none() -> Self {
        Self {
            due: EventTime::MAX,
            next: EventTime::MIN,
            count: 0,
            hinted: Hinted::default(),
            quick: Quick::default(),
            newest: None,
            older: VecDeque::new(),
        }
    }

    /// The state of the newest pane, for an event of this `time`, if nothing else is to be done:
    /// nearly always. Nothing on time comes at or before `line`.
    #[inline(always)]
    pub(crate) fn quick(&mut self, time: EventTime, line: EventTime) -> Option<&mut S> {
        let newest = self.newest.as_mut()?;
        let fits = line < self.quick.0 && newest.start <= time && time < newest.end;
        fits.then_some(&mut newest.state)
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.newest.is_none()
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.older.len() + usize::from(self.newest.is_some())
    }

    /// The panes, oldest first.
    pub(super) fn panes(&self) -> impl Iterator<Item = &Pane<S>> {
        self.older.iter().chain(&self.newest)
    }

    #[inline]
    pub(super) fn newest(&self) -> Option<&Pane<S>> {
        self.newest.as_ref()
    }

    #[inline]
    pub(super) fn oldest(&self) -> Option<&Pane<S>> {
        self.older.front().or(self.newest.as_ref())
    }

    /// The pane at `index`, counted from the oldest.
    #[inline]
    pub(super) fn pane(&self, index: usize) -> &Pane<S> {
        match self.older.get(index) {
            Some(pane) => pane,
            None => self.newest.as_ref().expect("the newest pane is after the older ones"),
        }
    }

    #[inline]
    pub(crate) fn pane_mut(&mut self, index: usize) -> &mut Pane<S> {
        match self.older.get_mut(index) {
            Some(pane) => pane,
            None => self.newest.as_mut().expect("the newest pane is after the older ones"),
        }
    }

    /// The index of the first pane that ends after this moment; one more than the last if all end
    /// before.
    #[inline]
    pub(super) fn position(&self, time: EventTime) -> usize {
        let older = self.older.len();
        if self.older.back().is_none_or(|last| last.end <= time) {
            return older + usize::from(self.newest.as_ref().is_some_and(|it| it.end <= time));
        }
        self.older.partition_point(|pane| pane.end <= time)
    }

    /// Puts a pane where [`position`](Self::position) has it.
    #[inline]
    pub(super) fn insert(&mut self, index: usize, pane: Pane<S>) {
        if index < self.len() {
            self.older.insert(index, pane);
            return;
        }
        if let Some(before) = self.newest.replace(pane) {
            self.older.push_back(before);
        }
    }

    /// Takes the pane at `index`.
    #[inline]
    pub(super) fn remove(&mut self, index: usize) -> Pane<S> {
        if index < self.older.len() {
            return self.older.remove(index).expect("it is one of them");
        }
        let pane = core::mem::replace(&mut self.newest, self.older.pop_back());
        pane.expect("the newest pane is after the older ones")
    }

    /// The same windows with other states.
    // cold: during a recovery
    pub(super) fn with_states<T>(self, convert: impl Fn(S) -> T) -> OpenWindows<T> {
        let Self { due, next, count, hinted, quick, newest, older } = self;
        let convert = |Pane { start, end, early, state }| {
            let state = convert(state);
            Pane { start, end, early, state }
        };
        let newest = newest.map(&convert);
        let older = older.into_iter().map(convert).collect();
        OpenWindows { due, next, count, hinted, quick, newest, older }
    }
}

impl<S: Debug> Debug for OpenWindows<S> {
    /// The windows, or parts of them, each by its start and end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.panes().map(|it| ((it.start, it.end), &it.state))).finish()
    }
}

impl<S: Schema> Schema for OpenWindows<S> {
    const TYPE: &'static str = S::TYPE;
    const SHAPE: u64 = schema_field(schema_start("OpenWindows"), "state", S::SHAPE);

    // cold: for people
    fn json(&self, out: &mut String) {
        let mut list = JsonFields::list(out);
        self.panes().for_each(|pane| list.item(pane));
        list.end();
    }
}

impl<S: Schema> Schema for Pane<S> {
    const TYPE: &'static str = "Pane";
    const SHAPE: u64 = schema_field(schema_start("Pane"), "state", S::SHAPE);

    // cold: for people
    fn json(&self, out: &mut String) {
        let mut object = JsonFields::object(out);
        object.field("start", &self.start);
        object.field("end", &self.end);
        object.field("state", &self.state);
        object.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use alloc::vec::Vec;

    const fn at(nanos: i64) -> EventTime {
        EventTime::from_nanos(nanos)
    }

    #[test]
    fn panes_are_where_a_sorted_list_has_them() {
        let (mut random, mut row) = (Random::new(7), OpenWindows::<i64>::none());
        let mut model: Vec<i64> = Vec::new();
        for _ in 0..2000 {
            let time = random.below(40) as i64 * 10;
            let index = row.position(at(time));
            assert_eq!(index, model.partition_point(|start| start + 10 <= time));
            match model.get(index) {
                Some(start) if *start == time && random.chance(0.7) => {
                    assert_eq!(row.remove(index).state, model.remove(index));
                }
                Some(start) if *start == time => row.pane_mut(index).early = at(time),
                _ => {
                    row.insert(index, Pane::new(at(time), at(time + 10), time));
                    model.insert(index, time);
                }
            }
            assert_eq!((row.len(), row.is_empty()), (model.len(), model.is_empty()));
            assert!(row.panes().map(|pane| pane.state).eq(model.iter().copied()));
            assert!((0..model.len()).all(|index| row.pane(index).start == at(model[index])));
            assert_eq!(row.oldest().map(|pane| pane.state), model.first().copied());
            assert_eq!(row.newest().map(|pane| pane.state), model.last().copied());
        }
    }

    #[test]
    fn only_events_of_the_newest_pane_before_the_line_are_quick() {
        let mut row = OpenWindows::<u8>::none();
        assert_eq!(row.quick(at(5), EventTime::MIN), None);
        row.insert(0, Pane::new(at(0), at(10), 1));
        row.insert(1, Pane::new(at(10), at(20), 2));
        assert_eq!(row.quick(at(15), EventTime::MIN), None, "nothing says so yet");
        row.quick = Quick(at(9));
        assert_eq!(row.quick(at(10), at(8)), Some(&mut 2));
        assert_eq!(row.quick(at(19), at(8)), Some(&mut 2));
        for (time, line) in [(9, 8), (20, 8), (15, 9)] {
            assert_eq!(row.quick(at(time), at(line)), None, "{time}, {line}");
        }
    }

    #[test]
    fn windows_are_shown_by_their_bounds() {
        let mut row = OpenWindows::<u8>::none();
        row.insert(0, Pane::new(at(0), at(10), 1));
        row.insert(1, Pane::new(at(10), at(20), 2));
        let mut json = String::new();
        row.json(&mut json);
        let first = r#"{"start":0,"end":10,"state":1}"#;
        let second = r#"{"start":10,"end":20,"state":2}"#;
        assert_eq!(json, alloc::format!("[{first},{second}]"));
    }
}
