//! Kinds: which stretches of time windows are.

use core::fmt;

use alloc::format;
use alloc::string::String;

use crate::aggregate::Merge;
use crate::time::{DURATION_MAX, Duration, EventTime};
use crate::value::State;

/// A kind of windows whose events are held in an `S`: [`tumbling`], [`sliding`], [`sessions`] or
/// [`counted`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a kind of windows that `{S}` can be the state of",
    note = "say `tumbling(size)`, `sliding(size, slide)`, `sessions(gap)` or `counted(number)`"
)]
pub trait WindowKind<S> {
    #[doc(hidden)]
    fn any(self) -> AnyKind<S>;
}

/// See [`tumbling`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tumbling {
    size: Duration,
    offset: Duration,
}

/// See [`sliding`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sliding {
    size: Duration,
    slide: Duration,
    offset: Duration,
}

/// See [`sessions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sessions {
    gap: Duration,
}

/// See [`counted`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    count: u64,
    after: Option<Duration>,
}

/// Windows of one size, one after the other: each event is in exactly one.
///
/// They begin at the multiples of `size`, counted from the beginning of 1970, also before that.
///
/// ```
/// # use potoroo_sdk::prelude::*;
/// let app = Application::new("per-second");
/// let counts = app.windows::<(), u64>("counts", tumbling(seconds(1)));
/// app.source("millis", LineText::new())
///     .map(|line| line.parse::<i64>().ok())
///     .event_time(|millis| EventTime::from_millis(millis), IN_ORDER)
///     .collect()
///     .window(&counts, |count, _| *count += 1);
/// counts
///     .closed(|count, window| format!("{count} from {} to {}", window.start(), window.end()))
///     .sink("counts", LineText::new());
/// let mut reference = Reference::new(app)?;
/// reference.feed("millis", b"-1\n0\n999\n1000\n");
/// assert_eq!(
///     String::from_utf8(reference.output("counts")).unwrap(),
///     "1 from -1.000000000 to 0.000000000\n2 from 0.000000000 to 1.000000000\n"
/// );
/// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
/// ```
#[must_use]
pub const fn tumbling(size: Duration) -> Tumbling {
    Tumbling { size, offset: Duration::ZERO }
}

impl Tumbling {
    /// Begins them so much after the multiples of their size.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("days");
    /// // A day that begins at five o'clock.
    /// let days = app.windows::<(), u64>("days", tumbling(hours(24)).offset(hours(5)));
    /// app.source("hours", LineText::new())
    ///     .map(|line| line.parse::<i64>().ok())
    ///     .event_time(|hour| EventTime::from_seconds(hour * 3600), IN_ORDER)
    ///     .collect()
    ///     .window(&days, |count, _| *count += 1);
    /// days.closed(|count, _| format!("{count}")).sink("counts", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("hours", b"4\n5\n28\n29\n");
    /// assert_eq!(reference.output("counts"), b"1\n2\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    #[must_use]
    pub const fn offset(self, offset: Duration) -> Self {
        Self { offset, ..self }
    }
}

/// Windows of one size of which one begins with each `slide`, which is at most the size: each event
/// is in all that contain its time.
///
/// They are made of parts as long as the greatest common divisor of both, so the state has to be a
/// [`Merge`].
///
/// ```
/// # use potoroo_sdk::prelude::*;
/// #[state]
/// struct Sum(i64);
/// impl Merge for Sum {
///     fn merge(&mut self, later: &Self) {
///         self.0 += later.0;
///     }
/// }
///
/// let app = Application::new("last-minute");
/// let sums = app.windows::<(), Sum>("sums", sliding(seconds(60), seconds(30)));
/// app.source("seconds", LineText::new())
///     .map(|line| line.parse::<i64>().ok())
///     .event_time(|second| EventTime::from_seconds(second), IN_ORDER)
///     .collect()
///     .window(&sums, |sum, second| sum.0 += second);
/// sums.closed(|sum, _| sum.0.to_string()).sink("sums", LineText::new());
/// let mut reference = Reference::new(app)?;
/// reference.feed("seconds", b"10\n40\n100\n");
/// reference.end("seconds");
/// // To 30, 60, 90, 120 and 150.
/// assert_eq!(reference.output("sums"), b"10\n50\n40\n100\n100\n");
/// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
/// ```
///
/// A state of which two cannot be put together does not compile:
///
/// ```compile_fail,E0277
/// # use potoroo_sdk::prelude::*;
/// let app = Application::new("none");
/// app.windows::<(), u64>("sums", sliding(seconds(60), seconds(30)));
/// ```
#[must_use]
pub const fn sliding(size: Duration, slide: Duration) -> Sliding {
    Sliding { size, slide, offset: Duration::ZERO }
}

