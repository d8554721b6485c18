//! State that survives: consistent snapshots of a running application, and recovery from them.
//!
//! ```text
//!   core ── chunks ──► part ┐
//!   core ── chunks ──► part ┼──► manifest ──► HEAD swapped: the commit
//!   sink ── output ─► object┘
//! ```
//!
//! Promises: what a manifest names was durable before HEAD named the manifest, so a crash at any
//! moment leaves the last commit whole. Must never do: run on the event path. What a core does for
//! a checkpoint between its turns is [`flow`](crate::flow)'s.

mod chunk;

mod epoch;

pub mod coordinator;

mod facts;
mod imprint;
mod manifest;
mod output;
mod part;
mod partition_set;
pub mod store;

mod chains;

mod renumbering;

mod changes;

mod sound;

mod commit;
mod contents;
mod history;
pub mod recover;
mod repeat;

mod load;

mod accept;

mod damage;
pub(crate) mod hex;
mod text;

pub use chains::ChainLink;
pub use changes::{Change, ChangeKind, DRAIN, ProgramChanges};
pub use chunk::{Chunk, Section};
pub use commit::{Collected, collect, propose};
pub use contents::each_row;
pub use damage::{CorruptObject, Damage};
pub use epoch::Epoch;
pub use facts::{
    ChangeOf, ExchangeFacts, Identity, IdentityMismatch, Older, SinkFacts, SourceFacts, TableFacts,
    TypeFacts,
};
pub use history::{Past, history};
pub use imprint::{Imprint, Watched};
pub use load::{EndGone, LoadReceiver, LoadSender, load, load_bytes, load_channel};
pub use manifest::{
    Delivered, Manifest, PartEntry, PositionUnit, SourcePosition, StreamPosition, Transaction,
};
pub use output::{Marks, check_output, first_id, open_output, unreadable};
pub use part::{PartHeader, PartReader, PartSeal, PartWriter};
pub use partition_set::{NoPartitions, PARTITIONS_MAX, PartitionSet, partition_of};
pub use recover::{Accept, Recovered, each_chunk_of, preview, recover, roll_back};
pub use renumbering::Renumbering;
pub use repeat::Repeat;
