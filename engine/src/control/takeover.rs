//! Whether a program may go on from a checkpoint, and what it would take along.
//!
//! Promises: what is not in the program any more is lost on the operator's word only, and the
//! message has how much it is. Frames under way that have no place in the program are never
//! dropped. Reads only.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use potoroo_sdk::host::{ExchangeId, SinkId, TableId};
use potoroo_sdk::plan::Plan;
use potoroo_sdk::table::Record;

use super::config::Config;
use super::edge_checks::EdgeChecks;
use super::error;
use super::report::thousands;
use crate::checkpoint;
use crate::checkpoint::recover::{Accept, Error};
use crate::checkpoint::store::{self, Head, Location, StoreReader};
use crate::checkpoint::{
    Change, ChangeKind, ChangeOf, CorruptObject, DRAIN, Damage, Epoch, Identity, Manifest, Marks,
    PartEntry, ProgramChanges, Section, Transaction, each_chunk_of, each_row,
};
use crate::connect::spools;
use crate::flow::{FrameEdge, Header, split_stored};

/// A program that would go on from what lies in a store.
pub(super) struct Takeover<'a> {
    plan: &'a Plan,
    facts: &'a Identity,
    /// Frames are looked at in any case: nothing is started, so none is looked at later; or an
    /// older checkpoint is gone back to, and when that is refused later, the way forward is lost.
    looks_at_frames: bool,
    /// Names that the operator drops.
    drop: &'a [String],
    view: &'a dyn StoreReader,
    /// The state folder; empty where there is none.
    folder: &'a Path,
    /// Nothing if none is opened.
    edges: Option<&'a EdgeChecks<'a>>,
    /// Whether HEAD may be swapped; always if there is none.
    gate: Option<HeadGate<'a>>,
    /// What was found, with generation and epoch of the checkpoint: it may have read all of it.
    found: RefCell<Option<(u64, Epoch, Findings)>>,
}

/// Whether HEAD may be swapped from what it is.
pub(super) type HeadGate<'a> = &'a dyn Fn(Option<&Head>) -> Result<(), error::Error>;

/// What the program makes of a checkpoint, and why it cannot go on from there; empty if it can.
#[derive(Clone)]
pub(super) struct Findings {
    pub(super) changes: ProgramChanges,
    pub(super) differences: Vec<String>,
}

impl Accept for Takeover<'_> {
    fn accept(&self, name: &str, manifest: &Manifest) -> Result<(), Error> {
        self.facts.check(name, self.look(manifest)?.differences)?;
        self.of_edges(|edges| edges.check(manifest))
    }

    fn leave(&self, newest: &Manifest) -> Result<(), Error> {
        self.of_edges(|edges| edges.complete(newest))
    }

    fn take_over(&self, old: Option<&Head>) -> Result<(), Error> {
        let passed = self.gate.map_or(Ok(()), |gate| gate(old));
        passed.map_err(|refused| Error::Edge(Box::new(refused)))
    }
}

/// Frames under way that would not go on.
#[derive(Default)]
struct LostFrames {
    /// How many, by where they were going or came from.
    refused: BTreeMap<String, u64>,
    /// Outputs for sinks that the program does not have, by stored number.
    outputs: BTreeMap<u16, u64>,
}

/// What a start would find: for people, and why it would be refused.
pub(super) struct Preview {
    pub(super) text: String,
    pub(super) refused: Option<String>,
}

/// What a start of the program `facts`, planned as `plan`, would find at `place`.
///
/// # Errors
/// It cannot be read, or nothing in it can be used.
pub(super) fn preview(
    plan: &Plan,
    facts: &Identity,
    config: &Config,
    place: &Location,
) -> Result<Preview, Error> {
    let found = match place.folder().is_some_and(|folder| !folder.exists()) {
        true => None,
        false => {
            let view = place.view()?;
            checkpoint::preview(&*view, config.restore)?.map(|found| (view, found))
        }
    };
    let Some((view, (name, manifest))) = found else {
        let text = "  nothing is stored: tables are empty, sources begin at their beginning\n";
        let dropped = config.drop.first().map(|name| nothing_to_drop(name));
        return Ok(Preview { text: text.to_owned(), refused: dropped });
    };
    let takeover = Takeover::new(plan, facts, config, (&*view, place));
    let Findings { changes, differences } = takeover.look(&manifest)?;
    let mut text = format!("  goes on from checkpoint {}\n", manifest.epoch);
    for one in &changes.list {
        text += &format!("  {}\n", line(one));
    }
    let refused = facts.check(&name, differences).err().map(|refused| refused.to_string());
    Ok(Preview { text, refused })
}

/// Why a name cannot be dropped where nothing is stored.
pub(super) fn nothing_to_drop(name: &str) -> String {
    format!("--drop {name}: nothing is stored: leave the flag out")
}

