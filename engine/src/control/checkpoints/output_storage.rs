//! Stores what sinks gathered, each as an object, before it counts.
//!
//! Promises: what is reported as prepared is durable; what was prepared for an aborted epoch is
//! carried on, in one object with what follows it, so that neither objects nor manifests become
//! many while no checkpoint can be stored; storage that fails aborts the epoch and loses nothing.
//! Waits for the storage: for a thread beside the cores.

use std::collections::BTreeMap;

use potoroo_sdk::host::SinkId;

use crate::checkpoint::coordinator::CoordinatorInput;
use crate::checkpoint::store::{Error, Name, NameKind};
use crate::checkpoint::{Epoch, Transaction};
use crate::connect::gathered::Gathered;

/// Stores output.
#[derive(Debug)]
pub struct OutputStorage {
    generation: u64,
    /// By sink: what is not committed, oldest first.
    pending: BTreeMap<SinkId, Vec<Pending>>,
}

/// Output that is not committed.
#[derive(Debug)]
struct Pending {
    gathered: Gathered,
    /// The object that it is.
    object: Option<String>,
}

/// Output of aborted epochs is gathered in one transaction up to this many bytes: a client may have
/// to hold a whole transaction.
const GATHERED_BYTES_MAX: u64 = 16 << 20;

/// With this many transactions of a sink the last one grows beyond that: each has a descriptor.
const PENDING_MAX: usize = 8;

impl OutputStorage {
    /// Stores output for the coordinator of `generation`.
    pub fn new(generation: u64) -> Self {
        Self { generation, pending: BTreeMap::new() }
    }

    /// Stores output for the coordinator of `generation` from now on.
    pub fn renew(&mut self, generation: u64) {
        self.generation = generation;
    }

    /// What `sink` sent before its marker of `epoch` is `output`, if it sent anything. Stores all
    /// of it that is not stored yet, and returns the input for the coordinator. `random` is for
    /// the names of objects.
    ///
    /// # Errors
    /// What was stored may be lost: the process cannot go on.
    pub fn store(
        &mut self,
        sink: SinkId,
        epoch: Epoch,
        output: Option<Gathered>,
        mut random: impl FnMut() -> u64,
    ) -> Result<CoordinatorInput, Error> {
        let pending = self.pending.entry(sink).or_default();
        if let Some(output) = output {
            add(pending, output);
        }
        for one in pending.iter_mut().filter(|one| one.object.is_none()) {
            let (kind, epoch_of) = (NameKind::Output(sink.0.into()), one.gathered.epoch);
            let generation = self.generation;
            let name = Name { generation, epoch: epoch_of, kind, random: random() }.to_string();
            match one.gathered.scratch.store(&name, one.gathered.bytes) {
                Ok(()) => one.object = Some(name),
                Err(error @ Error::NotDurable { .. }) => return Err(error),
                Err(error) => {
                    let reason = format!("output of sink `{}`: {error}", one.gathered.sink);
                    return Ok(CoordinatorInput::Failed { epoch, reason });
                }
            }
        }
        let prepared = pending.iter().filter_map(Pending::transaction).collect();
        Ok(CoordinatorInput::Marked { sink: sink.0.into(), epoch, prepared })
    }

    /// What is stored and not committed: its objects are needed, whatever becomes of the epoch.
    pub fn prepared(&self) -> impl Iterator<Item = Transaction> {
        self.pending.values().flatten().filter_map(Pending::transaction)
    }

    /// All that was prepared up to `epoch` is committed.
    pub fn commit(&mut self, epoch: Epoch) {
        for pending in self.pending.values_mut() {
            pending.retain(|one| one.gathered.epoch > epoch);
        }
    }
}

impl Pending {
    fn transaction(&self) -> Option<Transaction> {
        let Gathered { sink, file, epoch, offset, bytes, digest, .. } = &self.gathered;
        Some(Transaction {
            sink: sink.clone(),
            epoch: *epoch,
            offset: *offset,
            bytes: *bytes,
            digest: Some(digest.digest128()),
            object: self.object.clone()?,
            file: file.clone(),
        })
    }
}

