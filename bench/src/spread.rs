//! Spreads: the values of all rounds and their median.

/// One value for each round; what stands for all of them is their median.
#[derive(Clone, Debug, PartialEq)]
pub struct Spread(Vec<f64>);

impl Spread {
    /// The median over the rounds.
    pub fn median(&self) -> f64 {
        median(self.0.clone())
    }

    /// The values in the order of the rounds.
    pub fn values(&self) -> &[f64] {
        &self.0
    }

    /// Every value divided by the same number.
    #[must_use]
    pub fn divided_by(mut self, divisor: f64) -> Self {
        self.0.iter_mut().for_each(|value| *value /= divisor);
        self
    }
}

impl FromIterator<f64> for Spread {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

/// What is measured once.
impl From<f64> for Spread {
    fn from(value: f64) -> Self {
        Self(vec![value])
    }
}

/// The middle value; the mean of the middle two for an even number; not a number without values.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0]), 2.5);
        assert!(median(Vec::new()).is_nan());
    }
}
