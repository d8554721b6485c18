//! Windows of one core that owns everything, which the bench drives itself on the left CPU.
//!
//! A window begins and ends with a second of event time, so that each has as many closings as
//! seconds. It is set up anew for each: rows, wheels and queues lie elsewhere in memory then.

use std::time::Duration;

use anyhow::Result;

use super::applications::Describe;
use super::driver::Driver;
use super::input::Input;
use crate::engine::window::MeasuredWindow;
use crate::place::Place;
use crate::stamp;
use crate::take::Take;

/// What a contender has to do.
#[derive(Clone, Copy)]
pub struct CoreJob {
    /// The place of the core: its left CPU.
    pub place: Place,
    /// The least length of the window.
    pub slice: Duration,
    /// Keys and times.
    pub input: Input,
    /// What is done.
    pub describe: Describe,
    /// How many times each event is in the outputs.
    pub times: u64,
}

/// Measures one window.
///
/// # Errors
/// The states do not add up to what was sent.
pub fn run(job: &CoreJob) -> Result<MeasuredWindow> {
    job.place.alone(|gate| {
        let mut driver = Driver::new(job.input, job.describe)?;
        // Where the first second ends, what is open from the past closes.
        driver.pass_second();
        let sprint = gate.enter();
        let (first, begun) = (driver.seconds(), stamp::now());
        let mut ended = driver.pass_second();
        while ended - begun < job.slice.as_nanos() as u64 {
            ended = driver.pass_second();
        }
        drop(sprint);
        let events = (driver.seconds() - first) * job.input.per_second;
        driver.finish(job.times)?;
        Ok(MeasuredWindow { latency: Take::default(), events, nanos: ended - begun })
    })
}
