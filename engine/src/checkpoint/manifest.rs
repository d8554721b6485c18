//! Manifest: everything that makes up one checkpoint, by name. HEAD names a manifest.
//!
//! It is [text](super::text) for eyes as well as for programs. Promises: what it names was durable
//! before it was written. Must never do: be changed, or be believed without its digest.

use std::collections::BTreeSet;
use std::io::Read;

use serde::{Deserialize, Serialize};

use super::epoch::Epoch;
use super::facts::{Identity, SinkFacts, SourceFacts, TypeFacts};
use super::part::{PartHeader, PartSeal};
use super::partition_set::PartitionSet;
use super::store::{Name, StoreReader};
use super::text::TextKind;
use super::{CorruptObject, Damage, Imprint, hex, store, text};

/// Version 2 has digests of output, version 3 names sources, sinks and exchanges. Version 4 has the
/// partitions that a part covers, and output as objects of the store, which was in spools before.
const KIND: TextKind = TextKind { name: "manifest", format: 4 };

/// One checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Who wrote it.
    pub facts: Identity,
    /// Generation of the coordinator that committed it.
    pub generation: u64,
    /// Its epoch; from 1.
    pub epoch: Epoch,
    /// When it was made, in seconds since 1970. For people: nothing depends on it.
    pub unix_seconds: u64,
    /// The manifest of the checkpoint before, of which nothing is needed to use this one.
    pub previous: Option<String>,
    /// From where sources are read again.
    pub sources: Vec<SourcePosition>,
    /// All parts that make up the state: see [`links`](Self::links).
    pub parts: Vec<PartEntry>,
    /// Output that transactional sinks had prepared, and that this checkpoint commits.
    pub transactions: Vec<Transaction>,
    /// What clients of sinks had: none of them may have less ever after.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delivered: Vec<Delivered>,
}

/// What the client of a sink had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delivered {
    /// The sink.
    pub sink: String,
    /// The last transaction that its client had committed.
    #[serde(with = "hex")]
    pub transaction: u128,
}

/// How far a source had been read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourcePosition {
    /// Its name.
    pub name: String,
    /// What its position counts.
    pub unit: PositionUnit,
    /// Bytes of a byte stream, or the index of the next event of a generator.
    pub position: u64,
    /// The position lies within a frame above the limit that was refused: the rest of the frame is
    /// passed over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skipping: bool,
    /// What distinguishes its file from others, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<Imprint>,
    /// Which of its streams, if it has some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamPosition>,
    /// What its connection had seen of the times of events, where they have some: its own
    /// watermarks in nanoseconds since 1970, in the order of its `event_time`s; the least number
    /// before the first event.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub watermarks: Vec<i64>,
}

/// What a position counts: one of a file says nothing to a generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PositionUnit {
    /// Bytes taken.
    Bytes,
    /// Events made.
    Events,
}

/// How far a stream of a source had been read, in the terms of its client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamPosition {
    /// Its name.
    pub name: String,
    /// The last message of which everything was read.
    pub id: u64,
    /// Bytes after it that were read, too.
    pub into: u64,
    /// These may be of several messages; else they are the beginning of one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub several: bool,
    /// The id after which its first message came, also if that was read after the checkpoint and
    /// before this one was gone back to. `None`: unknown, or nothing ever came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<u64>,
    /// Nothing follows.
    pub ended: bool,
}

impl std::fmt::Display for PositionUnit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Bytes => "bytes",
            Self::Events => "events",
        })
    }
}

impl SourcePosition {
    /// Whether it says nothing: of a stream that was opened, and in which nothing was sent.
    pub fn is_void(&self) -> bool {
        let void =
            |stream: &StreamPosition| stream.id == 0 && stream.first.is_none() && !stream.ended;
        self.position == 0 && self.stream.as_ref().is_some_and(void)
    }

    /// Of a stream that has begun: where, and nothing else.
    pub(super) fn begun(self) -> Option<Self> {
        let StreamPosition { name, first, .. } = self.stream?;
        let new = StreamPosition { name, id: 0, into: 0, several: false, first, ended: false };
        let (stream, watermarks) = (Some(new), Vec::new());
        first.map(|_| Self { position: 0, skipping: false, stream, watermarks, ..self })
    }

    /// Whether both are of the same source, and of the same of its streams.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        let stream = |at: &Self| at.stream.as_ref().map(|stream| stream.name.clone());
        self.name == other.name && stream(self) == stream(other)
    }
}