impl Sliding {
    /// Begins them so much after the multiples of the slide: see [`Tumbling::offset`].
    #[must_use]
    pub const fn offset(self, offset: Duration) -> Self {
        Self { offset, ..self }
    }
}

/// Windows of events with less than `gap` from each to the next. Each ends `gap` after its last
/// event; an event at exactly that moment begins another one.
///
/// An event that is on time and lies between two of them makes them one, so the state has to be a
/// [`Merge`].
///
/// ```
/// # use potoroo_sdk::prelude::*;
/// #[state]
/// struct Steps(u64);
/// impl Merge for Steps {
///     fn merge(&mut self, later: &Self) {
///         self.0 += later.0;
///     }
/// }
///
/// let app = Application::new("walks");
/// let walks = app.windows::<(), Steps>("walks", sessions(seconds(30)));
/// app.source("seconds", LineText::new())
///     .map(|line| line.parse::<i64>().ok())
///     .event_time(|second| EventTime::from_seconds(second), IN_ORDER)
///     .collect()
///     .window(&walks, |steps, _| steps.0 += 1);
/// walks
///     .closed(|steps, walk| format!("{} in {:?}", steps.0, walk.end() - walk.start()))
///     .sink("walks", LineText::new());
/// let mut reference = Reference::new(app)?;
/// reference.feed("seconds", b"0\n29\n59\n100\n");
/// assert_eq!(reference.output("walks"), b"2 in 59s\n1 in 30s\n");
/// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
/// ```
#[must_use]
pub const fn sessions(gap: Duration) -> Sessions {
    Sessions { gap }
}

/// Windows of `count` events each, in the order in which they come. No event is late for them.
///
/// When the input ends, what has come of the last window is one. A window starts with the least
/// time among its events, and ends right after the greatest.
///
/// ```
/// # use potoroo_sdk::prelude::*;
/// let app = Application::new("pairs");
/// let pairs = app.windows::<(), Vec<i64>>("pairs", counted(2));
/// app.source("lines", LineText::new())
///     .map(|line| line.parse::<i64>().ok())
///     .event_time(|millis| EventTime::from_millis(millis), IN_ORDER)
///     .collect()
///     .window(&pairs, |pair, number| pair.push(number));
/// pairs.closed(|pair, _| format!("{pair:?}")).sink("pairs", LineText::new());
/// let mut reference = Reference::new(app)?;
/// reference.feed("lines", b"1\n3\n2\n");
/// assert_eq!(reference.output("pairs"), b"[1, 3]\n");
/// reference.end("lines");
/// assert_eq!(reference.outputs("pairs")[1], b"[2]\n");
/// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
/// ```
#[must_use]
pub const fn counted(count: u64) -> Counted {
    Counted { count, after: None }
}

impl Counted {
    /// Closes a window at the latest so long after the time of the event that came first.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("batches");
    /// let batches = app.windows::<(), u64>("batches", counted(100).or_after(seconds(5)));
    /// app.source("seconds", LineText::new())
    ///     .map(|line| line.parse::<i64>().ok())
    ///     .event_time(|second| EventTime::from_seconds(second), IN_ORDER)
    ///     .collect()
    ///     .window(&batches, |count, _| *count += 1);
    /// batches.closed(|count, _| format!("{count}")).sink("counts", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("seconds", b"0\n4\n5\n6\n");
    /// assert_eq!(reference.output("counts"), b"3\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    #[must_use]
    pub const fn or_after(self, longest: Duration) -> Self {
        Self { after: Some(longest), ..self }
    }
}

