//! What becomes of `--skip`: printed once for each, so that no flag stays without a word.

use potoroo_sdk::host::SourceId;
use potoroo_sdk::plan::Plan;

use super::config::{Config, Skip};
use super::console;
use crate::checkpoint::Identity;
use crate::connect::promise::Replayable;
use crate::flow::{Fate, Skips, replayed_origin};

/// The positions that are to be skipped, and what was printed of them.
pub(super) struct SkipNotes {
    flags: Vec<Skip>,
    /// By flag: what to say of an event that a generator makes.
    made: Vec<&'static str>,
    skips: Skips,
    printed: Vec<Fate>,
}

impl SkipNotes {
    /// # Panics
    /// The configuration is not complete: a source is unknown.
    pub(super) fn new(plan: &Plan, config: &Config, stored: Option<&Identity>) -> Self {
        let flags = config.skip.clone();
        let skip = |flag: &Skip| {
            let named = plan.sources.iter().position(|source| source.name == flag.source);
            let at = named.expect("a complete configuration");
            let origin = stored.map_or(at as u16, |facts| facts.origin(at));
            let connection = flag.stream.unwrap_or_else(|| replayed_origin(origin));
            (SourceId(at as u8), connection, flag.position)
        };
        let skips = Skips::new(flags.iter().map(skip));
        let printed = skips.fates();
        let made = |flag: &Skip| match config.sources.get(&flag.source) {
            Some(address) if address.connector().replay() == Replayable::Events => UNLESS_IT_PANICS,
            _ => "",
        };
        let made = flags.iter().map(made).collect();
        Self { flags, made, skips, printed }
    }

    /// What the cores look for.
    pub(super) fn skips(&self) -> &Skips {
        &self.skips
    }

    /// Prints what has changed.
    pub(super) fn print(&mut self) {
        if self.flags.is_empty() {
            return;
        }
        let fates = self.skips.fates();
        let flags = self.flags.iter().zip(&self.made);
        for ((flag, made), (fate, printed)) in flags.zip(fates.iter().zip(&self.printed)) {
            match fate {
                fate if fate == printed => {}
                Fate::Met => console::note(format_args!(
                    "--skip {flag}: that event is a dead letter; leave the flag out of the next \
                     start{made}"
                )),
                Fate::Passed => tracing::warn!(
                    "--skip {flag} has no effect: its source goes on after that position, or no \
                     event begins there; leave the flag out{made}"
                ),
                Fate::Waiting => {}
            }
        }
        self.printed = fates;
    }

    /// Prints at the end what was never met.
    pub(super) fn print_rest(&mut self) {
        self.print();
        let rest = self.flags.iter().zip(&self.printed).filter(|(_, fate)| **fate == Fate::Waiting);
        for (flag, _) in rest {
            tracing::warn!(
                "--skip {flag} had no effect: no event at that position was read in this run"
            );
        }
    }
}

/// A generator makes events from before a checkpoint again, to no effect.
const UNLESS_IT_PANICS: &str = ", unless the generator itself panics on it: then keep the flag, \
                                since events before a checkpoint are generated again";
