//! The names of spools: `.FILE.GENERATION-NUMBER.spool`; and of what is left of the last one that a
//! client has: `.FILE.GENERATION-NUMBER.taken`.

use std::fmt;

const SPOOL: &str = ".spool";

/// As long as the other one: renaming needs no room in a folder on a full disk.
const TAKEN: &str = ".taken";

/// The parts of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpoolName<'a> {
    /// Name of the file for which the output waits.
    pub file: &'a str,
    /// Generation of the coordinator under which it was made.
    pub generation: u64,
    /// Its number among the spools of that generation; from 1.
    pub number: u64,
}

impl<'a> SpoolName<'a> {
    /// Takes the name of a spool apart; `None` if no spool has this name. Names are accepted in the
    /// canonical spelling only, and never with a folder.
    pub fn parse(name: &'a str) -> Option<Self> {
        Self::parse_as(name, SPOOL)
    }

    /// The same for what is left of a spool that a client has.
    pub fn parse_taken(name: &'a str) -> Option<Self> {
        Self::parse_as(name, TAKEN)
    }

    fn parse_as(name: &'a str, kind: &str) -> Option<Self> {
        let (file, numbers) = name.strip_prefix('.')?.strip_suffix(kind)?.rsplit_once('.')?;
        let (generation, number) = numbers.split_once('-')?;
        let (generation, number) = (generation.parse().ok()?, number.parse().ok()?);
        let parsed = Self { file, generation, number };
        let canonical = !file.is_empty() && !file.contains('/') && parsed.spelt(kind) == name;
        canonical.then_some(parsed)
    }

    fn spelt(&self, kind: &str) -> String {
        let Self { file, generation, number } = self;
        format!(".{file}.{generation}-{number}{kind}")
    }

    /// Whether this one was made after `other`.
    pub fn is_after(&self, other: &Self) -> bool {
        (self.generation, self.number) > (other.generation, other.number)
    }

    /// What is left of this spool when a client has it.
    pub fn taken(&self) -> String {
        self.spelt(TAKEN)
    }

    /// The id of its transaction, in the state folder with this random number; `None` beyond what
    /// fits.
    pub fn id(&self, folder: u64) -> Option<u128> {
        let generation = u32::try_from(self.generation).ok()?;
        let number = u32::try_from(self.number).ok()?;
        Some(first_id(folder, generation.into()) | u128::from(number))
    }
}

impl fmt::Display for SpoolName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.spelt(SPOOL))
    }
}

/// The name of a spool without its folder.
pub fn name_of(spool: &str) -> &str {
    spool.rsplit_once('/').map_or(spool, |(_, name)| name)
}

/// The id of the transaction in a spool of the state folder with this random number: greater than
/// those of all that were prepared in it before, in this run and in earlier ones.
pub fn transaction_id(folder: u64, spool: &str) -> Option<u128> {
    SpoolName::parse(name_of(spool))?.id(folder)
}

/// The ids of this `generation` are from here on.
pub fn first_id(folder: u64, generation: u64) -> u128 {
    u128::from(folder) << 64 | u128::from(generation) << 32
}
