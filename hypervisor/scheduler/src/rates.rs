//! The solve: from weights and ceilings to one absolute rate per VP.
//!
//! `x_i = min(u_i, λ·w_i)` for the one λ with `Σ x = min(M, Σ u)`. A weight
//! worth more than a VP's ceiling is cut to it, and the rest is shared again.
//! Water-filling over the sorted breakpoints `u_i / w_i`, in integers.

/// A rate in parts of one LP: 2^32 is a whole LP.
pub(crate) type Rate = u64;

/// Bits after the binary point of a [`Rate`].
pub(crate) const RATE_BITS: u32 = 32;

/// One whole LP.
pub(crate) const ONE: Rate = 1 << RATE_BITS;

/// What one runnable VP brings to the solve.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    /// At least 1.
    pub(crate) weight: u32,
    /// The most it can use, at most [`ONE`].
    pub(crate) upper: Rate,
}

/// The rate of each claim on `lps` LPs, in the order of the claims. Their sum
/// is exactly `min(lps, Σ upper)`; no rate exceeds its `upper`.
pub(crate) fn solve(lps: u32, claims: &[Claim]) -> Vec<Rate> {
    let mut rates = vec![0; claims.len()];
    let mut order: Vec<usize> = (0..claims.len()).collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (claims[a], claims[b]);
        let left = u128::from(a.upper) * u128::from(b.weight);
        left.cmp(&(u128::from(b.upper) * u128::from(a.weight)))
    });
    let uppers: u128 = claims.iter().map(|claim| u128::from(claim.upper)).sum();
    let mut capacity = uppers.min(u128::from(lps) << RATE_BITS);
    let mut weights: u128 = claims.iter().map(|claim| u128::from(claim.weight)).sum();
    for index in order {
        let Claim { weight, upper } = claims[index];
        // Each takes its part of what those before it left: once one is not
        // cut by its ceiling, none after it is, and dividing the remainder
        // anew each time makes the sum exact.
        let part = capacity * u128::from(weight) / weights;
        let rate = part.min(u128::from(upper));
        rates[index] = rate as Rate;
        capacity -= rate;
        weights -= u128::from(weight);
    }
    rates
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn burning(weights: &[u32]) -> Vec<Claim> {
        weights
            .iter()
            .map(|&weight| Claim { weight, upper: ONE })
            .collect()
    }

    #[test]
    fn known_answers() {
        // (LPs, weights, LPs received by each VP)
        let cases: &[(u32, &[u32], &[f64])] = &[
            (1, &[100, 200, 700], &[0.1, 0.2, 0.7]),
            (1, &[100, 150, 250], &[0.2, 0.3, 0.5]),
            (
                2,
                &[200, 200, 200, 200, 50, 50, 50, 50],
                &[0.4, 0.4, 0.4, 0.4, 0.1, 0.1, 0.1, 0.1],
            ),
            (2, &[10, 1, 1], &[1.0, 0.5, 0.5]),
            (2, &[1, 1, 1], &[2.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0]),
            (3, &[5, 7], &[1.0, 1.0]),
            (1, &[], &[]),
        ];
        for (lps, weights, expected) in cases {
            let rates = solve(*lps, &burning(weights));
            for (rate, expected) in rates.iter().zip(*expected) {
                let got = *rate as f64 / ONE as f64;
                assert!(
                    (got - expected).abs() < 1e-9,
                    "{weights:?}: {got} for {expected}"
                );
            }
        }
        let rates = solve(4, &burning(&[10_000, 1, 1, 1, 1, 1, 1, 1]));
        assert_eq!(rates[0], ONE);
        assert!((rates[1] as f64 / ONE as f64 - 3.0 / 7.0).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn sum_is_exact_and_ceilings_hold(
            lps in 1u32..64,
            claims in prop::collection::vec((1u32..=10_000, 1u64..=ONE), 0..100),
        ) {
            let claims: Vec<Claim> = claims
                .into_iter()
                .map(|(weight, upper)| Claim { weight, upper })
                .collect();
            let rates = solve(lps, &claims);
            let uppers: u64 = claims.iter().map(|claim| claim.upper).sum();
            prop_assert_eq!(rates.iter().sum::<u64>(), uppers.min(u64::from(lps) << RATE_BITS));
            for (rate, claim) in rates.iter().zip(&claims) {
                prop_assert!(*rate <= claim.upper);
            }
        }

        #[test]
        fn uncut_rates_are_proportional_to_weights(
            lps in 1u32..8,
            weights in prop::collection::vec(1u32..=10_000, 2..40),
        ) {
            let rates = solve(lps, &burning(&weights));
            for i in 0..weights.len() {
                for j in 0..weights.len() {
                    if rates[i] < ONE && rates[j] < ONE {
                        // λ is common, to within the rounding of one unit per division.
                        let left = i128::from(rates[i]) * i128::from(weights[j]);
                        let right = i128::from(rates[j]) * i128::from(weights[i]);
                        let slack = i128::from(weights[i] + weights[j]) * weights.len() as i128;
                        prop_assert!((left - right).abs() <= slack);
                    }
                }
            }
        }
    }
}
