//! Lists of CPUs: `0,2-3,0` means CPU 0 twice, 2 and 3.

use crate::connect::registry::without_token;
use std::ops::RangeInclusive;

use rustix::thread::{CpuSet, sched_getaffinity};

use super::error::Error;

/// The CPUs that this process may use, ascending. Only CPU 0 if the kernel does not tell.
pub fn cpus_allowed() -> Vec<usize> {
    let allowed = |set: CpuSet| (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect();
    sched_getaffinity(None).map_or_else(|_| vec![0], allowed)
}

/// Parses a list of CPU numbers and ranges, in the order given, repeats kept.
///
/// # Errors
/// The list is empty, has something that is no number or range, or a number that no CPU has.
pub fn parse_cpus(text: &str) -> Result<Vec<usize>, Error> {
    let bad = || Error::CpuList { text: without_token(text) };
    let mut cpus = Vec::new();
    for item in text.split(',') {
        cpus.extend(parse_item(item.trim()).ok_or_else(bad)?);
    }
    Ok(cpus)
}

fn parse_item(item: &str) -> Option<RangeInclusive<usize>> {
    let (first, last) = item.split_once('-').unwrap_or((item, item));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last && last < CpuSet::MAX_CPU).then_some(first..=last)
}

/// CPUs as people write them: `0-2,5`, `0,0,0` as it is.
pub(super) fn print_cpus(cpus: &[usize]) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for &cpu in cpus {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => ranges.push((cpu, cpu)),
        }
    }
    let print = |(first, last): (usize, usize)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    ranges.into_iter().map(print).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_keep_order_and_repeats() {
        assert_eq!(parse_cpus("0,2-3,0").expect("a list"), [0, 2, 3, 0]);
        assert_eq!(parse_cpus(" 1 , 0").expect("a list"), [1, 0]);
        for bad in ["", "a", "1,,2", "3-1", "-1", "1-", "99999", "0-18446744073709551615"] {
            assert!(parse_cpus(bad).is_err(), "{bad} passed");
        }
    }

    #[test]
    fn lists_print_as_ranges() {
        assert_eq!(print_cpus(&[0, 1, 2, 5]), "0-2,5");
        assert_eq!(print_cpus(&[0, 0]), "0,0");
    }

    #[test]
    fn some_cpu_is_allowed() {
        assert!(!cpus_allowed().is_empty());
    }
}
