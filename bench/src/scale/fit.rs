//! The growth of a cost.

/// The slope of the straight line through the logarithms of sizes and costs, by least squares; not
/// a number with fewer than two sizes.
pub fn exponent(points: &[(f64, f64)]) -> f64 {
    let logs: Vec<(f64, f64)> = points.iter().map(|(size, cost)| (size.ln(), cost.ln())).collect();
    let count = logs.len() as f64;
    let mean_size = logs.iter().map(|(size, _)| size).sum::<f64>() / count;
    let mean_cost = logs.iter().map(|(_, cost)| cost).sum::<f64>() / count;
    let along: f64 = logs.iter().map(|(size, _)| (size - mean_size).powi(2)).sum();
    let across: f64 = logs.iter().map(|(size, cost)| (size - mean_size) * (cost - mean_cost)).sum();
    across / along
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cost: impl Fn(f64) -> f64, expected: f64) {
        let points: Vec<_> = [1.0, 10.0, 100.0, 1000.0].map(|size| (size, cost(size))).into();
        let found = exponent(&points);
        assert!((found - expected).abs() < 1e-9, "{found} instead of {expected}");
    }

    #[test]
    fn powers_are_found() {
        check(|_| 7.0, 0.0);
        check(|size| 3.0 * size, 1.0);
        check(|size| 2.0 * size.sqrt(), 0.5);
        check(|size| 5.0 / size, -1.0);
    }

    #[test]
    fn one_point_has_no_growth() {
        assert!(exponent(&[]).is_nan());
        assert!(exponent(&[(4.0, 2.0)]).is_nan());
    }
}
