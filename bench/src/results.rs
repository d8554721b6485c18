//! Results: one record per run, a JSON line in a file per benchmark, artefacts in a folder beside.
//!
//! Owns the form of a record and where it goes. Promises: a record says by which command, on
//! which commit, on which host it was made; what was measured is not lost when it cannot be
//! written. Must never: change or reorder a line that is there.
//!
//! ```text
//!   bench/results/hop.jsonl                      a line per run
//!   bench/results/hop-20250131T235959Z.unfinished.jsonl
//!                                                the run that goes on, or was killed
//!   bench/results/hop-20250131T235959Z/          the artefacts of one run
//!       ring.hlog  ring.hgrm                     the tail as it was
//!       ring.outside.hlog  ring.outside.hgrm     the same without what gaps touched
//!       ring.gaps.csv                            the gaps
//! ```

mod artefacts;
mod log;
mod record;
mod store;

pub use self::artefacts::save;
pub use self::log::{IntervalLog, LogInterval, LogSeries};
pub use self::record::{
    Class, Figure, GapSum, Goal, LatencySeries, Percentiles, RunRecord, SCHEMA,
};
pub use self::store::{ResultFolder, default_folder, read};
