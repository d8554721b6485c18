//! Partitions that move between cores, and cores that come and go: whatever becomes of an epoch,
//! each checkpoint that is committed holds what the tables held at its snapshot.
//!
//! ```text
//!   cores of a model ── parts, some late, twice, or in vain ──► Coordinator ──► Memory
//!                                                                  every HEAD ──► load, each_row
//! ```

use std::collections::{BTreeMap, BTreeSet};

use potoroo::checkpoint::coordinator::{Action, Coordinator, CoordinatorInput};
use potoroo::checkpoint::store::{Error, Memory, Name, NameKind, Store};
use potoroo::checkpoint::{
    Chunk, Epoch, Manifest, PartEntry, PartHeader, PartWriter, PartitionSet, Section, collect,
    each_chunk_of, each_row, load, partition_of, propose, recover,
};
use potoroo_sdk::host::TableId;
use potoroo_sdk::random::Random;
use potoroo_sdk::table::Record;
use potoroo_tests::checkpoints::{KEEP, facts};
use potoroo_tests::seeds::each_seed;

const TABLE: TableId = TableId(1);
const PARTITIONS: u16 = 16;
const CORES_MAX: u64 = 4;
/// Few, so that most are changed, removed and set again.
const KEYS: u64 = 64;

type Rows = BTreeMap<u64, u64>;

fn partition(key: u64) -> u16 {
    partition_of(key, PARTITIONS.into())
}

/// A record whose key is its hash.
fn record(key: u64, state: Option<u64>) -> Vec<u8> {
    let state = state.map_or(Vec::new(), |state| state.to_le_bytes().to_vec());
    Record { hash: key, key: &key.to_le_bytes(), state: &state }.to_bytes()
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
}

/// What a core has, with the epoch after which each of it changed.
#[derive(Clone, Debug, Default)]
struct Core {
    rows: BTreeMap<u64, (u64, Epoch)>,
    removed: BTreeMap<u64, Epoch>,
    /// Epochs to which it contributed.
    contributed: BTreeSet<Epoch>,
    /// The last of them that it knows to be committed.
    committed: Epoch,
    /// Partitions that came to it, and the epoch after which they did: no part of it is committed
    /// that has all of them.
    came: BTreeMap<u16, Epoch>,
    /// Partitions that went: their rows stay as they were until an epoch after that is committed.
    went: BTreeMap<u16, Epoch>,
}

impl Core {
    fn set(&mut self, key: u64, state: Option<u64>, after: Epoch) {
        match state {
            Some(state) => drop(self.rows.insert(key, (state, after))),
            None if self.rows.remove(&key).is_some() => drop(self.removed.insert(key, after)),
            None => {}
        }
    }

    /// Epoch `epoch` is committed.
    fn commit(&mut self, epoch: Epoch) {
        self.committed = epoch;
        self.came.retain(|_, after| *after >= epoch);
        let gone = self.went.extract_if(.., |_, after| *after < epoch);
        let gone: BTreeSet<u16> = gone.map(|(partition, _)| partition).collect();
        self.rows.retain(|key, _| !gone.contains(&partition(*key)));
        self.removed.retain(|key, after| *after >= epoch && !gone.contains(&partition(*key)));
    }
}

/// Cores, who has which partition, and what the tables should hold.
struct World<'a> {
    random: Random,
    store: &'a Memory,
    coordinator: Coordinator,
    cores: BTreeMap<u32, Core>,
    /// By partition.
    owners: Vec<u32>,
    now: Rows,
    /// Never used twice in a generation.
    next_core: u32,
    /// Parts of cores that had left meanwhile.
    late: Vec<PartEntry>,
}

impl<'a> World<'a> {
    /// A generation that begins with `rows`.
    fn begin(store: &'a Memory, mut random: Random, rows: Rows) -> Self {
        let recovered = recover(store, &facts(), random.u64(), None).expect("it is whole");
        let coordinator = Coordinator::new(facts(), recovered.head, 0, Vec::new());
        let next_core = 1 + random.below(CORES_MAX) as u32;
        let cores = (0..next_core).map(|core| (core, Core::default())).collect();
        let owners: Vec<u32> =
            (0..PARTITIONS).map(|_| random.below(next_core.into()) as u32).collect();
        let (now, late) = (Rows::new(), Vec::new());
        let mut world = Self { random, store, coordinator, cores, owners, now, next_core, late };
        rows.into_iter().for_each(|(key, state)| world.set(key, Some(state)));
        world
    }