/// What became of a part of the program, in one line.
pub(super) fn line(one: &Change) -> String {
    match &one.kind {
        ChangeKind::Kept => format!("{one}: kept"),
        ChangeKind::Added => format!("{one}: added"),
        ChangeKind::Migrated(was) => format!("{one}: kept, migrated from {was}"),
        ChangeKind::Dropped => format!("{one}: dropped, with {}", one.lost),
        ChangeKind::Missing if one.of == ChangeOf::Exchange => {
            format!("{one}: not in the program any more")
        }
        ChangeKind::Missing => format!("{one}: not in the program any more, with {}", one.lost),
        ChangeKind::Differs(text) => format!("{one}: refused, {text}"),
    }
}

impl<'a> Takeover<'a> {
    /// The program `facts`, planned as `plan` and started with this `config` on what is in `view`,
    /// at `place`.
    pub(super) fn new(
        plan: &'a Plan,
        facts: &'a Identity,
        config: &'a Config,
        (view, place): (&'a dyn StoreReader, &'a Location),
    ) -> Self {
        let folder = place.folder().unwrap_or(Path::new(""));
        let (drop, found) = (&config.drop[..], RefCell::new(None));
        let looks_at_frames = config.check || config.restore.is_some();
        Self { plan, facts, looks_at_frames, drop, view, folder, edges: None, gate: None, found }
    }

    /// The same, with which HEAD is swapped through `gate` only.
    pub(super) fn gated_by(self, gate: HeadGate<'a>) -> Self {
        Self { gate: Some(gate), ..self }
    }

    /// The same, which looks at edges, too.
    pub(super) fn with_edges(self, edges: Option<&'a EdgeChecks<'a>>) -> Self {
        Self { edges, ..self }
    }

    /// The same, which reads all parts and refuses frames with other keys or events before.
    pub(super) fn with_frames(&self) -> Self {
        Self { looks_at_frames: true, found: RefCell::new(None), ..*self }
    }

    fn of_edges(
        &self,
        look: impl FnOnce(&EdgeChecks<'_>) -> Result<(), error::Error>,
    ) -> Result<(), Error> {
        self.edges.map_or(Ok(()), look).map_err(|refused| Error::Edge(Box::new(refused)))
    }

    /// What the program makes of `manifest`.
    ///
    /// # Errors
    /// The storage cannot be read, or is damaged.
    pub(super) fn look(&self, manifest: &Manifest) -> Result<Findings, store::Error> {
        let (generation, epoch) = (manifest.generation, manifest.epoch);
        match &*self.found.borrow() {
            Some((of, at, found)) if (*of, *at) == (generation, epoch) => return Ok(found.clone()),
            _ => {}
        }
        let mut changes = ProgramChanges::between(manifest, self.facts, self.drop);
        let frames = self.lost_frames(manifest, &changes)?;
        for one in changes.list.iter_mut().filter(|one| one.can_be_dropped()) {
            one.lost = self.lost(manifest, one, &frames)?;
        }
        let mut differences = changes.differences();
        let line = |(place, count)| format!("{count} events were under way {place}: {DRAIN}");
        differences.extend(frames.refused.into_iter().map(line));
        let found = Findings { changes, differences };
        *self.found.borrow_mut() = Some((generation, epoch, found.clone()));
        Ok(found)
    }

    fn lost(
        &self,
        manifest: &Manifest,
        one: &Change,
        frames: &LostFrames,
    ) -> Result<String, store::Error> {
        Ok(match one.of {
            ChangeOf::Table => {
                format!("{} rows", thousands(count_rows(self.view, manifest, &one.name)?))
            }
            ChangeOf::Source => positions(manifest, &one.name),
            ChangeOf::Sink => {
                let bytes = thousands(self.waiting(manifest, &one.name)?);
                let waiting = format!("{bytes} bytes of committed output that wait for it");
                match frames.outputs_for(manifest, &one.name) {
                    0 => waiting,
                    count => format!("{waiting} and {} outputs under way", thousands(count)),
                }
            }
            ChangeOf::Exchange => String::new(),
        })
    }

    /// Bytes of output that the sink has not got.
    fn waiting(&self, manifest: &Manifest, sink: &str) -> Result<u64, store::Error> {
        let marks = Marks::read(self.view)?;
        let of_sink = manifest.transactions.iter().filter(|one| one.sink == sink);
        let waits = |one: &&Transaction| match one.name() {
            Some(_) => !marks.has(one),
            None => spools::waits(one, self.folder),
        };
        Ok(of_sink.filter(waits).map(|one| one.bytes).sum())
    }

    /// The frames under way that the program refuses or loses. A start of a program with the same
    /// structure does not read the parts one time more: frames with other keys than before are
    /// refused when they are restored. HEAD has another generation then, and nothing else of it has
    /// changed: the program before goes on.
    fn lost_frames(
        &self,
        manifest: &Manifest,
        changes: &ProgramChanges,
    ) -> Result<LostFrames, store::Error> {
        let mut frames = LostFrames::default();
        let stored = &manifest.facts;
        let same = changes.keeps_all_numbers() && stored.fingerprint == self.facts.fingerprint;
        if stored.application != self.facts.application || (same && !self.looks_at_frames) {
            return Ok(frames);
        }
        for part in manifest.parts.iter().filter(|part| part.epoch == manifest.epoch) {
            each_chunk_of::<store::Error>(self.view, manifest, part, |chunk| {
                if !matches!(chunk.section, Section::Lanes(_) | Section::Outboxes(_)) {
                    return Ok(());
                }
                let mut rest = chunk.bytes.as_slice();
                while !rest.is_empty() {
                    let (frame, left) = split_stored(rest).ok_or_else(|| no_frame(part))?;
                    let (header, body) = Header::try_read(frame).ok_or_else(|| no_frame(part))?;
                    let lost = lost_place(manifest, changes, &header);
                    if let Some(place) = lost.or_else(|| self.other_keys(changes, &header, body)) {
                        *frames.refused.entry(place).or_default() += 1;
                    } else if let FrameEdge::Output(id) = header.edge
                        && changes.renumbering.sink(SinkId(id)) == Some(None)
                    {
                        *frames.outputs.entry(id).or_default() += 1;
                    }
                    rest = left;
                }
                Ok(())
            })?;
        }
        Ok(frames)
    }

    /// Where a frame was going, if the program gives it another key.
    fn other_keys(&self, changes: &ProgramChanges, header: &Header, body: &[u8]) -> Option<String> {
        let FrameEdge::Exchange(id) = header.edge else { return None };
        let ExchangeId(now) = changes.renumbering.exchange(ExchangeId(id))?;
        let exchange = &self.plan.exchanges[usize::from(now)];
        let fits = exchange.stage.hash(body) == Ok(header.hash);
        (!fits).then(|| format!("to `{}`, which has other keys or events now", exchange.label))
    }
}

/// Number of rows of a table that was stored.
pub(super) fn count_rows(
    view: &dyn StoreReader,
    manifest: &Manifest,
    table: &str,
) -> Result<u64, store::Error> {
    let at = manifest.facts.tables.iter().position(|was| was.name == table);
    let id = TableId(at.expect("the table was stored") as u16);
    let mut rows = 0;
    let count = |_: Record<'_>| {
        rows += 1;
        Ok::<_, store::Error>(())
    };
    each_row(view, manifest, id, |_| true, count)?;
    Ok(rows)
}

