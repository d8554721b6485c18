//! Checks before any thread starts, so that the message can name the remedy.

use rustix::thread::{CpuSet, sched_getaffinity};

use super::config::HostConfig;
use super::error::Error;

pub(super) fn check(config: &HostConfig) -> Result<(), Error> {
    if config.cpus.is_empty() {
        return Err(Error::NoCpu);
    }
    if config.pin { check_cpus(&config.cpus) } else { Ok(()) }
}

fn check_cpus(cpus: &[usize]) -> Result<(), Error> {
    // If the affinity cannot be read, the pinning will fail with the reason.
    let Ok(allowed) = sched_getaffinity(None) else { return Ok(()) };
    let forbidden = |&&cpu: &&usize| cpu >= CpuSet::MAX_CPU || !allowed.is_set(cpu);
    match cpus.iter().find(forbidden) {
        Some(&cpu) => Err(Error::CpuNotAllowed { cpu, allowed: ranges(&allowed) }),
        None => Ok(()),
    }
}

/// The CPUs of a set as `0-3,6`.
pub(super) fn ranges(cpus: &CpuSet) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for cpu in (0..CpuSet::MAX_CPU).filter(|&cpu| cpus.is_set(cpu)) {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => ranges.push((cpu, cpu)),
        }
    }
    let texts = ranges.into_iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    texts.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_join_neighbours() {
        let mut cpus = CpuSet::new();
        assert_eq!(ranges(&cpus), "");
        [0, 1, 2, 5, 7, 8].into_iter().for_each(|cpu| cpus.set(cpu));
        assert_eq!(ranges(&cpus), "0-2,5,7-8");
    }

    #[test]
    fn what_cannot_be_had_is_named() {
        let refusal = |cpus| check(&HostConfig::new(cpus)).expect_err("cannot be had").to_string();
        assert!(refusal(vec![]).contains("no CPU"));
        assert!(refusal(vec![1_000_000]).contains("CPU 1000000 does not exist"));
    }
}
