//! The storage that all nodes share: a swap of HEAD compares, its answer may be lost, a listing may
//! be old, and all of it may be away, for all nodes or for one.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use potoroo::checkpoint::store::{
    Error, Head, Memory, Name, Scratch, ScratchRoom, Store, StoreReader, Upload,
};

use super::mistakes::Mistake;
use super::steps::Step;
use super::turns::ProcessId;
use super::world::{World, lock};

/// The storage, as one process sees it.
#[derive(Clone)]
pub struct SimulatedStore {
    world: Arc<World>,
    process: ProcessId,
    memory: Memory,
    seen: Arc<Mutex<Option<Head>>>,
}

impl SimulatedStore {
    /// That of `process`.
    pub fn new(world: Arc<World>, process: ProcessId) -> Self {
        let memory = lock(&world.store).memory.clone();
        Self { world, process, memory, seen: Arc::default() }
    }

    /// A request takes time, and may not come there.
    fn ask(&self, object: &str) -> Result<(), Error> {
        let world = &self.world;
        let most = if world.chance(0.02) { world.lease / 3 } else { Duration::from_millis(3) };
        world.turns.pass(world.some(most), false);
        let node = world.node_of(self.process);
        let (store, now) = (lock(&world.store), world.turns.now());
        let is_cut = store.cut.get(&node).is_some_and(|until| now < *until);
        if now >= store.away_until && !is_cut {
            return Ok(());
        }
        drop(store);
        world.turns.pass(Duration::from_secs(1), false);
        Err(Error::io("reach", object, ErrorKind::TimedOut.into()))
    }

    fn answer(&self) {
        let most = if self.world.chance(0.02) { self.world.lease / 3 } else { ANSWER };
        self.world.turns.pass(self.world.some(most), false);
    }
}

/// How long an answer takes, mostly.
const ANSWER: Duration = Duration::from_millis(2);

/// How often it is unclear whether HEAD was swapped.
const UNCLEAR: f64 = 0.02;

impl StoreReader for SimulatedStore {
    fn open(&self, name: &str) -> Result<Box<dyn Read + Send>, Error> {
        self.ask(name)?;
        self.memory.open(name)
    }

    fn list(&self) -> Result<Vec<(String, u64)>, Error> {
        self.ask("objects")?;
        self.memory.list()
    }

    fn head(&self) -> Result<Option<Head>, Error> {
        self.ask("HEAD")?;
        let head = {
            let (store, now) = (lock(&self.world.store), self.world.turns.now());
            let is_stale = self.world.chance(store.stale);
            if is_stale { store.old_head(now) } else { store.head() }
        };
        self.answer();
        let mut seen = lock(&self.seen);
        // What a machine sees is never older than what it saw before.
        let age = |head: &Option<Head>| head.as_ref().map(|head| (head.generation, head.epoch));
        let believes = self.world.makes(Mistake::OwnHeadBelieved) && seen.is_some();
        if !believes && age(&head) > age(&seen) {
            *seen = head;
        }
        Ok(seen.clone())
    }
}

impl Store for SimulatedStore {
    fn create(&self, name: &str) -> Result<Box<dyn Upload>, Error> {
        let upload = self.memory.create(name)?;
        Ok(Box::new(SimulatedUpload { store: self.clone(), name: name.to_owned(), upload }))
    }

    fn scratch(&self) -> io::Result<Box<dyn Scratch>> {
        self.memory.scratch()
    }

    fn room(&self) -> io::Result<Option<ScratchRoom>> {
        self.memory.room()
    }

    fn mark(&self, name: &Name) -> Result<(), Error> {
        self.ask("mark")?;
        self.memory.mark(name)
    }

    fn delete(&self, name: &str) -> Result<(), Error> {
        self.memory.delete(name)
    }

    fn swap_head(&self, expected: Option<&Head>, new: &Head) -> Result<(), Error> {
        self.ask("HEAD")?;
        self.world.pass_step(self.process, Step::SwapHead, false);
        let is_unclear = self.world.chance(UNCLEAR);
        if is_unclear && self.world.chance(0.5) {
            self.answer();
            return self.unclear();
        }
        let swapped = {
            let found = lock(&self.world.store).head();
            let overwrites = self.world.makes(Mistake::HeadOverwritten);
            let expected = if overwrites { found.as_ref() } else { expected };
            let swapped = self.memory.swap_head(expected, new);
            if swapped.is_ok() && found.as_ref() != Some(new) {
                let now = self.world.turns.now();
                lock(&self.world.store).note(now, new);
                self.world.checkers().swapped(now, self.process, found.as_ref(), new);
            }
            swapped
        };
        self.world.pass_step(self.process, Step::SwapHead, true);
        self.answer();
        if is_unclear { self.unclear() } else { swapped }?;
        *lock(&self.seen) = Some(new.clone());
        Ok(())
    }
}

impl SimulatedStore {
    fn unclear(&self) -> Result<(), Error> {
        if self.world.makes(Mistake::UnclearIsDone) {
            return Ok(());
        }
        Err(Error::Unclear { object: "HEAD".to_owned(), cause: ErrorKind::TimedOut.into() })
    }
}

struct SimulatedUpload {
    store: SimulatedStore,
    name: String,
    upload: Box<dyn Upload>,
}

impl Write for SimulatedUpload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.upload.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.upload.flush()
    }
}

impl Upload for SimulatedUpload {
    fn finish(self: Box<Self>) -> Result<(), Error> {
        self.store.ask(&self.name)?;
        self.upload.finish()
    }
}
