//! Oracle: what windows are, from all their events at once.

use super::Numbered;

/// A kind of windows.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Also tumbling ones, which slide by their size.
    Sliding {
        size: i64,
        slide: i64,
        offset: i64,
    },
    Sessions {
        gap: i64,
    },
}

/// What becomes of late events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lateness {
    Drop,
    Fire,
    Oldest,
    Aside,
}

/// A window: its start, its end, and the numbers of its events, ascending.
pub type Shown = (i64, i64, Vec<u64>);

impl Shape {
    /// The starts of all windows that contain a moment, ascending.
    fn starts(self, time: i64) -> Vec<i64> {
        let Self::Sliding { size, slide, offset } = self else { panic!("sessions have no starts") };
        let near = (time - offset) / slide * slide + offset;
        let around = -(size / slide + 2)..=2;
        let starts = around.map(|number| near + number * slide);
        starts.filter(|start| (*start..start + size).contains(&time)).collect()
    }

    /// The first moment at which something closes that contains this one.
    pub fn closing(self, time: i64) -> i64 {
        match self {
            Self::Sliding { size, .. } => self.starts(time)[0] + size - 1,
            Self::Sessions { .. } => time,
        }
    }

    /// The window in which a late event is alone.
    pub fn alone(self, (_, time, number): Numbered) -> Shown {
        match self {
            Self::Sliding { size, .. } => {
                let start = self.starts(time)[0];
                (start, start + size, vec![number])
            }
            Self::Sessions { gap } => (time, time + gap, vec![number]),
        }
    }

    /// All windows of some events of one key, in the order of their ends.
    pub fn windows(self, events: &[(i64, u64)]) -> Vec<Shown> {
        let mut windows: Vec<Shown> = match self {
            Self::Sliding { size, .. } => {
                let mut starts: Vec<i64> =
                    events.iter().flat_map(|(time, _)| self.starts(*time)).collect();
                starts.sort_unstable();
                starts.dedup();
                let of = |start| {
                    let inside =
                        events.iter().filter(|(time, _)| (start..start + size).contains(time));
                    (start, start + size, inside.map(|(_, number)| *number).collect())
                };
                starts.into_iter().map(of).collect()
            }
            Self::Sessions { gap } => {
                let mut sorted = events.to_vec();
                sorted.sort_unstable();
                let runs = sorted.chunk_by(|(one, _), (next, _)| next - one < gap);
                let of = |run: &[(i64, u64)]| {
                    let numbers = run.iter().map(|(_, number)| *number).collect();
                    (run[0].0, run[run.len() - 1].0 + gap, numbers)
                };
                runs.map(of).collect()
            }
        };
        windows.iter_mut().for_each(|(.., numbers)| numbers.sort_unstable());
        windows
    }
}
