//! A plain hash map on one thread: the work itself, without any way between cores.

use std::time::Duration;

use anyhow::Result;

use super::job::Job;
use super::load::Load;
use super::owner::{Owner, PlainTable};
use super::window::MeasuredWindow;
use crate::gaps::Watch;
use crate::stamp;

/// Generates and updates in place for the length of a slice.
///
/// # Errors
/// The system gives no further thread.
pub fn window(job: &Job, table: PlainTable) -> Result<(MeasuredWindow, PlainTable)> {
    job.place.alone(|gate| {
        let mut owner = Owner::new(job, &Watch::new(2), table);
        let mut load = Load::new(job.keys);
        let sprint = gate.enter();
        let start = stamp::now();
        while stamp::now() - start < slice_ns(job.slice) {
            for _ in 0..EVENTS_PER_LOOK {
                owner.update(&load.next(0));
            }
        }
        let nanos = stamp::now() - start;
        drop(sprint);
        Ok(owner.finish(nanos))
    })
}

fn slice_ns(slice: Duration) -> u64 {
    slice.as_nanos() as u64
}

/// Events between two looks at the clock: one look per thousand costs nothing measurable.
const EVENTS_PER_LOOK: u64 = 1024;
