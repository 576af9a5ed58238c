//! The few statistics that verdicts need: quantiles, and the confidence interval of a mean.

/// The quantile `q` (0 to 1) of sorted values, interpolated linearly between
/// the two nearest ranks, as the reports do it; zero of none.
pub(crate) fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return 0.0;
    };
    let rank = q * last as f64;
    let (below, above) = (sorted[rank.floor() as usize], sorted[rank.ceil() as usize]);
    below + (above - below) * rank.fract()
}

/// The arithmetic mean; zero of none.
pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Two-sided 97.5 % points of Student's t by degrees of freedom, from 1 to 30.
const STUDENT: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
];

/// The 95 % confidence interval of the mean; none below two values.
pub(crate) fn ci95(values: &[f64]) -> Option<(f64, f64)> {
    let freedom = values.len().checked_sub(1).filter(|&n| n > 0)?;
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let error = (squares / freedom as f64 / values.len() as f64).sqrt();
    // Beyond the table: right to 0.002, on the safe side.
    let t = STUDENT
        .get(freedom - 1)
        .copied()
        .unwrap_or(1.960 + 2.5 / freedom as f64);
    Some((mean - t * error, mean + t * error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate_between_ranks() {
        let sample = [1.0, 2.0, 3.0, 4.0, 6.0];
        assert_eq!(quantile(&sample, 0.0), 1.0);
        assert_eq!(quantile(&sample, 0.5), 3.0);
        assert_eq!(quantile(&sample, 0.875), 5.0);
        assert_eq!(quantile(&sample, 1.0), 6.0);
        assert_eq!(quantile(&[7.0], 0.95), 7.0);
        assert_eq!(quantile(&[], 0.5), 0.0);
    }

    #[test]
    fn interval_of_a_known_sample() {
        // Mean 3, variance 2.5, standard error sqrt(0.5), t(4) = 2.776.
        let (low, high) = ci95(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        assert!((low - (3.0 - 2.776 * 0.5f64.sqrt())).abs() < 1e-12);
        assert!((high - (3.0 + 2.776 * 0.5f64.sqrt())).abs() < 1e-12);
        assert_eq!(ci95(&[1.0]), None);
    }
}
