//! Several coordinators in one folder of checkpoints: HEAD decides which of them may commit, and
//! none touches the temporary files of another.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use potoroo::checkpoint::Manifest;
use potoroo::checkpoint::store::{Error, Folder, Head, StoreReader};
use potoroo_sdk::random::Random;
use potoroo_tests::checkpoints::{Coordinator, content};
use potoroo_tests::disk::{Broken, SimDisk, Turn, Turns};
use potoroo_tests::seeds::each_seed;
use rustix::process::Signal;
use support::{App, LIMIT, Scratch};

/// Processes on one disk.
const PROCESSES: usize = 2;

/// Starts of each of them.
const STARTS: u64 = 4;

/// What succeeded, in any order.
#[derive(Default)]
struct Won {
    /// Generations of those that took over.
    generations: Vec<u64>,
    /// The manifests that commits followed.
    followed: Vec<Option<String>>,
    /// What must not happen.
    wrong: Vec<String>,
}

/// How a process opens the folder.
type OpenFolder = fn(&SimDisk) -> Result<Folder, Error>;

/// Starts and commits on one disk in turns. Returns what is wrong.
fn race(seed: u64, disk: &SimDisk, open: OpenFolder) -> Vec<String> {
    let won = Mutex::new(Won::default());
    thread::scope(|scope| {
        for (process, turn) in Turns::draw(seed, PROCESSES).into_iter().enumerate() {
            let (won, seed) = (&won, seed * PROCESSES as u64 + process as u64);
            scope.spawn(move || {
                let _end = turn.begin();
                live(seed, disk, &turn, (open, won));
            });
        }
    });
    let Won { generations, followed, mut wrong } =
        won.into_inner().unwrap_or_else(PoisonError::into_inner);
    if generations.iter().collect::<BTreeSet<_>>().len() < generations.len() {
        wrong.push(format!("two have won one generation: {generations:?}"));
    }
    // Other than the first commit of a start on nothing.
    let followed: Vec<String> = followed.into_iter().flatten().collect();
    if followed.iter().collect::<BTreeSet<_>>().len() < followed.len() {
        wrong.push(format!("two commits follow one: {followed:?}"));
    }
    wrong.extend(check_end(disk).err());
    wrong
}

/// One process after the other, each until it is overtaken or has enough.
fn live(seed: u64, disk: &SimDisk, turn: &Turn, (open, won): (OpenFolder, &Mutex<Won>)) {
    let mut random = Random::new(seed);
    let disk = disk.with_turns(turn.clone());
    let won = || won.lock().unwrap_or_else(PoisonError::into_inner);
    for start in 0..STARTS {
        let folder = match open(&disk) {
            Ok(folder) => folder,
            Err(error) => return won().wrong.push(format!("it cannot be opened: {error}")),
        };
        let before = folder.head().expect("it is whole");
        let started = Coordinator::start(&folder, seed * STARTS + start);
        let mut coordinator = match started {
            Ok(coordinator) => coordinator,
            // Another one takes over, or has collected what was to be read.
            Err(_) if folder.head().expect("it is whole") != before => continue,
            Err(error) => {
                won().wrong.push(format!("a start fails: {error}"));
                continue;
            }
        };
        won().generations.push(coordinator.head.generation);
        for _ in 0..1 + random.below(4) {
            let before = coordinator.head.clone();
            let made = coordinator.checkpoint(random.chance(0.4));
            if coordinator.head != before {
                won().followed.push(before.manifest);
            }
            let Err(error) = made else { continue };
            if folder.head().expect("it is whole").as_ref() == Some(&coordinator.head) {
                won().wrong.push(format!("a coordinator that is not overtaken fails: {error}"));
            }
            break;
        }
    }
}

/// The last commit is whole, and the next process begins there.
fn check_end(disk: &SimDisk) -> Result<(), String> {
    let text = |error: Error| error.to_string();
    let folder = disk.checkpoints().map_err(text)?;
    let head: Option<Head> = folder.head().map_err(text)?;
    if let Some(name) = head.and_then(|head| head.manifest) {
        let manifest = Manifest::load(&folder, &name).map_err(text)?;
        content(&folder, &manifest).map_err(text)?;
    }
    let mut next = Coordinator::start(&folder, u64::MAX).map_err(text)?;
    next.checkpoint(true).map_err(text)?;
    let names = disk.names();
    let left = names.iter().find(|name| name.starts_with("tmp-"));
    left.map_or(Ok(()), |left| Err(format!("{left} is left over")))
}

