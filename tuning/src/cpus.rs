//! Sets of CPU numbers as the kernel writes them.
//!
//! Owns both notations: lists (`0-3,8,10-11`) and hexadecimal masks (`ff,0000000f`). Promises to
//! refuse what is neither, with a reason. Must never guess, and never fill memory because a file
//! says `0-4000000000`.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// CPU numbers, in ascending order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cpus(BTreeSet<usize>);

impl Cpus {
    /// Reads a mask such as `ff,0000000f`: groups of 32 bits, the highest first.
    ///
    /// # Errors
    /// It is no such mask.
    pub fn from_mask(text: &str) -> Result<Self, Odd> {
        let digits: String = text.trim().chars().filter(|letter| *letter != ',').collect();
        if digits.is_empty() || digits.len() > NUMBER_MAX / 4 {
            return Err(Odd::new(text));
        }
        let mut cpus = BTreeSet::new();
        for (place, digit) in digits.chars().rev().enumerate() {
            let bits = digit.to_digit(16).ok_or_else(|| Odd::new(text))?;
            cpus.extend((0..4).filter(|bit| bits >> bit & 1 == 1).map(|bit| place * 4 + bit));
        }
        Ok(Self(cpus))
    }

    /// The mask of this set, as the kernel takes it.
    pub fn mask(&self) -> String {
        let words = self.last().map_or(1, |last| last / 32 + 1);
        let bits = |word: usize| {
            let inside = self.iter().filter(|cpu| cpu / 32 == word);
            inside.fold(0_u32, |bits, cpu| bits | 1 << (cpu % 32))
        };
        let texts = (0..words).rev().map(|word| format!("{:08x}", bits(word)));
        texts.collect::<Vec<_>>().join(",")
    }

    /// From the lowest to the highest.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = usize> + '_ {
        self.0.iter().copied()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `cpu` is among them.
    pub fn contains(&self, cpu: usize) -> bool {
        self.0.contains(&cpu)
    }

    /// The lowest.
    pub fn first(&self) -> Option<usize> {
        self.0.first().copied()
    }

    /// The highest.
    pub fn last(&self) -> Option<usize> {
        self.0.last().copied()
    }

    /// Those in both.
    pub fn and(&self, other: &Self) -> Self {
        Self(&self.0 & &other.0)
    }

    /// Those in either.
    pub fn or(&self, other: &Self) -> Self {
        Self(&self.0 | &other.0)
    }

    /// Those in this set and not in the other.
    pub fn without(&self, other: &Self) -> Self {
        Self(&self.0 - &other.0)
    }
}

impl FromIterator<usize> for Cpus {
    fn from_iter<I: IntoIterator<Item = usize>>(cpus: I) -> Self {
        Self(cpus.into_iter().collect())
    }
}

impl FromStr for Cpus {
    type Err = Odd;

    /// Reads a list. Empty text, and `(null)` that older kernels write, are the empty set.
    fn from_str(text: &str) -> Result<Self, Odd> {
        let trimmed = text.trim();
        if trimmed.is_empty() || trimmed == "(null)" {
            return Ok(Self::default());
        }
        let ranges =
            trimmed.split(',').map(|part| range(part.trim()).ok_or_else(|| Odd::new(text)));
        let ranges = ranges.collect::<Result<Vec<_>, _>>()?;
        Ok(ranges.into_iter().flatten().collect())
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ranges: Vec<(usize, usize)> = Vec::new();
        for cpu in self.iter() {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == cpu => *last = cpu,
                _ => ranges.push((cpu, cpu)),
            }
        }
        for (index, (first, last)) in ranges.into_iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match first == last {
                true => write!(f, "{comma}{first}")?,
                false => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

impl serde::Serialize for Cpus {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Text that names no CPUs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no list of CPUs: write numbers and ranges such as `0-3,8`")]
pub struct Odd(String);

impl Odd {
    /// Keeps only the beginning: it may come from anywhere.
    fn new(text: &str) -> Self {
        Self(text.trim().chars().take(40).collect())
    }
}

fn range(text: &str) -> Option<std::ops::RangeInclusive<usize>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some(first..=last)
}

/// Digits only: `parse` would take a sign.
fn number(text: &str) -> Option<usize> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number <= NUMBER_MAX)
}

/// No kernel is built for more CPUs (`NR_CPUS` ends at 8192); a larger number is a mistake.
const NUMBER_MAX: usize = 8191;

#[cfg(test)]
mod tests {
    use super::*;

    fn cpus(text: &str) -> Cpus {
        text.parse().unwrap_or_else(|odd| panic!("{odd}"))
    }

    #[test]
    fn lists_are_read_and_written() {
        for text in ["", "0", "0-3,8,10-11", "1,3,5", "8191"] {
            assert_eq!(cpus(text).to_string(), text);
        }
        assert_eq!(cpus(" 3,1-2\n").to_string(), "1-3");
        assert!(cpus("(null)").is_empty());
        assert_eq!(cpus("0-3").without(&cpus("1-2")).to_string(), "0,3");
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in ["x", "1-", "-1", "+1", "3-1", "1,,2", "0-4000000000", "99999999999999999999"] {
            assert!(text.parse::<Cpus>().is_err(), "{text}");
        }
    }

    #[test]
    fn masks_are_read_and_written() {
        let read = |text| Cpus::from_mask(text).map(|cpus| cpus.to_string());
        assert_eq!(read("3\n").as_deref(), Ok("0-1"));
        assert_eq!(read("1,00000002").as_deref(), Ok("1,32"));
        assert_eq!(cpus("1,32").mask(), "00000001,00000002");
        assert_eq!(cpus("").mask(), "00000000");
        assert!(read("").is_err());
        assert!(read("0x3").is_err());
    }
}
