//! Sets of CPU numbers as the kernel writes them.
//!
//! Owns both notations: lists (`0-3,8,10-11`, `2-7:1/2`) and hexadecimal masks (`ff,0000000f`).
//! Promises to refuse what is neither, with a reason. Must never guess, and never fill memory or
//! take long because a file says `0-4000000000`.

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
        let groups: Vec<&str> = text.trim().split(',').collect();
        // Without commas all digits are one group, of any length.
        let long = |group: &&str| groups.len() > 1 && group.len() > 8;
        if groups.iter().any(|group| group.is_empty() || long(group)) {
            return Err(Odd::new(text));
        }
        let mut cpus = BTreeSet::new();
        for (word, group) in groups.iter().rev().enumerate() {
            for (place, digit) in group.chars().rev().enumerate() {
                let bits = digit.to_digit(16).ok_or_else(|| Odd::new(text))?;
                let first = word * 32 + place * 4;
                cpus.extend((0..4).filter(|bit| bits >> bit & 1 == 1).map(|bit| first + bit));
            }
        }
        match cpus.last().is_some_and(|last| *last > NUMBER_MAX) {
            true => Err(Odd::new(text)),
            false => Ok(Self(cpus)),
        }
    }

    /// Reads the list of a parameter of the kernel: also `N` for the last of the `possible` CPUs,
    /// `all`, and every `used` of each `group` (`2-7:1/2`); spaces and spare commas do not matter.
    ///
    /// # Errors
    /// It is no such list, or names a CPU that is not possible: the kernel then ignores it.
    pub fn from_parameter(text: &str, possible: &Self) -> Result<Self, Odd> {
        let last = possible.last().ok_or_else(|| Odd::new(text))?;
        let parts = text.split(|letter: char| letter == ',' || letter.is_whitespace());
        let cpus = list(parts.filter(|part| !part.is_empty()), Some(last), text)?;
        match cpus.last().is_some_and(|named| named > last) {
            true => Err(Odd::new(text)),
            false => Ok(cpus),
        }
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
        list(trimmed.split(',').map(str::trim), None, text)
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

fn list<'a>(
    parts: impl Iterator<Item = &'a str>,
    last: Option<usize>,
    text: &str,
) -> Result<Cpus, Odd> {
    let mut cpus = BTreeSet::new();
    for (count, part) in parts.enumerate() {
        let region = region(part, last).filter(|_| count < NUMBER_MAX);
        cpus.extend(region.ok_or_else(|| Odd::new(text))?);
    }
    Ok(Cpus(cpus))
}

/// `5`, `2-7`, `2-7:1/2`; where the last CPU is known also `N` in place of a number, and `all`.
fn region(text: &str, last: Option<usize>) -> Option<impl Iterator<Item = usize> + use<>> {
    let number = |text: &str| if text == "N" { last } else { number(text) };
    let (range, pattern) = match text.split_once(':') {
        Some((range, pattern)) => (range, Some(pattern.split_once('/')?)),
        None => (text, None),
    };
    let (first, end) = match range.split_once('-') {
        _ if range.eq_ignore_ascii_case("all") => (0, last?),
        Some((first, end)) => (number(first)?, number(end)?),
        None if pattern.is_some() => return None,
        None => (number(range)?, number(range)?),
    };
    let (used, group) = match pattern {
        Some((used, group)) => (number(used)?, number(group)?),
        None => (1, 1),
    };
    let sound = first <= end && group > 0 && used <= group;
    sound.then(|| (first..=end).filter(move |cpu| (cpu - first) % group < used))
}

/// Digits only: `parse` would take a sign.
fn number(text: &str) -> Option<usize> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number <= NUMBER_MAX)
}

/// No kernel is built for more CPUs (`NR_CPUS` ends at 8192); a larger number is a mistake.
pub(crate) const NUMBER_MAX: usize = 8191;

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
        assert_eq!(cpus("2-7:1/2,9").to_string(), "2,4,6,9");
        assert!(cpus("(null)").is_empty());
        assert_eq!(cpus("0-3").without(&cpus("1-2")).to_string(), "0,3");
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in ["x", "1-", "-1", "+1", "3-1", "1,,2", "0-4000000000", "99999999999999999999"] {
            assert!(text.parse::<Cpus>().is_err(), "{text}");
        }
        // They are known for a host only.
        for text in ["all", "N", "2-N", "2:1/2", "2-7:1/0"] {
            assert!(text.parse::<Cpus>().is_err(), "{text}");
        }
        let long = "0-8191,".repeat(1 << 16) + "0";
        assert!(long.parse::<Cpus>().is_err());
    }

    #[test]
    fn masks_are_read_and_written() {
        let read = |text: &str| Cpus::from_mask(text).map(|cpus| cpus.to_string());
        assert_eq!(read("3\n").as_deref(), Ok("0-1"));
        assert_eq!(read("1,00000002").as_deref(), Ok("1,32"));
        assert_eq!(read("1,2").as_deref(), Ok("1,32"));
        assert_eq!(read("f00000000f").as_deref(), Ok("0-3,36-39"));
        let last = format!("80000000{}", ",00000000".repeat(255));
        assert_eq!(read(&last).as_deref(), Ok("8191"));
        assert!(read(&format!("1,{last}")).is_err());
        assert!(read("1,,2").is_err() && read("1,000000002").is_err());
        assert_eq!(cpus("1,32").mask(), "00000001,00000002");
        assert_eq!(cpus("").mask(), "00000000");
        assert!(read("").is_err());
        assert!(read("0x3").is_err());
    }
}
