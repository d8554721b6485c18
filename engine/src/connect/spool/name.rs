//! The names of spools: `.FILE.GENERATION-NUMBER.spool`.

use std::fmt;

const SPOOL: &str = ".spool";

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
        let (file, numbers) = name.strip_prefix('.')?.strip_suffix(SPOOL)?.rsplit_once('.')?;
        let (generation, number) = numbers.split_once('-')?;
        let (generation, number) = (generation.parse().ok()?, number.parse().ok()?);
        let parsed = Self { file, generation, number };
        let canonical = !file.is_empty() && !file.contains('/') && parsed.to_string() == name;
        canonical.then_some(parsed)
    }
}

impl fmt::Display for SpoolName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, generation, number } = self;
        write!(f, ".{file}.{generation}-{number}{SPOOL}")
    }
}

/// The name of a spool without its folder.
pub fn name_of(spool: &str) -> &str {
    spool.rsplit_once('/').map_or(spool, |(_, name)| name)
}

/// The id of the transaction in a spool of the state folder with this random number: greater than
/// those of all that were prepared in it before, in this run and in earlier ones.
pub fn transaction_id(folder: u64, spool: &str) -> Option<u128> {
    let SpoolName { generation, number, .. } = SpoolName::parse(name_of(spool))?;
    let (generation, number) = (u32::try_from(generation).ok()?, u32::try_from(number).ok()?);
    Some(first_id(folder, generation.into()) | u128::from(number))
}

/// The ids of this `generation` are from here on.
pub fn first_id(folder: u64, generation: u64) -> u128 {
    u128::from(folder) << 64 | u128::from(generation) << 32
}
