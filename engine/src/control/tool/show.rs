//! `potoroo checkpoint show`.

use std::fmt::Write;

use serde::Serialize;

use super::age::{age, now};
use super::answer::{Error, PlaceArgs, ToolExit, answer, to_json};
use super::stored::StoredCheckpoints;
use crate::checkpoint::{Epoch, ExchangeFacts, Manifest, PartEntry};
use crate::control::report::thousands;

/// Shows what the checkpoint of `epoch`, or the last one, is made of.
pub fn run(epoch: Option<Epoch>, state: &PlaceArgs) -> Result<ToolExit, Error> {
    let mut stored = StoredCheckpoints::open(state)?;
    let past = stored.one(epoch)?;
    let head = stored.is_head(&past.name);
    let (name, exit) =
        (past.name, if past.manifest.is_ok() { ToolExit::Whole } else { ToolExit::Damaged });
    if state.json {
        let content = past.manifest.map(|manifest| Content::Manifest(Box::new(manifest)));
        let content = content.unwrap_or_else(|error| Content::Error(error.to_string()));
        return answer(to_json(&Shown { name: &name, head, content }), exit);
    }
    match past.manifest {
        Ok(manifest) => answer(as_text(&name, head, &manifest), exit),
        Err(error) => answer(error, exit),
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    head: bool,
    #[serde(flatten)]
    content: Content,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Content {
    Manifest(Box<Manifest>),
    Error(String),
}

fn as_text(name: &str, head: bool, manifest: &Manifest) -> String {
    let mut text = String::new();
    write_all(&mut text, name, head, manifest).expect("text grows");
    text
}

fn write_all(text: &mut String, name: &str, head: bool, manifest: &Manifest) -> std::fmt::Result {
    let Manifest { facts, generation, epoch, unix_seconds, previous, .. } = manifest;
    let head = if head { ", HEAD" } else { "" };
    writeln!(text, "epoch {epoch}, generation {generation}{head}: {name}")?;
    writeln!(text, "made {}", age(*unix_seconds, now()))?;
    writeln!(text, "after {}", previous.as_deref().unwrap_or("nothing"))?;
    writeln!(
        text,
        "application {}, fingerprint {:016x}, {} partitions",
        facts.application, facts.fingerprint, facts.partitions
    )?;
    for table in &facts.tables {
        writeln!(text, "table {}: {} → {}", table.name, table.key, table.state)?;
    }
    for ExchangeFacts { label, event, key, tables, .. } in &facts.exchanges {
        let tables = if tables.is_empty() { "no table".to_owned() } else { tables.join(", ") };
        writeln!(text, "{label}: events {event}, keys {key}, updates {tables}")?;
    }
    if !facts.dropped.is_empty() {
        let dropped = facts.dropped.iter().map(|(of, name)| format!("{of} `{name}`"));
        writeln!(text, "dropped: {}", dropped.collect::<Vec<_>>().join(", "))?;
    }
    for source in &manifest.sources {
        writeln!(text, "source {} goes on at {}", source.name, thousands(source.position))?;
    }
    manifest.parts.iter().try_for_each(|part| write_part(text, part))?;
    for transaction in &manifest.transactions {
        writeln!(
            text,
            "sink {}: {} bytes at {} prepared in epoch {}: {}",
            transaction.sink,
            thousands(transaction.bytes),
            thousands(transaction.offset),
            transaction.epoch,
            transaction.object
        )?;
    }
    text.truncate(text.trim_end().len());
    Ok(())
}

fn write_part(text: &mut String, part: &PartEntry) -> std::fmt::Result {
    let PartEntry { name, core, epoch, since, covers, whole, .. } = part;
    write!(text, "core {core}: epoch {epoch} ")?;
    match since.is_none() {
        true => write!(text, "full, ")?,
        false => write!(text, "since {since}, ")?,
    }
    match covers {
        Some(covers) if covers.is_empty() => write!(text, "no partitions, ")?,
        Some(covers) => write!(text, "partitions {covers}, ")?,
        None => {}
    }
    if !whole.is_empty() {
        write!(text, "all rows of {whole}, ")?;
    }
    writeln!(text, "{} rows, {} bytes: {name}", thousands(part.rows), thousands(part.bytes))
}