impl<S> WindowKind<S> for Tumbling {
    fn any(self) -> AnyKind<S> {
        let (size, offset) = (nanos(self.size), nanos(self.offset));
        AnyKind::Aligned(Aligned { size, slide: size, part: size, offset }, None)
    }
}

impl<S: Merge> WindowKind<S> for Sliding {
    fn any(self) -> AnyKind<S> {
        let (size, slide, offset) = (nanos(self.size), nanos(self.slide), nanos(self.offset));
        let part = greatest_common_divisor(size, slide);
        AnyKind::Aligned(Aligned { size, slide, part, offset }, Some(S::merge))
    }
}

impl<S: Merge> WindowKind<S> for Sessions {
    fn any(self) -> AnyKind<S> {
        AnyKind::Sessions(nanos(self.gap), S::merge)
    }
}

impl<S> WindowKind<S> for Counted {
    fn any(self) -> AnyKind<S> {
        AnyKind::Counted(self.count, self.after.map(nanos))
    }
}

/// Puts a later part of a window to an earlier one.
pub(super) type MergeParts<S> = fn(&mut S, &S);

/// A kind, in nanoseconds.
pub enum AnyKind<S> {
    /// Tumbling and sliding windows; the latter are merged.
    Aligned(Aligned, Option<MergeParts<S>>),
    /// Sessions with this gap.
    Sessions(i64, MergeParts<S>),
    /// Windows of this number of events, or after this time.
    Counted(u64, Option<i64>),
}

/// Windows that begin with each `slide`, made of parts; a tumbling one is its only part.
#[derive(Clone, Copy)]
pub struct Aligned {
    pub(super) size: i64,
    pub(super) slide: i64,
    pub(super) part: i64,
    offset: i64,
}

impl Aligned {
    /// The beginning of the part that contains this moment.
    #[inline]
    pub(super) fn part_start(&self, time: EventTime) -> EventTime {
        self.floor(time.nanos(), self.part)
    }

    /// The beginning of the first window that contains this moment.
    #[inline]
    pub(super) fn first_start(&self, time: EventTime) -> EventTime {
        later(self.floor(time.nanos().saturating_sub(self.size), self.slide), self.slide)
    }

    /// The greatest multiple, from the offset, that is not after this moment.
    #[inline]
    fn floor(&self, nanos: i64, step: i64) -> EventTime {
        let after = nanos.saturating_sub(self.offset).rem_euclid(step);
        EventTime::from_nanos(nanos.saturating_sub(after))
    }

    /// Of how many parts a window is.
    pub(super) fn parts(&self) -> i64 {
        self.size / self.part.max(1)
    }
}

impl<S: State> AnyKind<S> {
    /// What cannot be meant by windows named `name`.
    // cold: while the application is described
    pub(super) fn mistake(&self, name: &str) -> Option<String> {
        let longest = DURATION_MAX.as_nanos() as i64;
        let is_length = |nanos: &i64| (1..=longest).contains(nanos);
        let no_length = || {
            Some(format!(
                "the windows `{name}` are {self}: they need a length from 1 ns to 36 years"
            ))
        };
        match self {
            Self::Aligned(Aligned { size, slide, offset, .. }, _)
                if !is_length(size) || !is_length(slide) || *offset > longest =>
            {
                no_length()
            }
            Self::Aligned(aligned, _) => aligned.mistake(name, self, size_of::<S>()),
            Self::Sessions(gap, _) if !is_length(gap) => no_length(),
            Self::Counted(0, _) => {
                Some(format!("the windows `{name}` are of no event: say a number from 1"))
            }
            Self::Counted(_, Some(after)) if !is_length(after) => no_length(),
            Self::Sessions(..) | Self::Counted(..) => None,
        }
    }

