//! The power goes at every single step of storing checkpoints in a folder, and leaves every disk
//! that it can leave: HEAD is the old or the new commit, and all that it names is whole. The same
//! where a folder of a version before is taken over, which must then refuse it.

use std::collections::BTreeMap;

use potoroo::checkpoint::store::{Error, Folder, Head, StoreReader};
use potoroo::checkpoint::{Epoch, Manifest};
use potoroo_tests::checkpoints::{Content, Coordinator, KEEP, content};
use potoroo_tests::disk::{Broken, SimDisk, Trouble};

/// A full part and three increments, then full ones again: something is collected each time.
const FULL: [bool; 5] = [true, false, false, true, false];

/// What is known when a run ends, however it ends.
#[derive(Default)]
struct Known {
    /// The last HEAD that is certain.
    head: Option<Head>,
    /// The one that was about to follow it.
    proposed: Option<Head>,
    contents: BTreeMap<String, Content>,
    /// A coordinator has taken over, and `head` is its own.
    has_started: bool,
    error: Option<Error>,
}

/// Starts on a disk whose HEAD is `before`, and makes checkpoints until the trouble comes.
fn run(disk: &SimDisk, before: &Known) -> Known {
    let (head, contents) = (before.head.clone(), before.contents.clone());
    let failed = |error| Known { head, contents, error: Some(error), ..Known::default() };
    let folder = match disk.checkpoints() {
        Ok(folder) => folder,
        Err(error) => return failed(error),
    };
    let mut coordinator = match Coordinator::start(&folder, 1) {
        Ok(coordinator) => coordinator,
        Err(error) => return failed(error),
    };
    let error = FULL.into_iter().find_map(|full| coordinator.checkpoint(full).err());
    let Coordinator { head, proposed, contents, .. } = coordinator;
    Known { head: Some(head), proposed, contents, has_started: true, error }
}

/// Whether what is left is what it has to be, and can be gone on from.
fn check(disk: &SimDisk, known: &Known) -> Result<(), String> {
    let folder = disk.checkpoints().map_err(|error| error.to_string())?;
    check_head(&folder, known)?;
    check_next(&folder, disk)
}

fn check_head(folder: &Folder, known: &Known) -> Result<(), String> {
    let head = folder.head().map_err(|error| error.to_string())?;
    let Some(head) = head else {
        return if known.head.is_none() { Ok(()) } else { Err("HEAD is gone".to_owned()) };
    };
    // A start that has just taken over is not known yet.
    let of = |known: &Head| (known.epoch, known.manifest.clone());
    let before = known.head.as_ref().map_or((Epoch::NONE, None), of);
    let taken_over = !known.has_started && of(&head) == before;
    let fits = [&known.head, &known.proposed].iter().any(|known| known.as_ref() == Some(&head));
    if !fits && !taken_over {
        return Err(format!("HEAD is {head}, and was {:?}", known.head));
    }
    let Some(name) = head.manifest else { return Ok(()) };
    let manifest = Manifest::load(folder, &name).map_err(|error| error.to_string())?;
    let found = content(folder, &manifest).map_err(|error| error.to_string())?;
    if found == known.contents[&name] { Ok(()) } else { Err(format!("{name} is another")) }
}

/// The next process begins where HEAD is, and leaves nothing of what the crash left.
fn check_next(folder: &Folder, disk: &SimDisk) -> Result<(), String> {
    let old = folder.head().map_err(|error| error.to_string())?;
    let text = |error: Error| error.to_string();
    let mut next = Coordinator::start(folder, 2).map_err(text)?;
    let generation = old.map_or(0, |head| head.generation);
    assert_eq!(next.head.generation, generation + 1);
    for full in [false, true, true] {
        next.checkpoint(full).map_err(text)?;
    }
    let manifest = next.head.manifest.as_ref().expect("it was committed");
    let loaded = Manifest::load(folder, manifest).map_err(text)?;
    assert_eq!(content(folder, &loaded).map_err(text)?, next.contents[manifest]);
    // HEAD with and without its number, and of each full checkpoint a manifest,
    // two parts and output.
    let names = disk.names();
    let (heads, objects): (Vec<_>, Vec<_>) =
        names.iter().partition(|name| name.starts_with("HEAD"));
    if heads.len() == 2 && objects.len() == KEEP * 4 {
        Ok(())
    } else {
        Err(format!("left over: {names:?}"))
    }
}

/// Whether a version before, which knows nothing of numbers, would commit after this one did.
fn check_fence(disk: &SimDisk) -> Result<(), String> {
    let names = disk.names();
    let numbered = names.iter().any(|name| name.starts_with("HEAD-"));
    let fenced = |name: &String| name == "HEAD" && disk.read(name).starts_with(b"potoroo head 3\n");
    match numbered && !names.iter().any(fenced) {
        true => Err(format!("a version before goes on: {names:?}")),
        false => Ok(()),
    }
}

