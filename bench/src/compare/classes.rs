//! The class that two runs have in common: the same state of the machine in both.
//!
//! The largest class of one run may be near, that of the other far. To compare these would be to
//! compare two machines.

use crate::results::{Class, Figure};

/// A class of each run whose probes agree within the spread of a class, that with most pairs on
/// the side that has fewer. `None` if there is none.
pub fn common<'a>(before: &'a Figure, after: &'a Figure) -> Option<(&'a Class, &'a Class)> {
    let all = before.classes.iter().flat_map(|a| after.classes.iter().map(move |b| (a, b)));
    let agreeing = all.filter(|(a, b)| agree(&a.probe, &b.probe));
    agreeing.max_by_key(|(a, b)| a.pairs.min(b.pairs))
}

fn agree(one: &[f64], other: &[f64]) -> bool {
    let near = |(a, b): (&f64, &f64)| a.max(*b) <= a.min(*b) * SPREAD_MAX;
    one.len() == other.len() && one.iter().zip(other).all(near)
}

/// As within a class of one run.
const SPREAD_MAX: f64 = crate::effort::CLASS_SPREAD_MAX;

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(classes: &[(f64, usize)]) -> Figure {
        let class = |&(probe, pairs): &(f64, usize)| Class {
            probe: vec![probe, 1.0],
            pairs,
            setups: 1,
            value: probe,
            low: None,
            high: None,
            values: Vec::new(),
        };
        Figure {
            name: "hop_ns".into(),
            value: None,
            rounds: Vec::new(),
            raw_rtt_ns: None,
            goal: None,
            classes: classes.iter().map(class).collect(),
        }
    }

    #[track_caller]
    fn check(before: &[(f64, usize)], after: &[(f64, usize)], expected: Option<(f64, f64)>) {
        let (before, after) = (figure(before), figure(after));
        let found = common(&before, &after).map(|(a, b)| (a.probe[0], b.probe[0]));
        assert_eq!(found, expected);
    }

    #[test]
    fn the_class_with_most_pairs_on_both_sides_is_taken() {
        check(&[(100.0, 30), (400.0, 9)], &[(410.0, 40), (105.0, 8)], Some((400.0, 410.0)));
        check(&[(100.0, 30), (400.0, 9)], &[(410.0, 40), (105.0, 10)], Some((100.0, 105.0)));
    }

    #[test]
    fn runs_in_other_states_have_none_in_common() {
        check(&[(100.0, 30)], &[(400.0, 30)], None);
        check(&[(100.0, 30)], &[(116.0, 30)], None);
        check(&[(100.0, 30)], &[], None);
    }
}
