//! The power goes at every single step of bringing output into a file, and leaves every disk that
//! it can leave: readers see what is committed, all of it when the next run has begun, once.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use potoroo::checkpoint::{Epoch, SharedEpoch, Transaction};
use potoroo::connect::spool::{Spooler, Target};
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
    fn commit(&mut self, prepared: &[(Transaction, Vec<u8>)]) {
        self.checkpoint = true;
        for (transaction, bytes) in prepared {
            self.transactions.push(transaction.clone());
            self.bytes.extend(bytes);
        }
    }
}

fn target(disk: &SimDisk) -> Target {
    Target::on(Arc::new(disk.clone()), "out", PathBuf::from("out"))
}

/// As an application does it at its start. Returns where output goes.
fn recover(disk: &SimDisk, checkpoint: bool, transactions: &[Transaction]) -> io::Result<u64> {
    let target = target(disk);
    let offset = target.recover(checkpoint, transactions, false)?;
    target.drop_spools()?;
    if !checkpoint {
        target.clear()?;
    }
    Ok(offset)
}

/// What one run does, until the trouble comes.
fn live(disk: &SimDisk, generation: u64, committed: &mut Committed) -> io::Result<()> {
    let target = target(disk);
    let offset = recover(disk, committed.checkpoint, &committed.transactions)?;
    committed.transactions.clear();
    let epoch = Arc::new(SharedEpoch::default());
    let mut spooler = Spooler::new(target.clone(), generation, offset, epoch.clone());
    let mut number = 0;
    let mut prepare = |pieces: &[&str]| -> io::Result<(Transaction, Vec<u8>)> {
        pieces.iter().try_for_each(|piece| spooler.write(piece.as_bytes()))?;
        number += 1;
        let prepared = spooler.prepare(Epoch(number)).expect("something was written");
        Ok((prepared.make_durable()?, pieces.concat().into_bytes()))
    };
    // One in one piece; then two, of which the first belonged to an aborted epoch.
    let first = prepare(&["first;"])?;
    committed.commit(&[first]);
    epoch.store(Epoch(1));
    committed.transactions.iter().try_for_each(|one| target.show(one))?;
    let ((second, early), (third, late)) =
        (prepare(&["sec", "ond;"])?, prepare(&[&"third".repeat(150)])?);
    committed.transactions.clear();
    // They are one, unless that could not be: then there are two of them.
    if second.spool == third.spool {
        committed.commit(&[(third, [early, late].concat())]);
    } else {
        committed.commit(&[(second, early), (third, late)]);
    }
    epoch.store(Epoch(3));
    committed.transactions.iter().try_for_each(|one| target.show(one))?;
    let uncommitted = prepare(&["never committed"])?;
    spooler.write(b"never marked")?;
    drop(uncommitted);
    spooler.finish()
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
    if names == ["out"] { Ok(()) } else { Err(format!("left over: {names:?}")) }
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
        assert_eq!(live(&disk, 1, &mut known).is_err(), at < whole.steps(), "step {at}");
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
    for broken in [Broken::SpoolBytes, Broken::SpoolNames, Broken::OutputBytes] {
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
