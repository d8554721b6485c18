//! How sure a ratio is: estimates of Hodges and Lehmann with exact confidence intervals.
//!
//! Works on logarithms, because a ratio and its inverse must weigh the same. No random numbers, no
//! normal distribution: the intervals come from counting orders, so they hold for few rounds and
//! for tails of any shape. Sources: J. L. Hodges and E. L. Lehmann, "Estimates of location based
//! on rank tests", Annals of Mathematical Statistics 34 (1963); M. Hollander, D. A. Wolfe and
//! E. Chicken, "Nonparametric Statistical Methods", 3rd edition, sections 3.2, 3.3, 4.2 and 4.3.
//!
//! - **Pairs** (two programs, alternated): the median of all averages of two differences; interval
//!   by the signed-rank distribution of Wilcoxon. Assumes that a pair's difference falls as often
//!   far to one side of its middle as to the other.
//! - **Two samples** (two recorded runs): the median of all differences between them; interval by
//!   the rank-sum distribution of Wilcoxon, Mann and Whitney.

/// A ratio with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// The estimate.
    pub ratio: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// Why there is no interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Undecided {
    /// One side has no value, or a value is not above 0: it has no logarithm.
    Values,
    /// The two sides have no class in common: the machine was in other states.
    Classes,
    /// Even if all values agreed they could not be so sure: there are too few of them.
    TooFew,
    /// Their distribution would fill the memory.
    TooMany,
}

/// Ratio of `after` to `before`, measured in pairs, wrong with a probability of `risk` at most. A
/// pair with a value on one side only does not count.
pub fn of_pairs(
    before: &[Option<f64>],
    after: &[Option<f64>],
    risk: f64,
) -> Result<Ratio, Undecided> {
    let pairs = before.iter().zip(after).filter_map(|(a, b)| a.zip(*b));
    let (before, after): (Vec<f64>, Vec<f64>) = pairs.unzip();
    let (before, after) = (logarithms(&before)?, logarithms(&after)?);
    let differences: Vec<f64> = after.iter().zip(&before).map(|(b, a)| b - a).collect();
    let count = differences.len();
    let averages = (0..count).flat_map(|one| {
        let differences = &differences;
        (one..count).map(move |other| f64::midpoint(differences[one], differences[other]))
    });
    interval(averages.collect(), &signed_ranks(count), risk)
}

/// Ratio of `after` to `before`, measured apart from each other. Rounds without a value do not
/// count.
pub fn of_samples(
    before: &[Option<f64>],
    after: &[Option<f64>],
    risk: f64,
) -> Result<Ratio, Undecided> {
    let there = |values: &[Option<f64>]| values.iter().flatten().copied().collect::<Vec<_>>();
    let (before, after) = (logarithms(&there(before))?, logarithms(&there(after))?);
    if before.len().max(after.len()) > SAMPLES_MAX {
        return Err(Undecided::TooMany);
    }
    let differences = after.iter().flat_map(|b| before.iter().map(move |a| b - a));
    interval(differences.collect(), &rank_sums(before.len(), after.len()), risk)
}

fn logarithms(values: &[f64]) -> Result<Vec<f64>, Undecided> {
    let is_sound = !values.is_empty() && values.iter().all(|value| *value > 0.0);
    is_sound.then(|| values.iter().map(|value| value.ln()).collect()).ok_or(Undecided::Values)
}

/// The middle of the values, and those as far from both ends as the distribution of the statistic
/// allows: `weights` are its probabilities times any constant.
fn interval(mut values: Vec<f64>, weights: &[f64], risk: f64) -> Result<Ratio, Undecided> {
    let total: f64 = weights.iter().sum();
    let mut below = 0.0;
    let mut cut = 0;
    for weight in weights {
        below += weight / total;
        if below > risk / 2.0 {
            break;
        }
        cut += 1;
    }
    if cut == 0 || values.is_empty() {
        return Err(Undecided::TooFew);
    }
    values.sort_by(f64::total_cmp);
    let count = values.len();
    let middle = f64::midpoint(values[(count - 1) / 2], values[count / 2]);
    let (low, high) = (values[cut - 1], values[count - cut]);
    Ok(Ratio { ratio: middle.exp(), low: low.exp(), high: high.exp() })
}

/// In how many ways numbers of 1 to `count` add up to 0, 1, 2, …
fn signed_ranks(count: usize) -> Vec<f64> {
    let mut ways = vec![0.0; count * (count + 1) / 2 + 1];
    ways[0] = 1.0;
    for rank in 1..=count {
        for sum in (rank..ways.len()).rev() {
            ways[sum] += ways[sum - rank];
        }
    }
    ways
}

/// In how many orders of two samples 0, 1, 2, … pairs are the other way round.
fn rank_sums(before: usize, after: usize) -> Vec<f64> {
    // One row per number of values taken from the second sample so far.
    let mut rows: Vec<Vec<f64>> = vec![vec![0.0; before * after + 1]; after + 1];
    rows.iter_mut().for_each(|row| row[0] = 1.0);
    for _ in 0..before {
        // Whatever comes from the first sample stands behind all of the second one taken so far.
        for taken in 1..=after {
            for sum in (0..=before * after).rev() {
                let behind = if sum >= taken { rows[taken][sum - taken] } else { 0.0 };
                rows[taken][sum] = rows[taken - 1][sum] + behind;
            }
        }
    }
    rows.pop().unwrap_or_default()
}

