//! Lists of CPUs: `0,2-3,0` means CPU 0 twice, 2 and 3.

use crate::connect::registry::without_token;
use std::ops::RangeInclusive;

use rustix::thread::{CpuSet, sched_getaffinity};

use super::error::Error;

/// The CPUs that this process may use, ascending. Only CPU 0 if the kernel does not report them.
pub fn cpus_allowed() -> Vec<usize> {
    let allowed = |set: CpuSet| (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect();
    sched_getaffinity(None).map_or_else(|_| vec![0], allowed)
}

/// The CPUs that get a core by default: all of `allowed` but the first, which is left to the other
/// threads of the process, to interrupts and to everything else of the host. With a core on every
/// CPU, each wake-up of one of those threads preempts a core for some 10 µs or, if the scheduler
/// so decides, for milliseconds. The only CPU that there is gets a core.
pub fn cpus_of_cores(allowed: &[usize]) -> Vec<usize> {
    match allowed {
        [_, others @ ..] if !others.is_empty() => others.to_vec(),
        only => only.to_vec(),
    }
}

/// What is worth a line at the start about where cores run, and where the other threads do.
pub fn placement(cores: &[usize], allowed: &[usize]) -> String {
    let others: Vec<usize> = allowed.iter().copied().filter(|cpu| !cores.contains(cpu)).collect();
    let shown = print_cpus(cores);
    match others.is_empty() {
        true => format!(
            "cores: CPU {shown}, which is every CPU: other threads of the process preempt them; \
             leave one out of --cores for lower latencies"
        ),
        false => format!("cores: CPU {shown}; other threads: CPU {}", print_cpus(&others)),
    }
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
    fn the_first_of_several_cpus_has_no_core_by_default() {
        assert_eq!(cpus_of_cores(&[0, 1]), [1]);
        assert_eq!(cpus_of_cores(&[2, 3, 7]), [3, 7]);
        assert_eq!(cpus_of_cores(&[5]), [5], "a single CPU is shared");
    }

    #[test]
    fn the_start_line_says_who_shares_a_cpu() {
        assert_eq!(placement(&[1, 2], &[0, 1, 2, 3]), "cores: CPU 1-2; other threads: CPU 0,3");
        let shared = placement(&[0, 1, 1], &[0, 1]);
        assert!(shared.contains("every CPU") && shared.contains("--cores"), "{shared}");
    }

    #[test]
    fn some_cpu_is_allowed() {
        assert!(!cpus_allowed().is_empty());
    }
}
