//! Potoroo itself, as a program that embeds it runs it: a generator, one exchange, one table.
//!
//! The engine's own threads, clock, pacing, counters and latency arrays are used as they are. The
//! generator goes through three parts, and only the middle one is measured:
//!
//! ```text
//!   fill: each key once │ load: as of all engines, until the slice is over │ audit: each key
//! ```
//!
//! The audit adds each state to the checksum inside the handler, so that the proof needs no other
//! way into the engine than the one that events take.

mod filled;
mod look;
mod session;

use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use potoroo::control::report::{CheckpointSummary, Snapshot, Status};
use potoroo::prelude::*;
use potoroo::{Config, Running};
use potoroo_runtime::Idle;

pub use self::filled::{FilledEngine, Shared};
pub use self::look::{Look, between};
pub use self::session::EngineSession;

use self::filled::Build;
use self::look::{look, look_when_caught_up};
use super::job::Job;
use super::load::{Item, ItemCodec, Tally, scatter};
use super::outcome::Outcome;
use crate::place::Chase;

/// Produces on the left core, owns on the right one.
///
/// # Errors
/// The engine cannot start, or refuses events.
pub fn session(job: &Job) -> Result<EngineSession> {
    session_idle(job, Idle::Spin)
}

/// As [`session`], with what idle cores do.
///
/// # Errors
/// As [`session`].
pub fn session_idle(job: &Job, idle: Idle) -> Result<EngineSession> {
    let cores = [job.place.left, job.place.right];
    let state_cores = Some(vec![cores[1]]);
    let config = Config { cores: cores.into(), state_cores, idle, ..config() };
    EngineSession::start(job, config, keyed_count)
}

/// As [`run_in_place`], for many windows.
///
/// # Errors
/// As [`session`].
pub fn session_in_place(job: &Job) -> Result<EngineSession> {
    EngineSession::start(job, in_place_config(job), keyed_count)
}

/// As [`session_in_place`], with [`OPERATORS`] further operators between source and table.
///
/// # Errors
/// As [`session`].
pub fn session_operators(job: &Job) -> Result<EngineSession> {
    EngineSession::start(job, in_place_config(job), |keys, shared| counted(keys, OPERATORS, shared))
}

/// Produces and owns on the left core.
///
/// # Errors
/// As [`session`].
pub fn run_in_place(job: &Job) -> Result<Outcome> {
    in_place(job, keyed_count)
}

/// As [`run_in_place`], with a number of partitions.
///
/// # Errors
/// As [`session`].
pub fn run_partitions(job: &Job, partitions: usize) -> Result<Outcome> {
    let config = Config { cores: vec![job.place.left], partitions, ..config() };
    slice(job, config, keyed_count)
}

/// Produces on the first core, owns on all of them; 1 to 4 tables after each other, with another
/// key for each.
///
/// # Errors
/// As [`session`].
pub fn run_levels(job: &Job, cores: &[usize], levels: usize) -> Result<Outcome> {
    let config = Config { cores: cores.into(), ..config() };
    slice(job, config, move |keys, shared| application(keys, 0, levels, shared))
}

/// As [`session_in_place`], with checkpoints in the folder `state` every `interval_ms`
/// milliseconds, up to `budget_us` microseconds of a turn for them; without any for `None`. The
/// first checkpoint, which has every row, is committed before the first window.
///
/// # Errors
/// As [`session`].
pub fn session_kept(
    job: &Job,
    state: Option<PathBuf>,
    interval_ms: u64,
    budget_us: u64,
) -> Result<EngineSession> {
    let config = Config {
        cores: vec![job.place.left],
        state: state.map(Into::into),
        checkpoint_ms: interval_ms,
        checkpoint_budget_us: budget_us,
        ..config()
    };
    EngineSession::of(job, 1, || {
        let filled = FilledEngine::start(job, config, keyed_count)?;
        wait_kept(&filled.running);
        Ok(filled)
    })
}

/// As [`session_kept`], but set up for one slice that is as long as the first checkpoint takes.
///
/// # Errors
/// As [`session`].
pub fn run_first(
    job: &Job,
    state: PathBuf,
    budget_us: u64,
) -> Result<(Outcome, CheckpointSummary)> {
    let config = Config {
        cores: vec![job.place.left],
        state: Some(state.into()),
        checkpoint_ms: NEVER_MS,
        checkpoint_budget_us: budget_us,
        admin: Some((Ipv4Addr::LOCALHOST, 0).into()),
        ..config()
    };
    let filled = FilledEngine::start(job, config, keyed_count)?;
    let looks = during_first(job, &filled.running)?;
    let (outcome, snapshot) = finish(job, filled, &looks)?;
    Ok((outcome, snapshot.checkpoints.unwrap_or_default()))
}

