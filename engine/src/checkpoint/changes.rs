//! Changes: what of a checkpoint is left in a program that is not quite the one that wrote it.
//!
//! ```text
//!   manifest ─┐                     ┌─ what is kept, added, migrated, dropped or missing, by name
//!             ├─► ProgramChanges ───┤
//!   program ──┘                     └─ Renumbering: the present numbers of what is kept
//! ```
//!
//! Tables, sources and sinks are known by name. An exchange (`key_by`) has no name. One of the
//! checkpoint *fits* one of the program if events and keys have the same shapes, one source at
//! least reaches both, the stage in the program updates all tables that the stored one updated, and
//! events get from it to all tables and sinks to which they got before, past other exchanges too.
//! Sinks that the operator drops do not count. Operators before it, its level, and what happens
//! after it besides may differ. One that the program has named fits none of another name. They are
//! paired so:
//!
//! 1. Those that agree in name, shapes, sources, tables and sinks are *alike*. If the checkpoint
//!    has as many alike ones as the program, with the same labels, they are paired in the order of
//!    description: programs must name them, or not swap or replace them. Else none is paired.
//! 2. Of the others, two are paired if they fit each other and neither fits any other.
//!
//! What is not paired is lost only if frames were under way to it, and then the start is refused.
//! What a key function does is in no shape: each frame is checked when it is restored.
//!
//! Reads only, and decides nothing about a start: `control` does.

use std::fmt;

use super::facts::{
    ChangeOf, ExchangeFacts, Identity, SinkFacts, SourceFacts, TableFacts, TypeFacts,
};
use super::manifest::Manifest;
use super::renumbering::Renumbering;

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is there as before.
    Kept,
    /// It is new.
    Added,
    /// A table whose states are converted from this type.
    Migrated(TypeFacts),
    /// It is not in the program any more, and the operator dropped it.
    Dropped,
    /// It is not in the program any more.
    Missing,
    /// It cannot be used: this differs.
    Differs(String),
}

/// A part of an application, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What it is.
    pub of: ChangeOf,
    /// Its name.
    pub name: String,
    /// What became of it.
    pub kind: ChangeKind,
    /// For messages: what is lost with it, if it is known.
    pub lost: String,
}

/// All that differs between a checkpoint and a program, and what is the same.
#[derive(Clone, Debug)]
pub struct ProgramChanges {
    /// Part by part: what was stored, in its order, then what is new.
    pub list: Vec<Change>,
    /// The present numbers of what was stored.
    pub renumbering: Renumbering,
    /// Why the program cannot use the checkpoint, besides what the list has.
    pub mistakes: Vec<String>,
    /// What is dropped, now or at an earlier start. A table, a source and a sink may share a name.
    pub dropped: Vec<(ChangeOf, String)>,
    /// The checkpoint does not say what its numbers meant, and they may have changed.
    pub unnumbered: bool,
}

impl ProgramChanges {
    /// What the program `now` makes of `manifest`, where the operator drops the names in `drop`.
    pub fn between(manifest: &Manifest, now: &Identity, drop: &[String]) -> Self {
        let (stored, unnumbered) = manifest.named(now);
        let exchanges = pair(&without_dropped(&stored, now, drop), &now.exchanges);
        let renumbering = Renumbering::between(&stored, now, &exchanges, !unnumbered);
        let (list, dropped) = (Vec::new(), stored.dropped.clone());
        let mut changes = Self { list, renumbering, mistakes: Vec::new(), dropped, unnumbered };
        if now.application != stored.application {
            let text = format!("it belongs to application `{}`", stored.application);
            changes.mistakes.push(text);
            return changes;
        }
        if now.partitions != stored.partitions {
            let (was, is) = (stored.partitions, now.partitions);
            let text = format!("partitions were {was} and are {is}: give --partitions {was}");
            changes.mistakes.push(text);
        }
        changes.list_all(&stored, now, &exchanges);
        changes.drop(drop, now);
        changes
    }

    fn list_all(&mut self, stored: &Identity, now: &Identity, exchanges: &[Option<usize>]) {
        let tables = (&stored.tables[..], &now.tables[..]);
        self.compare(ChangeOf::Table, tables, |table| &table.name, TableFacts::kind);
        let sources = (&stored.sources[..], &now.sources[..]);
        self.compare(ChangeOf::Source, sources, |source: &SourceFacts| &source.name, kept);
        let named = |facts: &Identity| -> Vec<SinkFacts> {
            facts.sinks.iter().filter(|sink| !sink.reply).cloned().collect()
        };
        let sinks = (&named(stored)[..], &named(now)[..]);
        self.compare(ChangeOf::Sink, sinks, |sink| &sink.name, kept);
        if self.unnumbered {
            return;
        }
        for (was, is) in stored.exchanges.iter().zip(exchanges) {
            let kind = if is.is_some() { ChangeKind::Kept } else { ChangeKind::Missing };
            self.note(ChangeOf::Exchange, &was.label, kind);
        }
        let is_new = |at: usize| !exchanges.contains(&Some(at));
        let new = now.exchanges.iter().enumerate().filter(|(at, _)| is_new(*at));
        new.for_each(|(_, is)| self.note(ChangeOf::Exchange, &is.label, ChangeKind::Added));
    }