impl LostFrames {
    /// How many outputs for a sink are under way.
    fn outputs_for(&self, manifest: &Manifest, sink: &str) -> u64 {
        let sinks = &manifest.facts.sinks;
        let at = sinks.iter().position(|was| !was.reply && was.name == sink);
        at.and_then(|at| self.outputs.get(&(at as u16))).copied().unwrap_or(0)
    }
}

/// Where a frame was going, or came from, if the program does not have that. Output for a dropped
/// sink is lost with it, and replies with their connections.
fn lost_place(manifest: &Manifest, changes: &ProgramChanges, header: &Header) -> Option<String> {
    if changes.unnumbered {
        return Some(
            "when an earlier version of Potoroo stored them, without names of where they go"
                .to_owned(),
        );
    }
    let numbers = &changes.renumbering;
    let facts = &manifest.facts;
    let goes_on = match header.edge {
        FrameEdge::Exchange(id) => {
            let label = || {
                let was = facts.exchanges.get(usize::from(id));
                format!(
                    "to `{}`, which the program does not have any more, or with other types, \
                     sources, tables or sinks",
                    was.map_or("?", |was| &was.label)
                )
            };
            numbers.exchange(ExchangeId(id)).ok_or_else(label).err()
        }
        FrameEdge::Output(id) => match numbers.sink(SinkId(id)) {
            Some(Some(_)) => None,
            // The line of a sink that is missing, or what is lost with it.
            _ => return None,
        },
    };
    goes_on.or_else(|| match numbers.source(header.cause.source) {
        Some(_) => None,
        None => {
            let was = facts.sources.get(usize::from(header.cause.source.0));
            let name = was.map_or("?", |was| &was.name);
            Some(format!("from source `{name}`, which the program does not have any more"))
        }
    })
}

fn positions(manifest: &Manifest, source: &str) -> String {
    let mut positions = manifest.sources.iter().filter(|at| at.name == source);
    match (positions.next(), positions.count()) {
        (None, _) => "no position".to_owned(),
        (Some(at), 0) if at.stream.is_none() => {
            format!("its position ({} {})", thousands(at.position), at.unit)
        }
        (Some(_), more) => format!("its positions in {} streams", more + 1),
    }
}

fn no_frame(part: &PartEntry) -> store::Error {
    let damage = Damage::Other("what it has of frames is none".to_owned());
    CorruptObject { object: part.name.clone(), offset: 0, damage }.into()
}

#[cfg(test)]
mod tests;
