//! Stores the parts of all cores of a process as they are handed out.
//!
//! Promises: a part is reported when it is durable; storage that fails aborts the epoch, never the
//! application. Waits for the storage: for a thread beside the cores. Must never do: hold more of a
//! part than one chunk.

use std::sync::Arc;
use std::time::Duration;

use potoroo_sdk::host::SourceId;
use potoroo_sdk::table::Record;

use crate::checkpoint::coordinator::CoordinatorInput;
use crate::checkpoint::store::{self, Name, NameKind, Store, Upload};
use crate::checkpoint::{
    Chunk, Epoch, Identity, PartEntry, PartHeader, PartSeal, PartWriter, PartitionSet, Section,
    SourcePosition,
};
use crate::connect::upstream::Upstream;
use crate::flow::{self, PartEnd, PartStep};

/// Time between two looks for steps while a checkpoint is under way.
pub const LOOK: Duration = Duration::from_micros(200);

/// Stores parts.
pub struct PartStorage {
    store: Arc<dyn Store>,
    facts: Identity,
    generation: u64,
    /// Names of the sources of the application.
    sources: Vec<String>,
    /// By source, if it can be read again.
    upstreams: Vec<Option<Box<dyn Upstream>>>,
    /// By core: the part that is being written.
    parts: Vec<Option<Part>>,
    /// The seat of the first core.
    first: usize,
    /// Cores of all nodes.
    total: usize,
}

struct Part {
    name: String,
    epoch: Epoch,
    since: Epoch,
    rows: u64,
    writer: PartWriter<Box<dyn Upload>>,
}

impl PartStorage {
    /// Stores the parts of `cores` cores, for the coordinator of `generation`.
    pub fn new(
        store: Arc<dyn Store>,
        facts: Identity,
        generation: u64,
        sources: Vec<String>,
        cores: usize,
    ) -> Self {
        let parts = (0..cores).map(|_| None).collect();
        let upstreams = sources.iter().map(|_| None).collect();
        Self { store, facts, generation, sources, upstreams, parts, first: 0, total: cores }
    }

    /// As it is, for cores of which the first one has the seat `first` among `total`.
    pub fn seated(self, first: usize, total: usize) -> Self {
        Self { first, total, ..self }
    }

    /// As it is, for sources of which these can be read again.
    pub fn with_upstreams(self, upstreams: Vec<Option<Box<dyn Upstream>>>) -> Self {
        Self { upstreams, ..self }
    }

    /// Stores parts of the same cores for the coordinator of `generation`, where they are among
    /// `total` ones. What they had begun is void.
    pub fn renew(&mut self, generation: u64, facts: Identity, total: usize) {
        (self.generation, self.facts, self.total) = (generation, facts, total);
        self.parts.fill_with(|| None);
    }

    /// Whose parts they are.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    fn source_name(&self, source: SourceId) -> &str {
        &self.sources[usize::from(source.0)]
    }

    /// Acknowledges `committed` to the clients of sources: they need not send again what is before.
    pub fn acknowledge(&self, committed: &[SourcePosition]) {
        for (name, upstream) in self.sources.iter().zip(&self.upstreams) {
            let Some(upstream) = upstream else { continue };
            let of: Vec<_> = committed.iter().filter(|at| at.name == *name).collect();
            upstream.acknowledge(&of);
        }
    }

    /// Stores the next step of the part of `core`. `random` is for the name of its object. Returns
    /// the input for the coordinator, if there is one.
    pub fn store(&mut self, core: usize, step: &PartStep, random: u64) -> Option<CoordinatorInput> {
        let part = self.parts[core].as_ref();
        let (epoch, kept) = match step {
            PartStep::Begin { epoch, since } => (*epoch, self.begin(core, *epoch, *since, random)),
            // Of a part that storage has failed already.
            PartStep::Chunk(_) | PartStep::End(_) if part.is_none() => return None,
            PartStep::Chunk(chunk) => {
                (part.map_or(Epoch::NONE, |part| part.epoch), self.chunk(core, chunk))
            }
            PartStep::End(end) => (end.epoch, self.end(core, end)),
            PartStep::Failed { epoch, reason } => {
                self.parts[core] = None;
                let reason = format!("core {}: {reason}", self.first + core);
                return Some(CoordinatorInput::Failed { epoch: *epoch, reason });
            }
        };
        kept.unwrap_or_else(|error| {
            self.parts[core] = None;
            Some(CoordinatorInput::Failed { epoch, reason: error.to_string() })
        })
    }

    fn begin(
        &mut self,
        core: usize,
        epoch: Epoch,
        since: Epoch,
        random: u64,
    ) -> Result<Option<CoordinatorInput>, store::Error> {
        let seat = (self.first + core) as u32;
        let (generation, kind) = (self.generation, NameKind::Part(seat));
        let name = Name { generation, epoch, kind, random }.to_string();
        let header = PartHeader {
            facts: self.facts.clone(),
            generation,
            epoch,
            since,
            core: seat,
            cores: self.total as u32,
        };
        self.parts[core] = None;
        let upload = self.store.create(&name)?;
        let writer =
            PartWriter::new(upload, &header).map_err(|e| store::Error::io("write", &name, e))?;
        self.parts[core] = Some(Part { name, epoch, since, rows: 0, writer });
        Ok(None)
    }

    fn chunk(
        &mut self,
        core: usize,
        chunk: &Chunk,
    ) -> Result<Option<CoordinatorInput>, store::Error> {
        let part = self.parts[core].as_mut().expect("a chunk follows the begin of its part");
        if let Section::Rows(_) = chunk.section {
            let mut rest = chunk.bytes.as_slice();
            while let Some((_, behind)) = Record::split(rest) {
                (rest, part.rows) = (behind, part.rows + 1);
            }
        }
        part.writer.chunk(chunk).map_err(|e| store::Error::io("write", &part.name, e))?;
        Ok(None)
    }

    fn end(
        &mut self,
        core: usize,
        end: &PartEnd,
    ) -> Result<Option<CoordinatorInput>, store::Error> {
        let part = self.parts[core].take().expect("an end follows the begin of its part");
        let Part { name, epoch, since, rows, writer } = part;
        assert_eq!(epoch, end.epoch, "a part ends as it began");
        let (upload, seal) = writer.finish().map_err(|e| store::Error::io("write", &name, e))?;
        upload.finish()?;
        let seat = (self.first + core) as u32;
        let (core, PartSeal { bytes, chunks, digest }) = (seat, seal);
        let (covers, whole) = (Some(end.covers.clone()), PartitionSet::default());
        let entry =
            PartEntry { name, core, epoch, since, covers, whole, bytes, chunks, digest, rows };
        let sources = end.positions.iter().map(|at| self.named(at));
        let sources = sources.filter(|at| !at.is_void()).collect();
        Ok(Some(CoordinatorInput::Part { entry, sources }))
    }

    /// A position in the terms of later runs.
    fn named(&mut self, at: &flow::ReadPosition) -> SourcePosition {
        let &flow::ReadPosition { unit, position, skipping, .. } = at;
        let watermarks = at.own.iter().map(|own| own.nanos()).collect();
        let (source, name) = (usize::from(at.source.0), self.source_name(at.source).to_owned());
        let (file, stream) = (None, None);
        let mut named = SourcePosition { name, unit, position, skipping, file, stream, watermarks };
        if let Some(upstream) = &mut self.upstreams[source] {
            upstream.describe(&mut named, at.stream);
        }
        named
    }
}
