//! `potoroo checkpoint list`.

use std::fmt::Write;

use serde::Serialize;
use serde_json::Value;

use super::age::{age, now};
use super::answer::{Error, PlaceArgs, ToolExit, answer, to_json};
use super::stored::StoredCheckpoints;
use crate::checkpoint::{Epoch, Manifest, Past};
use crate::control::report::thousands;

/// Lists the checkpoints that are retained.
pub fn run(state: &PlaceArgs) -> Result<ToolExit, Error> {
    let stored = StoredCheckpoints::open(state)?;
    let damaged = stored.damaged_head.is_some() || stored.past.iter().any(|p| p.manifest.is_err());
    let exit = if damaged { ToolExit::Damaged } else { ToolExit::Whole };
    if state.json { answer(as_json(&stored), exit) } else { answer(as_text(&stored), exit) }
}

#[derive(Serialize)]
struct Listing<'a> {
    state: &'a str,
    head_error: Option<String>,
    checkpoints: Vec<Checkpoint>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Checkpoint {
    Whole {
        epoch: Epoch,
        generation: u64,
        head: bool,
        unix_seconds: u64,
        parts: usize,
        bytes: u64,
        rows: u64,
    },
    Damaged {
        epoch: Epoch,
        error: String,
    },
}

fn as_json(stored: &StoredCheckpoints) -> Value {
    let checkpoint = |past: &Past| match &past.manifest {
        Ok(manifest) => Checkpoint::Whole {
            epoch: past.epoch,
            generation: manifest.generation,
            head: stored.is_head(&past.name),
            unix_seconds: manifest.unix_seconds,
            parts: manifest.parts.len(),
            bytes: bytes(manifest),
            rows: rows(manifest),
        },
        Err(error) => Checkpoint::Damaged { epoch: past.epoch, error: error.to_string() },
    };
    to_json(&Listing {
        state: &stored.place,
        head_error: stored.damaged_head.as_ref().map(ToString::to_string),
        checkpoints: stored.past.iter().map(checkpoint).collect(),
    })
}

fn as_text(stored: &StoredCheckpoints) -> String {
    let mut text = String::new();
    if let Some(error) = &stored.damaged_head {
        text.push_str(&format!("{error}\n"));
    }
    if stored.past.is_empty() {
        return text + &format!("no checkpoint in {} yet", stored.place);
    }
    text.push_str("       epoch  generation  parts            bytes row versions  made");
    for past in &stored.past {
        let epoch = past.epoch;
        let written = match &past.manifest {
            Ok(manifest) => write!(
                text,
                "\n{epoch:>12} {:>11} {:>6} {:>16} {:>12}  {}{}",
                manifest.generation,
                manifest.parts.len(),
                thousands(bytes(manifest)),
                thousands(rows(manifest)),
                age(manifest.unix_seconds, now()),
                if stored.is_head(&past.name) { "  HEAD" } else { "" },
            ),
            Err(error) => write!(text, "\n{epoch:>12}  {error}"),
        };
        written.expect("text grows");
    }
    text
}

/// Of the whole chain: what recovery reads.
fn bytes(manifest: &Manifest) -> u64 {
    manifest.parts.iter().map(|part| part.bytes).sum()
}

/// Of the whole chain: a row that changed since is counted again.
fn rows(manifest: &Manifest) -> u64 {
    manifest.parts.iter().map(|part| part.rows).sum()
}