    fn set(&mut self, key: u64, state: Option<u64>) {
        let owner = self.owners[usize::from(partition(key))];
        let after = self.coordinator.epoch();
        self.cores.get_mut(&owner).expect("an owner is there").set(key, state, after);
        match state {
            Some(state) => drop(self.now.insert(key, state)),
            None => drop(self.now.remove(&key)),
        }
    }

    fn change(&mut self) {
        for _ in 0..self.random.below(20) {
            let (key, state) = (self.random.below(KEYS), self.random.u64());
            let state = Some(state).filter(|_| self.random.chance(0.7));
            self.set(key, state);
        }
    }

    /// Partitions move after the snapshot of the present epoch; cores come, and go when they have
    /// nothing.
    fn shift(&mut self) {
        let after = self.coordinator.epoch();
        if (self.cores.len() as u64) < CORES_MAX && self.random.chance(0.3) {
            self.cores.insert(self.next_core, Core::default());
            self.next_core += 1;
        }
        let leaver = self.draw_core().filter(|_| self.random.chance(0.3));
        for of in 0..PARTITIONS {
            let from = self.owners[usize::from(of)];
            let leaves = leaver == Some(from) && self.cores.len() > 1;
            let to = self.draw_core().filter(|to| *to != from && Some(*to) != leaver);
            let Some(to) = to.filter(|_| leaves || self.random.chance(0.1)) else { continue };
            // The next move waits for the end of the last one.
            let rests = |core: &Core| !core.came.contains_key(&of) && !core.went.contains_key(&of);
            if self.cores.values().all(rests) {
                self.pass_on(of, from, to, after);
            }
        }
        let idle = |core: &u32| !self.owners.contains(core);
        if let Some(left) = leaver.filter(idle).filter(|_| self.cores.len() > 1) {
            self.cores.remove(&left);
        }
    }

    fn draw_core(&mut self) -> Option<u32> {
        let at = self.random.below(self.cores.len() as u64) as usize;
        self.cores.keys().copied().nth(at)
    }

    fn pass_on(&mut self, of: u16, from: u32, to: u32, after: Epoch) {
        let old = self.cores.get_mut(&from).expect("it owns it");
        old.went.insert(of, after);
        let rows: Vec<_> = old
            .rows
            .iter()
            .filter(|(key, _)| partition(**key) == of)
            .map(|(k, v)| (*k, *v))
            .collect();
        let new = self.cores.get_mut(&to).expect("it was drawn");
        new.came.insert(of, after);
        new.rows.extend(rows);
        self.owners[usize::from(of)] = to;
    }

    /// Stores the part of a core. It also has rows that it passed on, as they were.
    fn store_part(&mut self, core: u32, epoch: Epoch) -> PartEntry {
        let has = self.cores.get_mut(&core).expect("it is there");
        has.contributed.insert(epoch);
        let full = has.committed.is_none() || self.random.chance(0.2);
        let since = if full { Epoch::NONE } else { has.committed };
        let own = |of: &u16| self.owners[usize::from(*of)] == core;
        let covers: PartitionSet = (0..PARTITIONS).filter(own).collect();
        let came = if full { PartitionSet::default() } else { has.came.keys().copied().collect() };
        let taken = |key: u64, after: Epoch| after >= since || came.has(partition(key));
        let gone = has.removed.iter().filter(|(_, after)| !full && **after >= since);
        let gone = gone.flat_map(|(key, _)| record(*key, None)).collect();
        let rows = has.rows.iter().filter(|(key, (_, after))| taken(**key, *after));
        let rows = rows.flat_map(|(key, (state, _))| record(*key, Some(*state))).collect();
        let generation = self.coordinator.head().generation;
        let header = PartHeader { facts: facts(), generation, epoch, since, core, cores: 1 };
        let (kind, random) = (NameKind::Part(core), self.random.u64());
        let name = Name { generation, epoch, kind, random }.to_string();
        let upload = self.store.create(&name).expect("the name is free");
        let mut writer = PartWriter::new(upload, &header).expect("memory has room");
        for (section, bytes) in [(Section::Removed(TABLE), gone), (Section::Rows(TABLE), rows)] {
            writer.chunk(&Chunk { section, bytes }).expect("memory has room");
        }
        let (upload, seal) = writer.finish().expect("memory has room");
        upload.finish().expect("the name is free");
        PartEntry { whole: came, ..PartEntry::new(name, &header, covers, seal, 0) }
    }