/// A part that belongs to a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartEntry {
    /// Name of the object.
    pub name: String,
    /// Whose part it is.
    pub core: u32,
    /// The checkpoint that it was made for.
    pub epoch: Epoch,
    /// The epoch that it builds upon; 0 when it is full.
    pub since: Epoch,
    /// The partitions for which it speaks: those of its core at its snapshot. What it has of others
    /// is older than what their own core has. `None` in manifests of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covers: Option<PartitionSet>,
    /// Those of them of which it has all rows, though it builds upon an epoch: they came to its
    /// core since.
    #[serde(default, skip_serializing_if = "PartitionSet::is_empty")]
    pub whole: PartitionSet,
    /// Length of the object.
    pub bytes: u64,
    /// Number of chunks in it.
    pub chunks: u64,
    /// Its digest.
    #[serde(with = "hex")]
    pub digest: u128,
    /// How many rows it holds.
    pub rows: u64,
}

/// What a transactional sink prepared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transaction {
    /// Its name.
    pub sink: String,
    /// The epoch under which it was prepared; an aborted one when it was carried over.
    pub epoch: Epoch,
    /// Where in the sink's output it begins, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// Digest of its bytes; `None` in manifests of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hex::option")]
    pub digest: Option<u128>,
    /// The object that it is. In manifests of earlier versions the path of a spool.
    #[serde(alias = "spool")]
    pub object: String,
    /// Name of the file that it is for, without its folder; `None` for a client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

impl Manifest {
    /// A longer one is not read: memory stays bounded. Enough for a hundred thousand parts.
    pub(super) const BYTES_MAX: u64 = 64 * 1024 * 1024;

    /// As text.
    pub fn write(&self) -> Vec<u8> {
        text::write(KIND, self)
    }

    /// Reads the manifest `name` from where it is stored.
    ///
    /// # Errors
    /// It is missing or damaged, a newer version wrote it, or the storage cannot be read.
    pub fn load(view: &(impl StoreReader + ?Sized), name: &str) -> Result<Self, store::Error> {
        let mut bytes = Vec::new();
        let read = view.open(name)?.take(Self::BYTES_MAX).read_to_end(&mut bytes);
        let corrupt = |damage| CorruptObject { object: name.to_owned(), offset: 0, damage };
        read.map_err(|error| corrupt(error.into()))?;
        let manifest = Self::parse(name, &bytes)?;
        let (generation, epoch) = (manifest.generation, manifest.epoch);
        match name.parse::<Name>() {
            Ok(name) if (name.generation, name.epoch) == (generation, epoch) => Ok(manifest),
            _ => {
                let text = format!("it is of generation {generation}, epoch {epoch}");
                Err(corrupt(Damage::Other(text)).into())
            }
        }
    }

    /// Reads a manifest from its text; `name` is for errors.
    ///
    /// # Errors
    /// It is damaged, or a newer version wrote it.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, CorruptObject> {
        let manifest: Self = text::read(name, KIND, bytes)?;
        let wrong = manifest.mistake().or_else(|| manifest.broken_chain());
        let corrupt = |text| CorruptObject { object: name.to_owned(), offset: 0, damage: text };
        wrong.map_or(Ok(manifest), |text| Err(corrupt(Damage::Text(text))))
    }

    /// The last transaction that the client of a sink had; 0 for none.
    pub fn delivered_to(&self, sink: &str) -> u128 {
        let of_sink = self.delivered.iter().find(|one| one.sink == sink);
        of_sink.map_or(0, |one| one.transaction)
    }

    /// Random number of the state folder, if an id of a transaction has it; else 0.
    pub(super) fn folder(&self) -> u64 {
        let folders = self.delivered.iter().map(|one| (one.transaction >> 64) as u64);
        folders.max().unwrap_or(0)
    }

    /// Who wrote it, and whether it is unknown what its numbers of sources, sinks and exchanges
    /// meant. One that an earlier version wrote has no such names: they are those of `now` if that
    /// is the same program, else the names that occur in it.
    pub(super) fn named(&self, now: &Identity) -> (Identity, bool) {
        let stored = self.facts.clone();
        if !stored.is_unnamed() {
            return (stored, false);
        }
        if stored.fingerprint == now.fingerprint {
            let (sources, sinks) = (now.sources.clone(), now.sinks.clone());
            let exchanges = now.exchanges.clone();
            return (Identity { sources, sinks, exchanges, ..stored }, false);
        }
        let unknown = TypeFacts { name: String::new(), shape: 0 };
        let source = |name: &String| SourceFacts {
            name: name.clone(),
            event: unknown.clone(),
            origin: None,
        };
        let sink = |name: &String| SinkFacts { name: name.clone(), reply: false };
        let sources: BTreeSet<&String> = self.sources.iter().map(|at| &at.name).collect();
        let prepared = self.transactions.iter().map(|one| &one.sink);
        let sinks: BTreeSet<&String> =
            prepared.chain(self.delivered.iter().map(|one| &one.sink)).collect();
        let sources = sources.into_iter().map(source).collect();
        let sinks = sinks.into_iter().map(sink).collect();
        (Identity { sources, sinks, ..stored }, true)
    }
}

