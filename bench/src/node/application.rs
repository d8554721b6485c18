//! The application: a count by key over events of 64 bytes, with 64 bytes of state each. An output
//! names the process that made it, so a benchmark sees from outside who has which keys.

use std::ffi::OsString;
use std::process::{self, ExitCode};

use anyhow::{Context, Result, ensure};
use potoroo::prelude::*;
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use crate::engine::load::{Item, ItemCodec, Tally, scatter};

/// Names of generators, and the number of keys through which each goes again and again.
pub const GENERATORS: [(&str, u64); 3] =
    [("keys-10k", 10_000), ("keys-100k", 100_000), ("keys-1m", 1_000_000)];

/// Runs it as the flags say, until it ends or the process with the number `parent` does, which has
/// started it.
///
/// # Errors
/// That one has ended.
pub fn run(parent: u32, flags: &[OsString]) -> Result<ExitCode> {
    set_parent_process_death_signal(Some(Signal::KILL)).context("it would outlive its parent")?;
    let is_there = getppid().is_some_and(|it| it.as_raw_nonzero().get().unsigned_abs() == parent);
    ensure!(is_there, "the parent has ended");
    let arguments = [OsString::from("node")].into_iter().chain(flags.iter().cloned());
    Ok(potoroo::main_with(arguments, application))
}

fn application() -> Application {
    let app = Application::new("counts");
    let tallies = app.table::<u64, Tally>("tallies");
    for (name, keys) in GENERATORS {
        app.generator(name, move |_| move |number| Some(item(number, number % keys, 0)));
    }
    app.source("items", ItemCodec)
        .key_by(|item| item.key)
        .update(&tallies, |tally, item| {
            tally.update(item.value, item.intended_ns);
            let (number, count) = (item.value, tally.count);
            Made { number, index: item.rest[0], due_ns: item.intended_ns, count, process: 0 }
        })
        .sink("made", MadeCodec { process: process::id().into() });
    app
}

/// The event with this number, of the key with that index.
pub fn item(number: u64, index: u64, due_ns: u64) -> Item {
    Item { key: scatter(index), value: number, intended_ns: due_ns, rest: [index; 5] }
}

/// What comes of an event.
#[event]
pub struct Made {
    /// Its number.
    pub number: u64,
    /// Index of its key.
    pub index: u64,
    /// When it was due, on the clock of who sent it; 0 if it was not sent.
    pub due_ns: u64,
    /// Number of events of its key, this one too.
    pub count: u64,
    /// Number of the process that had its key.
    pub process: u64,
}

impl Made {
    /// Bytes of an output.
    pub const BYTES: usize = 40;

    /// Reads an output.
    pub fn read(bytes: &[u8; Self::BYTES]) -> Self {
        let word = |at: usize| {
            u64::from_le_bytes(*bytes[at..].first_chunk().expect("an output has five words"))
        };
        let [number, index, due_ns, count, process] = [0, 8, 16, 24, 32].map(word);
        Self { number, index, due_ns, count, process }
    }
}

/// MadeOutputs are encoded where they are made.
struct MadeCodec {
    process: u64,
}

impl Encode for MadeCodec {
    type Event = Made;

    fn encode(&self, made: View<'_, Made>, out: &mut Vec<u8>) {
        [made.number, made.index, made.due_ns, made.count, self.process]
            .into_iter()
            .for_each(|word| out.put_u64_le(word));
    }
}
