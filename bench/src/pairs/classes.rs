//! Classes: values whose probes agree, with median and confidence interval.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::results::Class;
use crate::spread::median;

/// A value and the readings of all probes beside it.
pub struct Measured<'a> {
    pub value: f64,
    /// Number of the set-up in which it was measured.
    pub setup: usize,
    pub probes: Vec<&'a [f64]>,
}

/// The classes, the largest first, each with its values in the order of time. Values whose own
/// probes differ by more than the spread belong to none.
pub fn classes<'a>(measured: impl Iterator<Item = Measured<'a>>, spread_max: f64) -> Vec<Class> {
    let steady = measured.filter(|it| it.value.is_finite() && is_steady(&it.probes, spread_max));
    let mut left: Vec<Member> = steady.map(|it| (centre(&it.probes), it.value, it.setup)).collect();
    let mut classes = Vec::new();
    // Both within the root of the spread of the one in the middle are within the spread.
    let reach = spread_max.sqrt();
    while !left.is_empty() {
        let is_near = |middle: &[f64], other: &[f64]| is_steady(&[middle, other], reach);
        let size = |middle: &[f64]| left.iter().filter(|it| is_near(middle, &it.0)).count();
        let (middle, ..) = left.iter().max_by_key(|it| size(&it.0)).expect("it is not empty");
        let middle = middle.clone();
        let (members, others) = left.into_iter().partition(|it| is_near(&middle, &it.0));
        classes.push(class(members));
        left = others;
    }
    classes.sort_by_key(|class: &Class| Reverse(class.pairs));
    classes
}

/// Centre of its probes, value, set-up.
type Member = (Vec<f64>, f64, usize);

fn class(members: Vec<Member>) -> Class {
    let probes: Vec<&[f64]> = members.iter().map(|it| it.0.as_slice()).collect();
    let values: Vec<f64> = members.iter().map(|it| it.1).collect();
    let setups: BTreeSet<usize> = members.iter().map(|it| it.2).collect();
    let interval = interval(&values);
    Class {
        probe: centre(&probes),
        pairs: values.len(),
        setups: setups.len(),
        value: median(values.clone()),
        low: interval.map(|it| it.0),
        high: interval.map(|it| it.1),
        values,
    }
}

/// Whether each number of the probes differs by no more than the spread.
fn is_steady(probes: &[&[f64]], spread_max: f64) -> bool {
    (0..probes[0].len()).all(|number| {
        let values = probes.iter().map(|probe| probe[number]);
        let least = values.clone().fold(f64::INFINITY, f64::min);
        values.fold(0.0, f64::max) <= least * spread_max
    })
}

/// The median of each number.
fn centre(probes: &[&[f64]]) -> Vec<f64> {
    let numbers = 0..probes[0].len();
    numbers.map(|number| median(probes.iter().map(|probe| probe[number]).collect())).collect()
}

/// The 95 % confidence interval of the median: between the order statistics outside of which the
/// median of independent values lies with at most 2.5 % on each side. `None` below six values,
/// whose least and greatest would be too sure of themselves.
pub fn interval(values: &[f64]) -> Option<(f64, f64)> {
    let count = values.len();
    let mut below = 0.0;
    let mut probability = 0.5_f64.powi(i32::try_from(count).ok()?);
    let mut rank = 0;
    // Of `count` coins, fewer than `rank` show heads with the probability `below`.
    while rank < count && below + probability <= 0.025 {
        below += probability;
        probability *= (count - rank) as f64 / (rank + 1) as f64;
        rank += 1;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let low = rank.checked_sub(1)?;
    Some((sorted[low], sorted[count - 1 - low]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_the_sign_test() {
        let ramp = |count: u32| (1..=count).map(f64::from).collect::<Vec<_>>();
        assert_eq!(interval(&ramp(5)), None);
        assert_eq!(interval(&ramp(6)), Some((1.0, 6.0)));
        // From tables of the binomial distribution.
        assert_eq!(interval(&ramp(10)), Some((2.0, 9.0)));
        assert_eq!(interval(&ramp(25)), Some((8.0, 18.0)));
        assert_eq!(interval(&ramp(100)), Some((40.0, 61.0)));
    }

    #[test]
    fn every_number_of_a_probe_tells_classes_apart() {
        let probes = [[100.0, 1.0], [104.0, 1.0], [100.0, 2.0], [300.0, 1.0], [101.0, 1.01]];
        let measured = probes.iter().zip([1.0, 3.0, 7.0, 9.0, 2.0]).map(|(probe, value)| {
            let probes = vec![probe.as_slice(), probe.as_slice()];
            Measured { value, setup: usize::from(value > 2.5), probes }
        });
        let found = classes(measured, 1.15);
        let pairs: Vec<_> = found.iter().map(|class| class.pairs).collect();
        assert_eq!(pairs, [3, 1, 1]);
        assert_eq!((found[0].value, &found[0].values), (2.0, &vec![1.0, 3.0, 2.0]));
        assert_eq!((&found[0].probe, found[0].setups), (&vec![101.0, 1.0], 2));
    }

    #[test]
    fn what_changed_meanwhile_is_in_no_class() {
        let (near, far) = ([100.0], [130.0]);
        let measured = Measured { value: 1.0, setup: 0, probes: vec![&near, &far] };
        assert!(classes([measured].into_iter(), 1.15).is_empty());
    }
}
