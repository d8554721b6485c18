//! How events follow each other at a given mean rate.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

/// How events follow each other; the mean rate is the same in each case.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Arrivals {
    /// All intervals are equal.
    #[default]
    Constant,
    /// Independent of each other: intervals are exponential, as of many unrelated senders.
    Poisson,
    /// This number at the same moment; the moments are a Poisson process.
    Bursts(NonZeroU32),
}

impl FromStr for Arrivals {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size = text.strip_prefix("bursts:").map(str::parse);
        match (text, size) {
            ("constant", _) => Ok(Self::Constant),
            ("poisson", _) => Ok(Self::Poisson),
            (_, Some(Ok(size))) => Ok(Self::Bursts(size)),
            _ => Err("say constant, poisson, or bursts:N with N events at a time".into()),
        }
    }
}

impl fmt::Display for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant => f.write_str("constant"),
            Self::Poisson => f.write_str("poisson"),
            Self::Bursts(size) => write!(f, "bursts:{size}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_read_as_they_are_written() {
        for text in ["constant", "poisson", "bursts:64"] {
            assert_eq!(text.parse::<Arrivals>().unwrap().to_string(), text);
        }
        for text in ["", "bursts", "bursts:0", "bursts:-1", "Poisson", "bursts:5000000000"] {
            assert!(text.parse::<Arrivals>().is_err(), "{text:?} was taken");
        }
    }
}
