//! The power goes at every single step of bringing output into the store and from there into a
//! file, and leaves every disk that it can leave: readers see what is committed, all of it when the
//! next run has begun, once.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use potoroo::checkpoint::coordinator::CoordinatorInput;
use potoroo::checkpoint::store::Store;
use potoroo::checkpoint::{Epoch, Marks, Transaction, unreadable};
use potoroo::connect::file::Target;
use potoroo::connect::gather::Gatherer;
use potoroo::control::checkpoints::output_storage::OutputStorage;
use potoroo_sdk::host::SinkId;
use potoroo_sdk::random::Random;
use potoroo_tests::disk::{Broken, SimDisk, Trouble};

/// What a manifest would name, and what readers may see of it.
#[derive(Clone, Default)]
struct Committed {
    /// Whether anything is.
    checkpoint: bool,
    /// Perhaps not visible.
    transactions: Vec<Transaction>,
    /// All that was ever committed.
    bytes: Vec<u8>,
}

impl Committed {
    fn commit(&mut self, prepared: Vec<Transaction>, bytes: &[u8]) {
        self.checkpoint = true;
        self.transactions.extend(prepared);
        self.bytes.extend(bytes);
    }
}

fn open(disk: &SimDisk) -> io::Result<Arc<dyn Store>> {
    Ok(Arc::new(disk.checkpoints().map_err(unreadable)?))
}

fn target(disk: &SimDisk, store: &Arc<dyn Store>) -> Target {
    Target::on(Arc::new(disk.clone()), "out", PathBuf::from("out"), store.clone())
}

/// As an application does it at its start. Returns where output goes.
fn recover(disk: &SimDisk, checkpoint: bool, transactions: &[Transaction]) -> io::Result<u64> {
    let store = open(disk)?;
    let (target, marks) = (target(disk, &store), Marks::read(&*store).map_err(unreadable)?);
    let offset = target.recover(checkpoint, transactions, &marks, false)?;
    if !checkpoint {
        target.clear()?;
    }
    Ok(offset)
}

/// The output of a run.
struct Output {
    gatherer: Gatherer,
    storage: OutputStorage,
    epoch: Epoch,
    objects: u64,
}

impl Output {
    /// What is prepared with the next marker. An epoch whose output cannot be stored is aborted,
    /// and the next one has it.
    fn prepare(&mut self, pieces: &[&str]) -> io::Result<Vec<Transaction>> {
        pieces.iter().try_for_each(|piece| self.gatherer.write(piece.as_bytes()))?;
        let mut tries = 0;
        loop {
            self.epoch = self.epoch.next();
            let output = self.gatherer.mark(self.epoch);
            let objects = &mut self.objects;
            let random = || {
                *objects += 1;
                *objects
            };
            let stored = self.storage.store(SinkId(0), self.epoch, output, random);
            match stored.map_err(unreadable)? {
                CoordinatorInput::Marked { prepared, .. } => return Ok(prepared),
                CoordinatorInput::Failed { reason, .. } if tries == TRIES_MAX => {
                    return Err(io::Error::other(reason));
                }
                _ => tries += 1,
            }
        }
    }
}

/// Epochs that may be aborted one after the other.
const TRIES_MAX: u32 = 2;

/// What one run does, until the trouble comes.
fn live(disk: &SimDisk, generation: u64, committed: &mut Committed) -> io::Result<()> {
    let offset = recover(disk, committed.checkpoint, &committed.transactions)?;
    committed.transactions.clear();
    let store = open(disk)?;
    let target = target(disk, &store);
    let gatherer = Gatherer::new(store, "out", Some("out".to_owned()), offset);
    let storage = OutputStorage::new(generation);
    let mut output = Output { gatherer, storage, epoch: Epoch::NONE, objects: 0 };
    let first = output.prepare(&["first;"])?;
    committed.commit(first, b"first;");
    output.storage.commit(output.epoch);
    committed.transactions.iter().try_for_each(|one| target.show(one))?;
    committed.transactions.clear();
    // Two of which the first belongs to an aborted epoch: they are one, unless that cannot be.
    output.prepare(&["sec", "ond;"])?;
    let third = "third".repeat(150);
    let both = output.prepare(&[&third])?;
    committed.commit(both, format!("second;{third}").as_bytes());
    output.storage.commit(output.epoch);
    committed.transactions.iter().try_for_each(|one| target.show(one))?;
    output.prepare(&["never committed"])?;
    output.gatherer.write(b"never marked")
}

/// Steps of a run that are looked at when the power has gone before.
const RECOVERY_STEPS: u64 = 40;