    /// Whether windows may be shown before they close.
    pub(super) fn slides(&self) -> bool {
        matches!(self, Self::Aligned(_, Some(_)))
    }
}

impl Aligned {
    // cold: while the application is described
    fn mistake(&self, name: &str, kind: &impl fmt::Display, state_bytes: usize) -> Option<String> {
        if self.slide > self.size {
            return Some(format!(
                "the windows `{name}` are {kind}: the slide is longer than its windows, so events \
                 between them would be in none: filter instead"
            ));
        }
        let (parts, bytes) = (self.parts(), (state_bytes as i64).saturating_mul(self.parts()));
        (self.slide < self.size && (parts > PARTS_MAX || bytes > PARTS_BYTES_MAX)).then(|| {
            format!(
                "the windows `{name}` are {kind}, which are of {parts} parts: at most {PARTS_MAX}, \
                 and 64 KiB of state per key"
            )
        })
    }
}

impl<S> fmt::Display for AnyKind<S> {
    /// What belongs to the identity of windows.
    // cold: while the application is described
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |nanos: &i64| Duration::from_nanos(nanos.unsigned_abs());
        match self {
            Self::Aligned(Aligned { size, slide, offset, .. }, merge) => {
                match merge {
                    None => f.write_fmt(format_args!("tumbling {:?}", of(size)))?,
                    Some(_) => {
                        f.write_fmt(format_args!("sliding {:?} by {:?}", of(size), of(slide)))?;
                    }
                }
                match offset {
                    0 => Ok(()),
                    _ => f.write_fmt(format_args!(" from {:?}", of(offset))),
                }
            }
            Self::Sessions(gap, _) => f.write_fmt(format_args!("sessions {:?}", of(gap))),
            Self::Counted(count, None) => f.write_fmt(format_args!("counted {count}")),
            Self::Counted(count, Some(after)) => {
                f.write_fmt(format_args!("counted {count} or after {:?}", of(after)))
            }
        }
    }
}

/// The moment `nanos` later.
#[inline(always)]
pub(super) fn later(time: EventTime, nanos: i64) -> EventTime {
    EventTime::from_nanos(time.nanos().saturating_add(nanos))
}

/// As many as the duration has; the most there are for one that no plan accepts.
pub(super) fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

const fn greatest_common_divisor(a: i64, b: i64) -> i64 {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Most parts that a window may be of, and most windows of a key that are open.
pub(super) const PARTS_MAX: i64 = 1024;

/// Most bytes that the states of the parts of one window may take, without what they own elsewhere.
const PARTS_BYTES_MAX: i64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_begin_at_multiples_also_below_zero() {
        let at = |nanos| EventTime::from_nanos(nanos);
        let aligned = |size, slide, offset| {
            let part = greatest_common_divisor(size, slide);
            Aligned { size, slide, part, offset }
        };
        let tens = aligned(10, 10, 0);
        for (time, start) in [(0, 0), (9, 0), (10, 10), (-1, -10), (-10, -10), (-11, -20)] {
            assert_eq!(tens.part_start(at(time)), at(start));
            assert_eq!(tens.first_start(at(time)), at(start));
        }
        let by_fives = aligned(10, 5, 0);
        for (time, start) in [(0, -5), (4, -5), (5, 0), (-1, -10), (-5, -10), (-6, -15)] {
            assert_eq!(by_fives.first_start(at(time)), at(start));
        }
        let uneven = aligned(10, 4, 3);
        assert_eq!((uneven.part, uneven.parts()), (2, 5));
        for (time, start) in [(3, -5), (4, -5), (5, -1), (8, -1), (9, 3), (-7, -13)] {
            assert_eq!(uneven.first_start(at(time)), at(start), "{time}");
        }
        for edge in [EventTime::EVENT_MIN, EventTime::EVENT_MAX] {
            let long = aligned(1 << 60, 1 << 60, (1 << 60) - 1);
            let start = long.first_start(edge);
            assert!(start <= edge && edge.nanos() - start.nanos() < 1 << 60);
        }
    }
}