/// A disk as a version before left it, which had one file HEAD, and what is on it.
fn of_version_before() -> (SimDisk, Known) {
    let (now, before) = (SimDisk::new(), SimDisk::new());
    let folder = now.checkpoints().expect("an empty disk");
    let mut coordinator = Coordinator::start(&folder, 3).expect("there is room");
    for full in [true, false] {
        coordinator.checkpoint(full).expect("there is room");
    }
    for name in now.names().iter().filter(|name| !name.starts_with("HEAD")) {
        before.put(name, &now.read(name));
    }
    let Coordinator { head, contents, .. } = coordinator;
    before.put("HEAD", &head.write());
    (before, Known { head: Some(head), contents, ..Known::default() })
}

/// Crashes at every step on an empty disk. Returns how many disks were looked at, or the first that
/// is wrong.
fn crash_everywhere(disk: impl Fn() -> SimDisk) -> Result<u64, String> {
    crash_on(|| (disk(), Known::default()))
}

/// As [`crash_everywhere`], on a disk with something on it.
fn crash_on(disk: impl Fn() -> (SimDisk, Known)) -> Result<u64, String> {
    let (whole, before) = disk();
    run(&whole, &before);
    let mut disks = 0;
    for at in 0..=whole.steps() {
        let (disk, before) = disk();
        disk.plan(Some(Trouble::Crash(at)));
        let known = run(&disk, &before);
        assert_eq!(known.error.is_some(), at < whole.steps(), "step {at}");
        let mut found = Ok(());
        disk.each_rest(
            |name| !name.starts_with("tmp-"),
            |rest| {
                disks += 1;
                found = check_fence(&rest).and_then(|()| check(&rest, &known));
                found.is_ok()
            },
        );
        found.map_err(|text| format!("power gone at step {at}: {text}"))?;
    }
    Ok(disks)
}

#[test]
fn after_a_crash_at_any_step_head_is_old_or_new_and_all_it_names_is_whole() {
    let disks = crash_everywhere(SimDisk::new).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert!(disks > 500, "only {disks} disks were looked at");
}

#[test]
fn after_a_crash_at_any_step_of_taking_over_a_version_before_goes_on_or_is_refused() {
    let disks = crash_on(of_version_before).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert!(disks > 500, "only {disks} disks were looked at");
    // The file of that version says nothing any more: it must not count if all numbers are lost.
    let (disk, before) = of_version_before();
    run(&disk, &before);
    disk.names().iter().filter(|name| name.starts_with("HEAD-")).for_each(|name| {
        disk.damage(name, None);
    });
    assert_eq!(disk.checkpoints().expect("it can be read").head().expect("it is whole"), None);
}

/// The test of the test: without any one of the orders, something is lost.
#[test]
fn each_sync_is_needed() {
    for (broken, loss) in [
        (Broken::ObjectBytes, "cannot be used"),
        (Broken::ObjectNames, "is missing"),
        (Broken::HeadBytes, "HEAD cannot be used"),
        (Broken::HeadName, "HEAD is"),
    ] {
        let wrong = crash_everywhere(|| SimDisk::new().broken(broken)).expect_err("it is needed");
        assert!(wrong.contains(loss), "{broken:?}: {wrong}");
    }
    let without_fence = || {
        let (disk, before) = of_version_before();
        (disk.broken(Broken::FenceName), before)
    };
    let wrong = crash_on(without_fence).expect_err("it is needed");
    assert!(wrong.contains("a version before goes on"), "{wrong}");
}

#[test]
fn a_step_that_finds_the_disk_full_fails_one_checkpoint_and_leaves_nothing() {
    let whole = SimDisk::new();
    run(&whole, &Known::default());
    let mut failed = 0;
    for at in 0..whole.steps() {
        let disk = SimDisk::new();
        let folder = disk.checkpoints().expect("an empty disk");
        let Ok(mut coordinator) = Coordinator::start(&folder, 1) else { continue };
        disk.plan(Some(Trouble::Full(at.max(disk.steps()))));
        for full in FULL {
            let made = coordinator.checkpoint(full);
            failed += u64::from(made.is_err());
            let names = disk.names();
            assert!(!names.iter().any(|name| name.starts_with("tmp-")) || made.is_err());
        }
        assert_eq!(coordinator.checkpoint(true).map_err(|error| error.to_string()), Ok(()));
        let again = disk.checkpoints().expect("it works");
        check_next(&again, &disk).expect("it goes on");
    }
    assert!(failed > 50, "only {failed} checkpoints failed");
}

#[test]
fn a_disk_that_stays_full_keeps_the_last_checkpoint_and_takes_the_next_when_there_is_room() {
    let disk = SimDisk::new();
    let folder = disk.checkpoints().expect("an empty disk");
    let mut coordinator = Coordinator::start(&folder, 1).expect("there is room");
    coordinator.checkpoint(true).expect("there is room");
    let (head, bytes) = (coordinator.head.clone(), disk.bytes());
    let mut room = 0;
    loop {
        disk.plan(Some(Trouble::StaysFull(disk.steps() + room)));
        let Err(error) = coordinator.checkpoint(true) else { break };
        assert!(error.is_full(), "{error}");
        assert_eq!(folder.head().expect("it can be read").as_ref(), Some(&head));
        assert_eq!(disk.bytes(), bytes, "room for {room} steps: {:?}", disk.names());
        room += 1;
    }
    assert!(room > 20, "a checkpoint takes only {room} steps");
    disk.plan(None);
    coordinator.checkpoint(true).expect("there is room again");
}