    fn compare<T>(
        &mut self,
        of: ChangeOf,
        (stored, now): (&[T], &[T]),
        name: impl Fn(&T) -> &String,
        kind: impl Fn(&T, &T) -> ChangeKind,
    ) {
        for was in stored {
            let is = now.iter().find(|is| name(is) == name(was));
            self.note(of, name(was), is.map_or(ChangeKind::Missing, |is| kind(is, was)));
        }
        let is_new = |is: &&T| !stored.iter().any(|was| name(was) == name(is));
        now.iter().filter(is_new).for_each(|is| self.note(of, name(is), ChangeKind::Added));
    }

    fn note(&mut self, of: ChangeOf, name: &str, kind: ChangeKind) {
        self.list.push(Change { of, name: name.to_owned(), kind, lost: String::new() });
    }

    /// Drops what the operator names, if the program does not have it.
    fn drop(&mut self, names: &[String], now: &Identity) {
        for name in names {
            // A process that is started again has the same flags.
            let before = |(of, was): &(ChangeOf, String)| was == name && !now.has(*of, name);
            let mut found = self.dropped.iter().any(before);
            let of_name = |one: &&mut Change| one.can_be_dropped() && one.name == *name;
            for one in self.list.iter_mut().filter(of_name) {
                one.kind = ChangeKind::Dropped;
                self.dropped.push((one.of, name.clone()));
                found = true;
            }
            if !found {
                self.mistakes.push(self.nothing_to_drop(name));
            }
        }
        self.dropped.retain(|(of, name)| !now.has(*of, name));
        self.dropped.sort_unstable();
        self.dropped.dedup();
    }

    fn nothing_to_drop(&self, name: &str) -> String {
        if let Some(one) = self.list.iter().find(|one| one.name == name && !one.is_missing()) {
            return format!("--drop {name}: the program has this {}: leave the flag out", one.of);
        }
        let missing = self.list.iter().filter(|one| one.can_be_dropped());
        let missing: Vec<String> = missing.map(|one| format!("{one}")).collect();
        let missing = if missing.is_empty() { "nothing".to_owned() } else { missing.join(", ") };
        format!(
            "--drop {name}: nothing of this name is in the checkpoint; in it, and not in the \
             program: {missing}"
        )
    }

    /// Has the facts `now` of the program keep of `manifest` what lasts beyond one program.
    /// `newest` is the writer of the newest checkpoint, if an older one was gone back to.
    pub fn keep(&self, manifest: &Manifest, newest: Option<&Identity>, now: &mut Identity) {
        now.dropped.clone_from(&self.dropped);
        let (stored, unnumbered) = manifest.named(now);
        now.keep_origins(&stored, unnumbered, newest);
    }

    /// Whether each number of the checkpoint stands for something in the program.
    pub fn keeps_all_numbers(&self) -> bool {
        !self.unnumbered && self.list.iter().all(|one| !one.is_missing() && !one.is_dropped())
    }
}

impl Change {
    /// Whether the program does not have it, and the operator has not dropped it.
    pub fn is_missing(&self) -> bool {
        self.kind == ChangeKind::Missing
    }

    /// Whether the operator has dropped it.
    pub fn is_dropped(&self) -> bool {
        self.kind == ChangeKind::Dropped
    }

    /// Whether a name is all that is needed to drop it.
    pub fn can_be_dropped(&self) -> bool {
        self.of != ChangeOf::Exchange && (self.is_missing() || self.is_dropped())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.of, self.name)
    }
}

impl fmt::Display for ChangeOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Table => "table",
            Self::Source => "source",
            Self::Sink => "sink",
            Self::Exchange => "key_by",
        })
    }
}

/// A name says everything: bytes are decoded and encoded by the present codec.
fn kept<T>(_: &T, _: &T) -> ChangeKind {
    ChangeKind::Kept
}

impl TableFacts {
    fn kind(&self, stored: &Self) -> ChangeKind {
        let differ = |what: &str, was: &TypeFacts, is: &TypeFacts, remedy: &str| {
            ChangeKind::Differs(format!("its {what} was {was} and is {is}{remedy}"))
        };
        if self.key.shape != stored.key.shape {
            return differ("key", &stored.key, &self.key, NEW_KEY);
        }
        match (&stored.windows, &self.windows) {
            _ if self.state.shape == stored.state.shape => ChangeKind::Kept,
            _ if self.older.0.contains(&stored.state.shape) => {
                ChangeKind::Migrated(stored.state.clone())
            }
            (Some(was), Some(is)) if was != is => {
                ChangeKind::Differs(format!("its windows were {was} and are {is}{NEW_WINDOWS}"))
            }
            _ => differ("state", &stored.state, &self.state, MIGRATE),
        }
    }
}