    /// One epoch; moves may follow its snapshot, while it is still under way. What it holds, if it
    /// was committed.
    fn epoch(&mut self) -> Option<Rows> {
        self.change();
        self.coordinator.set_members(self.cores.keys().copied().collect());
        let Some(Action::Begin { epoch }) = self.handle(CoordinatorInput::Begin) else {
            panic!("no epoch is under way")
        };
        let cores: Vec<u32> = self.cores.keys().copied().collect();
        let mut parts: Vec<_> = cores.iter().map(|core| self.store_part(*core, epoch)).collect();
        let held = self.now.clone();
        if self.random.chance(0.4) {
            self.shift();
        }
        self.change();
        for late in std::mem::take(&mut self.late) {
            assert_eq!(self.part(late), None, "nothing is waited for that had left");
        }
        let aborted = self.random.chance(0.25);
        if aborted {
            let last = parts.pop().expect("there is a core");
            self.late.push(last);
        }
        let mut action = None;
        for part in parts {
            action = self.part(part.clone());
            if self.random.chance(0.2) {
                assert_eq!(self.part(part), None, "it is there already");
            }
        }
        if aborted {
            let reason = "no room".to_owned();
            action = self.handle(CoordinatorInput::Failed { epoch, reason });
        }
        self.conclude(action.expect("all parts are there")).then_some(held)
    }

    fn part(&mut self, entry: PartEntry) -> Option<Action> {
        self.handle(CoordinatorInput::Part { entry, sources: Vec::new() })
    }

    fn handle(&mut self, input: CoordinatorInput) -> Option<Action> {
        self.coordinator.handle(input, 0)
    }

    /// Carries out what is left of an epoch. Returns whether it was committed.
    fn conclude(&mut self, mut action: Action) -> bool {
        loop {
            let (fails, random) = (self.random.chance(0.05), self.random.u64());
            let input = match action {
                Action::Store(_) if fails => CoordinatorInput::Stored(Err("no room".to_owned())),
                Action::Swap { .. } if fails => CoordinatorInput::Swapped(Err("away".to_owned())),
                Action::Store(manifest) => {
                    let new = propose(self.store, self.coordinator.head(), &manifest, random);
                    CoordinatorInput::Stored(Ok(new.expect("memory has room")))
                }
                Action::Swap { expected, new } => {
                    self.store.swap_head(Some(&expected), &new).expect("there is one coordinator");
                    CoordinatorInput::Swapped(Ok(()))
                }
                Action::Commit { epoch, .. } => {
                    let contributed = |core: &&mut Core| core.contributed.contains(&epoch);
                    for core in self.cores.values_mut().filter(contributed) {
                        // Otherwise that comes too late, after the next snapshot.
                        if self.random.chance(0.8) {
                            core.commit(epoch);
                        }
                    }
                    return true;
                }
                Action::Abort { .. } => return false,
                Action::Begin { .. } => unreachable!("one is under way"),
            };
            action = self.handle(input).expect("an epoch goes on to its end");
        }
    }
}

/// A mistake in reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sabotage {
    /// Rows count whatever the part covers.
    CoversIgnored,
    /// As in manifests without covers.
    ChainsByCore,
}