#[test]
fn of_several_coordinators_in_one_folder_one_wins_each_swap() {
    let mut generations = 0;
    each_seed("shared_folder of_several", 1000, |seed| {
        let disk = SimDisk::new();
        assert_eq!(race(seed, &disk, SimDisk::shared_checkpoints), Vec::<String>::new());
        let head = disk.checkpoints().expect("it can be read").head().expect("it is whole");
        generations += head.expect("it was swapped").generation;
    });
    assert!(generations > 0, "nothing was committed");
}

/// The test of the test: how many seeds notice it.
fn noticed(disk: impl Fn() -> SimDisk, open: OpenFolder) -> Option<u64> {
    (0..1000).find(|seed| !race(*seed, &disk(), open).is_empty())
}

#[test]
fn head_that_is_overwritten_is_noticed() {
    let broken = || SimDisk::new().broken(Broken::HeadOverwritten);
    let seed = noticed(broken, SimDisk::shared_checkpoints).expect("two have won");
    println!("noticed with seed {seed}");
}

#[test]
fn temporary_files_of_others_that_are_removed_are_noticed() {
    // As if no other process used the folder.
    let seed = noticed(SimDisk::new, SimDisk::checkpoints).expect("an upload fails");
    println!("noticed with seed {seed}");
}

/// Generations that real processes make in all.
const GENERATIONS: u64 = 400;

#[test]
fn real_processes_that_are_killed_win_each_generation_once() {
    let scratch = Scratch::new("shared-folder");
    let state = scratch.path("state");
    let swapper = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_swapper"));
        command.args([&state, &GENERATIONS.to_string()]);
        App::spawn(command)
    };
    let shared = Folder::open_shared(Path::new(&state)).expect("it is free");
    let generation = || shared.head().expect("it is whole").map_or(0, |head| head.generation);
    let (mut apps, mut ended) = ((0..4).map(|_| swapper()).collect::<Vec<_>>(), Vec::new());
    let (mut kills, mut random) = (0, Random::new(1));
    while generation() < GENERATIONS {
        let next = generation() + random.below(20);
        wait_until(|| generation() >= next.min(GENERATIONS));
        let refused = Folder::open(Path::new(&state)).map(drop);
        assert!(matches!(refused, Err(Error::InUse { .. })), "{refused:?}");
        let app = apps.swap_remove(random.below(4) as usize);
        app.signal(Signal::KILL);
        ended.push(app.finish());
        apps.push(swapper());
        kills += 1;
    }
    ended.extend(apps.into_iter().map(App::finish));
    let lines = ended.iter().flat_map(|ended| ended.out.lines());
    let won: Vec<u64> = lines.map(|line| line.parse().expect("a generation")).collect();
    let all: BTreeSet<u64> = won.iter().copied().collect();
    assert_eq!(all.len(), won.len(), "a generation was won twice");
    assert!(all.len() as u64 + kills >= GENERATIONS, "{} won, {kills} killed", all.len());
    let log: String = ended.iter().map(|ended| ended.log.as_str()).collect();
    assert_eq!(log, "", "none has failed");
    println!("{} generations won, {kills} killed", all.len());
    assert_eq!(generation(), GENERATIONS);
    drop(shared);
    drop(Folder::open(Path::new(&state)).expect("all have ended"));
    let entries = fs::read_dir(&state).expect("it is there");
    let names = entries.map(|entry| entry.expect("it is there").file_name());
    let left: Vec<_> = names.filter(|name| name.display().to_string().starts_with("tmp")).collect();
    assert_eq!(left.len(), 0, "what was half written is gone: {left:?}");
}

fn wait_until(reached: impl Fn() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !reached() {
        assert!(Instant::now() < deadline, "not within {LIMIT:?}");
        thread::park_timeout(Duration::from_micros(300));
    }
}
