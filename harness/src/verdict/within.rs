//! Comparisons that decide a verdict, which rounding does not.

/// Figures that differ by less than this part of their limit, or of 1 where that is less, differ by rounding: sums and
/// quotients of floats are off by some 1e-16 of their size, and nothing that is measured is as close to a limit.
const ROUNDING: f64 = 1e-9;

/// Whether `value` is no more than `limit`, but for rounding.
pub(crate) fn is_at_most(value: f64, limit: f64) -> bool {
    value <= limit + slack(limit)
}

/// Whether `value` is no less than `limit`, but for rounding.
pub(crate) fn is_at_least(value: f64, limit: f64) -> bool {
    value >= limit - slack(limit)
}

fn slack(limit: f64) -> f64 {
    ROUNDING * limit.abs().max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_digits_decide_nothing() {
        let sum: f64 = [0.1, 0.2].iter().sum();
        assert!(sum > 0.3);
        assert!(is_at_most(sum, 0.3));
        assert!(is_at_least(0.3, sum));
        // An error of figures that are about 50 and the same, where nothing is tolerated.
        assert!(is_at_most(50.1 - 50.0 - 0.1, 0.0));
        assert!(is_at_most(3e9 * sum / 0.3, 3e9));
        assert!(is_at_least(-sum, -0.3));
    }

    #[test]
    fn what_can_be_read_does() {
        assert!(!is_at_most(0.300_001, 0.3));
        assert!(!is_at_least(98.999_999, 99.0));
        assert!(!is_at_most(1_000_001.0, 1_000_000.0));
        assert!(!is_at_most(f64::NAN, 1.0) && !is_at_least(f64::NAN, 1.0));
    }
}
