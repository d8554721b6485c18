//! Aeron IPC and a bare hash map: one exclusive publication, one subscription, and a media driver
//! embedded in this process.
//!
//! As its documentation recommends for latency, as far as two CPUs allow: term buffers that are
//! allocated whole, single offers, polls that never rest. No conductor is on the way of an event.
//! Where there are CPUs to spare each one would spin on its own; here all of the driver is one
//! thread that parks, above the two sides so that it can raise the limit of the publication in
//! time. Only the way between the cores differs from the contender `rtrb`.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use rusteron_client::{
    Aeron, AeronExclusivePublication, AeronOfferError, AeronSubscription, Handlers, IntoCString,
};
use rusteron_media_driver::bindings::aeron_threading_mode_enum::AERON_THREADING_MODE_SHARED;
use rusteron_media_driver::{AeronDriver, AeronDriverContext};

use super::job::{Job, LOAD, Pace};
use super::load::{Item, Load};
use super::owner::{Owner, PlainTable};
use super::window::{MeasuredWindow, with_load};
use crate::gaps::{CoreGaps, GapLog, Watch};
use crate::place::{Gate, Place, Sprint, join, start};
use crate::stamp;

/// Produces on the left core, owns on the right one.
///
/// # Errors
/// The driver does not start, the two sides do not find each other, or the stream broke.
pub fn window(job: &Job, table: PlainTable) -> Result<(MeasuredWindow, PlainTable)> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let (ready, started) = channel();
        let driver = start(scope, || drive(job.place, ready, &stop))?;
        let done = started.recv().ok().map(|folder| compete(job, &folder, table));
        stop.store(true, Ordering::Release);
        join(driver).context("the media driver failed")?;
        done.context("the media driver did not start")?
    })
}

/// The driver's thread: tells its folder when clients can come, and works until it is stopped.
fn drive(place: Place, ready: Sender<String>, stop: &AtomicBool) -> Result<()> {
    let context = AeronDriverContext::new()?;
    let folder = format!("{}-potoroo-{}", context.get_dir(), stamp::now());
    context.set_dir(&folder.as_str().into_c_string())?;
    context.set_dir_delete_on_start(true)?;
    context.set_dir_delete_on_shutdown(true)?;
    context.set_threading_mode(AERON_THREADING_MODE_SHARED)?;
    context.set_shared_idle_strategy(c"backoff")?;
    context.set_term_buffer_sparse_file(false)?;
    let driver = AeronDriver::new(&context)?;
    let place_of_files = || format!("it works in {folder}: AERON_DIR names another place");
    driver.start(true).with_context(place_of_files)?;
    ready.send(folder).context("no thread waits for the driver")?;
    let _sprint = Sprint::above(place);
    while !stop.load(Ordering::Acquire) {
        driver.main_idle_strategy(driver.main_do_work()?);
    }
    Ok(())
}

/// What the two sides tell each other outside the stream.
struct Shared {
    watch: Watch,
    /// Number of all events; unknown (the maximum) until the producer has ended.
    total: AtomicU64,
}

fn compete(job: &Job, folder: &str, table: PlainTable) -> Result<(MeasuredWindow, PlainTable)> {
    let shared = Shared { watch: Watch::new(2), total: AtomicU64::new(u64::MAX) };
    let (loaded, owned) = job.place.pair(
        |gate| produce(gate, job, folder, &shared),
        |gate| own(gate, job, folder, (&shared, table)),
    )?;
    Ok(with_load((loaded?, owned?)))
}

/// Whatever goes wrong: the other side must not wait at the gate, nor for further events.
fn produce(gate: &Gate, job: &Job, folder: &str, shared: &Shared) -> Result<CoreGaps> {
    let publication = publication(folder);
    let (mut load, mut log) = (Load::new(job.keys), shared.watch.log(LOAD, "load"));
    let sprint = gate.enter();
    log.begin(stamp::now());
    let produced = publication.and_then(|publication| match job.pace {
        Pace::Rate(rate) => {
            let mut departures = job.departures(rate);
            while let Some(intended_ns) = departures.wait(&mut log) {
                offer(&publication, &load.next(intended_ns), &mut log)?;
            }
            Ok(())
        }
        Pace::Full => {
            let end = stamp::now() + job.slice.as_nanos() as u64;
            while stamp::now() < end {
                offer(&publication, &load.next(0), &mut log)?;
            }
            Ok(())
        }
    });
    shared.total.store(load.sent(), Ordering::Release);
    drop(sprint);
    produced.map(|()| log.finish())
}