/// What to do about frames that have no place.
pub const DRAIN: &str = "start the program as it was once more, stop it with SIGTERM, which \
                         delivers what is under way, then start this one";

const MIGRATE: &str = "; `Table::migrating` converts it";
const NEW_KEY: &str = "; give the table another name, and --drop the old one";
const NEW_WINDOWS: &str = "; give them another name, and --drop the old ones";

impl Identity {
    fn has(&self, of: ChangeOf, name: &str) -> bool {
        match of {
            ChangeOf::Table => self.tables.iter().any(|table| table.name == name),
            ChangeOf::Source => self.sources.iter().any(|source| source.name == name),
            ChangeOf::Sink => self.sinks.iter().any(|sink| !sink.reply && sink.name == name),
            ChangeOf::Exchange => self.exchanges.iter().any(|exchange| exchange.label == name),
        }
    }
}

impl ExchangeFacts {
    /// The name that the program gave it: a label ends with it.
    fn name(&self) -> Option<&str> {
        let (_, word) = self.label.rsplit_once(" → ")?;
        word.strip_prefix("key_by `")
    }

    fn is_alike(&self, other: &Self) -> bool {
        self.name() == other.name()
            && self.has_shapes_of(other)
            && self.sources == other.sources
            && self.tables == other.tables
            && self.reached_tables == other.reached_tables
            && self.reached_sinks == other.reached_sinks
    }

    fn has_shapes_of(&self, other: &Self) -> bool {
        self.event.shape == other.event.shape && self.key.shape == other.key.shape
    }

    /// Whether frames of `stored` may go on here.
    fn fits(&self, stored: &Self) -> bool {
        let has_all = |was: &[String], is: &[String]| was.iter().all(|name| is.contains(name));
        let names = self.name().zip(stored.name());
        names.is_none_or(|(is, was)| is == was)
            && self.has_shapes_of(stored)
            && self.sources.iter().any(|source| stored.sources.contains(source))
            && has_all(&stored.tables, &self.tables)
            && has_all(&stored.reached_tables, &self.reached_tables)
            && has_all(&stored.reached_sinks, &self.reached_sinks)
    }
}

/// The exchanges of `stored`, as if their events had not reached the sinks that are dropped.
fn without_dropped(stored: &Identity, now: &Identity, drop: &[String]) -> Vec<ExchangeFacts> {
    let mut exchanges = stored.exchanges.clone();
    for exchange in &mut exchanges {
        exchange.reached_sinks.retain(|name| !drop.contains(name) || now.has(ChangeOf::Sink, name));
    }
    exchanges
}

/// By stored exchange: the one of the program that it is.
fn pair(stored: &[ExchangeFacts], now: &[ExchangeFacts]) -> Vec<Option<usize>> {
    let alike = |list: &[ExchangeFacts], to: &ExchangeFacts| -> Vec<usize> {
        (0..list.len()).filter(|at| list[*at].is_alike(to)).collect()
    };
    let labels = |list: &[ExchangeFacts], alike: &[usize]| -> Vec<String> {
        alike.iter().map(|at| list[*at].label.clone()).collect()
    };
    let exact = |(at, was): (usize, &ExchangeFacts)| {
        let (before, after) = (alike(stored, was), alike(now, was));
        let place = before.iter().position(|other| *other == at).expect("each is like itself");
        let same = match (before.len(), after.len()) {
            (1, 1) => true,
            _ => labels(stored, &before) == labels(now, &after),
        };
        same.then(|| after[place])
    };
    let exact: Vec<Option<usize>> = stored.iter().enumerate().map(exact).collect();
    // Those of which there are more or fewer than before are none of the others either.
    let before: Vec<usize> =
        (0..stored.len()).filter(|at| alike(now, &stored[*at]).is_empty()).collect();
    let after: Vec<usize> =
        (0..now.len()).filter(|at| alike(stored, &now[*at]).is_empty()).collect();
    let only = |mut list: Vec<usize>| if list.len() == 1 { list.pop() } else { None };
    let other = |was: usize| {
        let fits = |is: &usize| now[*is].fits(&stored[was]);
        let is = only(after.iter().copied().filter(fits).collect())?;
        let back = |was: &usize| now[is].fits(&stored[*was]);
        only(before.iter().copied().filter(back).collect()).map(|_| is)
    };
    let paired = |at: usize| if before.contains(&at) { other(at) } else { exact[at] };
    (0..stored.len()).map(paired).collect()
}

#[cfg(test)]
mod tests;
