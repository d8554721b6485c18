//! Which of many keys an event has.

use std::fmt;
use std::str::FromStr;

use rand_distr::{Distribution, Uniform, Zipf};
use rand_pcg::Pcg64;
use rand_pcg::rand_core::SeedableRng;

/// How events spread over keys.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Skew {
    /// Each key as often as any other.
    #[default]
    Uniform,
    /// The k-th most frequent key in proportion to 1 / k^s; s is from 0 to 10.
    Zipf(f64),
}

impl Skew {
    /// Ranks of keys, the most frequent one being 0; the same seed gives the same ones.
    ///
    /// # Panics
    /// When there is no key, or the exponent is out of its range.
    pub fn ranks(self, keys: u64, seed: u64) -> Ranks {
        let law = match self {
            Self::Uniform => Law::Uniform(Uniform::new(0, keys).expect("events need a key")),
            Self::Zipf(exponent) => {
                Law::Zipf(Zipf::new(keys as f64, exponent).expect("events need a key"))
            }
        };
        Ranks { law, random: Pcg64::seed_from_u64(seed) }
    }
}

impl FromStr for Skew {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let exponent = text.strip_prefix("zipf:").map(str::parse);
        match (text, exponent) {
            ("uniform", _) => Ok(Self::Uniform),
            (_, Some(Ok(exponent))) if (0.0..=10.0).contains(&exponent) => Ok(Self::Zipf(exponent)),
            _ => Err("say uniform, or zipf:S with an exponent S from 0 to 10 such as 0.99".into()),
        }
    }
}

impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uniform => f.write_str("uniform"),
            Self::Zipf(exponent) => write!(f, "zipf:{exponent}"),
        }
    }
}

/// An endless series of ranks.
#[derive(Clone, Debug)]
pub struct Ranks {
    law: Law,
    random: Pcg64,
}

impl Iterator for Ranks {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        Some(match &self.law {
            Law::Uniform(law) => law.sample(&mut self.random),
            // From 1 to the number of keys, as whole numbers.
            Law::Zipf(law) => law.sample(&mut self.random) as u64 - 1,
        })
    }
}

#[derive(Clone, Debug)]
enum Law {
    Uniform(Uniform<u64>),
    Zipf(Zipf<f64>),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(skew: Skew, keys: u64, events: usize) -> Vec<usize> {
        let mut counts = vec![0; keys as usize];
        skew.ranks(keys, 7).take(events).for_each(|rank| counts[rank as usize] += 1);
        counts
    }

    #[test]
    fn skews_are_read_as_they_are_written() {
        for text in ["uniform", "zipf:0.99", "zipf:1"] {
            assert_eq!(text.parse::<Skew>().unwrap().to_string(), text);
        }
        for text in ["", "zipf", "zipf:-1", "zipf:NaN", "zipf:inf", "zipf:11", "pareto"] {
            assert!(text.parse::<Skew>().is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn uniform_keys_are_equally_frequent() {
        let counts = counts(Skew::Uniform, 100, 100_000);
        assert!(counts.iter().all(|count| count.abs_diff(1_000) < 200), "{counts:?}");
    }

    #[test]
    fn zipf_keys_fall_with_their_rank() {
        let counts = counts(Skew::Zipf(1.0), 1_000, 1_000_000);
        for rank in [2, 4, 8, 16] {
            let ratio = counts[0] as f64 / counts[rank - 1] as f64;
            assert!((ratio / rank as f64 - 1.0).abs() < 0.05, "rank {rank}: {ratio}");
        }
        assert_eq!(counts.iter().sum::<usize>(), 1_000_000);
    }

    #[test]
    fn a_seed_gives_the_same_ranks_again_and_one_key_is_enough() {
        let ranks = |seed| Skew::Zipf(0.99).ranks(1_000_000, seed).take(100).collect::<Vec<_>>();
        assert_eq!(ranks(1), ranks(1));
        assert_ne!(ranks(1), ranks(2));
        assert!(Skew::Zipf(0.99).ranks(1, 1).take(10).all(|rank| rank == 0));
        assert!(Skew::Uniform.ranks(1, 1).take(10).all(|rank| rank == 0));
    }
}
