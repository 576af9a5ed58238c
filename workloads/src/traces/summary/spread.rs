//! How values are spread.

/// How values are spread: percentiles are the smallest value that so many do not exceed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    /// Their mean.
    pub mean: f64,
    /// The median.
    pub p50: f64,
    /// The 95th percentile.
    pub p95: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    pub(super) fn of(mut values: Vec<f64>) -> Spread {
        values.sort_by(f64::total_cmp);
        let rank = |part: f64| {
            let at = (part * values.len() as f64).ceil() as usize;
            values
                .get(at.saturating_sub(1))
                .copied()
                .unwrap_or_default()
        };
        Spread {
            mean: values.iter().sum::<f64>() / values.len().max(1) as f64,
            p50: rank(0.5),
            p95: rank(0.95),
            max: rank(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_are_by_nearest_rank() {
        let spread = Spread::of((1..=100).rev().map(f64::from).collect());
        let Spread {
            mean,
            p50,
            p95,
            max,
        } = spread;
        assert_eq!((mean, p50, p95, max), (50.5, 50.0, 95.0, 100.0));
        let one = Spread::of(vec![7.0]);
        assert_eq!((one.p50, one.p95, one.max), (7.0, 7.0, 7.0));
        assert_eq!(Spread::of(Vec::new()), Spread::default());
    }
}
