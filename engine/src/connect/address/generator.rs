//! The address of a generator.

use std::fmt;
use std::num::NonZeroU64;

/// Events per second of a generator whose address names no rate: quick enough to be worth
/// watching, slow enough for a laptop that does something else at the same time.
pub const RATE_DEFAULT: NonZeroU64 = NonZeroU64::new(100_000).unwrap();
/// Seed of a generator whose address names none: two runs then make the same events.
pub const SEED_DEFAULT: u64 = 1;

/// A generator and its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratorAddress {
    /// Name under which the application registered it.
    pub name: String,
    /// Events per second, open loop; `None`: as fast as possible.
    pub rate: Option<NonZeroU64>,
    /// Seed: the same seed makes the same events.
    pub seed: u64,
    /// Most events to make; `None`: no limit.
    pub count: Option<u64>,
}

impl GeneratorAddress {
    /// The generator `name` with every parameter at its default.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), rate: Some(RATE_DEFAULT), seed: SEED_DEFAULT, count: None }
    }
}

impl fmt::Display for GeneratorAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gen:{}?rate=", self.name)?;
        match self.rate {
            Some(rate) => write!(f, "{rate}")?,
            None => f.write_str("max")?,
        }
        write!(f, "&seed={}", self.seed)?;
        self.count.map_or(Ok(()), |count| write!(f, "&count={count}"))
    }
}