fn new_disk() -> SimDisk {
    let disk = SimDisk::new();
    disk.put("out", &[b'-'; 2_000]);
    disk
}

/// Whether the next run begins with what is committed, and nothing is left of what is not.
fn check(disk: &SimDisk, known: &Committed) -> Result<(), String> {
    let Committed { checkpoint, transactions, bytes } = known;
    let recovered = recover(disk, *checkpoint, transactions);
    let offset = recovered.map_err(|error| error.to_string())?;
    let (seen, names) = (disk.read("out"), disk.names());
    if seen != *bytes || offset != seen.len() as u64 {
        let seen = String::from_utf8_lossy(&seen);
        return Err(format!(
            "{} bytes are committed, seen are {}: {seen}",
            bytes.len(),
            seen.len()
        ));
    }
    let left_over = names.iter().any(|name| name.starts_with("tmp-"));
    if left_over { Err(format!("left over: {names:?}")) } else { Ok(()) }
}

/// Crashes at every step of a run, and of the beginning of the next. Returns how many disks were
/// looked at, or the first that is wrong.
fn crash_everywhere(disk: impl Fn() -> SimDisk) -> Result<u64, String> {
    let whole = disk();
    live(&whole, 1, &mut Committed::default()).expect("nothing is wrong with it");
    let mut disks = 0;
    for at in 0..=whole.steps() {
        let (disk, mut known) = (disk(), Committed::default());
        disk.plan(Some(Trouble::Crash(at)));
        // At the end only things are dropped that the next start drops, too.
        let ended = live(&disk, 1, &mut known).is_ok();
        assert_eq!(disk.is_down(), at < whole.steps(), "step {at}");
        assert!(ended || disk.is_down(), "step {at}");
        each_rest(&disk, &mut disks, |rest| {
            let found = check(rest, &known);
            found.map_err(|text| format!("power gone at step {at}: {text}"))
        })?;
        let rest = disk.any_rest(&mut Random::new(at));
        for again in 0..RECOVERY_STEPS {
            let (rest, mut known) = (rest.any_rest(&mut Random::new(0)), known.clone());
            rest.plan(Some(Trouble::Crash(again)));
            live(&rest, 2, &mut known).expect_err("it takes longer");
            each_rest(&rest, &mut disks, |rest| {
                let found = check(rest, &known);
                found.map_err(|text| format!("power gone at steps {at} and {again}: {text}"))
            })?;
        }
    }
    Ok(disks)
}

fn each_rest(
    disk: &SimDisk,
    disks: &mut u64,
    check: impl Fn(&SimDisk) -> Result<(), String>,
) -> Result<(), String> {
    let mut found = Ok(());
    disk.each_rest(
        |_| true,
        |rest| {
            *disks += 1;
            found = check(&rest);
            found.is_ok()
        },
    );
    found
}

#[test]
fn after_a_crash_at_any_step_readers_see_what_is_committed_once() {
    let disks = crash_everywhere(new_disk).unwrap_or_else(|wrong| panic!("{wrong}"));
    println!("{disks} disks were looked at");
    assert!(disks > 1_000, "only {disks} disks were looked at");
}

/// Otherwise earlier output could come back after the first commit, which then has no place.
#[test]
fn a_file_that_was_made_empty_stays_so() {
    let disk = new_disk();
    assert_eq!(recover(&disk, false, &[]).expect("it can be written"), 0);
    each_rest(&disk, &mut 0, |rest| match rest.read("out").len() {
        0 => Ok(()),
        bytes => Err(format!("{bytes} bytes are back")),
    })
    .unwrap_or_else(|wrong| panic!("{wrong}"));
}

/// The test of the test: without any one of the orders, something is lost.
#[test]
fn each_sync_is_needed() {
    for broken in [Broken::ObjectBytes, Broken::ObjectNames, Broken::OutputBytes] {
        let wrong = crash_everywhere(|| SimDisk::new().broken(broken)).expect_err("it is needed");
        println!("{broken:?}: {wrong}");
    }
}

#[test]
fn a_disk_that_is_full_at_any_step_loses_nothing() {
    let whole = new_disk();
    live(&whole, 1, &mut Committed::default()).expect("nothing is wrong with it");
    let mut failed = 0;
    for trouble in [Trouble::Full, Trouble::StaysFull] {
        for at in 0..whole.steps() {
            let (disk, mut known) = (new_disk(), Committed::default());
            disk.plan(Some(trouble(at)));
            failed += u64::from(live(&disk, 1, &mut known).is_err());
            disk.plan(None);
            check(&disk, &known).unwrap_or_else(|wrong| panic!("full at step {at}: {wrong}"));
        }
    }
    assert!(failed > 50, "only {failed} runs found it full");
}
