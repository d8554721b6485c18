//! Checkpoints drawn from a seed, stored as a coordinator stores them, and what they hold.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use potoroo::checkpoint::coordinator::CoordinatorInput;
use potoroo::checkpoint::store::{Error, Head, Name, NameKind, Store, StoreReader, Upload};
use potoroo::checkpoint::{
    Chunk, Epoch, Identity, Manifest, Older, PartEntry, PartHeader, PartWriter, PartitionSet,
    PositionUnit, Recovered, Section, SourcePosition, TableFacts, Transaction, TypeFacts, collect,
    each_chunk_of, open_output, propose, recover,
};
use potoroo::connect::gathered::Gathered;
use potoroo::control::checkpoints::output_storage::OutputStorage;
use potoroo_sdk::host::{SinkId, TableId};
use potoroo_sdk::key::Key;
use potoroo_sdk::random::Random;
use potoroo_sdk::table::Record;

/// Checkpoints that are kept.
pub const KEEP: usize = 2;

const CORES: u32 = 2;

/// What a checkpoint holds for its reader, in order.
pub type Content = Vec<(u32, Chunk)>;

/// The application whose checkpoints these are.
pub fn facts() -> Identity {
    let of = |name: &str| TypeFacts { name: name.into(), shape: name.len() as u64 };
    let table = |name: &str| TableFacts {
        name: name.into(),
        key: of("Symbol"),
        state: of("Market"),
        windows: None,
        older: Older::default(),
    };
    let tables = vec![table("markets"), table("totals")];
    let application = "spread".into();
    Identity { application, fingerprint: 7, partitions: 16, tables, ..Identity::default() }
}

/// A coordinator without cores: it generates the parts that cores would store.
pub struct Coordinator<'a> {
    store: &'a dyn Store,
    random: Random,
    facts: Identity,
    /// The present HEAD.
    pub head: Head,
    last: Option<Manifest>,
    /// What each committed or proposed checkpoint holds, by its manifest.
    pub contents: BTreeMap<String, Content>,
    /// The HEAD that was to be swapped in when something failed.
    pub proposed: Option<Head>,
}

impl<'a> Coordinator<'a> {
    /// Takes the store over, as an application does when it starts.
    ///
    /// # Errors
    /// The store fails.
    pub fn start(store: &'a dyn Store, seed: u64) -> Result<Self, Error> {
        let mut random = Random::new(seed);
        let recovered = recover(store, &facts(), random.u64(), None);
        let Recovered { head, manifest: last, .. } = recovered.map_err(|error| match error {
            recover::Error::Store(error) => error,
            error => panic!("{error}"),
        })?;
        let mut contents = BTreeMap::new();
        if let (Some(name), Some(manifest)) = (&head.manifest, &last) {
            contents.insert(name.clone(), content(store, manifest)?);
        }
        Ok(Self { store, random, facts: facts(), head, last, contents, proposed: None })
    }

    /// Makes a checkpoint: full parts, or what changed since the one before. Then collects.
    ///
    /// # Errors
    /// The store fails. The checkpoint is not made, unless it was HEAD that failed.
    pub fn checkpoint(&mut self, full: bool) -> Result<(), Error> {
        let epoch = self.head.epoch.next();
        let made = self.commit(epoch, full);
        collect(self.store, &self.head, KEEP, None, []).and(made)
    }

    fn commit(&mut self, epoch: Epoch, full: bool) -> Result<(), Error> {
        let last = self.last.as_ref().filter(|_| !full);
        let mut parts = last.map_or(Vec::new(), |manifest| manifest.parts.clone());
        let before = self.head.manifest.as_ref().filter(|_| !parts.is_empty());
        let mut content = before.map_or(Content::new(), |name| state_of(&self.contents[name]));
        let (entries, new) = self.store_parts(epoch, parts.is_empty())?;
        parts.extend(entries);
        // As its reader gets it: by epochs, then core by core.
        content.extend(new);
        let output = self.store_output(epoch)?;
        let manifest = self.manifest(epoch, parts, output);
        let random = self.random.u64();
        let (generation, kind) = (self.head.generation, NameKind::Manifest);
        let name = Name { generation, epoch, kind, random };
        self.contents.insert(name.to_string(), content);
        let new = propose(self.store, &self.head, &manifest, random)?;
        self.proposed = Some(new.clone());
        self.swap(&new)?;
        (self.head, self.last, self.proposed) = (new, Some(manifest), None);
        Ok(())
    }

    /// Swaps HEAD, and again when it is not clear whether it was.
    fn swap(&self, new: &Head) -> Result<(), Error> {
        let swapped = self.store.swap_head(Some(&self.head), new);
        match swapped {
            Err(Error::Unclear { .. }) => self.store.swap_head(Some(&self.head), new),
            swapped => swapped,
        }
    }

