//! Memory: a store that ends with the process, for tests and the simulator.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Error, Head, Name, Scratch, ScratchRoom, Store, StoreReader, Upload};

/// A store in memory; clones share what is in it.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    content: Arc<Mutex<Content>>,
}

#[derive(Debug, Default)]
struct Content {
    objects: BTreeMap<String, Arc<[u8]>>,
    head: Option<Head>,
}

impl Memory {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another store, with what is in this one now.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        let Content { objects, head } = &*self.content();
        let content = Content { objects: objects.clone(), head: head.clone() };
        Self { content: Arc::new(Mutex::new(content)) }
    }

    /// The bytes of an object.
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        self.content().objects.get(name).map(|bytes| bytes.to_vec())
    }

    /// Replaces the bytes of an object, as damage does.
    pub fn damage(&self, name: &str, bytes: &[u8]) {
        self.content().objects.insert(name.to_owned(), bytes.into());
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        // Every change is a single insertion: a panic elsewhere leaves nothing half done.
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StoreReader for Memory {
    fn open(&self, name: &str) -> Result<Box<dyn Read + Send>, Error> {
        Name::check(name)?;
        let bytes = self.content().objects.get(name).cloned();
        let bytes = bytes.ok_or_else(|| Error::Missing { object: name.to_owned() })?;
        Ok(Box::new(Cursor::new(bytes)))
    }

    fn list(&self) -> Result<Vec<(String, u64)>, Error> {
        let content = self.content();
        let length = |(name, bytes): (&String, &Arc<[u8]>)| (name.clone(), bytes.len() as u64);
        Ok(content.objects.iter().map(length).collect())
    }

    fn head(&self) -> Result<Option<Head>, Error> {
        Ok(self.content().head.clone())
    }
}

impl Store for Memory {
    fn create(&self, name: &str) -> Result<Box<dyn Upload>, Error> {
        Name::check(name)?;
        if self.content().objects.contains_key(name) {
            return Err(Error::Taken { object: name.to_owned() });
        }
        Ok(Box::new(Growing { memory: self.clone(), name: name.to_owned(), bytes: Vec::new() }))
    }

    fn scratch(&self) -> io::Result<Box<dyn Scratch>> {
        Ok(Box::new(MemoryScratch { memory: self.clone(), bytes: Vec::new(), object: None }))
    }

    fn room(&self) -> io::Result<Option<ScratchRoom>> {
        Ok(None)
    }

    fn mark(&self, name: &Name) -> Result<(), Error> {
        self.content().objects.entry(name.to_string()).or_default();
        Ok(())
    }

    fn delete(&self, name: &str) -> Result<(), Error> {
        Name::check(name)?;
        self.content().objects.remove(name);
        Ok(())
    }

    fn swap_head(&self, expected: Option<&Head>, new: &Head) -> Result<(), Error> {
        let mut content = self.content();
        if content.head.as_ref() != expected && content.head.as_ref() != Some(new) {
            let expected = expected.cloned().map(Box::new);
            let found = content.head.clone().map(Box::new);
            return Err(Error::Overtaken { expected, found });
        }
        content.head = Some(new.clone());
        Ok(())
    }
}

struct Growing {
    memory: Memory,
    name: String,
    bytes: Vec<u8>,
}

impl Write for Growing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Upload for Growing {
    fn finish(self: Box<Self>) -> Result<(), Error> {
        let mut content = self.memory.content();
        if content.objects.contains_key(&self.name) {
            return Err(Error::Taken { object: self.name.clone() });
        }
        content.objects.insert(self.name.clone(), self.bytes.as_slice().into());
        Ok(())
    }
}

/// Bytes in memory that become an object.
struct MemoryScratch {
    memory: Memory,
    bytes: Vec<u8>,
    /// The object that they are.
    object: Option<String>,
}

impl MemoryScratch {
    fn take_back(&mut self) {
        if let Some(name) = self.object.take() {
            self.memory.content().objects.remove(&name);
        }
    }
}

impl Scratch for MemoryScratch {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.take_back();
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        self.bytes.resize(self.bytes.len().max(end), 0);
        self.bytes[start..end].copy_from_slice(bytes);
        Ok(())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let rest = self.bytes.get(offset as usize..).and_then(|rest| rest.get(..bytes.len()));
        bytes.copy_from_slice(rest.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn store(&mut self, name: &str, bytes: u64) -> Result<(), Error> {
        self.take_back();
        let mut upload = self.memory.create(name)?;
        let written = upload.write_all(&self.bytes[..bytes as usize]);
        written.map_err(|cause| Error::io("write", name, cause))?;
        upload.finish()?;
        self.object = Some(name.to_owned());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::store::contract;

    #[test]
    fn it_keeps_the_contract_of_stores() {
        contract::check(&Memory::new());
    }

    #[test]
    fn clones_share_and_damage_shows() {
        let memory = Memory::new();
        contract::put(&memory.clone(), "part-1-1-0-0000000000000001", b"abc");
        assert_eq!(memory.bytes("part-1-1-0-0000000000000001"), Some(b"abc".to_vec()));
        let before = memory.snapshot();
        memory.damage("part-1-1-0-0000000000000001", b"xyz");
        assert_eq!(contract::get(&memory, "part-1-1-0-0000000000000001"), b"xyz");
        assert_eq!(contract::get(&before, "part-1-1-0-0000000000000001"), b"abc");
    }
}
