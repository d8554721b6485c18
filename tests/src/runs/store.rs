//! The store of a run: that of the world, but that output cannot always be stored.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use potoroo::checkpoint::store::{
    Error, Head, Memory, Name, Scratch, ScratchRoom, Store, StoreReader, Upload,
};
use potoroo_sdk::random::Random;

/// A store whose scratch files are stored with a chance only.
pub(super) struct Unreliable {
    store: Memory,
    fails: f64,
    random: Arc<Mutex<Random>>,
}

impl Unreliable {
    /// That in memory, with a chance of `fails` that what the seed draws is not stored.
    pub(super) fn over(store: &Memory, fails: f64, seed: u64) -> Arc<dyn Store> {
        let random = Arc::new(Mutex::new(Random::new(seed)));
        Arc::new(Self { store: store.clone(), fails, random })
    }
}

struct UnreliableScratch {
    scratch: Box<dyn Scratch>,
    fails: f64,
    random: Arc<Mutex<Random>>,
}

impl UnreliableScratch {
    fn fail(&self) -> Result<(), Error> {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        match random.chance(self.fails) {
            true => Err(Error::io("write", "output", io::ErrorKind::TimedOut.into())),
            false => Ok(()),
        }
    }
}

impl Scratch for UnreliableScratch {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.scratch.write_at(bytes, offset)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.scratch.read_at(bytes, offset)
    }

    /// It fails, or only its answer is lost.
    fn store(&mut self, name: &str, bytes: u64) -> Result<(), Error> {
        self.fail()?;
        self.scratch.store(name, bytes)?;
        self.fail()
    }
}

impl StoreReader for Unreliable {
    fn open(&self, name: &str) -> Result<Box<dyn Read + Send>, Error> {
        self.store.open(name)
    }

    fn list(&self) -> Result<Vec<(String, u64)>, Error> {
        self.store.list()
    }

    fn head(&self) -> Result<Option<Head>, Error> {
        self.store.head()
    }
}

impl Store for Unreliable {
    fn create(&self, name: &str) -> Result<Box<dyn Upload>, Error> {
        self.store.create(name)
    }

    fn scratch(&self) -> io::Result<Box<dyn Scratch>> {
        let (scratch, random) = (self.store.scratch()?, self.random.clone());
        Ok(Box::new(UnreliableScratch { scratch, fails: self.fails, random }))
    }

    fn room(&self) -> io::Result<Option<ScratchRoom>> {
        self.store.room()
    }

    fn mark(&self, name: &Name) -> Result<(), Error> {
        self.store.mark(name)
    }

    fn delete(&self, name: &str) -> Result<(), Error> {
        self.store.delete(name)
    }

    fn swap_head(&self, expected: Option<&Head>, new: &Head) -> Result<(), Error> {
        self.store.swap_head(expected, new)
    }
}