fn own(
    gate: &Gate,
    job: &Job,
    folder: &str,
    (shared, table): (&Shared, PlainTable),
) -> Result<(MeasuredWindow, PlainTable)> {
    let subscription = subscription(folder);
    let mut owner = Owner::new(job, &shared.watch, table);
    let sprint = gate.enter();
    let start = stamp::now();
    owner.begin(start);
    let owned = subscription.and_then(|subscription| match job.pace {
        Pace::Rate(_) => poll(&subscription, shared, &mut owner, Owner::update_timed),
        Pace::Full => poll(&subscription, shared, &mut owner, Owner::update),
    });
    let nanos = stamp::now() - start;
    drop(sprint);
    owned.map(|()| owner.finish(nanos))
}

/// A publication that has a subscriber.
fn publication(folder: &str) -> Result<AeronExclusivePublication> {
    let client = Aeron::connect_dir(folder)?;
    let adding = client.async_add_exclusive_publication(CHANNEL, STREAM)?;
    let publication = adding.poll_blocking(PATIENCE)?;
    wait(|| publication.is_connected()).context("the stream has no subscriber")?;
    Ok(publication)
}

/// Until it is so: what the conductors do for it, they could not do while the CPUs are taken.
fn wait(is: impl Fn() -> bool) -> Result<()> {
    let start = stamp::now();
    while !is() {
        let waited_ns = stamp::now() - start;
        ensure!(waited_ns < PATIENCE.as_nanos() as u64, "nothing happened for {PATIENCE:?}");
        thread::yield_now();
    }
    Ok(())
}

/// A subscription that has the stream of the publication.
fn subscription(folder: &str) -> Result<AeronSubscription> {
    let client = Aeron::connect_dir(folder)?;
    let adding = client.async_add_subscription(CHANNEL, STREAM, Handlers::NONE, Handlers::NONE)?;
    let subscription = adding.poll_blocking(PATIENCE)?;
    wait(|| subscription.is_connected()).context("the stream has no publisher")?;
    Ok(subscription)
}

/// Spins while there is no room; a stream without a subscriber is an error.
#[inline]
fn offer(publication: &AeronExclusivePublication, item: &Item, log: &mut GapLog) -> Result<()> {
    let bytes = encode(item);
    loop {
        match publication.offer(&bytes) {
            Ok(_) => return Ok(()),
            Err(AeronOfferError::BackPressured | AeronOfferError::AdminAction) => {
                log.idle();
                spin_loop();
            }
            Err(error) => return Err(anyhow!("{error}").context("an event cannot be offered")),
        }
    }
}

fn poll(
    subscription: &AeronSubscription,
    shared: &Shared,
    owner: &mut Owner,
    update: fn(&mut Owner, &Item),
) -> Result<()> {
    while owner.events() < shared.total.load(Ordering::Acquire) {
        let count = subscription.poll_fn(|bytes, _| update(owner, &decode(bytes)), FRAGMENTS)?;
        if count == 0 {
            owner.idle();
            spin_loop();
        }
    }
    Ok(())
}

#[inline]
fn encode(item: &Item) -> [u8; size_of::<Item>()] {
    let Item { key, value, intended_ns, rest } = *item;
    let mut bytes = [0; size_of::<Item>()];
    let words = [key, value, intended_ns].into_iter().chain(rest);
    bytes.chunks_exact_mut(8).zip(words).for_each(|(to, word)| {
        to.copy_from_slice(&word.to_le_bytes());
    });
    bytes
}

#[inline]
fn decode(bytes: &[u8]) -> Item {
    let (words, _) = bytes.as_chunks::<8>();
    let word = |at: usize| u64::from_le_bytes(words[at]);
    let rest = [word(3), word(4), word(5), word(6), word(7)];
    Item { key: word(0), value: word(1), intended_ns: word(2), rest }
}

/// Terms that hold what comes between two looks of the driver, and are not larger than a cache.
const CHANNEL: &std::ffi::CStr = c"aeron:ipc?term-length=16m";
const STREAM: i32 = 1001;
/// Most events of one poll: as many as others have in a chunk.
const FRAGMENTS: usize = 64;
/// How long the two sides may take to find each other, before anything is measured.
const PATIENCE: Duration = Duration::from_secs(5);