impl PartEntry {
    /// The entry of the part `name` of the partitions `covers`, once it is stored.
    pub fn new(
        name: String,
        header: &PartHeader,
        covers: PartitionSet,
        seal: PartSeal,
        rows: u64,
    ) -> Self {
        let (core, epoch, since) = (header.core, header.epoch, header.since);
        let (covers, whole) = (Some(covers), PartitionSet::default());
        let PartSeal { bytes, chunks, digest } = seal;
        Self { name, core, epoch, since, covers, whole, bytes, chunks, digest, rows }
    }

    /// What the part's end has to say.
    pub fn seal(&self) -> PartSeal {
        PartSeal { bytes: self.bytes, chunks: self.chunks, digest: self.digest }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::checkpoint::facts;

    /// Two cores: one with a full part and a delta part, one with a full part.
    pub fn example() -> Manifest {
        let part = |core, epoch, since| PartEntry {
            name: format!("part-3-{epoch}-{core}-00000000000000ab"),
            core,
            epoch: Epoch(epoch),
            since: Epoch(since),
            covers: Some((0..512).map(|at| at + 512 * core as u16).collect()),
            whole: PartitionSet::default(),
            bytes: 4096,
            chunks: 3,
            digest: 0x00ff_0000_0000_0000_0000_0000_0000_0001,
            rows: 100,
        };
        Manifest {
            facts: facts::example(),
            generation: 3,
            epoch: Epoch(17),
            unix_seconds: 1_790_000_000,
            previous: Some("manifest-3-16-00000000000000aa".into()),
            sources: vec![
                SourcePosition {
                    name: "quotes".into(),
                    unit: PositionUnit::Events,
                    position: 1234,
                    skipping: false,
                    file: Some(Imprint { device: 7, inode: 9, digest: 11 }),
                    stream: None,
                    watermarks: vec![i64::MIN, 1_790_000_000_000_000_000],
                },
                SourcePosition {
                    name: "orders".into(),
                    unit: PositionUnit::Bytes,
                    position: i64::MAX as u64,
                    skipping: true,
                    file: None,
                    stream: Some(StreamPosition {
                        name: "east".into(),
                        id: 7,
                        into: 3,
                        several: true,
                        first: Some(2),
                        ended: false,
                    }),
                    watermarks: Vec::new(),
                },
            ],
            parts: vec![part(0, 16, 0), part(0, 17, 16), part(1, 17, 0)],
            transactions: vec![Transaction {
                sink: "rejections".into(),
                epoch: Epoch(17),
                offset: 100,
                bytes: 50,
                digest: Some(0x77),
                object: "output-3-17-0-00000000000000ac".into(),
                file: Some("rejections".into()),
            }],
            delivered: vec![Delivered { sink: "fills".into(), transaction: 0x0500_0000 }],
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let manifest = example();
        assert_eq!(Manifest::parse("m", &manifest.write()).expect("it is whole"), manifest);
    }

    /// An update of the program goes on.
    #[test]
    fn what_an_earlier_version_wrote_is_read() {
        let mut manifest = example();
        manifest.transactions[0].digest = None;
        manifest.delivered.clear();
        manifest.parts.iter_mut().for_each(|part| part.covers = None);
        let older = text::oldest(&manifest.write());
        assert!(older.starts_with(b"potoroo manifest 1\n"));
        assert_eq!(Manifest::parse("m", &older).expect("it is whole"), manifest);
    }

    #[test]
    fn hashes_and_partitions_are_written_as_text() {
        let text = String::from_utf8(example().write()).expect("it is text");
        for part in [
            "\"fingerprint\": \"0xfeed00000000beef\"",
            "\"digest\": \"0xff0000000000000000000000000001\"",
            "\"shape\": \"0x1111\"",
            "\"covers\": \"512-1023\"",
        ] {
            assert!(text.contains(part), "`{part}` is not in {text}");
        }
    }

    #[test]
    fn what_this_version_does_not_know_is_not_passed_over() {
        let json = serde_json::to_value(example()).expect("it is JSON");
        let mut more = json.clone();
        more["colour"] = "blue".into();
        let refused = Manifest::parse("m", &text::write(KIND, &more)).expect_err("unknown");
        assert!(refused.to_string().contains("unknown field `colour`"), "{refused}");
        let mut less = json;
        less.as_object_mut().expect("it is an object").remove("sources");
        let refused = Manifest::parse("m", &text::write(KIND, &less)).expect_err("missing");
        assert!(refused.to_string().contains("missing field `sources`"), "{refused}");
    }
}