/// What cores get back, with a random number of them.
fn restored(
    store: &Memory,
    manifest: &Manifest,
    sabotage: Option<Sabotage>,
    random: &mut Random,
) -> Result<Rows, Error> {
    let cores = 1 + random.below(3) as usize;
    let owner = |hash: u64| usize::from(partition(hash)) % cores;
    let mut tables = vec![Rows::new(); cores];
    let mut take = |core: usize, chunk: &Chunk| {
        let mut rest = chunk.bytes.as_slice();
        while let Some((record, left)) = Record::split(rest) {
            assert!(sabotage.is_some() || owner(record.hash) == core, "it is another core's");
            let table = &mut tables[owner(record.hash)];
            match chunk.section == Section::Rows(TABLE) {
                true => table.insert(number(record.key), number(record.state)),
                false => table.remove(&number(record.key)),
            };
            rest = left;
        }
        Ok::<_, Error>(())
    };
    if sabotage == Some(Sabotage::CoversIgnored) {
        for link in manifest.links() {
            each_chunk_of(store, manifest, link.part, |chunk| take(0, chunk))?;
        }
    } else {
        load(store, manifest, (cores, |hash| Some(owner(hash))), |core, _, chunk| {
            take(core, chunk)
        })?;
    }
    Ok(tables.into_iter().flatten().collect())
}

/// What people are shown; `None` if a key comes twice.
fn shown(store: &Memory, manifest: &Manifest) -> Result<Option<Rows>, Error> {
    let (mut rows, mut twice) = (Rows::new(), false);
    each_row::<Error>(
        store,
        manifest,
        TABLE,
        |_| true,
        |row| {
            twice |= rows.insert(number(row.key), number(row.state)).is_some();
            Ok(())
        },
    )?;
    Ok(Some(rows).filter(|_| !twice))
}

/// Some generations; each committed checkpoint is read in both ways.
///
/// # Errors
/// One is not what the tables were.
fn history(seed: u64, sabotage: Option<Sabotage>) -> Result<Moves, String> {
    let (store, mut random, mut rows) = (Memory::new(), Random::new(seed), Rows::new());
    let mut moves = Moves::default();
    for _ in 0..3 {
        let mut world = World::begin(&store, Random::new(random.u64()), rows.clone());
        for _ in 0..random.below(12) {
            let Some(held) = world.epoch() else { continue };
            let head = world.coordinator.head().clone();
            collect(&store, &head, KEEP, None, []).expect("memory does not fail");
            let name = head.manifest.expect("it was committed");
            let mut manifest = Manifest::load(&store, &name).map_err(|error| error.to_string())?;
            moves.commits += 1;
            moves.whole += manifest.parts.iter().filter(|part| !part.whole.is_empty()).count();
            if sabotage == Some(Sabotage::ChainsByCore) {
                manifest.parts.iter_mut().for_each(|part| part.covers = None);
            }
            let read = restored(&store, &manifest, sabotage, &mut random);
            let read = (read.ok(), shown(&store, &manifest).ok().flatten());
            if sabotage != Some(Sabotage::CoversIgnored) && read.1.as_ref() != Some(&held) {
                return Err(format!("epoch {}: shown are {:?}, not {held:?}", head.epoch, read.1));
            }
            if read.0.as_ref() != Some(&held) {
                return Err(format!("epoch {}: back are {:?}, not {held:?}", head.epoch, read.0));
            }
            rows = held;
        }
    }
    Ok(moves)
}

/// What happened in histories.
#[derive(Debug, Default)]
struct Moves {
    commits: usize,
    /// Parts with partitions that moved.
    whole: usize,
}

#[test]
fn whatever_moves_a_checkpoint_has_what_the_tables_held() {
    let mut all = Moves::default();
    let test = "whatever_moves_a_checkpoint_has_what_the_tables_held";
    each_seed(test, 1000, |seed| {
        let moves = history(seed, None).unwrap_or_else(|wrong| panic!("{wrong}"));
        all.commits += moves.commits;
        all.whole += moves.whole;
    });
    println!("{all:?}");
    assert!(all.commits < 2 || all.whole > 0, "{all:?}");
}

#[test]
fn both_sabotages_are_noticed() {
    for sabotage in [Sabotage::CoversIgnored, Sabotage::ChainsByCore] {
        let noticed = |seed: &u64| history(*seed, Some(sabotage)).is_err();
        let noticed: Vec<u64> = (0..1000).filter(noticed).collect();
        println!("{sabotage:?} is noticed with {} of 1000 seeds", noticed.len());
        println!("the first one is {:?}", noticed.first());
        assert!(!noticed.is_empty(), "{sabotage:?}");
    }
}