    /// Writes one part per core, in turns, so that they are open at the same time.
    fn store_parts(
        &mut self,
        epoch: Epoch,
        full: bool,
    ) -> Result<(Vec<PartEntry>, Content), Error> {
        let mut open = Vec::new();
        let mut content = Content::new();
        for core in 0..CORES {
            let header = self.header(epoch, core, full);
            let (generation, kind) = (header.generation, NameKind::Part(core));
            let name = Name { generation, epoch, kind, random: self.random.u64() }.to_string();
            let writer = PartWriter::new(self.store.create(&name)?, &header);
            open.push((name, header, writer.map_err(written)?));
        }
        for section in sections() {
            for (core, (_, _, writer)) in (0..).zip(&mut open) {
                let chunk = self.chunk(section);
                writer.chunk(&chunk).map_err(written)?;
                content.push((core, chunk));
            }
        }
        let mut entries = Vec::new();
        for (name, header, writer) in open {
            let (upload, seal) = writer.finish().map_err(written)?;
            let upload: Box<dyn Upload> = upload;
            upload.finish()?;
            let own = content.iter().filter(|(core, _)| *core == header.core);
            let rows = own.map(|(_, chunk)| rows(chunk)).sum();
            entries.push(PartEntry::new(name, &header, covers(header.core), seal, rows));
        }
        content.sort_by_key(|(core, _)| *core);
        Ok((entries, content))
    }

    fn header(&self, epoch: Epoch, core: u32, full: bool) -> PartHeader {
        let since = if full { Epoch::NONE } else { self.head.epoch };
        let generation = self.head.generation;
        PartHeader { facts: self.facts.clone(), generation, epoch, since, core, cores: CORES }
    }

    fn chunk(&mut self, section: Section) -> Chunk {
        let bytes = match section {
            Section::Rows(_) => {
                (0..self.random.below(20)).flat_map(|_| self.record(true)).collect()
            }
            Section::Removed(_) => {
                (0..self.random.below(3)).flat_map(|_| self.record(false)).collect()
            }
            Section::Lanes(_) | Section::Outboxes(_) => {
                (0..self.random.below(40)).flat_map(|_| self.random.u64().to_le_bytes()).collect()
            }
        };
        Chunk { section, bytes }
    }

    /// A record as [`Record`] reads it: of a row, or of a key that was removed.
    fn record(&mut self, row: bool) -> Vec<u8> {
        let (key, state) = (self.random.u64(), self.random.u64());
        let state = &state.to_le_bytes()[..if row { 8 } else { 0 }];
        Record { hash: Key::hash(&key), key: &key.to_le_bytes(), state }.to_bytes()
    }

    fn store_output(&mut self, epoch: Epoch) -> Result<Vec<Transaction>, Error> {
        let (sink, file) = ("rejections", Some("rejections".to_owned()));
        let output = Gathered::new(self.store, sink, file, u64::from(epoch.0) * 100);
        let mut output = output.map_err(written)?;
        let bytes: Vec<u8> = (0..100).map(|_| self.random.u64() as u8).collect();
        output.write(&bytes).map_err(written)?;
        let mut storage = OutputStorage::new(self.head.generation);
        let output = Some(Gathered { epoch, ..output });
        match storage.store(SinkId(0), epoch, output, || self.random.u64())? {
            CoordinatorInput::Marked { prepared, .. } => Ok(prepared),
            CoordinatorInput::Failed { reason, .. } => {
                let full = reason.contains("no storage space");
                let kind = if full { ErrorKind::StorageFull } else { ErrorKind::Other };
                Err(written(std::io::Error::new(kind, reason)))
            }
            other => panic!("{other:?}"),
        }
    }

    fn manifest(
        &self,
        epoch: Epoch,
        parts: Vec<PartEntry>,
        transactions: Vec<Transaction>,
    ) -> Manifest {
        let (name, position) = ("quotes".into(), u64::from(epoch.0) * 10);
        let (unit, skipping, file, stream) = (PositionUnit::Bytes, false, None, None);
        let watermarks = Vec::new();
        let source = SourcePosition { name, unit, position, skipping, file, stream, watermarks };
        Manifest {
            facts: self.facts.clone(),
            generation: self.head.generation,
            epoch,
            unix_seconds: epoch.0.into(),
            previous: self.head.manifest.clone(),
            sources: vec![source],
            parts,
            transactions,
            delivered: Vec::new(),
        }
    }
}

/// What the checkpoint `manifest` holds, as its reader gets it.
///
/// # Errors
/// Something of it is missing or damaged.
pub fn content(view: &dyn StoreReader, manifest: &Manifest) -> Result<Content, Error> {
    let mut content = Content::new();
    for link in manifest.links() {
        each_chunk_of(view, manifest, link.part, |chunk| {
            content.push((link.part.core, chunk.clone()));
            Ok::<_, Error>(())
        })?;
    }
    for transaction in &manifest.transactions {
        open_output(view, transaction)?;
    }
    Ok(content)
}

/// What a checkpoint that builds upon this one refers to: its tables, and none of its frames.
fn state_of(content: &Content) -> Content {
    let state = |chunk: &Chunk| matches!(chunk.section, Section::Rows(_) | Section::Removed(_));
    content.iter().filter(|(_, chunk)| state(chunk)).cloned().collect()
}

/// How many rows a chunk holds.
fn rows(chunk: &Chunk) -> u64 {
    let (mut rest, mut count) = (chunk.bytes.as_slice(), 0);
    while let (Section::Rows(_), Some((_, behind))) = (chunk.section, Record::split(rest)) {
        (rest, count) = (behind, count + 1);
    }
    count
}

/// Half of the partitions.
fn covers(core: u32) -> PartitionSet {
    (0..8).map(|partition| partition + 8 * core as u16).collect()
}

fn sections() -> [Section; 4] {
    let (first, second) = (TableId(0), TableId(1));
    let (removed, outboxes) = (Section::Removed(second), Section::Outboxes(0));
    [removed, Section::Rows(first), Section::Rows(second), outboxes]
}

fn written(cause: std::io::Error) -> Error {
    Error::io("write", "a part", cause)
}
