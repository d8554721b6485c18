//! Windows of one core that owns everything, which the bench drives itself on the left CPU.
//!
//! A window begins and ends with a second of event time, so that each has as many closings as
//! seconds. It is set up anew for each: rows, wheels and queues lie elsewhere in memory then.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::applications::DescribeTimed;
use super::driver::CoreDriver;
use super::expected::ExpectedSum;
use super::input::{Input, InputControl};
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
    pub describe: DescribeTimed,
    /// What its outputs must add up to.
    pub expected: ExpectedSum,
}

/// Measures one window.
///
/// # Errors
/// Its outputs do not add up to what was sent.
pub fn run(job: &CoreJob) -> Result<MeasuredWindow> {
    job.place.alone(|gate| {
        let control = Arc::new(InputControl::default());
        let mut driver = CoreDriver::new((job.describe)(job.input, &control), 0)?;
        // Where the first second ends, what is open from the past closes.
        pass_second(&mut driver, &control);
        let sprint = gate.enter();
        let (first, begun) = (control.seconds(), stamp::now());
        let mut ended = pass_second(&mut driver, &control);
        while ended - begun < job.slice.as_nanos() as u64 {
            ended = pass_second(&mut driver, &control);
        }
        drop(sprint);
        let events = (control.seconds() - first) * job.input.per_second;
        finish(job, driver, &control)?;
        Ok(MeasuredWindow { latency: Take::default(), events, nanos: ended - begun })
    })
}

/// Turns until a second of the load is over. Returns when that is.
fn pass_second(driver: &mut CoreDriver, control: &InputControl) -> u64 {
    let (second, mut now) = (control.seconds(), stamp::now());
    while control.seconds() == second {
        driver.turn(now);
        now = stamp::now();
    }
    now
}

/// Ends the load, and everything that is open.
fn finish(job: &CoreJob, mut driver: CoreDriver, control: &InputControl) -> Result<()> {
    control.end();
    let mut idle = 0;
    while idle < IDLE_TURNS {
        idle = if driver.turn(stamp::now()) > 0 { 0 } else { idle + 1 };
    }
    ensure!(!driver.has_letters(), "the core refused events");
    let sum = driver.sum().wrapping_add(control.sum());
    let expected = (job.expected)(job.input, control.sent());
    ensure!(sum == expected, "the outputs do not add up to the events sent");
    Ok(())
}

/// Turns without work after which nothing follows: what one turn learns of time, the next one uses.
const IDLE_TURNS: usize = 3;