/// As [`run_in_place`], for another application.
///
/// # Errors
/// As [`session`].
pub fn in_place(job: &Job, build: impl Build) -> Result<Outcome> {
    slice(job, in_place_config(job), build)
}

/// Operators that [`session_operators`] adds: as many filters as maps.
pub const OPERATORS: usize = 8;

fn config() -> Config {
    Config { idle: Idle::Spin, progress: false, ..Config::default() }
}

fn in_place_config(job: &Job) -> Config {
    Config { cores: vec![job.place.left], ..config() }
}

fn slice(job: &Job, config: Config, build: impl Build) -> Result<Outcome> {
    let filled = FilledEngine::start(job, config, build)?;
    let looks = during_slice(job, &filled.running)?;
    finish(job, filled, &looks).map(|(outcome, _)| outcome)
}

/// What lies between the two looks, and what the engine says of the whole run.
fn finish(job: &Job, filled: FilledEngine, looks: &[Look; 2]) -> Result<(Outcome, Snapshot)> {
    let (proofs, snapshot) = filled.finish(job.keys)?;
    let (sent, checksum) = proofs[0];
    let window = between(job, looks);
    // Without real-time priority a short slice may pass while something else runs.
    ensure!(window.events > 0 || !job.place.fifo, "no event came through in the slice");
    Ok((Outcome { window, keys: job.keys, sent, checksum }, snapshot))
}

fn during_slice(job: &Job, running: &Running) -> Result<[Look; 2]> {
    let _chase = Chase::start(job.place, process::id())?;
    let before = look_when_caught_up(running, job);
    thread::sleep(job.slice);
    Ok([before, look(running)])
}

fn during_first(job: &Job, running: &Running) -> Result<[Look; 2]> {
    let _chase = Chase::start(job.place, process::id())?;
    let before = look(running);
    let mut admin = TcpStream::connect(running.admin().context("it has an admin port")?)?;
    admin.write_all(
        b"POST /checkpoint HTTP/1.1\r\nHost: localhost\r\nX-Potoroo: 1\r\n\
          Connection: close\r\n\r\n",
    )?;
    let answer = io::read_to_string(admin)?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "no checkpoint was taken: {answer}");
    Ok([before, look(running)])
}

fn wait_kept(running: &Running) {
    let waits =
        |status: Status| status.snapshot.checkpoints.is_some_and(|kept| kept.committed == 0);
    while waits(running.status()) {
        thread::sleep(LOOK);
    }
}

/// Keyed count with as many further operators between source and table.
pub fn counted(keys: u64, operators: usize, shared: &Arc<Shared>) -> Application {
    application(keys, operators / 2, 1, shared)
}

fn keyed_count(keys: u64, shared: &Arc<Shared>) -> Application {
    application(keys, 0, 1, shared)
}

/// Keyed count, with `pairs` filters and maps in front, once per level.
fn application(keys: u64, pairs: usize, levels: usize, shared: &Arc<Shared>) -> Application {
    let app = Application::new("keyed-count");
    shared.generator::<Item>(&app, "load", keys);
    let mut items = app.source("load", ItemCodec);
    for _ in 0..pairs {
        let kept = items.filter(|item| item.value != u64::MAX);
        items = kept.map(|item| Item { intended_ns: item.intended_ns ^ 1, ..item });
    }
    let mut keyed = items.key_by(|item| item.key);
    for level in 1..levels {
        let (tallies, shared) = (app.table(&format!("tallies-{level}")), Arc::clone(shared));
        let further = keyed.update(&tallies, move |tally, item| {
            take(tally, &item, &shared, level);
            Item { key: scatter(item.key), ..item }
        });
        keyed = further.key_by(|item| item.key);
    }
    let (tallies, shared) = (app.table("tallies"), Arc::clone(shared));
    keyed.update(&tallies, move |tally, item| take(tally, &item, &shared, 0));
    app
}

#[inline]
fn take(tally: &mut Tally, item: &Item, shared: &Shared, level: usize) {
    if Shared::is_mark(item.rest[0]) {
        // The key of the first level: by it the sums of all levels are the same.
        shared.mark(level, item.rest[0], tally.checksum(item.rest[1]));
    } else {
        tally.update(item.value, item.intended_ns);
    }
}

/// No checkpoint begins by itself: a day.
const NEVER_MS: u64 = 86_400_000;
/// How often the bench looks whether the first checkpoint is there.
const LOOK: Duration = Duration::from_millis(2);
