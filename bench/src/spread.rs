//! Spreads: the values of all rounds and their median.

use crate::results::Class;

/// One value for each round; what stands for all of them is their median.
#[derive(Clone, Debug, PartialEq)]
pub struct Spread {
    values: Vec<f64>,
    classes: Vec<Class>,
}

impl Spread {
    /// The median over the rounds.
    pub fn median(&self) -> f64 {
        median(self.values.clone())
    }

    /// The values in the order of the rounds.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The values of the largest class, which stand for all of them.
    pub fn of_classes(classes: Vec<Class>) -> Self {
        let values = classes.first().map(|class| class.values.clone()).unwrap_or_default();
        Self { values, classes }
    }

    /// The classes, the largest first; none where values come from rounds.
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// Every value divided by the same number.
    #[must_use]
    pub fn divided_by(mut self, divisor: f64) -> Self {
        self.values.iter_mut().for_each(|value| *value /= divisor);
        for class in &mut self.classes {
            class.value /= divisor;
            class.values.iter_mut().for_each(|value| *value /= divisor);
            class.low = class.low.map(|low| low / divisor);
            class.high = class.high.map(|high| high / divisor);
        }
        self
    }
}

impl FromIterator<f64> for Spread {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self { values: values.into_iter().collect(), classes: Vec::new() }
    }
}

/// What is measured once.
impl From<f64> for Spread {
    fn from(value: f64) -> Self {
        Self { values: vec![value], classes: Vec::new() }
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