/// Adds output to what is pending, of which every epoch was aborted: no manifest will ever name it
/// as it was.
fn add(pending: &mut Vec<Pending>, output: Gathered) {
    let count = pending.len();
    if let Some(last) = pending.last_mut()
        && (last.gathered.bytes + output.bytes <= GATHERED_BYTES_MAX || count >= PENDING_MAX)
    {
        last.object = None;
        if last.gathered.append(&output).is_ok() {
            return;
        }
        // Then there are two of them.
    }
    pending.push(Pending { gathered: output, object: None });
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use super::*;
    use crate::checkpoint::store::{Head, Memory, Scratch, Store, StoreReader};
    use crate::checkpoint::{collect, open_output};
    use crate::connect::gather::Gatherer;

    struct Subject {
        memory: Memory,
        gatherer: Gatherer,
        storage: OutputStorage,
        random: u64,
    }

    impl Subject {
        fn new() -> Self {
            let memory = Memory::new();
            let gatherer = Gatherer::new(Arc::new(memory.clone()), "out", None, 4);
            Self { memory, gatherer, storage: OutputStorage::new(3), random: 0 }
        }

        fn prepare(&mut self, epoch: u32, text: &str) -> Vec<Transaction> {
            if !text.is_empty() {
                self.gatherer.write(text.as_bytes()).expect("there is room");
            }
            let output = self.gatherer.mark(Epoch(epoch));
            let random = || {
                self.random += 1;
                self.random
            };
            let stored = self.storage.store(SinkId(0), Epoch(epoch), output, random);
            match stored.expect("it is in memory") {
                CoordinatorInput::Marked { prepared, .. } => prepared,
                other => panic!("{other:?}"),
            }
        }

        fn objects(&self) -> usize {
            self.memory.list().expect("it is in memory").len()
        }

        fn read(&self, of: &Transaction) -> String {
            let mut text = String::new();
            let mut from = open_output(&self.memory, of).expect("it is whole");
            io::Read::read_to_string(&mut from, &mut text).expect("it is text");
            text
        }
    }

    /// Neither objects nor transactions become many while no checkpoint can be stored.
    #[test]
    fn output_of_epochs_that_are_aborted_is_gathered_in_one_object() {
        let mut subject = Subject::new();
        let mut all = String::new();
        let mut last = Vec::new();
        for epoch in 1..100 {
            let text = format!("{epoch};");
            all += &text;
            last = subject.prepare(epoch, &text);
        }
        let [last] = &last[..] else { panic!("{last:?}") };
        assert_eq!((last.offset, last.bytes, last.epoch), (4, all.len() as u64, Epoch(99)));
        assert_eq!((subject.objects(), subject.read(last)), (1, all));
        // As it is, if nothing more comes; and another one after a commit.
        assert_eq!(subject.prepare(100, ""), std::slice::from_ref(last));
        subject.storage.commit(Epoch(100));
        assert_eq!(subject.prepare(101, ""), []);
        let next = subject.prepare(102, "next;").remove(0);
        assert_eq!((next.offset, next.bytes), (last.offset + last.bytes, 5));
        assert_eq!((subject.objects(), subject.read(&next)), (2, "next;".to_owned()));
        // One that is too long for both.
        let long = "long".repeat(4 << 20);
        let two = subject.prepare(103, &long);
        assert_eq!((two.len(), &two[0], two[1].offset), (2, &next, next.offset + 5));
        assert_eq!((subject.objects(), subject.read(&two[1]).len()), (3, long.len()));
    }

    /// A scratch file that cannot be stored once.
    struct FailsOnce(Box<dyn Scratch>, bool);

    impl Scratch for FailsOnce {
        fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
            self.0.write_at(bytes, offset)
        }

        fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
            self.0.read_at(bytes, offset)
        }

        fn store(&mut self, name: &str, bytes: u64) -> Result<(), Error> {
            match std::mem::replace(&mut self.1, false) {
                true => Err(Error::io("write", name, io::ErrorKind::TimedOut.into())),
                false => self.0.store(name, bytes),
            }
        }
    }

    /// The first is stored, the second is not, and the epoch is aborted: what is collected then
    /// must not be what the next epoch commits.
    #[test]
    fn what_was_stored_beside_output_that_was_not_is_needed() {
        let mut subject = Subject::new();
        let head = Head { generation: 3, owner: 7, folder: 5, ..Head::default() };
        subject.memory.swap_head(None, &head).expect("it was not there");
        let fails = |gathered: Gathered| {
            let scratch = Box::new(FailsOnce(gathered.scratch, true));
            Gathered { scratch, ..gathered }
        };
        let large = vec![b'x'; GATHERED_BYTES_MAX as usize];
        for epoch in [1, 2] {
            subject.gatherer.write(&large).expect("there is room");
            let output = subject.gatherer.mark(Epoch(epoch)).map(fails);
            let mut number = u64::from(epoch) << 8;
            let random = || {
                number += 1;
                number
            };
            let stored = subject.storage.store(SinkId(0), Epoch(epoch), output, random);
            assert!(matches!(stored, Ok(CoordinatorInput::Failed { .. })), "{stored:?}");
            let needed: Vec<Transaction> = subject.storage.prepared().collect();
            assert_eq!(needed.len(), epoch as usize - 1);
            collect(&subject.memory, &head, 1, None, &needed).expect("it is in memory");
        }
        let prepared = subject.prepare(3, "");
        assert_eq!(prepared.len(), 2);
        assert!(prepared.iter().all(|one| subject.read(one).len() == large.len()));
    }

    #[test]
    fn the_number_of_transactions_is_bounded_whatever_they_hold() {
        let mut subject = Subject::new();
        let large = "x".repeat((GATHERED_BYTES_MAX / 2 + 1) as usize);
        for epoch in 1..=2 * PENDING_MAX as u32 {
            let prepared = subject.prepare(epoch, &large);
            assert_eq!(prepared.len(), PENDING_MAX.min(epoch as usize));
        }
    }
}