/// The distribution of as many on both sides takes 64 MB and a second or two.
const SAMPLES_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn values(values: &[f64]) -> Vec<Option<f64>> {
        values.iter().copied().map(Some).collect()
    }

    #[test]
    fn distributions_are_those_of_the_tables() {
        assert_eq!(signed_ranks(4), [1., 1., 1., 2., 2., 2., 2., 2., 1., 1., 1.]);
        assert_eq!(rank_sums(2, 2), [1., 1., 2., 1., 1.]);
        assert_eq!(rank_sums(3, 2), [1., 1., 2., 2., 2., 1., 1.]);
        assert_eq!(rank_sums(7, 7).iter().sum::<f64>(), 3432.0);
    }

    #[test]
    fn six_pairs_are_the_fewest_for_nineteen_in_twenty() {
        let (before, after) = ([10.0, 11.0, 9.0, 10.0, 12.0, 10.0], 2.0);
        let doubled: Vec<f64> = before.iter().map(|value| value * after).collect();
        let ratio = of_pairs(&values(&before), &values(&doubled), 0.05).unwrap();
        assert!((ratio.ratio - 2.0).abs() < 1e-9 && (ratio.low - 2.0).abs() < 1e-9);
        let few = of_pairs(&values(&before[..5]), &values(&doubled[..5]), 0.05);
        assert_eq!(few, Err(Undecided::TooFew));
    }

    #[test]
    fn an_interval_of_pairs_is_that_of_the_definition() {
        // Differences of the logarithms are 1 to 6: averages range from 1 to 6, all are used.
        let before = values(&[1.0; 6]);
        let after: Vec<f64> = (1..=6).map(|power| f64::from(power).exp()).collect();
        let ratio = of_pairs(&before, &values(&after), 0.05).unwrap();
        let near = |value: f64, power: f64| (value.ln() - power).abs() < 1e-9;
        assert!(near(ratio.ratio, 3.5) && near(ratio.low, 1.0) && near(ratio.high, 6.0));
        // With a risk of 0.1 the outermost two, 1 and 1.5, are cut, and as many on the other side.
        let ratio = of_pairs(&before, &values(&after), 0.1).unwrap();
        assert!(near(ratio.low, 2.0) && near(ratio.high, 5.0), "{ratio:?}");
    }

    #[test]
    fn noise_without_a_difference_is_no_difference() {
        let before = values(&[10.0, 12.0, 11.0, 9.0, 10.5, 11.5, 10.0]);
        let after = values(&[11.0, 10.0, 9.5, 12.0, 10.0, 10.5, 11.5]);
        for ratio in [of_pairs(&before, &after, 0.05), of_samples(&before, &after, 0.05)] {
            let ratio = ratio.unwrap();
            assert!(ratio.low < 1.0 && 1.0 < ratio.high, "{ratio:?}");
        }
    }

    #[test]
    fn samples_may_differ_in_size() {
        let ratio = of_samples(&values(&[1.0; 5]), &values(&[3.0; 7]), 0.05).unwrap();
        assert!((ratio.low - 3.0).abs() < 1e-9 && (ratio.high - 3.0).abs() < 1e-9);
        let few = of_samples(&values(&[1.0]), &values(&[3.0; 7]), 0.05);
        assert_eq!(few, Err(Undecided::TooFew));
    }

    #[test]
    fn too_many_samples_are_refused_instead_of_filling_the_memory() {
        let (few, many) = (values(&[1.0; 7]), values(&[1.0; SAMPLES_MAX + 1]));
        assert_eq!(of_samples(&few, &many, 0.05), Err(Undecided::TooMany));
        assert_eq!(of_samples(&many, &few, 0.05), Err(Undecided::TooMany));
        assert!(of_samples(&few, &many[1..], 0.05).is_ok());
    }

    #[test]
    fn what_has_no_logarithm_is_not_compared() {
        let good = values(&[1.0; 6]);
        for bad in [Some(0.0), Some(-1.0)] {
            let bad = [&good[..5], &[bad]].concat();
            assert_eq!(of_pairs(&good, &bad, 0.05), Err(Undecided::Values));
        }
        assert_eq!(of_samples(&good, &[None; 6], 0.05), Err(Undecided::Values));
    }

    #[test]
    fn a_run_without_a_value_takes_only_itself_away() {
        let before = values(&[1.0; 7]);
        let after = [&[None], &values(&[2.0; 6])[..]].concat();
        for ratio in [of_pairs(&before, &after, 0.05), of_samples(&before, &after, 0.05)] {
            assert!((ratio.unwrap().ratio - 2.0).abs() < 1e-9);
        }
        let few = [&[None, None], &values(&[2.0; 5])[..]].concat();
        assert_eq!(of_pairs(&before, &few, 0.05), Err(Undecided::TooFew));
    }
}
